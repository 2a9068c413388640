"""Losses of policy gradients (notes 3.2 to 3.8), one equation per function, to be minimised.

Shapes: B decisions, A actions. ``log_prob`` [B] is that of the action taken; advantages carry no gradient.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

ILLEGAL = -1e9  # a logit whose probability is 0, and 0 * log 0 = 0 in the entropy


def masked_log_probs(logits: Tensor, legal: Tensor | None) -> Tensor:
    """log pi(. | s) [B, A] from logits [B, A] and a bool mask [B, A]: illegal actions have probability 0; None: all are
    legal."""
    return torch.log_softmax(logits if legal is None else logits.masked_fill(~legal, ILLEGAL), dim=-1)


def taken(log_probs: Tensor, actions: Tensor) -> Tensor:
    """log pi(a | s) [B] of the actions [B] out of log-probabilities [B, A]."""
    return log_probs.gather(-1, actions[:, None]).squeeze(-1)


def policy_gradient_loss(log_prob: Tensor, advantage: Tensor) -> Tensor:
    """``-E[log pi(a|s) A]``, whose gradient is minus that of J (eq. 3.19; with a baseline eq. 3.32)."""
    return -(log_prob * advantage).mean()


def importance_ratio(log_prob: Tensor, old_log_prob: Tensor) -> Tensor:
    """``rho = pi(a|s) / pi_old(a|s)`` [B] (eq. 3.65)."""
    return (log_prob - old_log_prob).exp()


def clipped_surrogate(ratio: Tensor, advantage: Tensor, clip: float, clip_high: float | None = None) -> Tensor:
    """``min(rho A, clip(rho, 1 - eps, 1 + eps') A)``, element by element; eps' is eps where nothing else is given: then
    it is ``rho A``, but no more than ``A + eps |A|``."""
    if clip_high is None:
        return torch.minimum(ratio * advantage, advantage + clip * advantage.abs())
    return torch.minimum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip_high) * advantage)


def clipped_surrogate_loss(ratio: Tensor, advantage: Tensor, clip: float) -> Tensor:
    """``-E[min(rho A, clip(rho, 1 - eps, 1 + eps) A)]``, PPO's objective (eq. 3.72) with the sign of a loss."""
    return -clipped_surrogate(ratio, advantage, clip).mean()


def penalised_surrogate_loss(ratio: Tensor, advantage: Tensor, divergence: Tensor, beta: float) -> Tensor:
    """``-(E[rho A] - beta KL(pi_old || pi))``, the objective of PPO-KL (eq. 3.73) with the sign of a loss; divergence
    [B]."""
    return beta * divergence.mean() - (ratio * advantage).mean()


def adapted_penalty(beta: float, kl: float, target: float) -> float:
    """beta after a batch: doubled where the divergence was more than 1.5 times its target, halved where less than a
    1.5th of it (3.8.3.2; Schulman et al. 2017, section 4)."""
    return beta * 2 if kl > 1.5 * target else beta / 2 if kl < target / 1.5 else beta


def entropy(log_probs: Tensor) -> Tensor:
    """``H(pi(. | s))`` [B] in nats (eq. 3.74) of log-probabilities [B, A]."""
    return -(log_probs.exp() * log_probs).sum(-1)


def categorical_kl(old_log_probs: Tensor, log_probs: Tensor) -> Tensor:
    """``KL(pi_old || pi)`` [B] in nats, the divergence of (3.71) and (3.73), of log-probabilities [B, A]."""
    return (old_log_probs.exp() * (old_log_probs - log_probs)).sum(-1)


def value_loss(value: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """``E[w (V(s) - R)^2]`` (algorithm 9) of values and targets [B], w 1 where it is not given; least where ``V(s) =
    E[w R | s] / E[w | s]``."""
    if weight is None:
        return functional.mse_loss(value, target)
    return (weight * (value - target).square()).mean()


def score_square(log_probs: Tensor, actions: Tensor) -> Tensor:
    """``|grad log pi(a|s)|^2`` [B] with respect to the logits, ``1 - 2 pi(a|s) + sum_a' pi(a'|s)^2``, the weight in
    the baseline of least variance (eq. 3.34); exact where each state has logits of its own."""
    probs = log_probs.exp()
    return 1 - 2 * taken(probs, actions) + probs.square().sum(-1)


def standardised(advantage: Tensor) -> Tensor:
    """Advantages [B] with mean 0 and standard deviation 1: a step size that fits every scale of reward."""
    return (advantage - advantage.mean()) / (advantage.std(correction=0) + 1e-8)
