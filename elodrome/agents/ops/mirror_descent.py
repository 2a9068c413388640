"""The recipe of Kimi k1.5 (notes 5.9.4; Kimi Team 2025): mirror descent on groups of answers, and rewards for being
brief.

Shapes: N prompts, G answers to each, B = N * G answers (those of one prompt side by side), T tokens. log_prob,
old_log_prob, spoken [B, T]; advantage [B].
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

LEAST = 0.5  # what the shortest answer of a group earns, and the longest loses


def soft_advantages(rewards: Tensor, tau: float) -> Tensor:
    """``r - tau log Z`` [N, G] of rewards [N, G], where Z(x) = E_old[exp(r / tau)] is the mean over the group. The
    greater tau, the nearer to ``r`` less its mean."""
    return rewards - tau * (torch.logsumexp(rewards / tau, dim=1, keepdim=True) - math.log(rewards.shape[1]))


def mirror_objective(log_prob: Tensor, old_log_prob: Tensor, advantage: Tensor, spoken: Tensor, tau: float) -> Tensor:
    """``-E[(r - tau log Z - tau log(pi / old))^2] / (2 tau)`` over whole answers, to be maximised: a scalar. advantage:
    ``r - tau log Z``.

    What maximises ``E[r] - tau KL(pi || old)`` makes every term 0, whoever spoke: it is ``old exp(r / tau) / Z``
    (5.11). At pi = old the gradient is that of the other objectives, ``E[A grad log pi(y|x)]``.
    """
    drift = ((log_prob - old_log_prob) * spoken).sum(dim=1)
    return -(advantage - tau * drift).square().mean() / (2 * tau)


def length_rewards(spoken: Tensor, right: Tensor, group: int) -> Tensor:
    """What being brief is worth [B]: from 1/2 for the shortest answer of a group to -1/2 for the longest, in a line;
    0 where all are as long. A wrong answer earns nothing by it, though it may lose. right [B]: 1 where it is right."""
    length = spoken.sum(dim=1).view(-1, group)
    least, most = length.amin(dim=1, keepdim=True), length.amax(dim=1, keepdim=True)
    place = LEAST - (length - least) / (most - least).clamp(min=1.0)
    reward = torch.where(most > least, place, 0.0).flatten()
    return torch.where(right > 0, reward, reward.clamp(max=0.0))


def looping(answers: Tensor, spoken: Tensor, copies: int) -> Tensor:
    """1.0 at the tokens [B, T] of answers int64 [B, T] by which the last ``copies`` pieces of one length are the same,
    such as the last of 3 1 3 1 3 1 for three copies. From the first of them on an answer goes round in circles."""
    longest = answers.shape[1]
    found = torch.zeros_like(spoken)
    for piece in range(1, longest // copies + 1):
        again = torch.zeros_like(spoken)
        again[:, piece:] = (answers[:, piece:] == answers[:, :-piece]) * spoken[:, piece:]
        # How many tokens in a row are as one piece before: a count that starts anew at every one that is not.
        places = torch.arange(1, longest + 1, device=answers.device, dtype=spoken.dtype)
        row = places - torch.where(again > 0, 0.0, places).cummax(dim=1).values
        found = torch.maximum(found, (row >= piece * (copies - 1)).to(spoken.dtype))
    return found
