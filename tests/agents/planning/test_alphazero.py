"""AlphaZero: learns tic-tac-toe from nothing, and goes on after a stop as if there had been none."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from elodrome import make_env
from elodrome.agents.agent import Agent, Budget, Positions, Task
from elodrome.agents.parts.saved import WEIGHTS, read_arrays, save_agent, shipped_folder
from elodrome.agents.planning.alphazero import AlphaZero, AlphaZeroConfig
from elodrome.agents.search.boardnet import NetEvaluator
from elodrome.envs.game import Game
from elodrome.envs.table import CompiledTable
from elodrome.errors import BrokenAgent, UserError
from elodrome.seeding import streams


def trained(world_id: str, steps: int, **options: Any) -> AlphaZero:
    learner = AlphaZero(Task(make_env(world_id), 1), AlphaZeroConfig(**options))
    for _ in learner.learn(Budget(steps)):
        pass
    return learner


def losses_against_every_reply(agent: Agent, world: Game, seat: int) -> int:
    """Play every line in which the agent answers as it does and the other seat does everything; the lines lost."""
    frontier, lost = [np.array(world.template)], 0
    world.reset(frontier[0], 0)
    for ply in range(world.max_steps):
        table = CompiledTable(world, max(1, len(frontier)))
        for row, state in enumerate(frontier):
            table.put(row, state, ply)
        rows = np.arange(len(frontier))
        if ply % 2 == seat:
            chosen = [[int(a)] for a in agent.act(Positions.at(table, rows, streams(ply, len(rows))))]
        else:
            chosen = [np.flatnonzero(mask).tolist() for mask in table.legal(rows)]
        following = {}
        for state, actions in zip(frontier, chosen, strict=True):
            for action in actions:
                after, rewards = state.copy(), np.zeros(2)
                world.step(after, action, 0, rewards)
                lost += rewards[seat] < 0
                if world.player(after) >= 0:
                    following[after.tobytes()] = after
        frontier = list(following.values())
        if not frontier:
            break
    return lost


@pytest.mark.parametrize("options", [{}, {"gumbel": True, "opening": 5}])
def test_it_learns_tic_tac_toe_from_nothing(options: dict[str, Any]) -> None:
    """A short run: no line is lost with its search, and few by the network alone."""
    learner = trained("tic_tac_toe", 50_000, **options)
    world = learner.world
    for seat in (0, 1):
        assert losses_against_every_reply(learner.agent, world, seat) == 0
    untrained = AlphaZero(Task(world, 1), AlphaZeroConfig(simulations=0)).agent
    raw = learner.restore(world, AlphaZeroConfig(simulations=0), learner.weights())
    taught, before = (sum(losses_against_every_reply(a, world, s) for s in (0, 1)) for a in (raw, untrained))
    assert taught < before / 4


@pytest.mark.parametrize(
    "options",
    [
        {"gumbel": True, "shards": 2},
        {"blocks": 1, "channels": 4},
        {"pool": 0.5, "past_every": 2},
        {"pool": 0.5, "past_every": 1, "past": 2, "opponent": "prioritised", "shards": 2},
        {"pool": 1.0, "opponent": "random"},
    ],
)
def test_it_goes_on_after_a_stop_as_without(options: dict[str, Any]) -> None:
    world = make_env("connect_four")
    settings = AlphaZeroConfig(games=16, moves=12, self_play=4, batch=32, window=500, **options)

    def run() -> tuple[AlphaZero, Any]:
        learner = AlphaZero(Task(world, 3), settings)
        return learner, learner.learn(Budget(16 * 12 * 8))

    one, progress = run()
    for _ in range(5):
        next(progress)
    other, _ = run()
    other.resume({k: (v.copy() if isinstance(v, np.ndarray) else v) for k, v in one.snapshot().items()})
    ends = [list(progress), list(other.learn(Budget(16 * 12 * 8)))]
    assert ends[0] == ends[1]
    assert len(ends[0]) == 3
    for name, array in one.weights().items():
        np.testing.assert_array_equal(array, other.weights()[name])


def test_a_rival_has_one_seat_and_teaches_nothing() -> None:
    """Against minimax an untrained network wins no game, and learns from its own seat's positions alone."""
    world = make_env("tic_tac_toe")
    options = {"pool": 1.0, "opponent": "minimax", "games": 8, "moves": 12, "self_play": 4, "sample": 9}
    learner = AlphaZero(Task(world, 1), AlphaZeroConfig(**options))
    examples, sums = learner.shards[0].play(NetEvaluator(learner.net), 12, other=learner.other)
    assert sums["rivals"] == sums["games"] > 8
    assert sums["against rivals"] <= 0
    assert examples.outcome.max() <= 0.0
    stones = examples.observations.sum(axis=(1, 2, 3)).astype(int)
    assert set(np.abs(np.diff(stones))) & {1} == set()  # every second ply


