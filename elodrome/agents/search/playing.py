"""Play from a position on in compiled code: what a step pays each seat, discounted, and random play to the end."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from elodrome.envs.engine import GOLDEN, U8, mix, pick_legal, roll
from elodrome.envs.game import compiled
from elodrome.envs.signatures import I8, MASK, REALS, RULES, WORDS

F8 = types.float64
# Scratch of one game: rewards of a step [P], what a payment now weighs [P], returns so far [P], legal actions [A],
# probabilities of outcomes [K].
GAME = types.Tuple((REALS, REALS, REALS, MASK, REALS))


@compiled(types.void(RULES, WORDS, I8, I8, I8, F8, GAME), _nrt=False, forceinline=True, error_model="numpy")
def take(rules: Any, state: Any, seat: int, action: int, outcome: int, fade: float, game: Any) -> None:
    """One step; what it pays is added to the returns. fade: what the decision of ``seat`` makes of the weight of its
    payments from now on: the discount (see ``own_discount``), and 1 for the decision that returns are counted from."""
    rewards, weights, returns, _mask, _probs = game
    for p in range(rewards.size):
        rewards[p] = 0.0
    rules[3](state, action, outcome, rewards)
    weights[seat] *= fade
    for p in range(rewards.size):
        returns[p] += weights[p] * rewards[p]


@compiled(types.uint64(RULES, WORDS, I8, I8, I8, F8, I8, U8, GAME), _nrt=False, forceinline=True, error_model="numpy")
def play_on(
    rules: Any, state: Any, root: int, ply: int, limit: int, discount: float, dice: int, rng: Any, game: Any
) -> Any:
    """Uniformly random play from ply ``ply`` to the end, or to ply ``limit``; returns are counted from the decision of
    ply ``root``. The stream behind the draws."""
    _rewards, _weights, _returns, mask, probs = game
    while ply < limit:
        seat = rules[1](state)
        if seat < 0:
            break
        rules[2](state, mask)
        rng += GOLDEN
        action = pick_legal(mask, mix(rng))
        outcome = 0
        if dice:
            outcome, rng = roll(rules[5], state, action, rng, probs)
        take(rules, state, seat, action, outcome, discount if ply > root else 1.0, game)
        ply += 1
    return np.uint64(rng)


@compiled(types.void(RULES, WORDS, U8, REALS, REALS), _nrt=False, forceinline=True, error_model="numpy")
def play_out(rules: Any, state: Any, word: Any, played: Any, returns: Any) -> None:
    """The world's own random play to the end, without discount, added to the returns [P]. played [P] is scratch."""
    for p in range(returns.size):
        played[p] = 0.0
    rules[6](state, word, played)
    for p in range(returns.size):
        returns[p] += played[p]
