"""Random playouts from many positions at once, and a search's evaluation that mixes them with a value network (notes
4.5.2)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from elodrome.agents.search.boardnet import NetEvaluator
from elodrome.agents.search.forest import Leaves
from elodrome.agents.search.playing import play_on
from elodrome.envs.engine import GOLDEN, ROWS, U8, mix
from elodrome.envs.game import Floats, Game, compiled
from elodrome.envs.intrinsics import row, rules_of
from elodrome.envs.signatures import ACTIONS, FLOATS, HAS_PLAYOUT, MAX_STEPS, PLAYERS, WORDS, WORLD


@compiled(types.void(WORLD, ROWS, WORDS, U8, types.float64, FLOATS))
def play_all_out(world: Any, states: Any, seats: Any, seed: Any, discount: float, out: Any) -> None:
    """Play every position on at random, to the end: states [k, W] and seats [k] -> out [k], the return of that seat
    (see ``own_discount``). The dice of a position follow from it and the seed alone, so who stands beside it changes
    nothing.

    Worlds without dice only. What was played before is not known, so a game may last its full length again."""
    header, template = world
    rules = rules_of(header)
    players, limit, playout = header[PLAYERS], header[MAX_STEPS], header[HAS_PLAYOUT]
    weights, returns = np.zeros(players), np.zeros(players)
    game = np.zeros(players), weights, returns, np.zeros(header[ACTIONS], np.uint8), np.zeros(1)
    state = template.copy()
    for k in range(states.shape[0]):
        rng = seed
        origin = row(states, k)
        for w in range(state.size):
            state[w] = origin[w]
            rng = mix(rng ^ np.uint64(origin[w])) + GOLDEN
        returns[:], weights[:] = 0.0, 1.0
        if playout and discount == 1.0:
            rules[6](state, mix(rng), returns)
        else:
            play_on(rules, state, 0, 0, limit, discount, 0, rng, game)
        out[k] = returns[seats[k]]


class MixedEvaluator:
    """Logits of one network (all the same without one), and (1 - weight) v(s) + weight z of another and one playout."""

    def __init__(
        self, world: Game, policy: NetEvaluator | None, value: NetEvaluator, weight: float, seed: int = 0
    ) -> None:
        self.world, self.policy, self.value, self.weight, self.seed = world, policy, value, weight, np.uint64(seed)

    def __call__(self, leaves: Leaves) -> tuple[Floats, Floats]:
        logits = np.zeros(leaves.legal.shape, np.float32)
        if self.policy is not None:
            logits, _ = self.policy.answer(leaves.observations)
        values = np.zeros(len(leaves.seats), np.float32)
        if self.weight > 0.0:
            states = np.ascontiguousarray(leaves.states)
            play_all_out(self.world.compiled, states, leaves.seats, self.seed, self.world.discount, values)
            values *= np.float32(self.weight)
        if self.weight < 1.0:
            values += np.float32(1.0 - self.weight) * self.value.answer(leaves.observations)[1]
        return logits, values
