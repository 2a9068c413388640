"""Targets and losses of deep Q-learning (notes 2.6), one equation per function.

Shapes: B transitions, A actions. ``discount_t`` [B] is 0 where the next state ended the episode (and only there);
``legal_t`` bool [B, A] is the mask of the next state.
"""

from __future__ import annotations

import torch
from torch import Tensor

ILLEGAL = -1e9  # below every action value


def q_target(r_t: Tensor, discount_t: Tensor, q_t: Tensor, legal_t: Tensor) -> Tensor:
    """``y = r + gamma max_a' Q(s', a'; theta-)`` [B] (eq. 2.63) over the legal a'; q_t [B, A] of the target network."""
    return r_t + discount_t * q_t.masked_fill(~legal_t, ILLEGAL).amax(-1)


def double_q_target(r_t: Tensor, discount_t: Tensor, q_t: Tensor, selector_t: Tensor, legal_t: Tensor) -> Tensor:
    """``y = r + gamma Q(s', argmax_a' Q(s', a'; theta); theta-)`` [B] (eq. 2.67): selector_t [B, A] of the online
    network chooses, q_t [B, A] of the target network judges."""
    best = selector_t.masked_fill(~legal_t, ILLEGAL).argmax(-1, keepdim=True)
    return r_t + discount_t * q_t.gather(-1, best).squeeze(-1)


def dueling(value: Tensor, advantages: Tensor) -> Tensor:
    """``Q = V + (A - mean A)`` [B, A] (eq. 2.68) from value [B, 1] and advantages [B, A]."""
    return value + advantages - advantages.mean(-1, keepdim=True)


def huber(error: Tensor, delta: float = 1.0) -> Tensor:
    """error^2 / 2 up to ``delta``, linear beyond [B]: (2.63) with bounded gradients (Mnih et al. 2015)."""
    size = error.abs()
    return torch.where(size <= delta, 0.5 * error.square(), delta * (size - 0.5 * delta))
