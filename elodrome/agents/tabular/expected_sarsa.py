"""Expected SARSA (notes 2.5.2; Sutton & Barto 6.6): SARSA's target in expectation over the next action.

The next action is not drawn but averaged over, by the epsilon-greedy policy of the very table: SARSA without its noise.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from elodrome.agents.ops.td import best_action, expected_sarsa_target
from elodrome.agents.parts.tabular import TabularLearner
from elodrome.agents.parts.walk import WALK, begin, close, due, epsilon_at, explore, helper, learn, loop, take
from elodrome.envs.intrinsics import row
from elodrome.envs.signatures import I8

ABOUT = {
    "cls": "ExpectedSarsa",
    "chapter": "2",
    "summary": "SARSA in expectation over the next action; in games by self-play",
    "needs": ("few",),
}


@helper(types.void(WALK, I8))
def spread_out(walk: Any, i: int) -> None:
    """The epsilon-greedy policy of information state i, into ``scratch`` [A]: 0 where illegal (-inf)."""
    q, epsilon = row(walk.q, i), epsilon_at(walk, i)
    best, legal = best_action(q), 0
    for a in range(q.size):
        legal += q[a] > -np.inf
    for a in range(q.size):
        walk.scratch[a] = epsilon / legal if q[a] > -np.inf else 0.0
    walk.scratch[best] += 1.0 - epsilon


@loop
def expected_sarsa(model: Any, walk: Any, steps: int) -> None:
    """SARSA with ``sum_a' pi(a'|S') Q(S', a')`` in place of Q(S', A')."""
    for _ in range(steps):
        i = begin(model, walk)
        action = explore(walk, i)
        ahead = take(model, walk, i, action)
        for p in range(walk.held.shape[0]):
            if due(walk, p):
                target = walk.sums[p, 0]
                if ahead >= 0:
                    spread_out(walk, ahead)
                    target = expected_sarsa_target(target, walk.sums[p, 1], row(walk.q, ahead), walk.scratch)
                learn(walk, p, target)
        if not close(model, walk):
            break


class ExpectedSarsa(TabularLearner):
    """Tabular expected SARSA; settings: ``TabularConfig``."""

    loop = staticmethod(expected_sarsa)
