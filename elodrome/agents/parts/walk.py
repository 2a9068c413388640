"""What every tabular control loop does around its update: begin, choose, take, due, learn, close.

A loop is a compiled function ``(model, walk, steps)`` that reads like the box of its algorithm::

    for _ in range(steps):
        i = begin(model, walk)
        action = explore(walk, i)
        ahead = take(model, walk, i, action)
        for p in range(walk.held.shape[0]):
            if due(walk, p):
                learn(walk, p, ...)
        if not close(model, walk):
            break

In games of several seats all seats learn at once by playing each other: the next state of a seat is the one in which it
moves again, and its reward is all that it got in between. ``discount`` is per decision of a seat's own. A prediction is
a loop whose policy is given; its table has one column, the value of an information state.

Nothing here counts references (``_nrt=False``): where one helper did, the loops ran six times slower.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba import types

from elodrome.agents.ops.td import cut_is_end, exponential_schedule, linear_schedule, td_update
from elodrome.envs.engine import GOLDEN, REAL_ROWS, ROWS, STREAMS, below, mix, unit
from elodrome.envs.game import F, compiled
from elodrome.envs.information import MODEL
from elodrome.envs.intrinsics import ask, row
from elodrome.envs.signatures import I8, REALS, WORDS

F8 = types.float64
LEAST = float(np.finfo(np.float64).min)
# What ``clock`` holds: the state (-1: an episode is to be started), plies of the episode, steps so far, the action that
# is already chosen, the seat to move (-1: over), 1 where the episode ends with this step, episodes finished, and the
# information state.
STATE, PLY, STEP, CHOSEN, SEAT, LAST, EPISODES, INFO = range(8)
CUT, STOP = range(2)  # what ``told`` holds


class Schedule(NamedTuple):
    """A number that falls: from ``start`` to ``end`` over ``steps`` (0: it stays at ``start``), in a straight line or
    exponentially, and divided by n ** power, n the visits of what it is for."""

    start: Any
    end: Any
    steps: Any
    exponential: Any
    power: Any


class Walk(NamedTuple):
    """One learner's memory. I information states, A actions, P seats, C columns (A, or 1 in a prediction), T slots.

    steady: whether neither alpha nor epsilon ever changes; discount; limit: plies after which an episode is cut off;
    alpha and epsilon: schedules; lambda_: decay of traces; span: n of n steps; once: first visits only, or replacing
    traces.
    clock [8]; rng [1]; held int64 [P, 2]: each seat's last information state (-1: none) and column; sums [P, 3]: what
    that seat got since, the discount to date, the return of the episode; finished [N, P]: returns of the episodes.
    q (-inf where illegal) and visits [I, C]; second [I, C]: a second table (double learning's, traces, marks);
    policy [I, A]: running sums of the probabilities of what is done in a prediction, empty elsewhere;
    counts [P], trail int64 [P, T] (cells i * C + column), gains and fades [P, T]: what a seat's decisions were, what
    each brought until the next, and its discount; scratch [A].
    """

    steady: Any
    discount: Any
    limit: Any
    alpha: Any
    epsilon: Any
    lambda_: Any
    span: Any
    once: Any
    clock: Any
    rng: Any
    held: Any
    sums: Any
    finished: Any
    q: Any
    visits: Any
    second: Any
    policy: Any
    counts: Any
    trail: Any
    gains: Any
    fades: Any
    scratch: Any


_FALL = types.NamedUniTuple(F8, 5, Schedule)
WALK = types.NamedTuple(
    (
        *(types.boolean, F8, I8, _FALL, _FALL, F8, I8, I8, WORDS, STREAMS, ROWS, REAL_ROWS, REAL_ROWS),
        *(REAL_ROWS, REAL_ROWS, REAL_ROWS, REAL_ROWS, WORDS, ROWS, REAL_ROWS, REAL_ROWS, REALS),
    ),
    Walk,
)


def helper(signature: Any) -> Callable[[F], F]:
    """A compiled function that loops take in whole."""
    return compiled(signature, forceinline=True, _nrt=False, error_model="numpy")


def loop(function: F) -> F:
    """A compiled loop ``(model, walk, steps)``."""
    return compiled(types.void(MODEL, WALK, I8), _nrt=False, error_model="numpy")(function)


@compiled(I8(REALS, types.uint64, F8), forceinline=True)
def epsilon_greedy(q: Any, word: Any, epsilon: float) -> int:
    """An action by definition 2.12, illegal ones (-inf) aside, greedy ties at random; ``word`` is a random word."""
    explore = np.float64(word >> np.uint64(32)) < epsilon * 4294967296.0
    best, action, count = q[0], 0, 1
    if not explore:
        for a in range(1, q.size):
            if q[a] > best:
                best, action, count = q[a], a, 1
            elif q[a] == best:
                count += 1
        if count == 1:
            return action
    floor = LEAST if explore else best
    count = 0
    for a in range(q.size):
        count += q[a] >= floor
    if count == 0:  # values that are no numbers: who looks at them stops learning, but no index may leave the row
        while action < q.size - 1 and q[action] == -np.inf:
            action += 1
        return action
    skip = below(word << np.uint64(32), count)
    action = 0
    for a in range(q.size):
        skip -= q[a] >= floor
        action += skip >= 0
    return action


@compiled(I8(REALS, I8, I8, F8), forceinline=True)
def draw(quantiles: Any, lo: int, hi: int, u: float) -> int:
    """The outcome among lo .. hi - 1 in whose share of [0, 1) ``u`` lies; quantiles are running sums."""
    while lo < hi - 1 and u >= quantiles[lo]:
        lo += 1
    return lo


@helper(types.uint64(WALK))
def word(walk: Any) -> Any:
    """The next random word."""
    walk.rng[0] += GOLDEN
    return mix(walk.rng[0])


@helper(F8(_FALL, I8))
def at_step(schedule: Any, step: int) -> float:
    """Where a schedule stands at a step, visits aside."""
    if schedule.steps == 0.0:
        return schedule.start
    if schedule.exponential > 0.0:
        return exponential_schedule(schedule.start, schedule.end, schedule.steps, step)
    return linear_schedule(schedule.start, schedule.end, schedule.steps, step)


@helper(F8(WALK, I8))
def epsilon_at(walk: Any, i: int) -> float:
    """The share of random actions in information state i, as of now."""
    if walk.steady:
        return walk.epsilon.start
    epsilon = at_step(walk.epsilon, walk.clock[STEP])
    if walk.epsilon.power > 0.0:
        n = 1.0
        for a in range(walk.visits.shape[1]):
            n += walk.visits[i, a]
        epsilon /= n**walk.epsilon.power
    return epsilon


@helper(types.void(WALK, I8, I8))
def count(walk: Any, i: int, column: int) -> None:
    """Note a visit, where a schedule asks for visits."""
    if walk.alpha.power > 0.0 or walk.epsilon.power > 0.0:
        walk.visits[i, column] += 1.0


@helper(F8(WALK, I8, I8))
def alpha_at(walk: Any, i: int, column: int) -> float:
    """The step size of a cell of the table, as of now; its visit is counted."""
    alpha = at_step(walk.alpha, walk.clock[STEP])
    if walk.alpha.power > 0.0:
        alpha /= walk.visits[i, column] ** walk.alpha.power
    return alpha


@helper(I8(MODEL, WALK))
def begin(model: Any, walk: Any) -> int:
    """S as its seat sees it; a fresh start where the last episode is over."""
    if walk.clock[STATE] < 0:
        if model.door != 0:
            state = ask(model.door, -1, word(walk))
        else:
            state = model.starts[draw(model.start_quantiles, 0, model.starts.size, unit(word(walk)))]
        walk.clock[STATE], walk.clock[SEAT] = state, model.seats[state]
        walk.clock[PLY] = walk.clock[LAST] = 0
        for p in range(walk.held.shape[0]):
            walk.held[p, 0] = -1
            walk.sums[p, 2] = 0.0
        walk.clock[INFO] = model.info[state]
    return walk.clock[INFO]


@helper(I8(WALK, I8))
def explore(walk: Any, i: int) -> int:
    """A in information state i, by epsilon-greedy."""
    return epsilon_greedy(row(walk.q, i), word(walk), epsilon_at(walk, i))


@helper(I8(WALK, I8))
def choose(walk: Any, i: int) -> int:
    """A in information state i: by the policy that is given, else by epsilon-greedy."""
    if walk.policy.size > 0:
        return draw(row(walk.policy, i), 0, walk.policy.shape[1], unit(word(walk)))
    return explore(walk, i)


@helper(I8(WALK, I8))
def column(walk: Any, action: int) -> int:
    """Where the table has the value of an action: predictions have but one column."""
    return min(action, walk.q.shape[1] - 1)


@helper(I8(MODEL, WALK, I8, I8))
def take(model: Any, walk: Any, i: int, action: int) -> int:
    """Take A in S, observe R and S': the information state of S', -1 where the episode is over.

    A solo world that is cut off leads to the state in which it was; a game of several seats is over then.
    """
    state, seat = walk.clock[STATE], walk.clock[SEAT]
    walk.held[seat, 0], walk.held[seat, 1] = i, column(walk, action)
    walk.sums[seat, 0] = 0.0
    walk.sums[seat, 1] = walk.discount
    walk.clock[PLY] += 1
    walk.clock[STEP] += 1
    if model.door != 0:
        edge, state = 0, ask(model.door, action, 0)
        info, seat = model.info[state], model.seats[state]
        if model.told[CUT]:
            walk.clock[PLY] = walk.limit
    else:
        at = state * model.legal.shape[1] + action
        edge, end = model.offsets[at], model.offsets[at + 1]
        if end - edge > 1:
            edge = draw(model.quantiles, edge, end, unit(word(walk)))
        state, info, seat = model.next_state[edge], model.next_info[edge], model.next_seat[edge]
    for p in range(walk.held.shape[0]):
        walk.sums[p, 0] += model.rewards[edge, p]
        walk.sums[p, 2] += model.rewards[edge, p]
    if walk.clock[PLY] >= walk.limit:
        walk.clock[LAST] = 1
        if cut_is_end(walk.held.shape[0]):
            info = seat = -1
    if seat < 0:
        walk.clock[LAST] = 1
    walk.clock[STATE], walk.clock[INFO], walk.clock[SEAT] = state, info, seat
    return info


@helper(types.boolean(WALK, I8))
def due(walk: Any, p: int) -> bool:
    """Whether seat p's last decision is now known to the end: it moves in S', or the episode is over."""
    seat = walk.clock[SEAT]
    return walk.held[p, 0] >= 0 and (seat < 0 or seat == p)


@helper(types.void(WALK, I8, F8))
def learn(walk: Any, p: int, target: float) -> None:
    """``Q(S, A) <- Q(S, A) + alpha (target - Q(S, A))`` for seat p's last decision."""
    i, a = walk.held[p, 0], walk.held[p, 1]
    alpha = walk.alpha.start
    if not walk.steady:
        count(walk, i, a)
        alpha = alpha_at(walk, i, a)
    walk.q[i, a] = td_update(walk.q[i, a], target, alpha)


@helper(types.boolean(MODEL, WALK))
def close(model: Any, walk: Any) -> bool:
    """End the episode where it is over or out of time; whether there is room for more."""
    if not walk.clock[LAST]:
        return not model.told[STOP]
    for p in range(walk.held.shape[0]):
        walk.finished[walk.clock[EPISODES], p] = walk.sums[p, 2]
    walk.clock[EPISODES] += 1
    walk.clock[STATE] = -1
    return walk.clock[EPISODES] < walk.finished.shape[0] and not model.told[STOP]


@helper(types.void(WALK, I8, I8))
def write(walk: Any, p: int, at: int) -> None:
    """Put seat p's last decision, what it brought and its discount into slot ``at`` of its trail."""
    walk.trail[p, at] = walk.held[p, 0] * walk.q.shape[1] + walk.held[p, 1]
    walk.gains[p, at], walk.fades[p, at] = walk.sums[p, 0], walk.sums[p, 1]
    walk.counts[p] += 1


@helper(types.void(WALK, I8))
def wipe(walk: Any, p: int) -> None:
    """Empty seat p's trail, and what the second table holds of its cells."""
    for k in range(walk.counts[p]):
        cell = walk.trail[p, k]
        walk.second[cell // walk.q.shape[1], cell % walk.q.shape[1]] = 0.0
    walk.counts[p] = 0


@helper(types.boolean(WALK))
def room(walk: Any) -> bool:
    """Whether the trail has room for one more decision of every seat."""
    most = 0
    for p in range(walk.counts.size):
        most = max(most, walk.counts[p])
    return most < walk.trail.shape[1]
