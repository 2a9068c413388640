"""Equations of learning from search (notes 4.5.4)."""

from __future__ import annotations

from torch import Tensor


def policy_loss(logits: Tensor, policy: Tensor) -> Tensor:
    """-pi^T log p_theta: mean over the batch (algorithm 12, line 15). logits [B, A], policy [B, A] -> []."""
    return -(policy * logits.log_softmax(-1)).sum(-1).mean()


def value_loss(value: Tensor, target: Tensor) -> Tensor:
    """(z - v_theta)^2: mean over the batch (algorithm 12, line 15). value [B], target [B] -> []."""
    return (target - value).square().mean()


def mixed_target(outcome: Tensor, searched: Tensor, blend: float) -> Tensor:
    """(1 - blend) z + blend q: how the game ended, mixed with what the search expected; both [B] -> [B]."""
    return (1.0 - blend) * outcome + blend * searched
