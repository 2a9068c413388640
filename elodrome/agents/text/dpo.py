"""Direct preference optimisation: from pairs to a policy, with neither reward model nor sampling (notes 5.4)."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from elodrome.agents.ops.preference import bradley_terry_loss, implicit_reward
from elodrome.agents.text.pairs import PairConfig, PairLearner, agreement

ABOUT = {
    "cls": "DPO",
    "chapter": "5",
    "summary": "a small transformer: supervised fine-tuning, then direct preference optimisation",
    "needs": ("text",),
    "fallible": True,
}


class DPOConfig(PairConfig):
    """beta: of (5.6), how dear it is to leave the reference policy."""

    beta: float = Field(1.0, gt=0.0)


class DPO(PairLearner):
    """Makes the preferred answer likelier than the other, as far as it was not under the reference."""

    config_class = DPOConfig
    config: DPOConfig

    def improve(self, rate: float) -> dict[str, Tensor | float]:
        # 1. Pairs (x, y_w, y_l) from the data
        batch, shares = self.minibatch()
        # 2. Implicit rewards (5.18) of both answers, and the likelihood of the preferences under them (5.19)
        log_prob = self.log_prob(self.network, batch).sum(dim=1)
        rewards = implicit_reward(log_prob, batch.ref.sum(dim=1), self.config.beta).view(-1, 2)
        loss = bradley_terry_loss(rewards[:, 0], rewards[:, 1], shares)
        # 3. One step down
        norm = self.descend(loss, rate)
        return {"loss/dpo": loss.detach(), "agreement": agreement(rewards, shares), "gradient_norm": norm}
