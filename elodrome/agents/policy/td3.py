"""Twin delayed deterministic policy gradient (Fujimoto et al. 2018; notes 6.2.3)."""

from __future__ import annotations

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from elodrome.agents.ops import actor_critic as ops
from elodrome.agents.ops import policy_gradient as pg
from elodrome.agents.parts.heads import normal_at
from elodrome.agents.parts.networks import descend, to_tensor
from elodrome.agents.policy.offpolicy import OffPolicyConfig, OffPolicyLearner
from elodrome.agents.policy.twin import ActorTwin
from elodrome.envs.game import Floats, Reals

ABOUT = {
    "cls": "TD3",
    "chapter": "3",
    "summary": "twin delayed DDPG: a deterministic policy, the smaller of two critics, smoothed targets",
    "actions": ("continuous",),
    "presets": {"ddpg": {"twin": False, "delay": 1, "smoothing": 0.0}},
}


class TD3Config(OffPolicyConfig):
    """noise: standard deviation of exploration, in units of the bounds. smoothing: of the noise on the target's action,
    cut off at ``smoothing_clip``. delay: critic updates for each one of the actor and the targets. twin: whether
    targets are from the smaller of both critics, or from the first alone. The rest as ``OffPolicyConfig`` says."""

    rate: float = Field(1e-3, gt=0.0)
    noise: float = Field(0.1, ge=0.0)
    smoothing: float = Field(0.2, ge=0.0)
    smoothing_clip: float = Field(0.5, gt=0.0)
    delay: int = Field(2, ge=1)
    twin: bool = True


class TD3(OffPolicyLearner):
    """Learns a deterministic policy that climbs the first of two critics."""

    OUTPUTS = 1
    MEASURED = ("loss/value", "loss/policy")
    config_class = TD3Config
    config: TD3Config

    def explore(self, net: ActorTwin, observations: Floats, quantiles: Reals) -> Reals:
        with torch.inference_mode():
            mean = torch.tanh(net.actor(to_tensor(observations, self.task.device))).cpu().numpy()
        return np.clip(mean.reshape(quantiles.shape) + self.config.noise * normal_at(quantiles), -1.0, 1.0)

    def update(self, batch: dict[str, Tensor]) -> Tensor:
        c, seen, following = self.config, batch["observation"], batch["next_observation"]
        with torch.no_grad():
            noise = c.smoothing * self.noise(len(seen), len(self.world.low))
            action = ops.smoothed(torch.tanh(self.target.actor(following)), noise, c.smoothing_clip)
            q_next = self.target.q(following, action)
            wanted = ops.twin_target(batch["reward"], batch["discount"], q_next if c.twin else q_next[:1])
        critic_loss = pg.value_loss(self.net.q(seen, batch["action"]), wanted.expand(2, -1))
        descend(self.critic, critic_loss)
        actor_loss = critic_loss.detach() * 0
        if self.updates % c.delay == 0:
            actor_loss = -self.net.q(seen, torch.tanh(self.net.actor(seen)))[0].mean()
            descend(self.actor, actor_loss)
            self.follow(self.target, self.net)
        return torch.stack([critic_loss.detach(), actor_loss.detach()])
