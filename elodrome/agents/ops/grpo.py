"""Group relative policy optimisation (notes 5.5; Shao et al. 2024) and what differs from it by one equation (5.9).

Advantages come from a group; an objective is to be maximised. Where the policy is the one that spoke, the gradients of
all objectives here are the same, ``mean over answers of A grad log pi(y|x)``; they differ in what they do with answers
of an older policy.

Shapes: N prompts, G answers to each, B = N * G answers (those of one prompt side by side), T tokens. log_prob,
old_log_prob, spoken [B, T]; advantage [B].
"""

from __future__ import annotations

import torch
from torch import Tensor

from elodrome.agents.ops.policy_gradient import clipped_surrogate


def group_advantages(rewards: Tensor, *, normalise: bool = True, epsilon: float = 1e-6) -> Tensor:
    """Advantages [N, G] of rewards [N, G] within their group, equation (5.20): (R - mean) / (std + epsilon).

    std is that of the group itself (divided by G). With ``normalise`` false the division is left out (Liu et al.
    2025). A group whose rewards are all equal has nothing to say: its advantages are 0.

    The mean holds the answer's own reward, so that without normalisation the expected gradient of the objective, at
    the policy that spoke, is (G - 1) / G times the policy gradient of E[R]. With it, every prompt's
    gradient is weighed anew in each group, and the expectation is no gradient of E[R].
    """
    centred = rewards - rewards.mean(dim=1, keepdim=True)
    if not normalise:
        return centred
    return centred / (rewards.std(dim=1, correction=0, keepdim=True) + epsilon)


def leave_one_out(rewards: Tensor) -> Tensor:
    """Rewards [N, G] less the mean of the others in their group (RLOO; Kool et al. 2019, Ahmadian et al. 2024). The
    baseline does not know the answer, so that the expected gradient is that of E[R]."""
    count = rewards.shape[1]
    return (rewards - rewards.mean(dim=1, keepdim=True)) * (count / (count - 1))


def length_penalised(rewards: Tensor, spoken: Tensor, coefficient: float) -> Tensor:
    """Rewards [B] less ``coefficient`` per token, equation (5.22). spoken [B, T]: 1 where a token was spoken."""
    return rewards - coefficient * spoken.sum(dim=1)


def clipped_objective(
    log_prob: Tensor,
    old_log_prob: Tensor,
    advantage: Tensor,
    spoken: Tensor,
    *,
    clip: float = 0.2,
    clip_high: float | None = None,
) -> Tensor:
    """The objective (5.21), to be maximised: the mean over answers of the sum over their tokens of
    min(rho A, clip(rho, 1 - clip, 1 + clip_high) A), with rho = pi / pi_old of each token.

    log_prob, old_log_prob, spoken [B, T]; advantage [B]; a scalar comes back. ``clip_high`` wider than ``clip`` lets
    good answers rise further (Clip-Higher, 5.5.4); by default they are equal.
    """
    ratio = torch.exp(log_prob - old_log_prob)
    return (clipped_surrogate(ratio, advantage[:, None], clip, clip_high) * spoken).sum(dim=1).mean()


def sequence_objective(
    log_prob: Tensor,
    old_log_prob: Tensor,
    advantage: Tensor,
    spoken: Tensor,
    *,
    clip: float,
    clip_high: float | None = None,
) -> Tensor:
    """GSPO (Zheng et al. 2025): (5.21) with one ratio for all tokens of an answer, the geometric mean of theirs
    (5.36): its logarithm does not spread with the length. Bounds are far narrower than those of tokens."""
    length = spoken.sum(dim=1)
    ratio = torch.exp(((log_prob - old_log_prob) * spoken).sum(dim=1) / length)
    return (length * clipped_surrogate(ratio, advantage, clip, clip_high)).mean()


def weighted_objective(
    log_prob: Tensor,
    old_log_prob: Tensor,
    advantage: Tensor,
    spoken: Tensor,
    *,
    clip: float,
    clip_high: float | None = None,
) -> Tensor:
    """CISPO (MiniMax 2025): REINFORCE token by token with a clipped importance weight that carries no gradient
    (5.37), so that no token falls silent."""
    with torch.no_grad():
        high = clip if clip_high is None else clip_high
        weight = torch.exp(log_prob - old_log_prob).clamp(1 - clip, 1 + high)
    return (weight * log_prob * advantage[:, None] * spoken).sum(dim=1).mean()


def score_objective(log_prob: Tensor, advantage: Tensor, spoken: Tensor) -> Tensor:
    """REINFORCE over whole answers: the mean of ``A log pi(y|x)`` (3.19), which takes every answer for its own."""
    return (log_prob * advantage[:, None] * spoken).sum(dim=1).mean()


def off_policy_mask(log_prob: Tensor, old_log_prob: Tensor, advantage: Tensor, spoken: Tensor, bound: float) -> Tensor:
    """1.0 for the answers [B] to learn from (5.9.5, DeepSeek-V3.2): not those worse than their group which the policy
    has left behind, ``mean over tokens of log(old / pi)`` above ``bound``."""
    drift = ((old_log_prob - log_prob) * spoken).sum(dim=1) / spoken.sum(dim=1)
    return 1.0 - ((advantage < 0) & (drift > bound)).to(log_prob.dtype)


def clipped_share(
    log_prob: Tensor,
    old_log_prob: Tensor,
    advantage: Tensor,
    spoken: Tensor,
    *,
    clip: float = 0.2,
    clip_high: float | None = None,
) -> Tensor:
    """The share of spoken tokens whose gradient the clip has switched off; shapes as in ``clipped_objective``, or an
    advantage of its own for each token [B, T]."""
    ratio = torch.exp(log_prob - old_log_prob)
    gain = advantage if advantage.dim() == 2 else advantage[:, None]
    off = ((ratio > 1.0 + (clip if clip_high is None else clip_high)) & (gain > 0)) | (
        (ratio < 1.0 - clip) & (gain < 0)
    )
    return (off * spoken).sum() / spoken.sum().clamp(min=1)


def grpo_loss(objective: Tensor, divergence: Tensor, coefficient: float) -> Tensor:
    """What is minimised, equation (5.23): the objective's negative plus the KL as a loss, all scalars."""
    return coefficient * divergence - objective
