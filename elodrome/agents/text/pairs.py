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
    ever). prompts: pairs in an update."""

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

    def minibatch(self) -> tuple[Batch, Tensor]:
        """Some pairs: two rows of a batch for each, and how often the first is preferred [B]."""
        batch, shares = self.pairs()
        chosen = self.tensor(self.rng("pairs").integers(len(shares), size=self.config.prompts))
        return batch.rows(torch.stack([2 * chosen, 2 * chosen + 1], dim=1).flatten()), shares[chosen]

    def pairs(self) -> tuple[Batch, Tensor]:
        """All of them: of the task's seed and the reference alone, so that a checkpoint need not hold them."""
        if self._pairs is None:
            rounds: list[Batch] = []
            while sum(len(batch.marks) for batch in rounds) < 2 * self.config.pairs:
                rounds.append(self._answered(len(rounds)))
            batch = functools.reduce(Batch.and_then, rounds).rows(slice(2 * self.config.pairs))
            first, second = (self.config.certainty * batch.marks.view(-1, 2)).unbind(dim=1)
            shares = preferred(first, second)
            if self.config.labels == "drawn":
                drawn = self.tensor(generator(self.task.seed, "preferred").random(self.config.pairs))
                shares = (drawn < shares).float()
            self._pairs = batch, shares
        return self._pairs

    @torch.no_grad()
    def _answered(self, number: int) -> Batch:
        """A chunk of questions, each answered twice by the reference."""
        question = self.lesson.ask(CHUNK, generator(self.task.seed, "pairs", number))
        asked = self.tensor(question.prompts)
        source = torch.Generator().manual_seed(derive(self.task.seed, "answers", number))
        uniforms = torch.rand(2 * len(asked), self.language.answer_length, generator=source).to(self.device)
        said = generate(self.reference, asked, uniforms, end=self.language.end, group=2)
        marks, illegal = map(self.tensor, self.lesson.mark(question, said.answers.cpu().numpy()))
        prompts = asked.repeat_interleave(2, dim=0)
        return Batch(prompts, said.answers, said.log_prob, said.log_prob, said.mask, marks, illegal.float())


def agreement(rewards: Tensor, shares: Tensor) -> Tensor:
    """How often rewards [B, 2] order a pair as the preferences do, a scalar."""
    return ((rewards[:, 0] > rewards[:, 1]) == (shares > 0.5)).float().mean()