def test_the_agent_takes_wins_and_blocks_losses_untrained() -> None:
    """Two hundred simulations see two plies ahead whatever the network says."""
    world = make_env("connect_four")
    assert isinstance(world, Game)
    agent = AlphaZero(Task(world, 0), AlphaZeroConfig(simulations=200)).agent
    table = world.table(2)
    table.reset(np.arange(2), streams(0, 2))
    for column in (0, 1, 0, 1, 0):  # row 0: Yellow must block column 0
        table.step(np.array([0]), np.array([column]))
    for column in (0, 1, 0, 1, 0, 1):  # row 1: Red wins at column 0
        table.step(np.array([1]), np.array([column]))
    assert agent.act(Positions.at(table, np.arange(2), streams(1, 2))).tolist() == [0, 0]


def test_it_begins_with_the_network_of_a_saved_agent(tmp_path: Path) -> None:
    world = make_env("tic_tac_toe")
    one = AlphaZero(Task(world, 5))
    save_agent(one, "alphazero", tmp_path, 0)
    other = AlphaZero(Task(world, 6), AlphaZeroConfig(start=str(tmp_path)))
    for name, array in one.weights().items():
        np.testing.assert_array_equal(array, other.weights()[name])
    with pytest.raises(BrokenAgent, match=r"for tic_tac_toe, .* hidden=\[128, 128\], does not fit: .* shape"):
        AlphaZero(Task(world, 6), AlphaZeroConfig(start=str(tmp_path), hidden=(8, 8)))
    with pytest.raises(UserError, match="start=nobody: no folder of a saved agent, nor the name of one for tic_tac"):
        AlphaZero(Task(world, 6), AlphaZeroConfig(start="nobody"))


def test_it_begins_with_an_agent_that_ships_by_name() -> None:
    world = make_env("tic_tac_toe")
    learner = AlphaZero(Task(world, 6), AlphaZeroConfig(start="alphazero-strong"))
    ships = read_arrays(shipped_folder(world) / "alphazero-strong" / WEIGHTS)
    for name, array in learner.weights().items():
        np.testing.assert_array_equal(array, ships[name])


def test_a_network_moves_to_a_larger_board(tmp_path: Path) -> None:
    settings = AlphaZeroConfig(blocks=1, channels=4, games=2)
    small = AlphaZero(Task(make_env("go:size=5"), 5), settings)
    save_agent(small, "alphazero", tmp_path, 0)
    large = AlphaZero(Task(make_env("go:size=7"), 6), settings.model_copy(update={"start": str(tmp_path)}))
    fresh = AlphaZero(Task(make_env("go:size=7"), 6), settings)
    squares = "value.0.weight"
    np.testing.assert_array_equal(large.weights()[squares], fresh.weights()[squares])
    for name, array in small.weights().items():
        if name != squares:
            np.testing.assert_array_equal(array, large.weights()[name])
    with pytest.raises(BrokenAgent, match="no place"):
        AlphaZero(Task(make_env("connect_four"), 6), settings.model_copy(update={"start": str(tmp_path)}))


def test_an_iteration_in_which_no_game_ends_teaches_nothing() -> None:
    learner = AlphaZero(Task(make_env("go:size=5"), 5), AlphaZeroConfig(games=2, moves=2, self_play=2))
    (progress,) = learner.learn(Budget(4))
    assert progress.step == 4
    assert progress.metrics == {}
    assert len(learner.window) == 0
