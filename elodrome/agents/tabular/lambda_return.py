"""The offline lambda-return (notes 2.4.5.1, eq. 2.56; Sutton & Barto 12.1): after an episode values move to G^lambda.

``G^lambda_t = R + gamma ((1 - lambda) V(S') + lambda G^lambda_t+1)``, all with the values from before the episode.
Offline TD(lambda) adds up to the same changes (the forward and the backward view).
"""

from __future__ import annotations

from typing import Any

from numba import types

from elodrome.agents.ops.td import td_error, td_target
from elodrome.agents.parts.walk import (
    LAST,
    WALK,
    alpha_at,
    begin,
    choose,
    close,
    count,
    due,
    helper,
    loop,
    room,
    take,
    wipe,
)
from elodrome.agents.tabular.monte_carlo_control import note
from elodrome.agents.tabular.td_lambda import TDLambda
from elodrome.envs.signatures import I8

ABOUT = {
    "cls": "LambdaReturn",
    "chapter": "2",
    "summary": "the offline lambda-return: what a given policy is worth; acts by that policy",
    "needs": ("few",),
}


@helper(types.void(WALK, I8, types.float64))
def learn_lambda_returns(walk: Any, p: int, value: float) -> None:
    """Go back through seat p's episode from ``value`` at its end, note each error, then move by all of them."""
    g = value
    for k in range(walk.counts[p] - 1, -1, -1):
        g = td_target(walk.gains[p, k], walk.fades[p, k], (1.0 - walk.lambda_) * value + walk.lambda_ * g)
        value = walk.q[walk.trail[p, k], 0]
        walk.gains[p, k] = td_error(value, g)
    for k in range(walk.counts[p]):
        i = walk.trail[p, k]
        count(walk, i, 0)
        walk.q[i, 0] += alpha_at(walk, i, 0) * walk.gains[p, k]
    wipe(walk, p)


@loop
def lambda_return(model: Any, walk: Any, steps: int) -> None:
    """An episode by the policy, then its lambda-returns."""
    for _ in range(steps):
        i = begin(model, walk)
        ahead = take(model, walk, i, choose(walk, i))
        for p in range(walk.held.shape[0]):
            if due(walk, p):
                note(walk, p)
        if walk.clock[LAST]:
            value = walk.q[ahead, 0] if ahead >= 0 else 0.0
            for p in range(walk.held.shape[0]):
                learn_lambda_returns(walk, p, value)
        if not close(model, walk) or not room(walk):
            break


class LambdaReturn(TDLambda):
    """Offline lambda-return prediction; settings: ``TDLambdaConfig``, of which ``replacing`` has no say."""

    loop = staticmethod(lambda_return)
