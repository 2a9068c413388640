"""Preferences (notes 5.3.3): pairs of answers, one of them preferred as often as Bradley-Terry's model says (5.3).

The answers are the reference policy's, drawn once, before anything is learned from them. Behind the preferences stand
marks that the learners do not see.
"""

from __future__ import annotations

import functools
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from elodrome.agents.ops.preference import preferred
from elodrome.agents.text.transformer import generate
from elodrome.agents.text.tuned import Batch, TunedConfig, TunedLearner
from elodrome.seeding import derive, generator

CHUNK = 256  # questions asked at once


class PairConfig(TunedConfig):
    """pairs: how many there are. certainty: what the marks are multiplied by to be the rewards of (5.3). labels:
    "drawn" (of each pair one is chosen), or "share" (how often either is, as if each pair had been asked about for
    ever). prompts: pairs in an update. rl_learning_rate: measured on all pairs of the token world of 3 prompts with 121
    answers each; after 800 updates DPO's implicit rewards correlate with the marks by 0.91, 0.97 and 0.98 at 5e-4,
    1e-3 and 2e-3."""

    rl_learning_rate: float = Field(2e-3, gt=0.0)
    pairs: int = Field(4096, ge=1)
    certainty: float = Field(10.0, gt=0.0)
    labels: Literal["drawn", "share"] = "drawn"


class PairLearner(TunedLearner):
    """Phase 2 learns from pairs."""

    config: PairConfig
    _pairs: tuple[Batch, Tensor] | None = None

    def begin(self) -> None:
        super().begin()
        self._pairs = None

    def minibatch(self, purpose: str = "pairs") -> tuple[Batch, Tensor]:
        """Some pairs: two rows of a batch for each, and how often the first is preferred [B]."""
        batch, shares = self.pairs()
        chosen = self.tensor(self.rng(purpose).integers(len(shares), size=self.config.prompts))
        return batch.rows(torch.stack([2 * chosen, 2 * chosen + 1], dim=1).flatten()), shares[chosen]

    def pairs(self) -> tuple[Batch, Tensor]:
        """All of them: of the task's seed and the reference alone, so that a checkpoint need not hold them."""
        if self._pairs is None:
            batch, shares = self.asked_about("pairs", self.config.pairs)
            if self.config.labels == "drawn":
                drawn = self.tensor(generator(self.task.seed, "preferred").random(self.config.pairs))
                shares = (drawn < shares).float()
            self._pairs = batch, shares
        return self._pairs

    def asked_about(self, purpose: str, count: int) -> tuple[Batch, Tensor]:
        """``count`` pairs of answers by the reference, and how often the first of each is preferred, exactly (5.3)."""
        rounds: list[Batch] = []
        while sum(len(batch.marks) for batch in rounds) < 2 * count:  # a lesson may ask less than it was told to
            rounds.append(self._answered(purpose, len(rounds)))
        batch = functools.reduce(Batch.and_then, rounds).rows(slice(2 * count))
        first, second = (self.config.certainty * batch.marks.view(-1, 2)).unbind(dim=1)
        return batch, preferred(first, second)

    @torch.no_grad()
    def _answered(self, purpose: str, number: int) -> Batch:
        """A chunk of questions, each answered twice by the reference."""
        question = self.lesson.ask(CHUNK, generator(self.task.seed, purpose, number))
        asked = self.tensor(question.prompts)
        source = torch.Generator().manual_seed(derive(self.task.seed, purpose, "answers", number))
        uniforms = torch.rand(2 * len(asked), self.language.answer_length, generator=source).to(self.device)
        said = generate(self.reference, asked, uniforms, end=self.language.end, group=2)
        marks, illegal = map(self.tensor, self.lesson.mark(question, said.answers.cpu().numpy()))
        prompts = asked.repeat_interleave(2, dim=0)
        return Batch(prompts, said.answers, said.log_prob, said.log_prob, said.mask, marks, illegal.float())


def agreement(rewards: Tensor, shares: Tensor) -> Tensor:
    """How often rewards [B, 2] order a pair as the preferences do, a scalar."""
    return ((rewards[:, 0] > rewards[:, 1]) == (shares > 0.5)).float().mean()
