"""Go on n x n points: area scoring, no suicide, positional superko; two passes end the game (Tromp-Taylor scoring).

Chains of stones are circular lists. The pseudo-liberties of a chain (its pairs of a stone and an empty neighbour) are
kept in one word as number, sum and sum of squares of the empty points: words of chains add up when chains meet, 0 means
captured, and number * squares == sum ** 2, equality in Cauchy-Schwarz, means that all are the same point: atari.

Superko needs no look at history for a point that never lost a stone of that colour: a position that comes back holds
the new stone, which must have been captured since. Other points ask a one-hash Bloom filter, then the record.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
from numba import types

from elodrome.envs.boards.symmetries import square
from elodrome.envs.engine import GOLDEN, STROLL, below, mix, random_rows
from elodrome.envs.game import Game, Look, Mask, Words, compiled, no_chance, pack_floats, rule
from elodrome.envs.intrinsics import real, shorts
from elodrome.envs.signatures import I8, REALS, WORDS
from elodrome.errors import UserError
from elodrome.seeding import generator

# The row: [seat to act or -1, plies, last action or -1, Zobrist hash, positions on record, empty points], then words:
# pseudo-liberties [P] at the first stone of each chain, then shorts: colour [P] (0 empty, 1 + seat, 3 border), first
# stone of the chain [P] (of an empty point: its place in the list), next stone [P], colours captured here [P], the
# list of empty points [n * n]; then the filter, the record [3 * n * n]; behind them the constants n and komi.
# P = (n + 2) * (n + 1) points: rows of n and one border point, which closes the row before as well.
SEAT, PLY, LAST, HASH, COUNT, EMPTY, LIBERTIES = range(7)
_LARGEST = 19
_KEYS = generator(0, "go positions").integers(-(1 << 63), 1 << 63, (3, (_LARGEST + 2) * (_LARGEST + 1)))
_LETTERS = "ABCDEFGHJKLMNOPQRST"
_KOMI = {5: 24.5, 7: 8.5}  # as good players on both sides would end; 7.5 elsewhere
SHORTS = types.Array(types.int16, 1, "C")


def _filter_words(n: int) -> int:
    return n * n // 5 + 1


def _short_words(n: int) -> int:
    return (4 * (n + 2) * (n + 1) + n * n + 3) // 4


_inline: dict[str, Any] = {"forceinline": True, "_nrt": False}


@compiled(types.UniTuple(SHORTS, 5)(WORDS), **_inline)
def _arrays(state: Any) -> Any:
    """colour, first, follow, lost [P], empty [n * n]."""
    n = state[state.size - 2]
    points = (n + 2) * (n + 1)
    every = shorts(state, LIBERTIES + points, 4 * points + n * n)
    return (
        every[:points],
        every[points : 2 * points],
        every[2 * points : 3 * points],
        every[3 * points : 4 * points],
        every[4 * points :],
    )


@compiled(types.UniTuple(I8, 3)(WORDS), **_inline)
def _history(state: Any) -> Any:
    """Where the filter lies, its bits, where the record lies."""
    n = state[state.size - 2]
    points = (n + 2) * (n + 1)
    start = LIBERTIES + points + (4 * points + n * n + 3) // 4
    words = n * n // 5 + 1
    return start, 64 * words, start + words


@compiled(I8(I8), **_inline)
def _liberty(point: int) -> int:
    """What one empty neighbour adds to the word of a chain: number 11 bits, sum 20, squares 28."""
    return 1 + (point << 11) + ((point * point) << 31)


@compiled(types.boolean(I8), **_inline)
def _in_atari(word: int) -> bool:
    total = (word >> 11) & 0xFFFFF
    return (word & 0x7FF) * (word >> 31) == total * total


@compiled(I8(WORDS, I8), _nrt=False)
def _count_liberties(state: Any, first: int) -> int:
    """The liberties of a chain, counted up to 3."""
    word = state[LIBERTIES + first]
    if _in_atari(word):
        return 1
    if word & 0x7FF > 8:  # two points have no more than eight neighbours
        return 3
    w = state[state.size - 2] + 1
    colour, _, follow, _, _ = _arrays(state)
    one, two = 0, 0
    stone: Any = first
    while True:
        for step in (-w, -1, 1, w):
            q = stone + step
            if colour[q] == 0 and q != one and q != two:
                if one == 0:
                    one = q
                elif two == 0:
                    two = q
                else:
                    return 3
        stone = follow[stone]
        if stone == first:
            return 2


@compiled(types.boolean(WORDS, I8, I8), _nrt=False)
def _repeats(state: Any, point: int, me: int) -> bool:
    """Whether a stone at an empty point makes a position that was there before."""
    w = state[state.size - 2] + 1
    colour, first, follow, _, _ = _arrays(state)
    key = state[HASH] ^ _KEYS[me, point]
    a, b, c = -1, -1, -1
    for step in (-w, -1, 1, w):
        q = point + step
        if colour[q] == 3 - me:
            chain: Any = np.int64(first[q])
            if chain != a and chain != b and chain != c and _in_atari(state[LIBERTIES + chain]):
                stone: Any = chain
                while True:
                    key ^= _KEYS[3 - me, stone]
                    stone = np.int64(follow[stone])
                    if stone == chain:
                        break
            a, b, c = b, c, chain
    where, bits, record = _history(state)
    bit = below(np.uint64(key), bits)
    if (state[where + (bit >> 6)] >> (bit & 63)) & 1:
        for k in range(record, record + state[COUNT]):
            if state[k] == key:
                return True
    return False


@compiled(types.boolean(WORDS, SHORTS, SHORTS, SHORTS, I8, I8, I8), **_inline)
def _allowed(state: Any, colour: Any, first: Any, lost: Any, w: int, point: int, me: int) -> bool:
    """Whether a stone may go on an empty point."""
    up, left, right, down = colour[point - w], colour[point - 1], colour[point + 1], colour[point + w]
    if up != 0 and left != 0 and right != 0 and down != 0:
        lives = False
        for step in (-w, -1, 1, w):
            c = colour[point + step]
            if c != 3:  # one's own chain with a second liberty, or another's without
                lives |= (c == me) != _in_atari(state[LIBERTIES + first[point + step]])
        if not lives:
            return False
    return lost[point] & me == 0 or not _repeats(state, point, me)


@compiled(types.void(WORDS, I8, I8), **_inline)
def _put(state: Any, point: int, me: int) -> None:
    """A stone on an empty point, captures and the record; the move must be legal."""
    w = state[state.size - 2] + 1
    colour, first, follow, lost, empty = _arrays(state)
    count = state[EMPTY] - 1
    at, moved = first[point], empty[count]
    empty[at] = moved
    first[moved] = at
    key = state[HASH] ^ _KEYS[me, point]
    mine = _liberty(point)
    colour[point] = me
    first[point] = point
    follow[point] = point
    chain: Any = point
    state[LIBERTIES + point] = 0
    taken = False
    for step in (-w, -1, 1, w):
        q = point + step
        c = colour[q]
        if c == 0:
            state[LIBERTIES + chain] += _liberty(q)
        elif c != 3:
            other: Any = np.int64(first[q])
            state[LIBERTIES + other] -= mine
            if c != me:
                taken |= state[LIBERTIES + other] == 0
            elif other != chain:
                if chain == point:  # the new stone joins the chain
                    first[point] = other
                    state[LIBERTIES + other] += state[LIBERTIES + point]
                    follow[point] = follow[other]
                    follow[other] = point
                    chain = other
                else:  # the chain joins those before
                    state[LIBERTIES + chain] += state[LIBERTIES + other]
                    stone: Any = other
                    while first[stone] == other:
                        first[stone] = chain
                        stone = follow[stone]
                    follow[other], follow[chain] = follow[chain], follow[other]
    if taken:
        for step in (-w, -1, 1, w):
            q = point + step
            if colour[q] == 3 - me and state[LIBERTIES + first[q]] == 0:
                stone = q
                while colour[stone] != 0:
                    colour[stone] = 0
                    lost[stone] |= 3 - me
                    key ^= _KEYS[3 - me, stone]
                    empty[count] = stone
                    first[stone] = count
                    count += 1
                    freed = _liberty(stone)
                    for side in (-w, -1, 1, w):
                        if colour[stone + side] == me:
                            state[LIBERTIES + first[stone + side]] += freed
                    stone = np.int64(follow[stone])
    state[EMPTY] = count
    state[HASH] = key
    where, bits, record = _history(state)
    bit = below(np.uint64(key), bits)
    state[where + (bit >> 6)] |= 1 << (bit & 63)
    state[record + state[COUNT]] = key
    state[COUNT] += 1


@compiled(types.UniTuple(I8, 2)(WORDS), _nrt=False)
def _area(state: Any) -> Any:
    """Points of Black and White. Uses the links of empty points as a stack."""
    n = state[state.size - 2]
    w = n + 1
    colour, _, follow, _, empty = _arrays(state)
    black, white = 0, 0
    for p in range(w, w + n * w):
        black += colour[p] == 1
        white += colour[p] == 2
    for i in range(state[EMPTY]):
        if colour[empty[i]] != 0:
            continue
        top: Any = np.int64(empty[i])
        colour[top] = 4  # seen
        follow[top] = 0
        size, touched = 0, 0
        while top:
            p = top
            top = np.int64(follow[p])
            size += 1
            for step in (-w, -1, 1, w):
                c = colour[p + step]
                if c == 0:
                    colour[p + step] = 4
                    follow[p + step] = top
                    top = p + step
                elif c < 3:
                    touched |= c
        if touched == 1:
            black += size
        elif touched == 2:
            white += size
    for i in range(state[EMPTY]):
        colour[empty[i]] = 0
    return black, white


@compiled(types.void(WORDS, REALS), _nrt=False)
def _settle(state: Any, rewards: Any) -> None:
    """End the game: 1 to the winner by area and komi."""
    black, white = _area(state)
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
    colour, first, _, _, empty = _arrays(state)
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
    colour, first, _, lost, _ = _arrays(state)
    p = n + 1
    a = 0
    for _ in range(n):
        for _ in range(n):
            mask[a] = colour[p] == 0 and _allowed(state, colour, first, lost, n + 1, p, seat + 1)
            p += 1
            a += 1
        p += 1
    mask[a] = 1


@rule.step
def step(state: Any, action: int, chance: int, rewards: Any) -> None:
    n = state[state.size - 2]
    seat = state[SEAT]
    over = False
    if action < n * n:
        _put(state, n + 1 + action + action // n, seat + 1)
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
    colour, first, follow, lost, _ = _arrays(state)
    for i in range(8 * cells):
        out[i] = 0.0
    p, a = w, 0
    for _ in range(n):
        for _ in range(n):
            c = colour[p]
            if c == 0:
                out[6 * cells + a] = not _allowed(state, colour, first, lost, w, p, me)
            else:
                theirs = c != me
                out[theirs * cells + a] = 1.0
                if first[p] == p:
                    liberties = _count_liberties(state, p)
                    if liberties < 3:
                        plane = (1 + 2 * theirs + liberties) * cells + 1 - w
                        stone: Any = p
                        while True:
                            out[plane + stone - stone // w] = 1.0
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


@compiled(types.boolean(SHORTS, I8, I8, I8), **_inline)
def _is_eye(colour: Any, w: int, point: int, me: int) -> bool:
    """Whether an empty point is surrounded by one's own stones, which the diagonal points hold together."""
    for step in (-w, -1, 1, w):
        if colour[point + step] != me and colour[point + step] != 3:
            return False
    edge, theirs = 0, 0
    for step in (-w - 1, -w + 1, w - 1, w + 1):
        edge |= colour[point + step] == 3
        theirs += colour[point + step] == 3 - me
    return theirs + edge < 2


