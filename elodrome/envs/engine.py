"""Compiled loops over any world: batched stepping, random play, playouts, exact enumeration.

Every function takes ``world`` (see ``signatures.WORLD``) first and an explicit signature, so that numba compiles it
once for all games and finds it in its cache in every later process. Letters in the shapes: B rows, A actions, P seats,
W words of a row, O floats of an observation, S states.

Chance is drawn from one SplitMix64 stream per row (``rng`` uint64[B]): a row's future depends on its own stream
alone, not on the rows beside it nor on the number of threads.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types

from elodrome.envs.game import compiled
from elodrome.envs.intrinsics import row, rules_of
from elodrome.envs.signatures import (
    ACTIONS,
    HAS_CHANCE,
    HAS_PLAYOUT,
    I8,
    MASK,
    MAX_STEPS,
    OBSERVATION,
    OUTCOMES,
    PLAYERS,
    REALS,
    RULES,
    WORDS,
    WORLD,
)

U8 = types.uint64
STREAMS = types.Array(U8, 1, "C")
ROWS = types.Array(I8, 2, "C")
MASKS = types.Array(types.uint8, 2, "C")
REAL_ROWS = types.Array(types.float64, 2, "C")
FLOAT_ROWS = types.Array(types.float32, 2, "C")

_MIX1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX2 = np.uint64(0x94D049BB133111EB)
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_TO_UNIT = 1.0 / 9007199254740992.0  # 2 ** -53


@compiled(U8(U8), inline="always")
def mix(word: Any) -> Any:
    """SplitMix64's output function; a stream is ``state += GOLDEN`` and ``mix(state)``."""
    word = (word ^ (word >> np.uint64(30))) * _MIX1
    word = (word ^ (word >> np.uint64(27))) * _MIX2
    return word ^ (word >> np.uint64(31))


@compiled(types.float64(U8), inline="always")
def unit(word: Any) -> Any:
    """A random word as a float in [0, 1)."""
    return np.float64(word >> np.uint64(11)) * _TO_UNIT


@compiled(I8(U8, I8), inline="always")
def below(word: Any, n: Any) -> Any:
    """A random word as an integer in [0, n), by multiplication (bias under n / 2**32)."""
    return np.int64(((word >> np.uint64(32)) * np.uint64(n)) >> np.uint64(32))


@compiled(I8(REALS, I8, types.float64))
def pick(probs: Any, count: int, u: float) -> int:
    """The outcome at quantile ``u`` of the first ``count`` probabilities."""
    total = 0.0
    for k in range(count - 1):
        total += probs[k]
        if u < total:
            return k
    return count - 1


@compiled(I8(MASK, U8))
def pick_legal(mask: Any, word: Any) -> int:
    """A uniformly random legal action, or -1 where there is none."""
    count = 0
    for a in range(mask.size):
        count += mask[a]
    if count == 0:
        return -1
    skip = below(word, count)
    action = 0
    seen = 0
    for a in range(mask.size):  # no branches: which actions are legal cannot be predicted
        seen += mask[a]
        action += seen <= skip
    return action


@njit(inline="always")  # type: ignore[untyped-decorator]
def roll(chance: Any, state: Any, action: int, rng: Any, probs: Any) -> Any:
    """The outcome of an action in a world with dice, and the stream after the draw; nothing is drawn where there is but
    one outcome. ``chance``: a pointer, or a world's own rule."""
    count = chance(state, action, probs)
    outcome = 0
    if count > 1:
        rng += GOLDEN
        outcome = pick(probs, count, unit(mix(rng)))
    return outcome, rng


@compiled(U8(RULES, I8, WORDS, WORDS, U8, REALS), forceinline=True)
def reset_row(rules: Any, dice: int, template: Any, state: Any, rng: Any, probs: Any) -> Any:
    """Start a game in ``state``; return the stream after the draws."""
    for i in range(template.size):
        state[i] = template[i]
    outcome = 0
    if dice:
        count = rules[5](state, -1, probs)
        rng += GOLDEN
        outcome = pick(probs, count, unit(mix(rng)))
    rules[0](state, outcome)
    return rng


@compiled(U8(RULES, I8, WORDS, I8, U8, REALS, REALS), forceinline=True)
def step_row(rules: Any, dice: int, state: Any, action: int, rng: Any, rewards: Any, probs: Any) -> Any:
    """One step in place, dice included; return the stream after the draws."""
    outcome = 0
    if dice:
        outcome, rng = roll(rules[5], state, action, rng, probs)
    for p in range(rewards.size):
        rewards[p] = 0.0
    rules[3](state, action, outcome, rewards)
    return rng


