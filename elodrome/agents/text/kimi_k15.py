"""The recipe of Kimi k1.5 (notes 5.9.4; Kimi Team 2025): mirror descent in place of a clipped ratio, rewards for being
brief, partial rollouts, and an end to answers that go round in circles.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor

from elodrome.agents.agent import Config
from elodrome.agents.ops.grpo import group_advantages
from elodrome.agents.ops.mirror_descent import length_rewards, mirror_objective, soft_advantages
from elodrome.agents.text.partial import PartialConfig, PartialLearner
from elodrome.agents.text.tuned import Batch

ABOUT = {
    "cls": "KimiK15",
    "chapter": "5",
    "summary": "a small transformer: supervised fine-tuning, then mirror descent with rewards for being brief",
    "needs": ("text",),
    "fallible": True,
}

RIGHT = 1.0 - 1e-6  # the mark of an answer that is right


class KimiConfig(PartialConfig):
    """tau: how dear it is to leave the policy that spoke. log_z: the estimate of tau log Z: the "mean" reward of a
    group (which the paper found to serve), or the "soft" one, right for a policy that the group stands for. brevity:
    weight of the reward for being brief."""

    minibatches: int = Field(4, ge=1)
    tau: float = Field(0.3, gt=0.0)
    log_z: Literal["mean", "soft"] = "mean"
    brevity: float = Field(0.1, ge=0.0)


class KimiK15(PartialLearner):
    """Towards old exp(r / tau) / Z, one batch after the other."""

    config_class: ClassVar[type[Config]] = KimiConfig
    config: KimiConfig

    def learn_from(self, batch: Batch, rate: float) -> dict[str, Tensor | float]:
        config = self.config
        # 1. Rewards, with what being brief is worth
        brief = length_rewards(batch.spoken, (batch.marks > RIGHT).float(), config.group)
        rewards = (self.rewards(batch) + config.brevity * brief).view(-1, config.group)
        # 2. r - tau log Z
        if config.log_z == "mean":
            advantages = group_advantages(rewards, normalise=False).flatten()
        else:
            advantages = soft_advantages(rewards, config.tau).flatten()
        # 3. Steps that make tau log(pi / old) of it
        for rows in self.minibatches(len(advantages)):
            part = batch.rows(rows)
            log_prob = self.log_prob(self.network, part)
            loss = -mirror_objective(log_prob, part.old, advantages[rows], part.spoken, config.tau)
            norm = self.descend(loss, rate)
        return {"loss/mirror": loss.detach(), "under_way": float(len(self.rounds)), "gradient_norm": norm}
