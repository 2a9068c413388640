"""Soft actor-critic (notes 6.2.3; Haarnoja et al. 2018): a stochastic policy of much reward and entropy, off-policy."""

from __future__ import annotations

import math

import torch
from pydantic import Field
from torch import Tensor, nn

from elodrome.agents.agent import Task
from elodrome.agents.ops import actor_critic as ops
from elodrome.agents.ops import policy_gradient as pg
from elodrome.agents.parts.heads import SquashedGaussian, normal_at
from elodrome.agents.parts.networks import adam, descend, to_tensor
from elodrome.agents.policy.offpolicy import OffPolicyConfig, OffPolicyLearner
from elodrome.agents.policy.twin import ActorTwin
from elodrome.envs.game import Floats, Reals

ABOUT = {
    "cls": "SAC",
    "chapter": "3",
    "summary": "soft actor-critic: twin critics, a squashed Gaussian policy, entropy held at a target",
    "actions": ("continuous",),
}


class SACConfig(OffPolicyConfig):
    """alpha: weight of the entropy at first, in units of the reward's scale; it is then learned, so that the entropy
    stays near ``entropy`` nats for each entry of an action. The rest as ``OffPolicyConfig`` says."""

    rate: float = Field(1e-3, gt=0.0)
    alpha: float = Field(0.2, gt=0.0)
    entropy: float = -1.0


class Temperature(nn.Module):
    """alpha, kept as its logarithm."""

    def __init__(self, alpha: float) -> None:
        super().__init__()
        self.log_alpha = nn.Parameter(torch.tensor(math.log(alpha)))


class SAC(OffPolicyLearner):
    """Learns a squashed Gaussian policy, two soft Q-functions and the temperature between them."""

    KEEPS = (*OffPolicyLearner.KEEPS, "temperature", "thermostat")
    OUTPUTS = 2  # mean and log std
    MEASURED = ("loss/value", "loss/policy", "entropy", "alpha")
    config_class = SACConfig
    config: SACConfig

    def __init__(self, task: Task, config: SACConfig | None = None) -> None:
        super().__init__(task, config)
        self.temperature = Temperature(self.config.alpha).to(task.device)
        self.thermostat = adam(self.temperature, self.config.rate)
        self.wanted = self.config.entropy * len(self.world.low)

    def explore(self, net: ActorTwin, observations: Floats, quantiles: Reals) -> Reals:
        noise = to_tensor(normal_at(quantiles), self.task.device).flatten(1)
        with torch.inference_mode():
            policy = SquashedGaussian.of(net.actor(to_tensor(observations, self.task.device)))
            drawn: Reals = policy.sample(noise)[0].cpu().numpy().astype("float64")
        return drawn.reshape(quantiles.shape)

    def update(self, batch: dict[str, Tensor]) -> Tensor:
        seen, following = batch["observation"], batch["next_observation"]
        ahead, now = self.noise(2, len(seen), len(self.world.low))
        alpha = self.temperature.log_alpha.detach().exp()
        with torch.no_grad():
            action, log_prob = SquashedGaussian.of(self.net.actor(following)).sample(ahead)
            q_next = self.target.q(following, action)
            wanted = ops.soft_target(batch["reward"], batch["discount"], q_next, log_prob, alpha)
        critic_loss = pg.value_loss(self.net.q(seen, batch["action"]), wanted.expand(2, -1))
        descend(self.critic, critic_loss)
        action, log_prob = SquashedGaussian.of(self.net.actor(seen)).sample(now)
        actor_loss = ops.soft_actor_loss(self.net.q(seen, action), log_prob, alpha)
        descend(self.actor, actor_loss)
        descend(self.thermostat, ops.temperature_loss(self.temperature.log_alpha, log_prob, self.wanted))
        self.follow(self.target.critics, self.net.critics)
        return torch.stack([critic_loss.detach(), actor_loss.detach(), -log_prob.detach().mean(), alpha])
