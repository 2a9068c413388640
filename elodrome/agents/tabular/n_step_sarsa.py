"""n-step SARSA (notes 2.4.5 and 2.5.2; Sutton & Barto 7.2): n rewards as they come, then the value of what follows."""

from __future__ import annotations

from typing import Any

from numba import types
from pydantic import Field

from elodrome.agents.ops.td import td_target, td_update
from elodrome.agents.parts.tabular import Details, TabularConfig, TabularLearner
from elodrome.agents.parts.walk import (
    CHOSEN,
    LAST,
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
    take,
    write,
)
from elodrome.envs.signatures import I8

ABOUT = {
    "cls": "NStepSarsa",
    "chapter": "2",
    "summary": "SARSA with n-step returns; in games by self-play",
    "needs": ("few",),
}


@helper(types.void(WALK, I8, I8, types.float64))
def learn_from(walk: Any, p: int, k: int, target: float) -> None:
    """Move the value of seat p's k-th decision towards ``R_k + gamma R_k+1 + ... + gamma^n target`` (eq. 2.55)."""
    for j in range(walk.counts[p] - 1, k - 1, -1):
        at = j % walk.span
        target = td_target(walk.gains[p, at], walk.fades[p, at], target)
    cell = walk.trail[p, k % walk.span]
    i, a = cell // walk.q.shape[1], cell % walk.q.shape[1]
    count(walk, i, a)
    walk.q[i, a] = td_update(walk.q[i, a], target, alpha_at(walk, i, a))


@loop
def n_step_sarsa(model: Any, walk: Any, steps: int) -> None:
    """A decision is learned from once n have been taken, or at the end. With a policy given: n-step TD."""
    for _ in range(steps):
        fresh = walk.clock[STATE] < 0
        i = begin(model, walk)
        if fresh:
            walk.clock[CHOSEN] = choose(walk, i)
            walk.counts[:] = 0
        ahead = take(model, walk, i, walk.clock[CHOSEN])
        if ahead >= 0:
            walk.clock[CHOSEN] = choose(walk, ahead)
        for p in range(walk.held.shape[0]):
            if due(walk, p):
                write(walk, p, walk.counts[p] % walk.span)  # a ring of the last n
                value = walk.q[ahead, column(walk, walk.clock[CHOSEN])] if ahead >= 0 else 0.0
                oldest = walk.counts[p] - walk.span
                newest = walk.counts[p] - 1 if walk.clock[LAST] else oldest
                for k in range(max(0, oldest), newest + 1):
                    learn_from(walk, p, k, value)
        if not close(model, walk):
            break


class NStepConfig(TabularConfig):
    """n: how many rewards are taken as they come. The rest: ``TabularConfig``."""

    n: int = Field(4, ge=1, le=10_000)


class NStepSarsa(TabularLearner):
    """Tabular n-step SARSA; settings: ``NStepConfig``."""

    loop = staticmethod(n_step_sarsa)
    config_class = NStepConfig

    @classmethod
    def details(cls, config: Any) -> Details:
        return Details(span=config.n, trail=config.n)
