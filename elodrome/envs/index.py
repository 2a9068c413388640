"""Rows of words by content: which entry of a table belongs to a state or to an observation."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from elodrome.envs.engine import ROWS
from elodrome.envs.enumeration import find_or_add, hash_row
from elodrome.envs.game import Words, compiled
from elodrome.envs.intrinsics import row
from elodrome.envs.signatures import I8, WORDS


@compiled(I8(ROWS, ROWS, WORDS, WORDS))
def number_rows(rows: Any, keys: Any, slots: Any, numbers: Any) -> int:
    """Number the distinct rows [N, K] by first appearance: keys [<= N, K], slots, numbers [N]; how many there are."""
    known = 0
    for i in range(numbers.size):
        numbers[i] = find_or_add(keys, slots, row(rows, i), keys.shape[1], known)
        if numbers[i] == known:
            known += 1
    return known


@compiled(WORDS(ROWS, WORDS, ROWS))
def find_rows(keys: Any, slots: Any, rows: Any) -> Any:
    """The numbers [B] of rows [B, >= K] whose first K words are a key; -1 where they are none."""
    count, words = rows.shape[0], keys.shape[1]
    out = np.full(count, -1, np.int64)
    last = np.uint64(slots.size - 1)
    for b in range(count):
        at = hash_row(row(rows, b), words) & last
        while slots[at] >= 0:
            same = True
            for i in range(words):
                if keys[slots[at], i] != rows[b, i]:
                    same = False
                    break
            if same:
                out[b] = slots[at]
                break
            at = (at + np.uint64(1)) & last
    return out


class RowIndex:
    """The distinct rows among ``rows`` int64 [N, K], numbered by first appearance.

    keys int64 [M, K]; numbers int64 [N], the number of each row given; ``find`` looks up whole batches.
    """

    def __init__(self, rows: Words) -> None:
        rows = np.ascontiguousarray(rows, np.int64)
        self._slots = np.full(1 << max(1, 2 * len(rows)).bit_length(), -1, np.int64)
        self.numbers: Words = np.zeros(len(rows), np.int64)
        keys = np.zeros((max(1, len(rows)), rows.shape[1]), np.int64)
        self.keys: Words = keys[: number_rows(rows, keys, self._slots, self.numbers)]

    def find(self, rows: Words) -> Words:
        """Numbers int64 [B] of rows [B, >= K] by their first K words; -1 where unknown."""
        numbers: Words = find_rows(self.keys, self._slots, np.ascontiguousarray(rows, np.int64))
        return numbers


def words_of(observations: npt.NDArray[np.float32]) -> Words:
    """Observations float32 [B, ...] as rows of words [B, O], bit for bit (-0.0 counts as 0.0)."""
    flat = np.ascontiguousarray(observations, np.float32).reshape(len(observations), -1) + np.float32(0.0)
    return flat.view(np.int32).astype(np.int64)
