"""Go on n x n points: area scoring, no suicide, positional superko; two passes end the game (Tromp-Taylor scoring).

What a stone does to the board is in ``goban.py``; here are the rules as engines call them, and the world.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numba import types

from elodrome.envs.boards.goban import (
    EMPTY,
    LARGEST,
    LAST,
    LIBERTIES,
    PLY,
    SEAT,
    allowed,
    arrays,
    cell_of,
    count_liberties,
    filter_words,
    inverse_of,
    is_eye,
    put,
    short_words,
    territory,
)
from elodrome.envs.boards.symmetries import square
from elodrome.envs.engine import GOLDEN, STROLL, below, mix, random_rows
from elodrome.envs.game import Game, Look, Mask, Words, compiled, no_chance, pack_floats, rule
from elodrome.envs.intrinsics import real
from elodrome.envs.signatures import REALS, WORDS
from elodrome.errors import UserError, shown

_LETTERS = "ABCDEFGHJKLMNOPQRST"
MOST_KOMI = 1e6
_KOMI = {5: 24.5, 7: 8.5}  # as good players on both sides would end; 7.5 elsewhere


@compiled(types.void(WORDS, REALS), _nrt=False)
def _settle(state: Any, rewards: Any) -> None:
    """End the game: 1 to the winner by area and komi."""
    black, white = territory(state)
    lead = black - white - real(state[state.size - 1])
    rewards[0] = (lead > 0) - (lead < 0)
    rewards[1] = -rewards[0]
    state[SEAT] = -1


@rule.reset
def reset(state: Any, chance: int) -> None:
    n = state[state.size - 2]
    w = n + 1
    for i in range(state.size - 2):
        state[i] = 0
    state[LAST] = -1
    state[EMPTY] = n * n
    colour, first, _, _, empty = arrays(state)
    for p in range(colour.size):
        colour[p] = 3
    for a in range(n * n):
        p = (a // n + 1) * w + a % n
        colour[p] = 0
        first[p] = a
        empty[a] = p


@rule.player
def player(state: Any) -> int:
    return state[SEAT]


@rule.legal
def legal(state: Any, mask: Any) -> None:
    n = state[state.size - 2]
    seat = state[SEAT]
    if seat < 0:
        for a in range(n * n + 1):
            mask[a] = 0
        return
    w = n + 1
    inverse = inverse_of(w)
    colour, first, _, lost, empty = arrays(state)
    for a in range(n * n):
        mask[a] = 0
    for i in range(state[EMPTY]):
        p: Any = np.int64(empty[i])
        mask[cell_of(p, w, inverse)] = allowed(state, colour, first, lost, w, p, seat + 1)
    mask[n * n] = 1


@rule.step
def step(state: Any, action: int, chance: int, rewards: Any) -> None:
    n = state[state.size - 2]
    seat = state[SEAT]
    over = False
    if action < n * n:
        put(state, n + 1 + action + action // n, seat + 1)
    else:
        over = state[LAST] == action
    state[LAST] = action
    state[PLY] += 1
    state[SEAT] = 1 - seat
    if over or state[PLY] >= 3 * n * n:
        _settle(state, rewards)


@rule.observe
def observe(state: Any, seat: int, out: Any) -> None:
    n = state[state.size - 2]
    w, cells, me = n + 1, n * n, seat + 1
    colour, first, follow, lost, _ = arrays(state)
    inverse = inverse_of(w)
    for i in range(8 * cells):
        out[i] = 0.0
    p, a = w, 0
    for _ in range(n):
        for _ in range(n):
            c = colour[p]
            if c == 0:
                out[6 * cells + a] = not allowed(state, colour, first, lost, w, p, me)
            else:
                theirs = c != me
                out[theirs * cells + a] = 1.0
                if first[p] == p:
                    liberties = count_liberties(state, p)
                    if liberties < 3:
                        plane = (1 + 2 * theirs + liberties) * cells
                        stone: Any = p
                        while True:
                            out[plane + cell_of(stone, w, inverse)] = 1.0
                            stone = np.int64(follow[stone])
                            if stone == p:
                                break
            p += 1
            a += 1
        p += 1
    last = state[LAST]
    if 0 <= last < cells:
        out[7 * cells + last] = 1.0
    passed = last == cells
    for i in range(8 * cells, 9 * cells):
        out[i] = passed
    for i in range(9 * cells, 10 * cells):
        out[i] = seat == 0


@rule.playout
def playout(state: Any, rng: int, returns: Any) -> int:
    """Uniformly random moves but no pass and no filling of one's own eyes while there is another move."""
    if state[SEAT] < 0:
        return 0
    n = state[state.size - 2]
    w, limit = n + 1, 3 * n * n
    colour, first, _, lost, empty = arrays(state)
    word = np.uint64(rng)
    me = state[SEAT] + 1
    ply = state[PLY]
    passes = state[LAST] == n * n
    while passes < 2 and ply < limit:
        left = state[EMPTY]
        point = 0
        while left > 0:  # points that do not serve go behind the others
            word += GOLDEN
            i = below(mix(word), left)
            p: Any = np.int64(empty[i])
            if not is_eye(colour, w, p, me) and allowed(state, colour, first, lost, w, p, me):
                point = p
                break
            left -= 1
            q = empty[left]
            empty[i], empty[left] = q, p
            first[q], first[p] = i, left
        if point:
            put(state, point, me)
            passes = 0
        else:
            passes += 1
        me = 3 - me
        ply += 1
    steps = ply - state[PLY]
    _settle(state, returns)
    return steps


