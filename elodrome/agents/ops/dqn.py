"""Targets and losses of deep Q-learning (notes 2.6), one equation per function; those of its extensions (2.6.6.3) as
their papers have them.

Shapes: B transitions, A actions, Z atoms. ``discount_t`` [B] is 0 where the next state ended the episode (and only
there); ``legal_t`` bool [B, A] is the mask of the next state, None where all actions are legal.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

ILLEGAL = -1e9  # below every action value


def _masked(q: Tensor, legal: Tensor | None) -> Tensor:
    return q if legal is None else q.masked_fill(~legal, ILLEGAL)


def greedy(q: Tensor, legal: Tensor | None) -> Tensor:
    """``argmax_a q`` [B] over the legal actions, q [B, A]."""
    return _masked(q, legal).argmax(-1)


def q_target(r_t: Tensor, discount_t: Tensor, q_t: Tensor, legal_t: Tensor | None) -> Tensor:
    """``y = r + gamma max_a' Q(s', a'; theta-)`` [B] (eq. 2.63) over the legal a'; q_t [B, A] of the target network."""
    return r_t + discount_t * _masked(q_t, legal_t).amax(-1)


def double_q_target(r_t: Tensor, discount_t: Tensor, q_t: Tensor, selector_t: Tensor, legal_t: Tensor | None) -> Tensor:
    """``y = r + gamma Q(s', argmax_a' Q(s', a'; theta); theta-)`` [B] (eq. 2.67): selector_t [B, A] of the online
    network chooses, q_t [B, A] of the target network judges."""
    best = greedy(selector_t, legal_t)[:, None]
    return r_t + discount_t * q_t.gather(-1, best).squeeze(-1)


def dueling(value: Tensor, advantages: Tensor) -> Tensor:
    """``Q = V + (A - mean_a A)`` (eq. 2.68) from value [B, 1] and advantages [B, A], or, of the logits of
    distributions, from [B, 1, Z] and [B, A, Z]."""
    return value + advantages - advantages.mean(1, keepdim=True)


def huber(error: Tensor, delta: float = 1.0) -> Tensor:
    """error^2 / 2 up to ``delta``, linear beyond [B]: (2.63) with bounded gradients (Mnih et al. 2015)."""
    return functional.huber_loss(error, torch.zeros_like(error), reduction="none", delta=delta)


def categorical_projection(atoms: Tensor, probs_t: Tensor, r_t: Tensor, discount_t: Tensor) -> Tensor:
    """The distribution of ``r + gamma Z`` on the atoms again [B, Z]: each shifted atom gives its probability to its two
    neighbours, by nearness, and to the outermost what lies beyond (Bellemare et al. 2017, eq. 7).

    atoms [Z] evenly spaced, ascending; probs_t [B, Z] of the next state's return.
    """
    low, high = atoms[0], atoms[-1]
    shifted = (r_t[:, None] + discount_t[:, None] * atoms).clamp(low, high)
    nearness = 1 - (shifted[:, None, :] - atoms[:, None]).abs() * (len(atoms) - 1) / (high - low)
    return (nearness.clamp(0, 1) * probs_t[:, None, :]).sum(-1)


def categorical_divergence(target: Tensor, log_probs: Tensor) -> Tensor:
    """``KL(target || p)`` [B] of distributions [B, Z]: the loss of C51 less a constant (Bellemare et al. 2017), and the
    priority of Rainbow (Hessel et al. 2018)."""
    return torch.special.xlogy(target, target).sum(-1) - (target * log_probs).sum(-1)


def factored_noise(normal: Tensor) -> Tensor:
    """``f(x) = sgn(x) sqrt|x|`` of standard normals: products of two of these perturb the weights of a noisy layer, so
    that inputs + outputs draws do for inputs x outputs (Fortunato et al. 2018, eq. 10 and 11)."""
    return normal.sign() * normal.abs().sqrt()
