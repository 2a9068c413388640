"""Distillation: a teacher tells a student, word by word, what it would have said (notes 5.7).

The teacher is a saved text policy of this world, of whatever size; where none is named, the learner makes one first,
by GRPO from what supervised fine-tuning left, and the student begins again from there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from elodrome.agents.agent import Budget, Config, Progress, Task
from elodrome.agents.ops import distillation as ops
from elodrome.agents.ops.kl import k2
from elodrome.agents.registry import make_agent
from elodrome.agents.text.grpo import GRPO, GRPOConfig
from elodrome.agents.text.policy import TextAgent
from elodrome.agents.text.transformer import Transformer, answer_logits, log_prob_of
from elodrome.agents.text.tuned import Batch
from elodrome.errors import UserError
from elodrome.seeding import derive

ABOUT = {
    "cls": "Distillation",
    "chapter": "5",
    "summary": "a small transformer that learns to speak as a teacher does, by the reverse KL on its own answers",
    "needs": ("text",),
    "fallible": True,
    "presets": {
        "on_policy_distillation": {"speaks": "student", "divergence": "reverse"},
        "off_policy_distillation": {"speaks": "teacher", "divergence": "forward"},
        "kdrl": {
            "reinforce": True,
            "over": "said",
            "distil_end": 0.1,
            "distil_below": 1.0,
            "rl_learning_rate": 1e-3,
        },
        "long2short": {
            "reinforce": True,
            "over": "said",
            "distil_end": 0.1,
            "distil_below": 1.0,
            "rl_learning_rate": 1e-3,
            "length_penalty": 0.01,
        },
    },
}


class DistillationConfig(GRPOConfig):
    """teacher: a saved text policy of this world, by name or folder; where none is named, GRPO makes one first, in
    ``teacher_steps`` updates at the rate ``teacher_rate`` and without a penalty on length. speaks: whose answers are
    learned from. divergence: "reverse", KL(student || teacher) (5.32), or "forward", the other way round. over: "words"
    (at each place, over all words), "answer" (that, and what a word makes of the places behind it: the gradient of the
    KL between whole answers), "said" (of the words that were said: k2 of a student's, cross entropy of a teacher's).

    reinforce: GRPO's objective as well (KDRL, 5.33). distil: beta of (5.33) at first, which goes to ``distil_end`` in
    a line over ``distil_steps`` updates. distil_below: only answers marked lower are distilled (5.7.4)."""

    teacher: str = ""
    teacher_steps: int = Field(150, ge=1)
    teacher_rate: float = Field(5e-4, gt=0.0)
    rl_learning_rate: float = Field(3e-3, gt=0.0)
    speaks: Literal["student", "teacher"] = "student"
    divergence: Literal["reverse", "forward"] = "reverse"
    over: Literal["words", "answer", "said"] = "words"
    reinforce: bool = False
    distil: float = Field(1.0, ge=0.0)
    distil_end: float = Field(1.0, ge=0.0)
    distil_steps: int = Field(100, ge=1)
    distil_below: float | None = None


class Distillation(GRPO):
    """Answers of one's own, and a word of advice on every word (the third row of table 5.3); or the teacher's."""

    KEEPS = (*GRPO.KEEPS, "tutor")
    config_class: ClassVar[type[Config]] = DistillationConfig
    config: DistillationConfig
    default_steps = 600

    def __init__(self, task: Task, config: Config | None = None) -> None:
        super().__init__(task, config)
        c = self.config
        if c.speaks == "teacher" and c.reinforce:
            raise UserError("reinforce=true learns from answers of the student's own; choose speaks=student")
        fits = "reverse" if c.speaks == "student" else "forward"
        if c.divergence != fits and c.over != "words":
            raise UserError(f"speaks={c.speaks},over={c.over} tells divergence={fits}; or choose over=words")
        self.tutor: list[GRPO] = []  # one, where no teacher is named: it is kept, and a teacher of a name is not
        if c.teacher:
            self.teacher = self.named(c.teacher)
        else:
            shared = {name: getattr(c, name) for name in GRPOConfig.model_fields}
            alone = {"sft_steps": 0, "rl_learning_rate": c.teacher_rate, "length_penalty": 0.0}
            its = GRPOConfig(**{**shared, **alone})
            self.tutor = [GRPO(replace(task, seed=derive(task.seed, "teacher")), its)]
            self.teacher = self.tutor[0].network

    def named(self, spec: str) -> Transformer:
        """The network of a saved agent. Raises UserError, or BrokenAgent, where it cannot teach here."""
        try:
            agent = make_agent(spec, self.world)
        except UserError as error:
            raise type(error)(f"teacher={spec}: {error}") from error
        if not isinstance(agent, TextAgent):
            raise UserError(f"teacher={spec}: no text policy; name a saved one of {self.world.id}, such as a grpo")
        mine, other = self.language.weights(), agent.language.weights()
        if any(not np.array_equal(mine[name], other[name]) for name in mine):
            raise UserError(f"teacher={spec}: it reads or speaks other letters than are used here now; train it anew")
        return agent.network.to(self.device, torch.float32)

    def learn(self, budget: Budget) -> Iterator[Progress]:
        first, second = self.config.sft_steps, self.config.teacher_steps if self.tutor else 0
        # Phase 1: supervised fine-tuning
        yield from super().learn(Budget(min(budget.steps, first)))
        # Phase 2, where no teacher is named: one goes on from there by GRPO
        for tutor in self.tutor:
            if tutor.updates == 0:
                tutor.network.load_state_dict(self.network.state_dict())
            for progress in tutor.learn(Budget(min(budget.steps - first, second))):
                metrics = {f"teacher/{name}": value for name, value in progress.metrics.items()}
                yield Progress(first + progress.step, metrics)
        # Phase 3: distillation
        if budget.steps > first + second:
            for progress in super().learn(Budget(budget.steps - second)):
                yield Progress(second + progress.step, progress.metrics)

    def spoken_by(self) -> Transformer:
        return self.teacher if self.config.speaks == "teacher" else super().spoken_by()

    def learn_from(self, batch: Batch, rate: float) -> dict[str, Tensor | float]:
        config = self.config
        advantages = self.advantages(batch)
        # 1. Who is taught: all, or those who did badly
        below = torch.inf if config.distil_below is None else config.distil_below
        taught = (batch.marks < below).float()
        for rows in self.minibatches(len(advantages)):
            # 2. What both would have said at every place; their divergence (5.32)
            part = batch.rows(rows)
            logits = answer_logits(self.network, part.prompts, part.answers)
            with torch.no_grad():
                advice = answer_logits(self.teacher, part.prompts, part.answers)
            log_prob, advised = (log_prob_of(x, part.answers) * part.spoken for x in (logits, advice))
            divergence = self.apart(logits, advice, log_prob, advised, part.spoken)
            # 3. One step down, with GRPO's objective where that is asked for (5.33)
            loss = self.coefficient * (divergence * taught[rows]).mean()
            if config.reinforce:
                loss = loss + self.loss(log_prob, part, advantages[rows])
            norm = self.descend(loss, rate)
        gap = (log_prob - advised).detach().sum(dim=1).mean()
        return {
            "loss/distillation": loss.detach(),
            "teacher_kl": gap if config.speaks == "student" else -gap,
            "taught": taught.mean(),
            "gradient_norm": norm,
        }

    @property
    def coefficient(self) -> float:
        """beta of (5.33) at this update."""
        config = self.config
        done = min(1.0, (self.updates - config.sft_steps) / config.distil_steps)
        return config.distil + (config.distil_end - config.distil) * done

    def apart(self, logits: Tensor, advice: Tensor, log_prob: Tensor, advised: Tensor, spoken: Tensor) -> Tensor:
        """How far the student is from the teacher on each answer [B]."""
        config = self.config
        if config.over == "said":
            each = k2(log_prob, advised) if config.speaks == "student" else advised - log_prob
        else:
            each = (ops.reverse_kl if config.divergence == "reverse" else ops.forward_kl)(logits, advice)
            if config.over == "answer" and config.speaks == "student":
                each = ops.reaching(each, log_prob, spoken)
        return (each * spoken).sum(dim=1)
