"""Text policies that are tuned after a warm start: supervised fine-tuning first, then what the subclasses say, held
near what the first phase left, the reference policy (notes 5.3.1).
"""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from elodrome.agents.agent import Budget, Config, Progress, Task
from elodrome.agents.ops.sft import sft_loss
from elodrome.agents.text.policy import TextConfig, TextLearner, falling
from elodrome.agents.text.transformer import Transformer, answer_logits, log_prob_of, spoken_mask

REPORT_EVERY = 10


class TunedConfig(TextConfig):
    """sft_steps: updates of supervised fine-tuning first; what they leave is the reference policy. prompts: N questions
    per update. rl_learning_rate: of the second phase at its beginning; it falls until the budget's end."""

    sft_steps: int = Field(350, ge=0)
    prompts: int = Field(128, ge=1)
    rl_learning_rate: float = Field(5e-4, gt=0.0)


@dataclass(frozen=True)
class Batch:
    """What was said to N prompts, G answers to each side by side: B = N G rows. prompts int64 [B, P], answers int64
    [B, L]; old [B, L]: their log-probabilities under the policy that spoke, 0 behind the end, ref [B, L] those under
    the reference; spoken [B, L]; marks [B]; illegal [B]; gold [B]: the world's own marks where ``marks`` are a learned
    reward's."""

    prompts: Tensor
    answers: Tensor
    old: Tensor
    ref: Tensor
    spoken: Tensor
    marks: Tensor
    illegal: Tensor
    gold: Tensor | None = None

    def rows(self, rows: Any) -> Batch:
        """Some of them."""
        return Batch(**{name: tensor[rows] for name, tensor in self._tensors()})

    def and_then(self, other: Batch) -> Batch:
        """These, then those."""
        return Batch(**{name: torch.cat([tensor, getattr(other, name)]) for name, tensor in self._tensors()})

    def _tensors(self) -> list[tuple[str, Tensor]]:
        """What is there, by name."""
        return [(f.name, getattr(self, f.name)) for f in fields(self) if getattr(self, f.name) is not None]


class TunedLearner(TextLearner):
    """Phase 1 imitates, phase 2 improves on that."""

    KEEPS = (*TextLearner.KEEPS, "reference")
    config: TunedConfig
    default_steps = 500

    def __init__(self, task: Task, config: Config | None = None) -> None:
        super().__init__(task, config)
        self.reference: Transformer = copy.deepcopy(self.network).eval().requires_grad_(False)

    def learn(self, budget: Budget) -> Iterator[Progress]:
        config = self.config
        # Phase 1: supervised fine-tuning
        while self.updates < min(budget.steps, config.sft_steps):
            prompts, answers = map(self.tensor, self.lesson.demonstrate(config.batch, self.rng("sft")))
            log_prob = log_prob_of(answer_logits(self.network, prompts, answers), answers)
            loss = sft_loss(log_prob, spoken_mask(answers, self.language.end))  # (5.2)
            norm = self.descend(loss, self.sft_rate(config.sft_steps))
            self.updates += 1
            if self.reports(budget):
                yield Progress(self.updates, {"loss/sft": loss.item(), "gradient_norm": norm})
        # Phase 2: with what phase 1 left as reference policy
        if self.updates == config.sft_steps:
            self.begin()
        while self.updates < budget.steps:
            done = (self.updates - config.sft_steps) / (budget.steps - config.sft_steps)
            metrics = self.improve(config.rl_learning_rate * falling(done))
            self.updates += 1
            if self.reports(budget):
                metrics.update(self.examined())
                values = torch.stack([torch.as_tensor(value).to(self.device).float() for value in metrics.values()])
                yield Progress(self.updates, dict(zip(metrics, values.tolist(), strict=True)))

    def begin(self) -> None:
        """What the first phase left becomes the reference."""
        self.reference.load_state_dict(self.network.state_dict())

    @abstractmethod
    def improve(self, rate: float) -> dict[str, Tensor | float]:
        """One update of the second phase at this learning rate; metrics, scalars."""

    def examined(self) -> dict[str, Tensor | float]:
        """More metrics, too dear for every update: asked for where there is a report."""
        return {}

    def log_prob(self, network: Transformer, batch: Batch) -> Tensor:
        """log pi of every token of the answers [B, L], 0 behind the end."""
        return log_prob_of(answer_logits(network, batch.prompts, batch.answers), batch.answers) * batch.spoken

    def reports(self, budget: Budget) -> bool:
        """Whether this update is one to report."""
        return self.updates % REPORT_EVERY == 0 or self.updates in (budget.steps, self.config.sft_steps)
