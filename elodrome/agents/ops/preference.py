"""Learning from preferences: Bradley-Terry and DPO (notes 5.3.3 and 5.4; Rafailov et al. 2023).

Shapes: B pairs of answers to the same prompt, the first of which was preferred. A ``log_prob`` is that of a whole
answer, the sum over its tokens.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def preferred(first: Tensor, second: Tensor) -> Tensor:
    """``P(y_1 > y_2 | x) = sigma(r(x, y_1) - r(x, y_2))`` [B], equation (5.3)."""
    return torch.sigmoid(first - second)


def bradley_terry_loss(chosen: Tensor, rejected: Tensor, share: Tensor | None = None) -> Tensor:
    """``-E[log sigma(r(x, y_w) - r(x, y_l))]``, equation (5.4), of rewards [B]: a scalar. share [B]: how often the
    first is the one preferred, always where it is not given. Its least value is the entropy of the preferences
    themselves; a constant added to all rewards of a prompt changes nothing."""
    margin = chosen - rejected
    if share is None:
        return -functional.logsigmoid(margin).mean()
    return -(share * functional.logsigmoid(margin) + (1 - share) * functional.logsigmoid(-margin)).mean()


def implicit_reward(log_prob: Tensor, ref_log_prob: Tensor, beta: float) -> Tensor:
    """``beta log(pi / ref)``, equation (5.18): the reward, up to a constant for each prompt, for which this policy is
    the optimum (5.13). DPO's loss (5.6) is (5.4) of this in place of a learned reward, as (5.19) says."""
    return beta * (log_prob - ref_log_prob)


def cautious(rewards: Tensor, caution: float) -> Tensor:
    """Of an ensemble's rewards [K, B] the mean less ``caution`` deviations [B]: what no two agree on counts less (Coste
    et al. 2024, with the deviation in place of the variance, so that all is of one unit)."""
    return rewards.mean(dim=0) - caution * rewards.std(dim=0, correction=0)
