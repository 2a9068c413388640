"""Estimators of KL(pi || ref) from samples of pi (notes 5.6, equations 5.25 to 5.28; appendix A.2; Schulman 2020).

All are elementwise: log_prob and ref_log_prob are tensors of one shape, [B, T] for tokens or [B] for whole answers
(then the log-probabilities are sums over the tokens), and so is what comes back.

As a value (the mean under pi): E[k1] = E[k3] = KL, E[k2] != KL, but near it where pi is near ref.

As a loss, differentiated through log_prob on samples of the current policy (the samples themselves carry no gradient):

    k1: E[grad log pi] = 0, no pull at all;
    k2: E[log(pi / ref) grad log pi] = grad KL(pi || ref), the gradient wanted;
    k3: E[(1 - ref / pi) grad log pi] = grad KL(ref || pi), the gradient of the other divergence.

On samples of an older policy old, ``corrected`` k3 has the gradient of KL(pi || ref) itself, like k2 on fresh ones:
E_old[pi / old (k3 + 1 - ref / pi) grad log pi] = E_pi[log(pi / ref) grad log pi].

The notes' proof of A.2.3 says that the expected gradients of k1 and k2 agree; they do not (the first is 0). That of k2
is the gradient of the KL, on fresh samples only; and the sum of token-wise k2 lacks the part of the gradient by
which early tokens decide what comes after: where that matters, sum the log-probabilities first.
"""

from __future__ import annotations

import torch
from torch import Tensor


def k1(log_prob: Tensor, ref_log_prob: Tensor) -> Tensor:
    """log(pi / ref), equation (5.25): unbiased, of high variance; meant for the reward (5.26)."""
    return log_prob - ref_log_prob


def k2(log_prob: Tensor, ref_log_prob: Tensor) -> Tensor:
    """(log(ref / pi))^2 / 2, equation (5.27): biased as a value, unbiased in its gradient."""
    return 0.5 * (ref_log_prob - log_prob).square()


def k3(log_prob: Tensor, ref_log_prob: Tensor) -> Tensor:
    """r - 1 - log r with r = ref / pi, equation (5.28): unbiased, never negative, of low variance."""
    log_ratio = ref_log_prob - log_prob
    return torch.expm1(log_ratio) - log_ratio


def corrected(estimate: Tensor, log_prob: Tensor, old_log_prob: Tensor) -> Tensor:
    """``pi / old`` times an estimate, equation (5.38): unbiased on samples of ``old``. The weight carries its gradient:
    that is what makes the gradient of k3 the wanted one."""
    return torch.exp(log_prob - old_log_prob) * estimate
