"""SARSA(lambda) (notes 2.4.5.2, eq. 2.57-2.58; Sutton & Barto 12.7): every decision learns from every later error.

The traces stand in the second table, their cells in the trail, so that a step costs as much as there are decisions
behind it whose trace is not spent. One that has fallen below 1e-12 is dropped: it would change no digit that counts.
"""

from __future__ import annotations

from typing import Any

from numba import types
from pydantic import Field

from elodrome.agents.ops.td import sarsa_target, td_error
from elodrome.agents.parts.tabular import Details, TabularConfig, TabularLearner
from elodrome.agents.parts.walk import (
    CHOSEN,
    STATE,
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
)
from elodrome.envs.intrinsics import row
from elodrome.envs.signatures import I8

ABOUT = {
    "cls": "SarsaLambda",
    "chapter": "2",
    "summary": "SARSA with eligibility traces; in games by self-play",
    "needs": ("few",),
}
SPENT = 1e-12


@helper(types.void(WALK, I8))
def mark(walk: Any, p: int) -> None:
    """Seat p's last decision is eligible: its trace grows by 1, or becomes 1 where traces replace."""
    i, a = walk.held[p, 0], walk.held[p, 1]
    count(walk, i, a)
    if walk.second[i, a] == 0.0:
        walk.trail[p, walk.counts[p]] = i * walk.q.shape[1] + a
        walk.counts[p] += 1
    walk.second[i, a] = 1.0 if walk.once else walk.second[i, a] + 1.0


@helper(types.void(WALK, I8, types.float64, types.float64))
def spread(walk: Any, p: int, delta: float, decay: float) -> None:
    """``Q <- Q + alpha delta e`` and ``e <- decay e`` for all that is eligible among seat p's decisions."""
    kept = 0
    for k in range(walk.counts[p]):
        cell = walk.trail[p, k]
        i, a = cell // walk.q.shape[1], cell % walk.q.shape[1]
        walk.q[i, a] += alpha_at(walk, i, a) * delta * walk.second[i, a]
        walk.second[i, a] *= decay
        if walk.second[i, a] < SPENT:
            walk.second[i, a] = 0.0
        else:
            walk.trail[p, kept] = cell
            kept += 1
    walk.counts[p] = kept


@helper(types.void(WALK))
def forget(walk: Any) -> None:
    """No decision is eligible any more."""
    for p in range(walk.counts.size):
        wipe(walk, p)


@loop
def sarsa_lambda(model: Any, walk: Any, steps: int) -> None:
    """SARSA whose error moves all eligible decisions. With a policy given: TD(lambda)."""
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
                target, discount = walk.sums[p, 0], walk.sums[p, 1]
                if ahead >= 0:
                    target = sarsa_target(target, discount, row(walk.q, ahead), column(walk, walk.clock[CHOSEN]))
                delta = td_error(walk.q[walk.held[p, 0], walk.held[p, 1]], target)
                mark(walk, p)
                spread(walk, p, delta, discount * walk.lambda_)
        if not close(model, walk) or not room(walk):
            break


class LambdaConfig(TabularConfig):
    """lam: lambda, how fast traces fade beside the discount; 0 is SARSA, 1 Monte Carlo. replacing: whether a trace is
    set to 1 by a visit, or grows by 1. The rest: ``TabularConfig``."""

    lam: float = Field(0.8, ge=0.0, le=1.0)
    replacing: bool = True


class SarsaLambda(TabularLearner):
    """Tabular SARSA(lambda); settings: ``LambdaConfig``."""

    loop = staticmethod(sarsa_lambda)
    config_class = LambdaConfig

    @classmethod
    def details(cls, config: Any) -> Details:
        return Details(lambda_=config.lam, once=config.replacing, second="marks", trail=-1)
