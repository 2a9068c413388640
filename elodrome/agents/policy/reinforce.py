"""REINFORCE with a learned baseline (notes 3.3 and 3.4, algorithm 7; Williams 1992)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from elodrome.agents.agent import Budget, Progress, Task
from elodrome.agents.ops import policy_gradient as pg
from elodrome.agents.ops.returns import discounted_returns
from elodrome.agents.parts.collecting import Rollout, collect
from elodrome.agents.parts.deep import annealed, require_finite
from elodrome.agents.parts.heads import Categorical
from elodrome.agents.parts.networks import adam, descend
from elodrome.agents.policy.learner import PolicyConfig, PolicyLearner

ABOUT = {"cls": "Reinforce", "chapter": "3", "summary": "Monte Carlo policy gradient with a learned baseline"}


class ReinforceConfig(PolicyConfig):
    """episodes: whole episodes per update. baseline: subtract V(s) (3.32), fitted by ``value_epochs`` gradient steps
    per batch, or nothing. standardise: divide advantages by their standard deviation (a bias that vanishes with the
    batch; False gives the unbiased estimate 3.25). The rest as ``PolicyConfig`` says."""

    episodes: int = Field(64, ge=1)
    baseline: bool = True
    value_epochs: int = Field(4, ge=1)
    standardise: bool = True
    entropy: float = Field(0.1, ge=0.0)


class Reinforce(PolicyLearner):
    """Learns a policy from returns of whole episodes; a step is one decision of the learner."""

    KEEPS = (*PolicyLearner.KEEPS, "actor", "critic")
    config_class = ReinforceConfig
    config: ReinforceConfig

    def __init__(self, task: Task, config: ReinforceConfig | None = None) -> None:
        super().__init__(task, config)
        self.env = self.seats(self.config.episodes, restart=False)
        self.actor, self.critic = adam(self.net.actor, self.config.rate), adam(self.net.critic, self.config.rate)

    def learn(self, budget: Budget) -> Iterator[Progress]:
        c = self.config
        while self.steps < budget.steps:
            if c.anneal:
                annealed(self.actor, c.rate, self.steps, budget.steps)
            rollout = collect(self.env, self.sample, self.rng)
            observation, legal, action = (
                self.tensor(array[rollout.live]) for array in (rollout.observation[:-1], rollout.legal, rollout.action)
            )
            returns = self._returns(rollout)
            advantage = returns
            if c.baseline:
                with torch.no_grad():
                    advantage = advantage - self.net.value(observation)
            if c.standardise:
                advantage = pg.standardised(advantage)
            policy = Categorical.of(self.net.logits(observation), legal)
            policy_loss = pg.policy_gradient_loss(policy.log_prob(action), advantage)
            entropy = policy.entropy().mean()
            descend(self.actor, policy_loss - c.entropy * entropy, c.max_norm)
            metrics = rollout.metrics | {"loss/policy": policy_loss.item(), "entropy": entropy.item()}
            for _ in range(c.value_epochs if c.baseline else 0):
                value_loss = pg.value_loss(self.net.value(observation), returns)
                descend(self.critic, value_loss, c.max_norm)
                metrics["loss/value"] = value_loss.item()
            self.steps += len(action)
            require_finite(self.steps, metrics)
            yield Progress(self.steps, metrics)

    def _returns(self, rollout: Rollout) -> Tensor:
        """G_t [N] of all decisions; what truncation cut off counts as the critic expects it, as 0 without one."""
        rest = np.zeros(rollout.action.shape)
        if self.config.baseline and len(rollout.final):
            rest[rollout.truncated] = self.values(self.tensor(rollout.final))
        scaled = rollout.reward / self.scale.update(rollout.reward[rollout.live])
        discount = self.discount * ~rollout.terminated
        return self.tensor(discounted_returns(scaled, discount, rest, rollout.continues)[rollout.live])
