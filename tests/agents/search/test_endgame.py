"""Endings solved inside the search, against exact solutions."""

from typing import Any

import numpy as np
from numba import types

from elodrome import make_env
from elodrome.agents.parts.solve import best_play
from elodrome.agents.search.endgame import solved
from elodrome.agents.search.forest import Forest, Leaves, SearchConfig
from elodrome.envs.engine import MASKS, ROWS
from elodrome.envs.enumeration import enumerate_world
from elodrome.envs.game import Game, compiled
from elodrome.envs.intrinsics import rules_of
from elodrome.envs.signatures import I8, REALS, WORDS, WORLD
from elodrome.seeding import generator, streams

F8 = types.float64


@compiled(F8(WORLD, ROWS, MASKS, REALS, WORDS, I8, F8, F8), _nrt=False)
def solve(world: Any, states: Any, masks: Any, rewards: Any, quota: Any, plies: int, alpha: float, beta: float) -> Any:
    header, _template = world
    return solved(rules_of(header), states, masks, rewards, quota, 0, plies, alpha, beta)


def worth(world: Game, state: Any, *, quota: Any, alpha: float = -1.0, beta: float = 1.0) -> float:
    states, masks = np.zeros((10, world.row_words), np.int64), np.zeros((10, world.actions), np.uint8)
    states[0] = state
    return float(solve(world.compiled, states, masks, np.zeros(2), quota, 9, alpha, beta))


def test_endings_are_worth_what_they_are_worth() -> None:
    """Exact inside the window, a bound on the right side outside of it."""
    world = make_env("tic_tac_toe")
    assert isinstance(world, Game)
    tables = enumerate_world(world)
    values, rng = best_play(tables)[1], generator(0, "endings")
    met = {"exact": 0, "below": 0, "above": 0}
    for s in rng.choice(len(tables.states), 400, replace=False):
        state = tables.states[s]
        seat = int(world.player(state))
        if seat < 0:
            continue
        exact = values[s][seat]
        assert worth(world, state, quota=np.array([10**6])) == exact
        found = worth(world, state, quota=np.array([10**6]), alpha=-0.5, beta=0.5)
        kind = "exact" if exact == 0 else "below" if exact < 0 else "above"
        met[kind] += 1
        assert found == 0 if kind == "exact" else found <= -0.5 if kind == "below" else found >= 0.5
    assert min(met.values()) > 20


def test_what_takes_too_many_positions_says_so() -> None:
    world = make_env("tic_tac_toe")
    assert isinstance(world, Game)
    start = world.template.copy()
    world.reset(start, 0)
    quota = np.array([50])
    worth(world, start, quota=quota)
    assert quota[0] < 0


def test_a_leaf_that_is_not_solved_is_judged() -> None:
    """Nothing near the start of Connect Four is solved within the positions allowed: as if nothing had been tried."""
    world = make_env("connect_four")
    assert isinstance(world, Game)
    table = world.table(6)
    table.reset(np.arange(6), streams(0, 6))

    def evaluate(leaves: Leaves) -> tuple[Any, Any]:
        flat = leaves.observations.reshape(len(leaves.legal), -1)
        return np.tile(flat.sum(axis=1, keepdims=True) % 3, (1, 7)), np.sin(flat @ np.arange(flat.shape[1])) / 2

    one, other = (
        Forest(world, 6, SearchConfig(simulations=8, endgame=endgame)).search(
            table.states(np.arange(6)), table.plies.copy(), streams(1, 6), evaluate
        )
        for endgame in (0, 42)
    )
    for mine, yours in zip(one, other, strict=True):
        np.testing.assert_array_equal(mine, yours)
