"""Normal distributions of single numbers, entry by entry, by mean and logarithm of the standard deviation."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_LOG_TURN = math.log(2 * math.pi)


def log_density(mean: Tensor, log_std: Tensor, value: Tensor) -> Tensor:
    """``log N(value; mean, std^2)``."""
    return -0.5 * ((value - mean) * (-log_std).exp()).square() - log_std - 0.5 * _LOG_TURN


def entropy(log_std: Tensor) -> Tensor:
    """In nats: ``log std + (1 + log 2 pi) / 2``."""
    return log_std + 0.5 * (1 + _LOG_TURN)


def kl(mean: Tensor, log_std: Tensor, to_mean: Tensor, to_log_std: Tensor) -> Tensor:
    """``KL(N(mean, std^2) || N(to_mean, to_std^2))`` in nats."""
    spread = (2 * log_std).exp() + (mean - to_mean).square()
    return to_log_std - log_std + 0.5 * spread * (-2 * to_log_std).exp() - 0.5


def score_square(mean: Tensor, log_std: Tensor, value: Tensor) -> Tensor:
    """``|grad log N|^2`` with respect to mean and log std: ``(z / std)^2 + (z^2 - 1)^2`` where z is value in units of
    std from the mean."""
    z = (value - mean) * (-log_std).exp()
    return (z * (-log_std).exp()).square() + (z.square() - 1).square()


def log_slope_of_tanh(value: Tensor) -> Tensor:
    """``log (1 - tanh(value)^2)``, without loss where it is near 0: ``2 (log 2 - value - softplus(-2 value))``."""
    return 2 * (math.log(2) - value - torch.nn.functional.softplus(-2 * value))
