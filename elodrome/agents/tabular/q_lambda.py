"""Q(lambda) after Watkins (1989; Sutton & Barto 12.10): Q-learning with traces that an exploring action cuts.

What was done before it could not have been followed by the best action, so its returns say nothing about the best.
"""

from __future__ import annotations

from typing import Any

from elodrome.agents.ops.td import max_value, q_learning_target, td_error
from elodrome.agents.parts.walk import CHOSEN, STATE, begin, choose, close, due, loop, room, take
from elodrome.agents.tabular.sarsa_lambda import SarsaLambda, forget, mark, spread
from elodrome.envs.intrinsics import row

ABOUT = {
    "cls": "QLambda",
    "chapter": "2",
    "summary": "Q-learning with eligibility traces (Watkins); in games by self-play",
    "needs": ("few",),
}


@loop
def q_lambda(model: Any, walk: Any, steps: int) -> None:
    """SARSA(lambda) with Q-learning's target; traces fade to nothing where the next action is not a best one."""
    for _ in range(steps):
        fresh = walk.clock[STATE] < 0
        i = begin(model, walk)
        if fresh:
            walk.clock[CHOSEN] = choose(walk, i)
            forget(walk)
        ahead = take(model, walk, i, walk.clock[CHOSEN])
        if ahead >= 0:
            walk.clock[CHOSEN] = choose(walk, ahead)
        for p in range(walk.held.shape[0]):
            if due(walk, p):
                target, decay = walk.sums[p, 0], 0.0
                if ahead >= 0:
                    target = q_learning_target(target, walk.sums[p, 1], row(walk.q, ahead))
                    if walk.q[ahead, walk.clock[CHOSEN]] == max_value(row(walk.q, ahead)):
                        decay = walk.sums[p, 1] * walk.lambda_
                delta = td_error(walk.q[walk.held[p, 0], walk.held[p, 1]], target)
                mark(walk, p)
                spread(walk, p, delta, decay)
        if not close(model, walk) or not room(walk):
            break


class QLambda(SarsaLambda):
    """Tabular Q(lambda); settings: ``LambdaConfig``."""

    loop = staticmethod(q_lambda)