@compiled(types.void(WORLD, ROWS, STREAMS, WORDS, WORDS))
def batch_reset(world: Any, states: Any, rng: Any, rows: Any, seats: Any) -> None:
    """Start games in the rows named: states [B, W], rng [B], rows [k], seats [B] (who acts first)."""
    header, template = world
    rules = rules_of(header)
    dice = header[HAS_CHANCE]
    probs = np.zeros(header[OUTCOMES])
    for i in range(rows.size):
        b = rows[i]
        rng[b] = reset_row(rules, dice, template, row(states, b), rng[b], probs)
        seats[b] = rules[1](row(states, b))


@compiled(I8(WORLD, ROWS, STREAMS, WORDS, WORDS, REAL_ROWS, WORDS))
def batch_step(world: Any, states: Any, rng: Any, rows: Any, actions: Any, rewards: Any, seats: Any) -> int:
    """Step the rows named by actions [k]; rewards [k, P]. Returns -1, or the first i that was illegal.

    Every action is checked before the first state changes, so that a refused call changes nothing.
    """
    header, _template = world
    rules = rules_of(header)
    dice = header[HAS_CHANCE]
    mask = np.zeros(header[ACTIONS], np.uint8)
    probs = np.zeros(header[OUTCOMES])
    for i in range(rows.size):
        if actions[i] < 0 or actions[i] >= header[ACTIONS] or seats[rows[i]] < 0:
            return i
        rules[2](row(states, rows[i]), mask)
        if not mask[actions[i]]:
            return i
    for i in range(rows.size):
        b = rows[i]
        rng[b] = step_row(rules, dice, row(states, b), actions[i], rng[b], row(rewards, i), probs)
        seats[b] = rules[1](row(states, b))
    return -1


@compiled(types.void(WORLD, ROWS, WORDS, MASKS))
def batch_legal(world: Any, states: Any, rows: Any, masks: Any) -> None:
    """Legal masks [k, A] of the rows named."""
    header, _template = world
    rules = rules_of(header)
    for i in range(rows.size):
        rules[2](row(states, rows[i]), row(masks, i))


@compiled(types.void(WORLD, ROWS, WORDS, WORDS, FLOAT_ROWS))
def batch_observe(world: Any, states: Any, rows: Any, seats: Any, out: Any) -> None:
    """Observations [k, O] of the rows named, each as the seat beside it sees it."""
    header, _template = world
    rules = rules_of(header)
    for i in range(rows.size):
        rules[4](row(states, rows[i]), seats[i], row(out, i))


@compiled(types.void(MASKS, STREAMS, WORDS))
def batch_sample(masks: Any, rng: Any, actions: Any) -> None:
    """One uniformly random legal action per row: masks [B, A] -> actions [B]."""
    for b in range(actions.size):
        rng[b] += GOLDEN
        actions[b] = pick_legal(row(masks, b), mix(rng[b]))


CACHE = 32768  # bytes of one block of rows, the size of a first-level cache
FLAGS = types.Array(types.uint8, 1, "C")


@compiled(types.void(WORLD, ROWS, STREAMS, WORDS, WORDS, WORDS, REAL_ROWS, FLAGS, FLAGS, MASKS, FLOAT_ROWS, FLOAT_ROWS))
def batch_advance(
    world: Any,
    states: Any,
    rng: Any,
    plies: Any,
    seats: Any,
    actions: Any,
    rewards: Any,
    terminated: Any,
    truncated: Any,
    masks: Any,
    out: Any,
    final: Any,
) -> None:
    """Step every row and start the finished ones anew: one pass for stepping, mask and observation.

    Shapes: states [B, W]; rng, plies, seats, actions, terminated, truncated [B]; rewards [B, P]; masks [B, A];
    out [B, O], the observation of the seat to act after a restart; final [B, O], written only in rows that ended,
    the observation of the seat that moved last before the restart. Actions are trusted to be legal.
    """
    header, template = world
    rules = rules_of(header)
    dice = header[HAS_CHANCE]
    probs = np.zeros(header[OUTCOMES])
    limit = header[MAX_STEPS]
    for b in range(actions.size):
        state = row(states, b)
        mover = seats[b]
        rng[b] = step_row(rules, dice, state, actions[b], rng[b], row(rewards, b), probs)
        plies[b] += 1
        seat = rules[1](state)
        over = seat < 0
        late = not over and plies[b] >= limit
        terminated[b] = over
        truncated[b] = late
        if over or late:
            rules[4](state, mover, row(final, b))
            rng[b] = reset_row(rules, dice, template, state, rng[b], probs)
            plies[b] = 0
            seat = rules[1](state)
        seats[b] = seat
        rules[2](state, row(masks, b))
        rules[4](state, seat, row(out, b))


# states, rng, choices, plies, seats, rewards, terminated, truncated, masks, out, final: as in batch_advance, and
# choices [B], one stream per row for the actions.
BATCH = types.Tuple(
    (ROWS, STREAMS, STREAMS, WORDS, WORDS, REAL_ROWS, FLAGS, FLAGS, MASKS, FLOAT_ROWS, FLOAT_ROWS),
)
STROLL = types.void(WORLD, BATCH, I8, REALS)


