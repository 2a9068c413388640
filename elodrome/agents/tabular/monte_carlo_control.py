"""Monte Carlo control (notes 2.4.2, eq. 2.51; Sutton & Barto 5.4): whole returns, first or every visit.

With the default step sizes 1 / n a value is the mean of the returns that followed. A solo episode that is cut off has
no return of its own: the value of the state in which it was stands in for what would have come.
"""

from __future__ import annotations

from typing import Any, ClassVar

from numba import types

from elodrome.agents.ops.td import td_target, td_update
from elodrome.agents.parts.tabular import Details, TabularConfig, TabularLearner
from elodrome.agents.parts.walk import (
    LAST,
    WALK,
    alpha_at,
    begin,
    choose,
    close,
    column,
    count,
    due,
    helper,
    loop,
    room,
    take,
    wipe,
    write,
)
from elodrome.envs.signatures import I8

ABOUT = {
    "cls": "MonteCarloControl",
    "chapter": "2",
    "summary": "Monte Carlo control, first or every visit; in games by self-play",
    "needs": ("few",),
}


@helper(types.void(WALK, I8))
def note(walk: Any, p: int) -> None:
    """Add seat p's last decision, what it brought and its discount to the episode."""
    write(walk, p, walk.counts[p])
    i, a = walk.held[p, 0], walk.held[p, 1]
    if walk.second[i, a] == 0.0:
        walk.second[i, a] = walk.counts[p]  # the first visit in this episode, counted from 1


@helper(types.void(WALK, I8, types.float64))
def learn_returns(walk: Any, p: int, value: float) -> None:
    """Go back through seat p's episode from ``value`` at its end: ``G <- R + gamma G`` (eq. 1.8), and learn from G."""
    for k in range(walk.counts[p] - 1, -1, -1):
        value = td_target(walk.gains[p, k], walk.fades[p, k], value)
        cell = walk.trail[p, k]
        i, a = cell // walk.q.shape[1], cell % walk.q.shape[1]
        if not walk.once or walk.second[i, a] == k + 1:
            count(walk, i, a)
            walk.q[i, a] = td_update(walk.q[i, a], value, alpha_at(walk, i, a))
    wipe(walk, p)


@loop
def monte_carlo(model: Any, walk: Any, steps: int) -> None:
    """An episode by epsilon-greedy, then its returns. With a policy given: Monte Carlo prediction."""
    for _ in range(steps):
        i = begin(model, walk)
        ahead = take(model, walk, i, choose(walk, i))
        for p in range(walk.held.shape[0]):
            if due(walk, p):
                note(walk, p)
        if walk.clock[LAST]:
            value = walk.q[ahead, column(walk, choose(walk, ahead))] if ahead >= 0 else 0.0
            for p in range(walk.held.shape[0]):
                learn_returns(walk, p, value)
        if not close(model, walk) or not room(walk):
            break


class MonteCarloConfig(TabularConfig):
    """first: whether only the first visit of an episode counts. alpha: None is 1 / n, so that values are means. The
    rest: ``TabularConfig``."""

    usual_power: ClassVar[float] = 1.0

    first: bool = True


class MonteCarloControl(TabularLearner):
    """Tabular Monte Carlo control; settings: ``MonteCarloConfig``."""

    loop = staticmethod(monte_carlo)
    config_class = MonteCarloConfig

    @classmethod
    def details(cls, config: Any) -> Details:
        return Details(once=config.first, second="marks", trail=-1)
