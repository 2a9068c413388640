"""Group relative policy optimisation with a verifiable reward (notes 5.5), after supervised fine-tuning (5.3.2), and
what differs from it by one equation (5.9; RLOO, REINFORCE), as presets.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from elodrome.agents.agent import Config
from elodrome.agents.ops import grpo as ops
from elodrome.agents.ops import kl
from elodrome.agents.text.online import OnlineConfig, OnlineLearner
from elodrome.agents.text.tuned import Batch

ABOUT = {
    "cls": "GRPO",
    "chapter": "5",
    "summary": "a small transformer: supervised fine-tuning, then group relative policy optimisation",
    "needs": ("text",),
    "fallible": True,
    "presets": {
        "gspo": {"objective": "sequence", "clip": 0.02, "clip_high": 0.03},
        "cispo": {"objective": "weight", "clip": 1.0},
        "deepseek_v32": {"kl_corrected": True, "mask": 0.1, "minibatches": 4},
        "rloo": {"objective": "score", "advantage": "left_out", "kl": "k1", "kl_of": "answer", "kl_in": "reward"},
        "text_reinforce": {"objective": "score", "advantage": "none", "kl": "k1", "kl_of": "answer", "kl_in": "reward"},
    },
}

KL = {"k1": kl.k1, "k2": kl.k2, "k3": kl.k3}
OBJECTIVES: Any = {
    "token": ops.clipped_objective,
    "sequence": ops.sequence_objective,
    "weight": ops.weighted_objective,
    "score": lambda log_prob, old, advantage, spoken, **_: ops.score_objective(log_prob, advantage, spoken),
}
ADVANTAGES: Any = {
    "normalised": ops.group_advantages,
    "centred": lambda rewards: ops.group_advantages(rewards, normalise=False),
    "left_out": ops.leave_one_out,
    "none": lambda rewards: rewards,
}


class GRPOConfig(OnlineConfig):
    """objective: "token" (5.21), "sequence" (GSPO, 5.36), "weight" (CISPO, 5.37), "score" (REINFORCE). clip, clip_high:
    bounds of the ratio (Clip-Higher). advantage: "normalised" (5.20), "centred" (without the standard deviation),
    "left_out" (the mean of the others as baseline), "none" (rewards as they are).
    kl_coefficient: lambda_KL of (5.23) or beta of (5.26); kl: its estimator; kl_in: "loss" or "reward"; kl_of: "token",
    or "answer" (log-probabilities summed first: k2 then pulls exactly along the gradient of the KL between answers);
    kl_corrected: weighed by pi / old (5.38). mask: drift beyond which bad answers are left out (5.9.5)."""

    objective: Literal["token", "sequence", "weight", "score"] = "token"
    clip: float = Field(0.2, gt=0.0, le=1.0)
    clip_high: float = Field(0.28, gt=0.0)
    advantage: Literal["normalised", "centred", "left_out", "none"] = "normalised"
    kl_coefficient: float = Field(0.01, ge=0.0)
    kl: Literal["k1", "k2", "k3"] = "k3"
    kl_of: Literal["token", "answer"] = "token"
    kl_in: Literal["loss", "reward"] = "loss"
    kl_corrected: bool = False
    mask: float | None = Field(None, gt=0.0)


class GRPO(OnlineLearner):
    """More of what was better than the rest of its group, no critic."""

    config_class: ClassVar[type[Config]] = GRPOConfig
    config: GRPOConfig

    def learn_from(self, batch: Batch, rate: float) -> dict[str, Tensor | float]:
        # 1. Advantages of the answers
        advantages = self.advantages(batch)
        # 2. Passes up the objective
        for rows in self.minibatches(len(advantages)):
            part, advantage = batch.rows(rows), advantages[rows]
            log_prob = self.log_prob(self.network, part)
            loss = self.loss(log_prob, part, advantage)
            norm = self.descend(loss, rate)
        with torch.no_grad():
            clipped = ops.clipped_share(log_prob, part.old, advantage, part.spoken, **self.bounds)
        return {"loss/grpo": loss.detach(), "clipped": clipped, "gradient_norm": norm}

    @property
    def bounds(self) -> dict[str, float]:
        """Of the ratio."""
        return {"clip": self.config.clip, "clip_high": self.config.clip_high}

    def advantages(self, batch: Batch) -> Tensor:
        """How much better each answer is than its group [B] (5.20), by rewards which are less for leaving the reference
        where (5.26) has it."""
        config, rewards = self.config, self.rewards(batch)
        if config.kl_in == "reward":
            rewards = rewards - config.kl_coefficient * self.divergence(batch.old, batch)
        advantages: Tensor = ADVANTAGES[config.advantage](rewards.view(-1, config.group))
        return advantages.flatten()

    def loss(self, log_prob: Tensor, part: Batch, advantage: Tensor) -> Tensor:
        """The objective (5.21), held near the reference by the KL as a loss (5.23): a scalar, to be minimised."""
        config = self.config
        if config.mask is not None:
            drifted = ops.off_policy_mask(log_prob.detach(), part.old, advantage, part.spoken, config.mask)
            advantage = advantage * drifted
        objective = OBJECTIVES[config.objective](log_prob, part.old, advantage, part.spoken, **self.bounds)
        leash = self.divergence(log_prob, part).mean() if config.kl_in == "loss" else objective.new_zeros(())
        return ops.grpo_loss(objective, leash, config.kl_coefficient)

    def divergence(self, log_prob: Tensor, batch: Batch) -> Tensor:
        """The KL of each answer [B], from log-probabilities [B, L] that are 0 behind the end."""
        log_probs = (log_prob, batch.ref, batch.old)
        now, ref, old = (x.sum(1, keepdim=True) if self.config.kl_of == "answer" else x for x in log_probs)
        estimate = KL[self.config.kl](now, ref)
        if self.config.kl_corrected:
            estimate = kl.corrected(estimate, now, old)
        return estimate.sum(dim=1)
