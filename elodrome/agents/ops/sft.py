"""Supervised fine-tuning (notes 5.3.2)."""

from __future__ import annotations

from torch import Tensor


def sft_loss(log_prob: Tensor, spoken: Tensor) -> Tensor:
    """The negative log-likelihood of the data's answers, equation (5.2), averaged over answers: a scalar.

    log_prob [B, T] of the answers' tokens; spoken [B, T]: 1 up to and with the end token, 0 behind it.
    Its least value is the entropy of the data, per answer.
    """
    return -(log_prob * spoken).sum(dim=1).mean()
