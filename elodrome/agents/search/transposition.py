"""A table of positions that a search has come to before: a hash chooses the slot, the last to come stays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from elodrome.envs.engine import ROWS
from elodrome.envs.enumeration import hash_row
from elodrome.envs.game import compiled
from elodrome.envs.signatures import I8, REALS, WORDS

F8 = types.float64
EXACT, LOWER, UPPER = 0, 1, 2  # what a stored value says of the true one
# Rows [slots, words + 3], a power of two of them: a state's words, depth + 1 (0: empty), kind of bound, best action;
# and the value of each.
TABLE = types.Tuple((ROWS, REALS))


@compiled(I8(TABLE, WORDS), _nrt=False, forceinline=True)
def slot_of(table: Any, state: Any) -> Any:
    """Where a state belongs."""
    rows, _values = table
    return np.int64(hash_row(state, rows.shape[1] - 3) & np.uint64(rows.shape[0] - 1))


@compiled(types.boolean(WORDS, WORDS), _nrt=False, forceinline=True)
def holds(entry: Any, state: Any) -> bool:
    """Whether a row is about this state."""
    words = entry.size - 3
    same = entry[words] > 0
    for i in range(words):
        same = same and entry[i] == state[i]
    return same


@compiled(types.boolean(WORDS, F8, I8, F8, F8), _nrt=False, forceinline=True)
def serves(entry: Any, value: float, depth: int, alpha: float, beta: float) -> bool:
    """Whether what a row says of a search of this depth is enough for the window (alpha, beta)."""
    words = entry.size - 3
    bound = entry[words + 1]
    exact = bound == EXACT or (bound == LOWER and value >= beta) or (bound == UPPER and value <= alpha)
    return entry[words] == depth + 1 and exact


@compiled(types.void(WORDS, WORDS, I8, F8, F8, F8, I8), _nrt=False, forceinline=True)
def write(entry: Any, state: Any, depth: int, alpha: float, beta: float, best: float, action: int) -> None:
    """What a search of a state came to, into its row; the value goes beside it."""
    words = entry.size - 3
    for i in range(words):
        entry[i] = state[i]
    entry[words] = depth + 1
    entry[words + 1] = UPPER if best <= alpha else (LOWER if best >= beta else EXACT)
    entry[words + 2] = action
