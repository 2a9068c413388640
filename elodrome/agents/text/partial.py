"""Partial rollouts (notes 5.9.4; Kimi Team 2025): an update speaks a piece of every answer that is under way; what is
not at its end goes on in the next, under the policy as it is then. Answers that go round in circles are stopped.

Where the notes would put a value in place of an answer's rest, the paper waits for it, and so does this.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from elodrome.agents.agent import Config, Task
from elodrome.agents.ops.mirror_descent import looping
from elodrome.agents.parts.saved import expect
from elodrome.agents.text.lessons import BAD, Question
from elodrome.agents.text.online import OnlineConfig, OnlineLearner
from elodrome.agents.text.transformer import generate
from elodrome.agents.text.tuned import Batch
from elodrome.seeding import derive, generator

SAID = ("answers", "old", "spoken", "waiting")


class PartialConfig(OnlineConfig):
    """rollout: tokens of an answer that an update speaks at most. copies: an answer of which the last words are so many
    copies of the same is stopped, and marked as if it broke the rules; 0: none is."""

    rollout: int = Field(32, ge=1)
    copies: int = Field(8, ge=0)


@dataclass
class Round:
    """The questions of one update and what has been said to them so far, ``length`` tokens at most. answers, old,
    spoken [B, L] as in ``Batch``; waiting [N]: the groups from which nothing has been learned."""

    number: int
    question: Question
    prompts: Tensor
    uniforms: Tensor
    answers: Tensor
    old: Tensor
    spoken: Tensor
    waiting: Tensor
    length: int = 0


class PartialLearner(OnlineLearner):
    """Learns from groups as they come to their ends."""

    config: PartialConfig

    def __init__(self, task: Task, config: Config | None = None) -> None:
        super().__init__(task, config)
        self.rounds: list[Round] = []

    def converse(self) -> Batch:
        """A piece of every answer under way, until there are groups to learn from."""
        self.rounds.append(self.asked(self.updates))
        done: list[Batch] = []
        while not done:
            for begun in self.rounds:
                self.go_on(begun)
            done = [batch for begun in self.rounds if (batch := self.finished(begun))]
            self.rounds = [begun for begun in self.rounds if begun.waiting.any()]
        return functools.reduce(Batch.and_then, done)

    def asked(self, number: int) -> Round:
        """The questions of an update, and nothing said yet: all from the task's seed."""
        config = self.config
        question = self.lesson.ask(config.prompts, generator(self.task.seed, "ask", number))
        prompts = self.tensor(question.prompts).repeat_interleave(config.group, dim=0)
        source = torch.Generator().manual_seed(derive(self.task.seed, "speak", number))
        uniforms = torch.rand(len(prompts), self.language.answer_length, generator=source).to(self.device)
        nothing = torch.zeros_like(uniforms)
        answers = torch.full(nothing.shape, self.language.end, device=self.device)
        waiting = torch.ones(len(question.prompts), dtype=torch.bool, device=self.device)
        return Round(number, question, prompts, uniforms, answers, nothing, nothing.clone(), waiting)

    def under_way(self, begun: Round) -> Tensor:
        """Whether each answer goes on [B]: it has not ended, is not too long and does not go round in circles."""
        last = begun.length - 1
        if last < 0:
            return torch.ones(len(begun.answers), dtype=torch.bool, device=self.device)
        going = (begun.spoken[:, last] > 0) & (begun.answers[:, last] != self.language.end) & ~self.circles(begun)
        return going & (begun.length < begun.answers.shape[1])

    def circles(self, begun: Round) -> Tensor:
        """Whether each answer ends in circles [B]."""
        if not self.config.copies:
            return torch.zeros(len(begun.answers), dtype=torch.bool, device=self.device)
        return looping(begun.answers, begun.spoken, self.config.copies).any(dim=1)

    def go_on(self, begun: Round) -> None:
        """The next piece of the answers under way, cut where it begins to go round in circles."""
        rows = self.under_way(begun).nonzero().squeeze(1)
        if not len(rows):
            return
        first, last = begun.length, min(begun.length + self.config.rollout, begun.answers.shape[1])
        said = generate(
            self.spoken_by(),
            torch.cat([begun.prompts[rows], begun.answers[rows, :first]], dim=1),
            begun.uniforms[rows, first:last],
            end=self.language.end,
            temperature=self.config.speaking_temperature,
        )
        begun.answers[rows, first:last], begun.spoken[rows, first:last] = said.answers, said.mask
        begun.old[rows, first:last] = said.log_prob
        begun.length = last
        if self.config.copies:
            found = looping(begun.answers, begun.spoken, self.config.copies)
            behind = found.cumsum(dim=1) - found > 0
            begun.answers[behind] = self.language.end
            begun.old[behind], begun.spoken[behind] = 0.0, 0.0

    def finished(self, begun: Round) -> Batch | None:
        """The groups of which every answer has now come to its end, marked, if there are any; they wait no longer."""
        group = self.config.group
        ready = begun.waiting & ~self.under_way(begun).view(-1, group).any(dim=1)
        if not ready.any():
            return None
        begun.waiting = begun.waiting & ~ready
        rows, chosen = ready.repeat_interleave(group), ready.cpu().numpy()
        asked = (begun.question.prompts, begun.question.states, begun.question.seeds)
        question = Question(*(None if part is None else part[chosen] for part in asked))  # type: ignore[arg-type]
        prompts, answers, old, spoken = (x[rows] for x in (begun.prompts, begun.answers, begun.old, begun.spoken))
        marks, illegal = map(self.tensor, self.lesson.mark(question, answers.cpu().numpy()))
        marks = torch.where(self.circles(begun)[rows], BAD, marks)
        batch = Batch(prompts, answers, old, old, spoken, marks, illegal.float())
        with torch.no_grad():
            return replace(batch, ref=self.log_prob(self.reference, batch))

    def snapshot(self) -> dict[str, Any]:
        """With the rounds under way; questions and numbers drawn follow from the seed."""
        kept: dict[str, Any] = {"rounds": [[begun.number, begun.length] for begun in self.rounds]}
        for place, begun in enumerate(self.rounds):
            for name in SAID:
                kept[f"round{place}/{name}"] = getattr(begun, name).cpu().numpy()
        return {**super().snapshot(), **kept}

    def resume(self, snapshot: dict[str, Any]) -> None:
        super().resume(snapshot)
        self.rounds = []
        for place, (number, length) in enumerate(snapshot["rounds"]):
            begun = self.asked(number)
            begun.length = length
            for name in SAID:
                now = getattr(begun, name)
                array = expect(snapshot, f"round{place}/{name}", tuple(now.shape))
                setattr(begun, name, torch.from_numpy(np.array(array)).to(now))
            self.rounds.append(begun)
