"""Rollouts against the exact values of random play; their mixture with a network."""

from typing import Any

import numpy as np

from elodrome import make_env
from elodrome.agents.parts.networks import seeded
from elodrome.agents.search.boardnet import BoardNet, NetEvaluator
from elodrome.agents.search.forest import Leaves
from elodrome.agents.search.playouts import MixedEvaluator, play_all_out
from elodrome.seeding import streams

TTT: Any = make_env("tic_tac_toe")


def start_of(world: Any) -> np.ndarray:
    state = world.template.copy()
    world.reset(state, 0)
    return state[None, :].copy()


def outcomes(world: Any, states: np.ndarray, seats: np.ndarray, seed: int) -> np.ndarray:
    out = np.zeros(len(states), np.float32)
    play_all_out(world.compiled, states, seats, np.uint64(seed), 1.0, out)
    return out


def test_random_play_from_the_start_has_its_exact_value() -> None:
    """X wins 737 of 1260 games, O 121 of 420, 8 of 63 are drawn."""
    count = 40_000
    found = np.concatenate([outcomes(TTT, start_of(TTT), np.zeros(1, np.int64), s) for s in range(count)])
    for value, share in ((1.0, 737 / 1260), (-1.0, 121 / 420), (0.0, 8 / 63)):
        assert abs((found == value).mean() - share) < 4 * np.sqrt(share * (1 - share) / count)


def test_what_stands_beside_a_position_changes_nothing_and_the_other_seat_gets_the_opposite() -> None:
    for name in ("tic_tac_toe", "connect_four", "go:size=5"):
        world: Any = make_env(name)
        table = world.table(20)
        table.reset(np.arange(20), streams(0, 20))
        for ply in range(3):
            table.step(np.arange(20), np.array([(5 * row + ply) % 7 for row in range(20)]))
        states, seats = table.states(np.arange(20)), table.seats.copy()
        together = outcomes(world, states, seats, 7)
        alone = [outcomes(world, states[i : i + 1].copy(), seats[i : i + 1], 7)[0] for i in range(20)]
        np.testing.assert_array_equal(together, alone)
        np.testing.assert_array_equal(outcomes(world, states, 1 - seats, 7), -together)
        np.testing.assert_array_equal(states, table.states(np.arange(20)))


def test_the_mixture() -> None:
    nets = [NetEvaluator(seeded(i, BoardNet, TTT, 8, 0, (16,))) for i in range(2)]
    table: Any = TTT.table(9)
    table.reset(np.arange(9), streams(0, 9))
    table.step(np.arange(9), np.arange(9))
    rows = np.arange(9)
    leaves = Leaves(table.observe(rows), table.legal(rows), table.seats.copy(), table.states(rows))
    logits, judged = nets[0].answer(leaves.observations)[0], nets[1].answer(leaves.observations)[1]
    rolled = outcomes(TTT, leaves.states, leaves.seats, 5)
    for weight in (0.0, 0.25, 1.0):
        found, values = MixedEvaluator(TTT, *nets, weight, seed=5)(leaves)
        np.testing.assert_array_equal(found, logits)
        np.testing.assert_allclose(values, (1 - weight) * judged + weight * rolled, atol=1e-6)
    assert not MixedEvaluator(TTT, None, nets[1], 0.5)(leaves)[0].any()
