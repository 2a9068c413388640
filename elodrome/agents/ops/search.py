"""Equations of learning from search (notes 4.5.4)."""

from __future__ import annotations

import torch
from torch import Tensor


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """-target^T log softmax(logits): logits and target [B, Z] -> [B]. With the search's policy for a target, -pi^T log
    p_theta of algorithm 12, line 15."""
    return -(target * torch.log_softmax(logits, -1)).sum(-1)


def mixed_target(outcome: Tensor, searched: Tensor, blend: float) -> Tensor:
    """(1 - blend) z + blend q: how the game ended, mixed with what the search expected; both [B] -> [B]."""
    return (1.0 - blend) * outcome + blend * searched
