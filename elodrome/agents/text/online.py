"""Online training of text policies: they answer, are marked, and learn from that (notes 5.3.4, 5.5 and 5.10.2).

Each update asks N questions and has each answered G times, by the policy as it is, or as it was some updates ago, at
another temperature or precision (5.41). The marks are the world's own, or a learned reward's.
"""

from __future__ import annotations

import copy
import functools
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from elodrome.agents.agent import Config, Task
from elodrome.agents.ops import kl
from elodrome.agents.ops.grpo import length_penalised
from elodrome.agents.text.rewards import learned_reward
from elodrome.agents.text.transformer import Transformer, generate
from elodrome.agents.text.tuned import Batch, TunedConfig, TunedLearner

TRIES = 4  # rounds of questions at most until the groups are as many as were asked for


class OnlineConfig(TunedConfig):
    """reward: the world's own marks where nothing is said, else a saved reward model, or several, weighed:
    NAME*0.7+NAME*0.3. group: G answers to each question. epochs: passes over an update's answers, in as many
    minibatches each; fresh answers were measured to be worth more here than a second pass, and in a first pass the clip
    never acts. length_penalty: lambda of (5.22). dynamic: groups whose marks are all equal are asked for anew, up to a
    bound (dynamic sampling, 5.5.4). lag: how many updates old the policy is that answers. speaking_temperature,
    speaking_precision: how it does."""

    reward: str = ""
    group: int = Field(4, ge=2)
    epochs: int = Field(1, ge=1)
    minibatches: int = Field(1, ge=1)
    length_penalty: float = Field(0.0, ge=0.0)
    dynamic: bool = False
    lag: int = Field(0, ge=0, le=64)
    speaking_temperature: float = Field(1.0, gt=0.0)
    speaking_precision: Literal["float32", "bfloat16", "float64"] = "float32"


class OnlineLearner(TunedLearner):
    """Phase 2 answers, is marked, and learns from that."""

    KEEPS = (*TunedLearner.KEEPS, "past")
    config: OnlineConfig

    def __init__(self, task: Task, config: Config | None = None) -> None:
        super().__init__(task, config)
        self.past = [copy.deepcopy(self.reference) for _ in range(self.config.lag)]
        precision = getattr(torch, self.config.speaking_precision)
        wanted = self.config.reward
        self.reward = learned_reward(wanted, task.world, self.language, self.device) if wanted else None
        self.speaker = None if precision == torch.float32 else copy.deepcopy(self.reference).to(precision)

    def begin(self) -> None:
        super().begin()
        for network in self.past:
            network.load_state_dict(self.network.state_dict())

    def improve(self, rate: float) -> dict[str, Tensor | float]:
        batch = self.converse()
        if self.past:  # what has just been asked makes room for the policy as it is
            self.past[self.updates % self.config.lag].load_state_dict(self.network.state_dict())
        metrics = self.learn_from(batch, rate)
        return {
            "reward": batch.marks.mean(),
            **({} if batch.gold is None else {"gold": batch.gold.mean()}),
            "illegal": batch.illegal.mean(),
            "kl": kl.k3(batch.old, batch.ref).sum(dim=1).mean(),
            "entropy": -batch.old.sum(dim=1).mean(),
            "answer_length": batch.spoken.sum(dim=1).mean(),
            **metrics,
        }

    @abstractmethod
    def learn_from(self, batch: Batch, rate: float) -> dict[str, Tensor | float]:
        """The steps on what was said, at this learning rate; metrics, scalars."""

    def converse(self) -> Batch:
        """Questions of this update, what is answered, and the marks; with ``dynamic``, only groups that differ, unless
        these are not to be had."""
        config = self.config
        rounds: list[Batch] = []
        count = 0
        for attempt in range(TRIES if config.dynamic else 1):
            batch = self.answered(str(attempt or ""))
            if config.dynamic:
                marks = batch.marks.view(-1, config.group)
                differ = (marks != marks[:, :1]).any(dim=1).repeat_interleave(config.group)
                if differ.any():
                    batch = batch.rows(differ)
                elif rounds or attempt + 1 < TRIES:
                    continue
            rounds.append(batch)
            count += len(batch.marks)
            if count >= config.prompts * config.group:
                break
        return functools.reduce(Batch.and_then, rounds).rows(slice(config.prompts * config.group))

    @torch.no_grad()
    def answered(self, attempt: str) -> Batch:
        """One round of questions, answered and marked."""
        config = self.config
        question = self.lesson.ask(config.prompts, self.rng("ask" + attempt))
        asked = self.tensor(question.prompts)
        said = generate(
            self.spoken_by(),
            asked,
            self.uniforms(len(asked) * config.group, "speak" + attempt),
            end=self.language.end,
            temperature=config.speaking_temperature,
            group=config.group,
        )
        marks, illegal = map(self.tensor, self.lesson.mark(question, said.answers.cpu().numpy()))
        prompts = asked.repeat_interleave(config.group, dim=0)
        batch = Batch(prompts, said.answers, said.log_prob, said.log_prob, said.mask, marks, illegal.float())
        if self.reward:
            batch = replace(batch, marks=self.reward(prompts, said.answers), gold=marks)
        return replace(batch, ref=self.log_prob(self.reference, batch))

    def spoken_by(self) -> Transformer:
        """The policy that answers: as of ``lag`` updates ago, in its own precision."""
        source = self.past[self.updates % self.config.lag] if self.past else self.network
        if self.speaker is None:
            return source
        self.speaker.load_state_dict(source.state_dict())
        return self.speaker

    def rewards(self, batch: Batch) -> Tensor:
        """The marks [B], less for length (5.22)."""
        return length_penalised(batch.marks, batch.spoken, self.config.length_penalty)

    def minibatches(self, rows: int) -> Iterator[Tensor]:
        """The rows of each step: all at once, or groups drawn anew for each pass."""
        config = self.config
        for epoch in range(config.epochs):
            order = torch.arange(rows, device=self.device)
            if config.minibatches > 1:
                groups = self.rng(f"minibatches{epoch}").permutation(rows // config.group)
                order = order.view(-1, config.group)[self.tensor(groups)].flatten()
            size = -(-rows // config.group // config.minibatches) * config.group
            yield from torch.split(order, size)
