"""Advantage actor-critic (notes 3.5.3 and 3.5.4, algorithm 8; Mnih et al. 2016, synchronous)."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from pydantic import Field

from elodrome.agents.agent import Budget, Progress, Task
from elodrome.agents.ops import policy_gradient as pg
from elodrome.agents.parts.deep import annealed, require_finite
from elodrome.agents.parts.networks import descend
from elodrome.agents.policy.learner import ActorCriticConfig, PolicyLearner

ABOUT = {
    "cls": "A2C",
    "chapter": "3",
    "summary": "advantage actor-critic; one step per batch of a few decisions",
    "actions": ("discrete", "continuous"),
}

REPORT_EVERY = 1_000  # decisions, at least


class A2CConfig(ActorCriticConfig):
    """gae_lambda: 1 gives returns of up to ``horizon`` steps (3.42), 0 the TD residual (3.41). rate: of RMSprop. The
    rest as ``ActorCriticConfig`` says."""

    rate: float = Field(2e-3, gt=0.0)
    envs: int = Field(16, ge=1)
    horizon: int = Field(8, ge=1)
    gae_lambda: float = Field(1.0, ge=0.0, le=1.0)


class A2C(PolicyLearner):
    """Learns a policy and its value by one step up and down per batch; a step is one decision of the learner."""

    KEEPS = (*PolicyLearner.KEEPS, "optimiser")
    config_class = A2CConfig
    config: A2CConfig

    def __init__(self, task: Task, config: A2CConfig | None = None) -> None:
        super().__init__(task, config)
        self.env = self.seats(self.config.envs)
        self.optimiser = torch.optim.RMSprop(self.net.parameters(), lr=self.config.rate, alpha=0.99, eps=1e-5)

    def learn(self, budget: Budget) -> Iterator[Progress]:
        c = self.config
        updates = -(-REPORT_EVERY // (c.envs * c.horizon))
        while self.steps < budget.steps:
            metrics: dict[str, float] = {}
            losses = []
            for _ in range(updates):
                if c.anneal:
                    annealed(self.optimiser, c.rate, self.steps, budget.steps)
                experience = self.collected(c.horizon)
                batch = self.judged(experience, c.gae_lambda)
                policy = self.net.policy(batch["observation"], batch.get("legal"))
                policy_loss = pg.policy_gradient_loss(policy.log_prob(batch["action"]), batch["advantage"])  # (3.43)
                value_loss = pg.value_loss(self.net.value(batch["observation"]), batch["target"])  # (3.44), (3.45)
                entropy = policy.entropy().mean()
                descend(self.optimiser, policy_loss + c.value_weight * value_loss - c.entropy * entropy, c.max_norm)
                losses.append(torch.stack([policy_loss, value_loss, entropy]).detach())
                metrics |= experience.metrics
                self.steps += len(batch["action"])
                if self.steps >= budget.steps:
                    break
            names = ("loss/policy", "loss/value", "entropy")
            metrics |= dict(zip(names, torch.stack(losses).mean(0).tolist(), strict=True))
            require_finite(self.steps, metrics)
            yield Progress(self.steps, metrics)
