"""Supervised fine-tuning, then group relative policy optimisation with a verifiable reward (notes 5.3.2 and 5.5)."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from elodrome.agents.agent import Budget, Config, Progress, Task
from elodrome.agents.ops import kl
from elodrome.agents.ops.grpo import (
    clipped_objective,
    clipped_share,
    group_advantages,
    grpo_loss,
    length_penalised,
)
from elodrome.agents.ops.sft import sft_loss
from elodrome.agents.text.policy import TextConfig, TextLearner, falling
from elodrome.agents.text.transformer import (
    Transformer,
    answer_logits,
    generate,
    log_prob_of,
    spoken_mask,
)

ABOUT = {
    "cls": "GRPO",
    "chapter": "5",
    "summary": "a small transformer: supervised fine-tuning, then group relative policy optimisation",
    "needs": ("text",),
    "fallible": True,
}

REPORT_EVERY = 10
KL = {"k2": kl.k2, "k3": kl.k3}


class GRPOConfig(TextConfig):
    """sft_steps: updates of supervised fine-tuning before GRPO; what they leave is the reference policy.

    prompts, group: N questions per update and G answers to each. epochs: passes over an update's answers; fresh
    answers were measured to be worth more here than a second pass, and in a first pass the clip never acts.
    rl_learning_rate: of GRPO at its beginning; it falls until the budget's end. clip, clip_high: bounds of the ratio
    (Clip-Higher). normalise: divide by the group's standard deviation (5.20). length_penalty: lambda of (5.22).
    kl_coefficient: lambda_KL of (5.23); kl: its estimator; kl_of: "token", or "answer" (log-probabilities summed
    first: k2 then pulls exactly along the gradient of the KL between answers).
    """

    sft_steps: int = Field(350, ge=0)
    prompts: int = Field(128, ge=1)
    group: int = Field(4, ge=2)
    epochs: int = Field(1, ge=1)
    rl_learning_rate: float = Field(5e-4, gt=0.0)
    clip: float = Field(0.2, gt=0.0, lt=1.0)
    clip_high: float = Field(0.28, gt=0.0)
    normalise: bool = True
    length_penalty: float = Field(0.0, ge=0.0)
    kl_coefficient: float = Field(0.01, ge=0.0)
    kl: Literal["k2", "k3"] = "k3"
    kl_of: Literal["token", "answer"] = "token"


class GRPO(TextLearner):
    """Phase 1 imitates, phase 2 answers, is marked, and does more of what was better than the rest of its group."""

    KEEPS = (*TextLearner.KEEPS, "reference")
    config_class = GRPOConfig
    config: GRPOConfig
    default_steps = 500

    def __init__(self, task: Task, config: Config | None = None) -> None:
        super().__init__(task, config)
        self.reference: Transformer = copy.deepcopy(self.network).eval().requires_grad_(False)

    def learn(self, budget: Budget) -> Iterator[Progress]:
        config = self.config
        end = self.language.end
        bounds = {"clip": config.clip, "clip_high": config.clip_high}

        # Phase 1: supervised fine-tuning
        while self.updates < min(budget.steps, config.sft_steps):
            prompts, answers = map(self.tensor, self.lesson.demonstrate(config.batch, self.rng("sft")))
            log_prob = log_prob_of(answer_logits(self.network, prompts, answers), answers)
            loss = sft_loss(log_prob, spoken_mask(answers, end))  # (5.2)
            norm = self.descend(loss, self.sft_rate(config.sft_steps))
            self.updates += 1
            if self.reports(budget):
                yield Progress(self.updates, {"loss/sft": loss.item(), "gradient_norm": norm})

        # Phase 2: GRPO, with what phase 1 left as reference policy
        if self.updates == config.sft_steps:
            self.reference.load_state_dict(self.network.state_dict())
        while self.updates < budget.steps:
            done = (self.updates - config.sft_steps) / (budget.steps - config.sft_steps)
            # 1. A group of G answers to each of N prompts, by the policy as it is (pi_old)
            question = self.lesson.ask(config.prompts, self.rng("ask"))
            asked = self.tensor(question.prompts)
            said = generate(self.network, asked, self.uniforms(len(asked) * config.group), end=end, group=config.group)
            # 2. Their rewards, less for length (5.22), and advantages within the group (5.20)
            marks, illegal = self.lesson.mark(question, said.answers.cpu().numpy())
            rewards = length_penalised(self.tensor(marks), said.mask, config.length_penalty)
            advantages = group_advantages(rewards.view(-1, config.group), normalise=config.normalise).flatten()
            # 3. Passes up the clipped objective (5.21), held near the reference by the KL as a loss (5.23)
            prompts = asked.repeat_interleave(config.group, dim=0)
            with torch.no_grad():
                ref = log_prob_of(answer_logits(self.reference, prompts, said.answers), said.answers) * said.mask
            for _ in range(config.epochs):
                log_prob = log_prob_of(answer_logits(self.network, prompts, said.answers), said.answers) * said.mask
                objective = clipped_objective(log_prob, said.log_prob, advantages, said.mask, **bounds)
                loss = grpo_loss(objective, self.divergence(log_prob, ref), config.kl_coefficient)
                norm = self.descend(loss, config.rl_learning_rate * falling(done))
            self.updates += 1
            if self.reports(budget):
                yield Progress(
                    self.updates,
                    {
                        "reward": float(marks.mean()),
                        "illegal": float(illegal.mean()),
                        "kl": float(kl.k3(said.log_prob, ref).sum(dim=1).mean()),
                        "entropy": float(-said.log_prob.sum(dim=1).mean()),
                        "answer_length": float(said.mask.sum(dim=1).mean()),
                        "loss/grpo": loss.item(),
                        "clipped": clipped_share(log_prob, said.log_prob, advantages, said.mask, **bounds).item(),
                        "gradient_norm": norm,
                    },
                )

    def divergence(self, log_prob: Tensor, ref: Tensor) -> Tensor:
        """The KL as a loss, a scalar, from log-probabilities [B, L] that are 0 behind the end."""
        estimate = KL[self.config.kl]
        if self.config.kl_of == "answer":
            return estimate(log_prob.sum(dim=1), ref.sum(dim=1)).mean()
        return estimate(log_prob, ref).sum(dim=1).mean()

    def reports(self, budget: Budget) -> bool:
        """Whether this update is one to report."""
        return self.updates % REPORT_EVERY == 0 or self.updates in (budget.steps, self.config.sft_steps)
