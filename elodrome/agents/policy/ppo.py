"""Proximal policy optimisation, by clipping or by a penalty on the divergence (notes 3.8.3 to 3.8.5, algorithm 9;
Schulman et al. 2017)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from elodrome.agents.agent import Budget, Progress, Task
from elodrome.agents.ops import policy_gradient as pg
from elodrome.agents.parts.deep import annealed, require_finite
from elodrome.agents.parts.heads import Head
from elodrome.agents.parts.networks import adam, descend
from elodrome.agents.policy.learner import ActorCriticConfig, PolicyLearner

ABOUT = {
    "cls": "PPO",
    "chapter": "3",
    "summary": "PPO-Clip with GAE; self-play where there are opponents",
    "actions": ("discrete", "continuous"),
    "presets": {"ppo_kl": {"objective": "kl"}},
}


class PPOConfig(ActorCriticConfig):
    """epochs: passes over a batch, in minibatches. objective: "clip", with epsilon ``clip`` (3.72), or "kl", less
    beta times KL(pi_old || pi) (3.73), beta first as given and then doubled or halved after a batch whose divergence
    is far above or below ``target_kl``. standardise: advantages of a minibatch to mean 0 and deviation 1, a bias that
    vanishes with its size. The rest as ``ActorCriticConfig`` says."""

    rate: float = Field(3e-3, gt=0.0)
    epochs: int = Field(4, ge=1)
    minibatch: int = Field(512, ge=2)
    standardise: bool = True
    objective: Literal["clip", "kl"] = "clip"
    clip: float = Field(0.2, gt=0.0)
    beta: float = Field(1.0, gt=0.0)
    target_kl: float = Field(0.01, gt=0.0)


class PPO(PolicyLearner):
    """Learns a policy and its value by PPO-Clip; a step is one decision of the learner."""

    KEEPS = (*PolicyLearner.KEEPS, "optimiser", "beta")
    config_class = PPOConfig
    config: PPOConfig

    def __init__(self, task: Task, config: PPOConfig | None = None) -> None:
        super().__init__(task, config)
        self.env = self.seats(self.config.envs)
        self.optimiser = adam(self.net, self.config.rate)
        self.beta = self.config.beta

    def learn(self, budget: Budget) -> Iterator[Progress]:
        c = self.config
        while self.steps < budget.steps:
            if c.anneal:
                annealed(self.optimiser, c.rate, self.steps, budget.steps)
            experience = self.collected(c.horizon)
            batch = self.judged(experience, c.gae_lambda)
            with torch.no_grad():
                old = self.net.policy(batch["observation"], batch.get("legal"))
                batch["log_prob"] = old.log_prob(batch["action"])
            count = len(batch["action"])
            losses = []
            for _ in range(c.epochs):
                if count <= c.minibatch:
                    losses += [self._update(batch, old)]
                    continue
                for chosen in torch.split(self.tensor(self.rng.permutation(count)), c.minibatch):
                    part = {name: tensor[chosen] for name, tensor in batch.items()}
                    losses.append(self._update(part, old.at(chosen) if c.objective == "kl" else old))
            self.steps += count
            names = ("loss/policy", "loss/value", "entropy", "kl")
            metrics = experience.metrics | dict(zip(names, torch.stack(losses).mean(0).tolist(), strict=True))
            if c.objective == "kl":
                with torch.no_grad():
                    new = self.net.policy(batch["observation"], batch.get("legal"))
                metrics |= {"kl": new.kl_from(old).mean().item(), "beta": self.beta}
                self.beta = pg.adapted_penalty(self.beta, metrics["kl"], c.target_kl)
            require_finite(self.steps, metrics)
            yield Progress(self.steps, metrics)

    def _update(self, batch: dict[str, Tensor], old: Head) -> Tensor:
        """One step of gradient descent on a minibatch, away from the policy that played; the measurements."""
        c = self.config
        policy = self.net.policy(batch["observation"], batch.get("legal"))
        log_prob = policy.log_prob(batch["action"])
        ratio = pg.importance_ratio(log_prob, batch["log_prob"])
        advantage = pg.standardised(batch["advantage"]) if c.standardise else batch["advantage"]
        if c.objective == "clip":
            policy_loss = pg.clipped_surrogate_loss(ratio, advantage, c.clip)
        else:
            policy_loss = pg.penalised_surrogate_loss(ratio, advantage, policy.kl_from(old), self.beta)
        value_loss = pg.value_loss(self.net.value(batch["observation"]), batch["target"])
        entropy = policy.entropy().mean()
        loss = policy_loss + c.value_weight * value_loss
        descend(self.optimiser, loss - c.entropy * entropy if c.entropy else loss, c.max_norm)
        kl = (batch["log_prob"] - log_prob).mean()
        return torch.stack([policy_loss, value_loss, entropy, kl]).detach()
