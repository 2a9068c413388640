"""Positions near the end of the longest game, solved by alpha-beta in compiled code for the leaves of search trees.

Sampling proves a long drawn ending slowly: every line must be walked to its end. A leaf from which few plies can
follow costs less to solve than to judge by a network (a hybrid as in Baier & Winands 2013).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from elodrome.agents.search.records import TIE
from elodrome.envs.engine import MASKS, ROWS
from elodrome.envs.game import compiled
from elodrome.envs.intrinsics import row
from elodrome.envs.signatures import I8, REALS, RULES, WORDS

F8 = types.float64
POSITIONS = 5000  # looked at before a position is given up, so that wide worlds do not stall the search


@compiled(F8(RULES, ROWS, MASKS, REALS, WORDS, I8, I8, F8, F8), _nrt=False)
def solved(
    rules: Any, states: Any, masks: Any, rewards: Any, quota: Any, ply: int, plies: int, alpha: float, beta: float
) -> float:
    """The return of the seat to act at states[ply], with best play of two seats with opposite returns and at most
    ``plies`` plies to go; exact within (alpha, beta), else a bound. Worth nothing where quota [1], the number of
    positions still to be looked at, falls below 0.

    Scratch by ply: states [plies + 1, W], masks [plies + 1, A]; rewards [2].
    """
    state = row(states, ply)
    seat = rules[1](state)
    if seat < 0 or plies == 0:
        return 0.0
    quota[0] -= 1
    after, mask = row(states, ply + 1), row(masks, ply)
    rules[2](state, mask)
    best = -np.inf
    for a in range(mask.size):
        if not mask[a] or quota[0] < 0:
            continue
        for w in range(state.size):
            after[w] = state[w]
        rewards[0] = rewards[1] = 0.0
        rules[3](after, a, 0, rewards)
        now = rewards[seat]
        floor = max(alpha, best)
        if rules[1](after) == seat:
            now += solved(rules, states, masks, rewards, quota, ply + 1, plies - 1, floor - now, beta - now)
        else:
            now -= solved(rules, states, masks, rewards, quota, ply + 1, plies - 1, now - beta, now - floor)
        best = max(best, now)
        if best >= beta - TIE:
            break
    return best
