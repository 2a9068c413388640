"""Tic-tac-toe: three in a row on 3 x 3. 5,478 states, 549,946 histories, a draw with best play."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from elodrome.envs.boards.symmetries import square
from elodrome.envs.engine import STROLL, random_rows
from elodrome.envs.game import Game, Look, Mask, Words, compiled, no_chance, rule
from elodrome.envs.signatures import I8

# The row: [stones of seat 0, stones of seat 1 (bit r * 3 + c), seat to act or -1].


_LINES = (7, 56, 448, 73, 146, 292, 273, 84)
_WON = np.array([any(stones & line == line for line in _LINES) for stones in range(512)])


@compiled(types.boolean(I8), inline="always")
def won(stones: int) -> bool:
    """Whether a set of squares holds a line."""
    return _WON[stones]


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
    for a in range(9):
        mask[a] = (free >> a) & 1


@rule.step
def step(state: Any, action: int, chance: int, rewards: Any) -> None:
    seat = state[2]
    state[seat] |= 1 << action
    if won(state[seat]):
        rewards[seat] = 1.0
        rewards[1 - seat] = -1.0
        state[2] = -1
    elif state[0] | state[1] == 511:
        state[2] = -1
    else:
        state[2] = 1 - seat


@rule.observe
def observe(state: Any, seat: int, out: Any) -> None:
    mine = state[seat]
    theirs = state[1 - seat]
    for a in range(9):
        out[a] = (mine >> a) & 1
        out[9 + a] = (theirs >> a) & 1


@rule.playout
def playout(state: Any, rng: int, returns: Any) -> int:
    """Random play on bitboards, all draws from one word: a fraction in 59 bits, of which each move takes its digit."""
    seat = state[2]
    if seat < 0:
        return 0
    mine, theirs = state[seat], state[1 - seat]
    squares = 0  # the free ones, as nibbles
    count = 0
    for a in range(9):
        if not ((mine | theirs) >> a) & 1:
            squares |= a << (4 * count)
            count += 1
    fraction: Any = np.int64(np.uint64(rng) >> np.uint64(5))
    steps = 0
    while count:
        fraction *= count
        at = 4 * (fraction >> 59)
        fraction &= (1 << 59) - 1
        square = (squares >> at) & 15
        mine |= 1 << square
        steps += 1
        if won(mine):
            returns[seat] = 1.0
            returns[1 - seat] = -1.0
            break
        count -= 1
        squares ^= (square ^ ((squares >> (4 * count)) & 15)) << at  # the last one fills the gap
        mine, theirs = theirs, mine
        seat = 1 - seat
    return steps


@compiled(STROLL, _nrt=False)
def stroll(world: Any, batch: Any, steps: int, probs: Any) -> None:
    """Random play with the rules of this file compiled in."""
    random_rows(reset, player, legal, step, observe, no_chance, world, batch, steps, probs)


def text(state: Words) -> str:
    """Three lines from the top: X for seat 0, O for seat 1."""
    marks = ["X" if state[0] >> a & 1 else "O" if state[1] >> a & 1 else "." for a in range(9)]
    return "\n".join("".join(marks[r * 3 : r * 3 + 3]) for r in range(3))


def _cells(state: Words) -> Any:
    squares = np.arange(9)
    return ((state[0] >> squares & 1) + 2 * (state[1] >> squares & 1)).reshape(3, 3)


def _action_at(row: int, column: int, legal: Mask) -> int:
    return row * 3 + column


def _cell_of(state: Words, action: int) -> tuple[int, int]:
    return divmod(action, 3)


def tic_tac_toe() -> Game:
    """Tic-tac-toe. Observation [2, 3, 3]: own stones, the other's stones."""
    return Game(
        id="tic_tac_toe",
        players=2,
        actions=9,
        observation_shape=(2, 3, 3),
        state_words=3,
        max_steps=9,
        kind="board",
        zero_sum=True,
        terminal_rewards=True,
        summary="three in a row on 3 x 3",
        source="notes 4.6.3",
        action_names=("a3", "b3", "c3", "a2", "b2", "c2", "a1", "b1", "c1"),
        seat_names=("X", "O"),
        reset=reset,
        player=player,
        legal=legal,
        step=step,
        observe=observe,
        playout=playout,
        stroll=stroll,
        text=text,
        symmetries=square(3),
        binary=True,
        look=Look(3, 3, _cells, _action_at, _cell_of, style="marks"),
    )
