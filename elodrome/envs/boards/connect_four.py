"""Connect Four: four in a row on 7 columns by 6 rows, stones fall. The first player wins with best play (Allis, 1988).

Bitboards in the layout of Tromp's Fhourstones: bit ``column * 7 + height``, height 0 at the bottom; the seventh bit of
every column stays empty, so that shifts by 1, 6, 7 and 8 find lines without wrapping around.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from elodrome.envs.boards.symmetries import mirrored
from elodrome.envs.engine import GOLDEN, STROLL, below, mix, random_rows
from elodrome.envs.game import Game, Look, Mask, Words, compiled, no_chance, rule
from elodrome.envs.signatures import I8

# The row: [stones of seat 0, stones of seat 1, seat to act or -1].

FULL = 0b0111111_0111111_0111111_0111111_0111111_0111111_0111111
_TOPS = 1 << 5  # the highest square of column 0
# The bit of each square in the order of the observation: rows from the top, columns from the left.
_BIT = np.array([column * 7 + 5 - row for row in range(6) for column in range(7)], np.int64)


@compiled(types.boolean(I8), inline="always")
def won(stones: int) -> bool:
    """Whether a set of squares holds four in a row: each direction by halving, as in Fhourstones."""
    column = stones & (stones >> 1)
    falling = stones & (stones >> 6)
    level = stones & (stones >> 7)
    rising = stones & (stones >> 8)
    return (column & (column >> 2)) | (falling & (falling >> 12)) | (level & (level >> 14)) | (
        rising & (rising >> 16)
    ) != 0


@compiled(I8(I8, I8), inline="always")
def landing(stones: int, column: int) -> int:
    """The square, as a bit, on which a stone dropped into a column that is not full comes to rest."""
    return (stones + (1 << (column * 7))) & (63 << (column * 7))


@rule.reset
def reset(state: Any, chance: int) -> None:
    state[0] = 0
    state[1] = 0
    state[2] = 0


@rule.player
def player(state: Any) -> int:
    return state[2]


@rule.legal
def legal(state: Any, mask: Any) -> None:
    free = ~(state[0] | state[1]) if state[2] >= 0 else 0
    for a in range(7):
        mask[a] = (free >> (a * 7 + 5)) & 1


@rule.step
def step(state: Any, action: int, chance: int, rewards: Any) -> None:
    seat = state[2]
    both = state[0] | state[1]
    stone = landing(both, action)
    stones = state[seat] | stone
    state[seat] = stones
    if won(stones):
        rewards[seat] = 1.0
        rewards[1 - seat] = -1.0
        state[2] = -1
    elif both | stone == FULL:
        state[2] = -1
    else:
        state[2] = 1 - seat


@rule.observe
def observe(state: Any, seat: int, out: Any) -> None:
    mine = state[seat]
    theirs = state[1 - seat]
    for a in range(42):
        out[a] = (mine >> _BIT[a]) & 1
    for a in range(42):
        out[42 + a] = (theirs >> _BIT[a]) & 1


@rule.playout
def playout(state: Any, rng: int, returns: Any) -> int:
    """Random play on bitboards; the columns that are not full lie as nibbles in one word."""
    seat = state[2]
    if seat < 0:
        return 0
    word = np.uint64(rng)
    mine = state[seat]
    theirs = state[1 - seat]
    both = mine | theirs
    columns = 0
    count = 0
    for c in range(7):
        if not (both >> (c * 7 + 5)) & 1:
            columns |= c << (4 * count)
            count += 1
    steps = 0
    while count > 0:
        word += GOLDEN
        at = 4 * below(mix(word), count)
        column = (columns >> at) & 15
        stone = landing(both, column)
        mine |= stone
        both |= stone
        steps += 1
        if won(mine):
            returns[seat] = 1.0
            returns[1 - seat] = -1.0
            break
        if stone & (_TOPS << (column * 7)):
            count -= 1
            last = (columns >> (4 * count)) & 15
            columns ^= (column ^ last) << at
        mine = both ^ mine
        seat = 1 - seat
    return steps


@compiled(STROLL, _nrt=False)
def stroll(world: Any, batch: Any, steps: int, probs: Any) -> None:
    """Random play with the rules of this file compiled in."""
    random_rows(reset, player, legal, step, observe, no_chance, world, batch, steps, probs)


def text(state: Words) -> str:
    """Six lines from the top: X for seat 0, O for seat 1."""
    marks = ["X" if state[0] >> b & 1 else "O" if state[1] >> b & 1 else "." for b in _BIT.tolist()]
    return "\n".join("".join(marks[r * 7 : r * 7 + 7]) for r in range(6))


def _cells(state: Words) -> Any:
    return ((state[0] >> _BIT & 1) + 2 * (state[1] >> _BIT & 1)).reshape(6, 7)


def _action_at(row: int, column: int, legal: Mask) -> int:
    return column


def _cell_of(state: Words, action: int) -> tuple[int, int] | None:
    height = int((state[0] | state[1]) >> (action * 7) & 63).bit_count()
    return (5 - height, action) if height < 6 else None


def connect_four() -> Game:
    """Connect Four. Observation [2, 6, 7]: own stones, the other's stones, row 0 at the top; action: the column."""
    return Game(
        id="connect_four",
        players=2,
        actions=7,
        observation_shape=(2, 6, 7),
        state_words=3,
        max_steps=42,
        kind="board",
        zero_sum=True,
        terminal_rewards=True,
        summary="four in a row on 7 x 6, stones fall",
        source="notes 4.6.3; layout: J. Tromp, Fhourstones",
        action_names=tuple(str(c + 1) for c in range(7)),
        seat_names=("Red", "Yellow"),
        reset=reset,
        player=player,
        legal=legal,
        step=step,
        observe=observe,
        playout=playout,
        stroll=stroll,
        text=text,
        symmetries=mirrored(6, 7),
        binary=True,
        look=Look(6, 7, _cells, _action_at, _cell_of, style="discs"),
    )
