"""Which of equally good actions to take where nothing is discounted: those that end the episode soonest.

Without discount staying where it is safe may be as good as going on, and a policy that does both never arrives, though
every one of its values is right (a slippery lake was crossed in none of its games that way).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from elodrome.agents.tabular.dynamic_programming import F8, MODEL, SWEEPS, THETA, TIE, best_actions, evenly, model_of
from elodrome.envs.engine import MASKS
from elodrome.envs.enumeration import Tables
from elodrome.envs.game import Mask, Reals, compiled
from elodrome.envs.signatures import REALS


@compiled(types.void(MODEL, MASKS, types.Array(types.uint8, 1, "C")))
def mark_sure(model: Any, allowed: Any, sure: Any) -> None:
    """sure [S]: 1 where the end is reached with probability 1 by some of the actions that are allowed [S, A]."""
    seats, legal, offsets, next_state, _, _ = model
    sure[:] = 1
    reach = np.zeros_like(sure)
    while True:
        for s in range(seats.size):
            reach[s] = seats[s] < 0
        grows = True
        while grows:
            grows = False
            for s in range(seats.size):
                for a in range(legal.shape[1]):
                    if reach[s] or not allowed[s, a]:
                        continue
                    inside, ahead = True, False
                    for e in range(offsets[s * legal.shape[1] + a], offsets[s * legal.shape[1] + a + 1]):
                        inside = inside and sure[next_state[e]] == 1
                        ahead = ahead or reach[next_state[e]] == 1
                    if inside and ahead:
                        reach[s] = 1
                        grows = True
        if np.array_equal(reach, sure):
            return
        sure[:] = reach


@compiled(F8(MODEL, MASKS, REALS))
def steps_sweep(model: Any, allowed: Any, steps: Any) -> float:
    """One sweep of ``T(s) = 1 + min_a sum_s' P(s'|s, a) T(s')`` over what is allowed, in place; the largest change."""
    seats, legal, offsets, next_state, probability, _ = model
    delta = 0.0
    for s in range(seats.size):
        best = np.inf
        for a in range(legal.shape[1]):
            if allowed[s, a]:
                total = 1.0
                for e in range(offsets[s * legal.shape[1] + a], offsets[s * legal.shape[1] + a + 1]):
                    total += probability[e] * steps[next_state[e]]
                best = min(best, total)
        if best < np.inf:
            delta = max(delta, abs(best - steps[s]))
            steps[s] = best
    return delta


def soonest(tables: Tables, allowed: Mask) -> Mask:
    """Of the actions allowed uint8 [S, A], those that end the episode in the fewest expected steps; where it is not
    sure to end by any of them, all."""
    model = model_of(tables)
    sure = np.zeros(tables.size, np.uint8)
    mark_sure(model, allowed, sure)
    pair = np.repeat(np.arange(allowed.size), np.diff(tables.offsets))
    strays = np.bincount(pair, 1 - sure[tables.next_state], allowed.size).reshape(allowed.shape) > 0
    inside = (allowed * (sure[:, None] > 0) * ~strays).astype(np.uint8)
    steps = np.zeros(tables.size)
    for _ in range(SWEEPS):
        if steps_sweep(model, inside, steps) < THETA * (1.0 + steps.max()):
            break
    count = 1.0 + np.bincount(pair, tables.probability * steps[tables.next_state], allowed.size).reshape(allowed.shape)
    quick = inside * (count <= steps[:, None] * (1.0 + TIE) + TIE)
    fastest: Mask = np.where(sure[:, None] > 0, quick, allowed).astype(np.uint8)
    return fastest


def best_policy(tables: Tables, q: Reals, discount: float) -> Reals:
    """The policy [S, A] that takes the best actions of q with equal probability; rows of ended states are 0.

    Without discount staying where it is safe may be as good as going on, and none of it ever arrives. Of equally good
    actions those are taken then that end the episode in the fewest expected steps, the limit of discounts towards 1
    where all that pays is how it ends.
    """
    best = best_actions(q)
    if discount == 1.0:
        best = soonest(tables, best.astype(np.uint8)).astype(np.float64)
    return evenly(best)
