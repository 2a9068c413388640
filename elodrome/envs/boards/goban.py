"""The board of Go: chains of stones, captures, superko, eyes and area, as compiled functions on the row of a game.

Chains are circular lists. The pseudo-liberties of a chain (its pairs of a stone and an empty neighbour) are kept in
one word as number, sum and sum of squares of the empty points: words of chains add up when chains meet, 0 means
captured, and number * squares == sum ** 2, equality in Cauchy-Schwarz, means that all are the same point: atari.

Superko needs no look at history for a point that never lost a stone of that colour: a position that comes back holds
the new stone, which must have been captured since. Other points ask a one-hash Bloom filter, then the record.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from elodrome.envs.engine import below
from elodrome.envs.game import compiled
from elodrome.envs.intrinsics import shorts
from elodrome.envs.signatures import I8, WORDS
from elodrome.seeding import generator

# The row: [seat to act or -1, plies, last action or -1, Zobrist hash, positions on record, empty points], then words:
# pseudo-liberties [P] at the first stone of each chain, then shorts: colour [P] (0 empty, 1 + seat, 3 border), first
# stone of the chain [P] (of an empty point: its place in the list), next stone [P], colours captured here [P], the
# list of empty points [n * n]; then the filter, the record [3 * n * n]; behind them the constants n and komi.
# P = (n + 2) * (n + 1) points: rows of n and one border point, which closes the row before as well.
SEAT, PLY, LAST, HASH, COUNT, EMPTY, LIBERTIES = range(7)
LARGEST = 19
_KEYS = generator(0, "go positions").integers(-(1 << 63), 1 << 63, (3, (LARGEST + 2) * (LARGEST + 1)))
SHORTS = types.Array(types.int16, 1, "C")


_inline: dict[str, Any] = {"forceinline": True, "_nrt": False}


@compiled(I8(I8), **_inline)
def filter_words(n: int) -> int:
    """Words of the filter, 64 bits each."""
    return n * n // 5 + 1


@compiled(I8(I8), **_inline)
def short_words(n: int) -> int:
    """Words in which the arrays of shorts lie."""
    return (4 * (n + 2) * (n + 1) + n * n + 3) // 4


@compiled(types.UniTuple(SHORTS, 5)(WORDS), **_inline)
def arrays(state: Any) -> Any:
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
    start = LIBERTIES + points + short_words(n)
    words = filter_words(n)
    return start, 64 * words, start + words


@compiled(I8(I8), **_inline)
def _liberty(point: int) -> int:
    """What one empty neighbour adds to the word of a chain: number 11 bits, sum 20, squares 28."""
    return 1 + (point << 11) + ((point * point) << 31)


@compiled(I8(I8), **_inline)
def inverse_of(w: int) -> int:
    """What ``cell_of`` divides by: point * inverse_of(w) >> 16 is point // w for all points of the largest board."""
    return 65536 // w + 1


@compiled(I8(I8, I8, I8), **_inline)
def cell_of(point: int, w: int, inverse: int) -> int:
    """The action that plays on a point."""
    return point - w + 1 - (point * inverse >> 16)


@compiled(types.boolean(I8), **_inline)
def _in_atari(word: int) -> bool:
    total = (word >> 11) & 0xFFFFF
    return (word & 0x7FF) * (word >> 31) == total * total


@compiled(I8(WORDS, I8), **_inline)
def count_liberties(state: Any, first: int) -> int:
    """The liberties of a chain, counted up to 3."""
    word = state[LIBERTIES + first]
    if _in_atari(word):
        return 1
    if word & 0x7FF > 8:  # two points have no more than eight neighbours
        return 3
    w = state[state.size - 2] + 1
    colour, _, follow, _, _ = arrays(state)
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
    colour, first, follow, _, _ = arrays(state)
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
def allowed(state: Any, colour: Any, first: Any, lost: Any, w: int, point: int, me: int) -> bool:
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
def put(state: Any, point: int, me: int) -> None:
    """A stone on an empty point, captures and the record; the move must be legal."""
    w = state[state.size - 2] + 1
    colour, first, follow, lost, empty = arrays(state)
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
def territory(state: Any) -> Any:
    """Points of Black and White. Uses the links of empty points as a stack."""
    n = state[state.size - 2]
    w = n + 1
    colour, _, follow, _, empty = arrays(state)
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


@compiled(types.boolean(SHORTS, I8, I8, I8), **_inline)
def is_eye(colour: Any, w: int, point: int, me: int) -> bool:
    """Whether an empty point is surrounded by one's own stones, which the diagonal points hold together."""
    for step in (-w, -1, 1, w):
        if colour[point + step] != me and colour[point + step] != 3:
            return False
    edge, theirs = 0, 0
    for step in (-w - 1, -w + 1, w - 1, w + 1):
        edge |= colour[point + step] == 3
        theirs += colour[point + step] == 3 - me
    return theirs + edge < 2
