"""SARSA (notes 2.5.2, algorithm 4, eq. 2.59): the target takes the next action that is really taken."""

from __future__ import annotations

from typing import Any

from elodrome.agents.ops.td import sarsa_target
from elodrome.agents.parts.tabular import TabularLearner
from elodrome.agents.parts.walk import CHOSEN, STATE, begin, choose, close, column, due, learn, loop, take
from elodrome.envs.intrinsics import row

ABOUT = {
    "cls": "Sarsa",
    "chapter": "2",
    "summary": "tabular SARSA, on-policy; in games by self-play",
    "needs": ("few",),
}


@loop
def sarsa(model: Any, walk: Any, steps: int) -> None:
    """Algorithm 4; see ``parts.walk`` for what surrounds the update. With a policy given, it is TD(0)."""
    for _ in range(steps):
        fresh = walk.clock[STATE] < 0
        i = begin(model, walk)
        if fresh:
            walk.clock[CHOSEN] = choose(walk, i)
        ahead = take(model, walk, i, walk.clock[CHOSEN])
        if ahead >= 0:
            walk.clock[CHOSEN] = choose(walk, ahead)
        for p in range(walk.held.shape[0]):
            if due(walk, p):
                target = walk.sums[p, 0]
                if ahead >= 0:
                    chosen = column(walk, walk.clock[CHOSEN])
                    target = sarsa_target(target, walk.sums[p, 1], row(walk.q, ahead), chosen)
                learn(walk, p, target)
        if not close(model, walk):
            break


class Sarsa(TabularLearner):
    """Tabular SARSA; settings: ``TabularConfig``."""

    loop = staticmethod(sarsa)