@compiled(STROLL, _nrt=False)
def stroll(world: Any, batch: Any, steps: int, probs: Any) -> None:
    """Random play with the rules of this file compiled in."""
    random_rows(reset, player, legal, step, observe, no_chance, world, batch, steps, probs)


def area(state: Words) -> tuple[int, int]:
    """Stones of Black and of White, each with the empty regions that only it surrounds (no komi)."""
    black, white = territory(np.ascontiguousarray(state).copy())
    return int(black), int(white)


def _cells(n: int, state: Words) -> Any:
    w = n + 1
    start = LIBERTIES + (n + 2) * w
    colour = state[start : start + short_words(n)].view(np.int16)[: (n + 2) * w]
    return colour.reshape(n + 2, w)[1 : n + 1, :n].astype(np.int64)


def _text(n: int, state: Words) -> str:
    """The board as GNU Go shows it: X Black, O White, the last move in brackets."""
    letters = "   " + " ".join(_LETTERS[:n])
    lines = [letters]
    for r, cells in enumerate(_cells(n, state)):
        line = f"{n - r:2} " + " ".join(".XO"[c] for c in cells) + " "
        last = int(state[LAST]) - r * n
        if 0 <= last < n:
            at = 3 + 2 * last
            line = f"{line[: at - 1]}({line[at]}){line[at + 2 :]}"
        lines.append(f"{line}{n - r}")
    return "\n".join([*lines, letters])


def _action_at(n: int, row: int, column: int, legal: Mask) -> int:
    return row * n + column


def _cell_of(n: int, state: Words, action: int) -> tuple[int, int] | None:
    return divmod(action, n) if action < n * n else None


def _score(komi: float, state: Words) -> str:
    black, white = area(state)
    return f"Black {black}, White {white + komi:g}"


def go(size: int = 9, komi: float | None = None) -> Game:
    """Go. Actions: the points row by row from the top left, then the pass.

    size: 2 to 19. komi: points for White; None takes 24.5 on 5 x 5, 8.5 on 7 x 7, 7.5 elsewhere. After 3 * size**2
    plies the game ends and is scored as it stands. Observation [10, size, size], 0 or 1, own and other's as the seat
    sees them: own stones, other's stones, own with 1 liberty, with 2, other's with 1, with 2, empty points forbidden
    to the seat, the last move, all ones after a pass, all ones for Black. Raises UserError for a bad size or komi.
    """
    if isinstance(size, bool) or not isinstance(size, int) or not 2 <= size <= LARGEST:
        raise UserError(f"go: size must be a whole number from 2 to {LARGEST}, not {shown(size)}")
    usual = _KOMI.get(size, 7.5)
    sound = komi is None or (isinstance(komi, int | float) and not isinstance(komi, bool) and abs(komi) <= MOST_KOMI)
    if not sound:
        raise UserError(f"go: komi must be a number, as in go:size=9,komi=7.5, not {shown(komi)}")
    points = usual if komi is None else float(komi) + 0.0  # no minus zero
    options = [f"size={size}"] * (size != 9) + [f"komi={points!r}".removesuffix(".0")] * (points != usual)
    cells = size * size
    return Game(
        id=":".join(["go", ",".join(options)]) if options else "go",
        players=2,
        actions=cells + 1,
        observation_shape=(10, size, size),
        state_words=LIBERTIES + (size + 2) * (size + 1) + short_words(size) + filter_words(size) + 3 * cells,
        max_steps=3 * cells,
        kind="board",
        zero_sum=True,
        terminal_rewards=True,
        summary=f"{size} x {size}, komi {points:g}, area scoring, positional superko",
        source="notes 4.5; J. Tromp and B. Taylor, The game of Go, with suicide forbidden",
        action_names=(*(f"{_LETTERS[a % size]}{size - a // size}" for a in range(cells)), "pass"),
        seat_names=("Black", "White"),
        reset=reset,
        player=player,
        legal=legal,
        step=step,
        observe=observe,
        playout=playout,
        uniform_playout=False,
        stroll=stroll,
        constants=np.array([size, *pack_floats([points])], np.int64),
        text=partial(_text, size),
        look=Look(
            size,
            size,
            partial(_cells, size),
            partial(_action_at, size),
            partial(_cell_of, size),
            style="stones",
            passing=cells,
            score=partial(_score, points),
        ),
        symmetries=square(size, passes=True),
        binary=True,
    )
