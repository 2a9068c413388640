"""How outputs of a network become actions: the distributions that agents draw from and learners differentiate.

Acting is on the host in NumPy, in double precision, from quantiles that are given: what is drawn depends on the seed
alone. Learning is on the device in torch. A head over another kind of actions has the same four: a draw, the mode,
``log_prob`` and ``entropy``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from elodrome.agents.agent import Ints, Positions
from elodrome.agents.ops import policy_gradient as pg
from elodrome.envs.game import Mask, Reals
from elodrome.seeding import mix64


@dataclass(frozen=True)
class Categorical:
    """A distribution over the legal actions of each of B decisions: log-probabilities [B, A]."""

    log_probs: Tensor

    @classmethod
    def of(cls, logits: Tensor, legal: Tensor | None) -> Categorical:
        """From logits [B, A] and a bool mask [B, A]: illegal actions have probability 0; None: all are legal."""
        return cls(pg.masked_log_probs(logits, legal))

    def log_prob(self, actions: Tensor) -> Tensor:
        """log pi(a | s) [B] of the actions int64 [B]."""
        return pg.taken(self.log_probs, actions)

    def entropy(self) -> Tensor:
        """H(pi(. | s)) [B] in nats."""
        return pg.entropy(self.log_probs)

    def kl_from(self, old: Categorical) -> Tensor:
        """KL(old || self) [B] in nats."""
        return pg.categorical_kl(old.log_probs, self.log_probs)


def probabilities(logits: npt.NDArray[Any], legal: Mask) -> Reals:
    """Softmax [B, A] over the legal actions; rows without any are uniform over all."""
    masked: Reals = np.where(legal > 0, logits, -1e9).astype(np.float64)
    weights: Reals = np.exp(masked - masked.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def pick(probs: Reals, quantiles: Reals) -> Ints:
    """The action [B] at each row's quantile in [0, 1): actions of probability 0 are never picked."""
    sums = probs.cumsum(axis=1)
    total = sums[:, -1]
    at = np.minimum(quantiles * total, np.nextafter(total, 0.0))
    return (sums <= at[:, None]).sum(axis=1)


def greedy_legal(values: npt.NDArray[Any], legal: Mask) -> Ints:
    """The legal action of the greatest value [B], the first of equals: the mode, where the values are logits."""
    return np.where(legal > 0, values, -np.inf).argmax(axis=1)


def quantiles_of(positions: Positions) -> Reals:
    """One number in [0, 1) per position, from its seed alone."""
    quantiles: Reals = (mix64(positions.seeds) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return quantiles
