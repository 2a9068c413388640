"""MuZero: learns a small gridworld from nothing, knows wins at tic-tac-toe, and goes on after a stop as if there had
been none."""

from typing import Any

import numpy as np
import pytest

from elodrome import make_env
from elodrome.agents.agent import Budget, Positions, Task
from elodrome.agents.check import check_learning
from elodrome.agents.planning.muzero import MuZero, MuZeroConfig
from elodrome.agents.registry import make_learner
from elodrome.errors import UserError
from elodrome.seeding import streams


def trained(world_id: str, steps: int, **options: Any) -> MuZero:
    learner = MuZero(Task(make_env(world_id), 1), MuZeroConfig(**options))
    for _ in learner.learn(Budget(steps)):
        pass
    return learner


def play(learner: MuZero, games: int) -> Any:
    """Returns of the first seat [games] when the trained agent plays every seat."""
    world, agent = learner.world, learner.agent
    table = world.table(games)
    table.reset(np.arange(games), streams(5, games))
    total = np.zeros(games)
    while len(rows := np.flatnonzero((table.seats >= 0) & (table.plies < 40))):
        positions = Positions.at(table, rows, streams(6, games)[rows])
        total[rows] += table.step(rows, np.asarray(agent.act(positions)))[:, 0]
    return total


def test_it_solves_a_gridworld_from_nothing() -> None:
    """-1 for each of three steps, then the goal: no return is greater."""
    assert play(trained("gridworld:map=3x3", 4096, games=16), 4).tolist() == [-3.0] * 4


def test_it_goes_on_after_a_stop_as_without() -> None:
    options = {"games": 8, "moves": 8, "self_play": 4, "batch": 16, "reuse": 1.0, "window": 200, "opening": 2}
    for world_id in ("tic_tac_toe", "gridworld:map=3x3,max_steps=9"):
        world = make_env(world_id)

        def run(world: Any = world) -> tuple[MuZero, Any]:
            learner = MuZero(Task(world, 3), MuZeroConfig(**options))
            return learner, learner.learn(Budget(8 * 8 * 8))

        one, progress = run()
        for _ in range(5):
            next(progress)
        other, _ = run()
        other.resume({k: (v.copy() if isinstance(v, np.ndarray) else v) for k, v in one.snapshot().items()})
        ends = [list(progress), list(other.learn(Budget(8 * 8 * 8)))]
        assert ends[0] == ends[1]
        assert len(ends[0]) == 3
        for name, array in one.weights().items():
            np.testing.assert_array_equal(array, other.weights()[name])


def test_it_refuses_two_seats_that_do_not_take_turns_against_each_other() -> None:
    with pytest.raises(UserError):
        make_learner("muzero", Task(make_env("rock_paper_scissors:rounds=2"), 0), {})


def test_without_simulations_it_plays_by_the_network_alone() -> None:
    world = make_env("tic_tac_toe")
    learner = MuZero(Task(world, 0), MuZeroConfig())
    agent = learner.restore(world, MuZeroConfig(simulations=0), learner.weights())
    table = world.table(3)
    table.reset(np.arange(3), streams(0, 3))
    positions = Positions.at(table, np.arange(3), streams(1, 3))
    thought = agent.evaluate(positions)
    assert thought is not None
    np.testing.assert_allclose(thought.policy, 1 / 9)  # heads begin at 0
    np.testing.assert_allclose(thought.value, 0.0, atol=1e-12)


@pytest.mark.parametrize("name", ["gymnasium:CartPole-v1", "open_spiel:tic_tac_toe"])
def test_games_of_foreign_worlds_are_resumed_too(name: str) -> None:
    if name.startswith("open_spiel"):
        pytest.importorskip("pyspiel")
    small = {
        "games": 4,
        "moves": 8,
        "batch": 16,
        "reuse": 2.0,
        "self_play": 4,
        "width": 16,
        "latent": 8,
        "simulations": 4,
    }
    assert check_learning("muzero", make_env(name), small) == []
