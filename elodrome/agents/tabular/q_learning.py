"""Q-learning (notes 2.5.3, algorithm 5, eq. 2.60): the target takes the best next action, whatever is done next."""

from __future__ import annotations

from typing import Any

from elodrome.agents.ops.td import q_learning_target
from elodrome.agents.parts.tabular import TabularLearner
from elodrome.agents.parts.walk import begin, close, due, explore, learn, loop, take
from elodrome.envs.intrinsics import row

ABOUT = {
    "cls": "QLearning",
    "chapter": "2",
    "summary": "tabular Q-learning; in games by self-play",
    "needs": ("few",),
}


@loop
def q_learning(model: Any, walk: Any, steps: int) -> None:
    """Algorithm 5; see ``parts.walk`` for what surrounds the update."""
    for _ in range(steps):
        i = begin(model, walk)
        action = explore(walk, i)
        ahead = take(model, walk, i, action)
        for p in range(walk.held.shape[0]):
            if due(walk, p):
                target = walk.sums[p, 0]
                if ahead >= 0:
                    target = q_learning_target(target, walk.sums[p, 1], row(walk.q, ahead))
                learn(walk, p, target)
        if not close(model, walk):
            break


class QLearning(TabularLearner):
    """Tabular Q-learning; settings: ``TabularConfig``."""

    loop = staticmethod(q_learning)
