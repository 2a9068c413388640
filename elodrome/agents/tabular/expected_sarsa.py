"""Expected SARSA (notes 2.5.2; Sutton & Barto 6.6): SARSA's target in expectation over the next action.

The next action is not drawn but averaged over, by the epsilon-greedy policy of the very table: SARSA without its noise.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from elodrome.agents.ops.td import td_target
from elodrome.agents.parts.tabular import TabularLearner
from elodrome.agents.parts.walk import begin, close, due, epsilon_at, explore, helper, learn, loop, take
from elodrome.envs.intrinsics import row
from elodrome.envs.signatures import REALS

ABOUT = {
    "cls": "ExpectedSarsa",
    "chapter": "2",
    "summary": "SARSA in expectation over the next action; in games by self-play",
    "needs": ("few",),
}


@helper(types.float64(REALS, types.float64))
def soft_value(q: Any, epsilon: float) -> float:
    """The mean of q [A] under its own epsilon-greedy policy; illegal actions hold -inf."""
    best, total, legal = -np.inf, 0.0, 0
    for a in range(q.size):
        if q[a] > -np.inf:
            best, total, legal = max(best, q[a]), total + q[a], legal + 1
    return (1.0 - epsilon) * best + epsilon * total / legal


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
                    target = td_target(target, walk.sums[p, 1], soft_value(row(walk.q, ahead), epsilon_at(walk, ahead)))
                learn(walk, p, target)
        if not close(model, walk):
            break


class ExpectedSarsa(TabularLearner):
    """Tabular expected SARSA; settings: ``TabularConfig``."""

    loop = staticmethod(expected_sarsa)