@rule.playout
def playout(state: Any, rng: int, returns: Any) -> int:
    """Uniformly random moves but no pass and no filling of one's own eyes while there is another move."""
    if state[SEAT] < 0:
        return 0
    n = state[state.size - 2]
    w, limit = n + 1, 3 * n * n
    colour, first, _, lost, empty = _arrays(state)
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
            if not _is_eye(colour, w, p, me) and _allowed(state, colour, first, lost, w, p, me):
                point = p
                break
            left -= 1
            q = empty[left]
            empty[i], empty[left] = q, p
            first[q], first[p] = i, left
        if point:
            _put(state, point, me)
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
    black, white = _area(np.ascontiguousarray(state).copy())
    return int(black), int(white)


def _cells(n: int, state: Words) -> Any:
    w = n + 1
    start = LIBERTIES + (n + 2) * w
    colour = state[start : start + _short_words(n)].view(np.int16)[: (n + 2) * w]
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
    if isinstance(size, bool) or not isinstance(size, int) or not 2 <= size <= _LARGEST:
        raise UserError(f"go: size must be a whole number from 2 to {_LARGEST}, not {size!r}")
    usual = _KOMI.get(size, 7.5)
    if komi is not None and (isinstance(komi, bool) or not isinstance(komi, int | float) or not math.isfinite(komi)):
        raise UserError(f"go: komi must be a number, as in go:size=9,komi=7.5, not {komi!r}")
    points = usual if komi is None else float(komi)
    options = [f"size={size}"] * (size != 9) + [f"komi={points!r}".removesuffix(".0")] * (points != usual)
    cells = size * size
    return Game(
        id=":".join(["go", ",".join(options)]) if options else "go",
        players=2,
        actions=cells + 1,
        observation_shape=(10, size, size),
        state_words=LIBERTIES + (size + 2) * (size + 1) + _short_words(size) + _filter_words(size) + 3 * cells,
        max_steps=3 * cells,
        kind="board",
        zero_sum=True,
        summary=f"{size} x {size}, komi {points:g}, area scoring, positional superko",
        source="notes 4.4; J. Tromp and B. Taylor, The game of Go, with suicide forbidden",
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