@njit(inline="always")  # type: ignore[untyped-decorator]
def random_rows(
    reset: Any,
    player: Any,
    legal: Any,
    step: Any,
    observe: Any,
    chance: Any,
    world: Any,
    batch: Any,
    steps: int,
    probs: Any,
) -> None:
    """``steps`` uniformly random legal steps in every row, as ``batch_advance`` plays them: mask and observation are
    written at every step. Rows go in blocks that fit a cache. probs [K] is scratch.

    The rules come as arguments: function pointers, or a world's own rules, which LLVM then inlines (``Game.stroll``).
    """
    header, template = world
    states, rng, choices, plies, seats, rewards, terminated, truncated, masks, out, final = batch
    dice = header[HAS_CHANCE]
    limit = header[MAX_STEPS]
    block = max(8, CACHE // (4 * header[OBSERVATION] + header[ACTIONS] + 8 * template.size + 64))
    for lo in range(0, plies.size, block):
        hi = min(lo + block, plies.size)
        for _ in range(steps):
            for b in range(lo, hi):
                state, mask, paid = row(states, b), row(masks, b), row(rewards, b)
                choices[b] += GOLDEN
                action = pick_legal(mask, mix(choices[b]))
                outcome = 0
                if dice:
                    outcome, rng[b] = roll(chance, state, action, rng[b], probs)
                for p in range(paid.size):
                    paid[p] = 0.0
                step(state, action, outcome, paid)
                plies[b] += 1
                seat = player(state)
                over = seat < 0
                late = not over and plies[b] >= limit
                terminated[b] = over
                truncated[b] = late
                if over or late:
                    observe(state, seats[b], row(final, b))
                    for i in range(template.size):
                        state[i] = template[i]
                    outcome = 0
                    if dice:
                        count = chance(state, -1, probs)
                        rng[b] += GOLDEN
                        outcome = pick(probs, count, unit(mix(rng[b])))
                    reset(state, outcome)
                    plies[b] = 0
                    seat = player(state)
                seats[b] = seat
                legal(state, mask)
                observe(state, seat, row(out, b))


@compiled(STROLL, _nrt=False)
def batch_random(world: Any, batch: Any, steps: int, probs: Any) -> None:
    """Random play of any world by its rules' pointers; see ``random_rows``."""
    rules = rules_of(world[0])
    random_rows(rules[0], rules[1], rules[2], rules[3], rules[4], rules[5], world, batch, steps, probs)


@compiled(U8(WORLD, WORDS, U8, REALS, MASK, REALS, REALS))
def play_out(world: Any, state: Any, rng: Any, returns: Any, mask: Any, rewards: Any, probs: Any) -> Any:
    """Random play from ``state`` (destroyed) to the end or max_steps; returns [P] summed. mask [A], rewards [P]
    and probs [K] are scratch. Returns the stream after the draws."""
    header, _template = world
    rules = rules_of(header)
    dice = header[HAS_CHANCE]
    returns[:] = 0.0
    if header[HAS_PLAYOUT]:
        rng += GOLDEN
        rules[6](state, mix(rng), returns)
        return rng
    for _ in range(header[MAX_STEPS]):
        if rules[1](state) < 0:
            break
        rules[2](state, mask)
        rng += GOLDEN
        action = pick_legal(mask, mix(rng))
        rng = step_row(rules, dice, state, action, rng, rewards, probs)
        for p in range(header[PLAYERS]):
            returns[p] += rewards[p]
    return rng


@compiled(I8(WORLD, I8, U8, REAL_ROWS, REALS))
def playouts(world: Any, count: int, rng: Any, tallies: Any, totals: Any) -> int:
    """``count`` random games from the start. tallies [P, 3]: games with a positive, zero, negative return of each
    seat; totals [P]: summed returns. Returns the number of steps (0 where a world's own playout reports none)."""
    header, template = world
    rules = rules_of(header)
    dice = header[HAS_CHANCE]
    players = header[PLAYERS]
    state = template.copy()
    mask = np.zeros(header[ACTIONS], np.uint8)
    rewards = np.zeros(players)
    returns = np.zeros(players)
    probs = np.zeros(header[OUTCOMES])
    steps = 0
    for _ in range(count):
        rng = reset_row(rules, dice, template, state, rng, probs)
        returns[:] = 0.0
        if header[HAS_PLAYOUT]:
            rng += GOLDEN
            steps += rules[6](state, mix(rng), returns)
        else:
            for _t in range(header[MAX_STEPS]):
                if rules[1](state) < 0:
                    break
                rules[2](state, mask)
                rng += GOLDEN
                action = pick_legal(mask, mix(rng))
                rng = step_row(rules, dice, state, action, rng, rewards, probs)
                steps += 1
                for p in range(players):
                    returns[p] += rewards[p]
        for p in range(players):
            totals[p] += returns[p]
            tallies[p, 0 if returns[p] > 0 else (1 if returns[p] == 0 else 2)] += 1
    return steps
