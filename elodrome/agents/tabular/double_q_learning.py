"""Double Q-learning (van Hasselt 2010; Sutton & Barto 6.7): one table chooses the best next action, another values it.

The greatest of several noisy values overstates the value of the best. With two tables, of which a coin decides which
one learns, the noise that makes an action look best is not the noise of its value.
"""

from __future__ import annotations

from typing import Any

from numba import types

from elodrome.agents.ops.td import best_action, td_target, td_update
from elodrome.agents.parts.tabular import Details, Run, TabularLearner
from elodrome.agents.parts.walk import (
    WALK,
    alpha_at,
    begin,
    close,
    count,
    due,
    epsilon_at,
    epsilon_greedy,
    helper,
    loop,
    take,
    word,
)
from elodrome.envs.engine import REAL_ROWS, unit
from elodrome.envs.game import Reals
from elodrome.envs.intrinsics import row
from elodrome.envs.signatures import I8

ABOUT = {
    "cls": "DoubleQLearning",
    "chapter": "2",
    "summary": "Q-learning with two tables, against overestimation; in games by self-play",
    "needs": ("few",),
}


@helper(I8(WALK, I8))
def explore_both(walk: Any, i: int) -> int:
    """A by epsilon-greedy on the sum of both tables."""
    for a in range(walk.scratch.size):
        walk.scratch[a] = walk.q[i, a] + walk.second[i, a]
    return epsilon_greedy(walk.scratch, word(walk), epsilon_at(walk, i))


@helper(types.void(WALK, REAL_ROWS, REAL_ROWS, I8, I8))
def learn_by(walk: Any, q: Any, judge: Any, p: int, ahead: int) -> None:
    """``Q1(S, A) <- Q1(S, A) + alpha (R + gamma Q2(S', argmax_a' Q1(S', a')) - Q1(S, A))``."""
    target = walk.sums[p, 0]
    if ahead >= 0:
        target = td_target(target, walk.sums[p, 1], judge[ahead, best_action(row(q, ahead))])
    i, a = walk.held[p, 0], walk.held[p, 1]
    count(walk, i, a)
    q[i, a] = td_update(q[i, a], target, alpha_at(walk, i, a))


@loop
def double_q_learning(model: Any, walk: Any, steps: int) -> None:
    """Q-learning in which a coin decides which of the tables q and second learns from the other."""
    for _ in range(steps):
        i = begin(model, walk)
        action = explore_both(walk, i)
        ahead = take(model, walk, i, action)
        for p in range(walk.held.shape[0]):
            if due(walk, p):
                if unit(word(walk)) < 0.5:
                    learn_by(walk, walk.q, walk.second, p, ahead)
                else:
                    learn_by(walk, walk.second, walk.q, p, ahead)
        if not close(model, walk):
            break


class DoubleQLearning(TabularLearner):
    """Tabular double Q-learning; plays by the mean of both tables. Settings: ``TabularConfig``."""

    loop = staticmethod(double_q_learning)

    @classmethod
    def details(cls, config: Any) -> Details:
        return Details(second="values")

    @classmethod
    def values(cls, run: Run) -> Reals:
        return (run.q + run.second) / 2
