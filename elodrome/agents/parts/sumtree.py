"""A sum tree: numbers drawn in proportion to their priorities, in time that grows with the logarithm of their count."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from elodrome.agents.agent import Ints
from elodrome.envs.game import Reals, compiled
from elodrome.envs.signatures import REALS, WORDS


@compiled(types.void(REALS, WORDS, REALS))
def write_leaves(sums: Any, at: Any, values: Any) -> None:
    """Set leaves ``at`` [k], in order, and the sums above them. Every sum is that of its two children as they are, so
    that no rounding is carried along."""
    leaves = sums.size // 2
    for i in range(at.size):
        node = leaves + at[i]
        sums[node] = values[i]
        node //= 2
        while node >= 1:
            sums[node] = sums[2 * node] + sums[2 * node + 1]
            node //= 2


@compiled(WORDS(REALS, REALS))
def find_leaves(sums: Any, masses: Any) -> Any:
    """For each mass [k] in [0, total) the leaf in whose share of the total it lies; never one of priority 0."""
    leaves = sums.size // 2
    out = np.zeros(masses.size, np.int64)
    for i in range(masses.size):
        mass, node = masses[i], 1
        while node < leaves:
            node *= 2
            if mass >= sums[node] and sums[node + 1] > 0.0:
                mass -= sums[node]
                node += 1
        out[i] = node - leaves
    return out


class SumTree:
    """Priorities >= 0 of ``capacity`` entries, all 0 at first."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.leaves = 1 << max(1, (capacity - 1).bit_length())
        self._sums: Reals = np.zeros(2 * self.leaves)

    @property
    def total(self) -> float:
        """The sum of all priorities."""
        return float(self._sums[1])

    @property
    def priorities(self) -> Reals:
        """Of all entries [capacity], a copy."""
        return self._sums[self.leaves : self.leaves + self.capacity].copy()

    def __getitem__(self, at: Ints) -> Reals:
        return self._sums[self.leaves + at]

    def set(self, at: Ints, priorities: Reals) -> None:
        """Set the priorities of entries ``at`` [k]; of an entry that stands there twice the last counts."""
        write_leaves(self._sums, np.ascontiguousarray(at, np.int64), np.ascontiguousarray(priorities, np.float64))

    def find(self, quantiles: Reals) -> Ints:
        """The entries [k] at these quantiles in [0, 1) of the total."""
        found: Ints = find_leaves(self._sums, np.ascontiguousarray(quantiles, np.float64) * self.total)
        return found
