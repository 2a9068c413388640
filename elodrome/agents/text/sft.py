"""Supervised fine-tuning: imitate good answers (notes 5.3.2)."""

from __future__ import annotations

from collections.abc import Iterator

from elodrome.agents.agent import Budget, Progress
from elodrome.agents.ops.sft import sft_loss
from elodrome.agents.text.policy import TextLearner
from elodrome.agents.text.transformer import answer_logits, log_prob_of, spoken_mask

ABOUT = {
    "cls": "SFT",
    "chapter": "5",
    "summary": "a small transformer that imitates good answers (supervised fine-tuning)",
    "needs": ("text",),
    "fallible": True,
}

REPORT_EVERY = 10


class SFT(TextLearner):
    """Maximum likelihood on demonstrations; what they are is said in ``lessons``."""

    default_steps = 400

    def learn(self, budget: Budget) -> Iterator[Progress]:
        while self.updates < budget.steps:
            # 1. Prompts with good answers, (x, y) ~ D_SFT
            prompts, answers = map(self.tensor, self.lesson.demonstrate(self.config.batch, self.rng("sft")))
            # 2. L_SFT = -E[sum_t log pi(y_t | x, y_<t)]  (5.2)
            spoken = spoken_mask(answers, self.language.end)
            loss = sft_loss(log_prob_of(answer_logits(self.network, prompts, answers), answers), spoken)
            # 3. One step down
            norm = self.descend(loss, self.sft_rate(budget.steps))
            self.updates += 1
            if self.updates % REPORT_EVERY == 0 or self.updates == budget.steps:
                yield Progress(self.updates, {"loss/sft": loss.item(), "gradient_norm": norm})
