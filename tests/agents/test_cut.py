"""One meaning of the limit of steps, in every learner: a game of two seats that it cuts off is over, for both.

The world: two seats take turns, for ever; action 1 takes 4 from the other, action 0 does nothing; the limit is three
plies. Seat 0 moves, seat 1, seat 0; cut off, seat 1 would be to move. When all take, what the seat to act gets from
there on is 4 - 4 + 4, 4 - 4 and 4; a discount stands before the second decision of seat 0, and nowhere else.
"""

from typing import Any

import numpy as np
import pytest

from elodrome.agents.agent import Budget, Positions, Task
from elodrome.agents.parts.vector import SeatEnv
from elodrome.agents.registry import make_learner
from elodrome.agents.search.forest import Leaves, SearchConfig
from elodrome.agents.search.selfplay import PlayConfig, SelfPlay
from elodrome.envs.game import Game, rule
from elodrome.errors import UserError

VALUES = {1.0: [4.0, 0.0, 4.0], 0.5: [2.0, 0.0, 4.0]}  # by discount, of the plies


@rule.reset
def reset(state: Any, chance: int) -> None:
    state[0] = 0


@rule.player
def player(state: Any) -> int:
    return state[0] % 2


@rule.legal
def legal(state: Any, mask: Any) -> None:
    mask[:] = 1


@rule.step
def step(state: Any, action: int, chance: int, rewards: Any) -> None:
    mover = state[0] % 2
    rewards[mover] = 4.0 * action
    rewards[1 - mover] = -4.0 * action
    state[0] = min(state[0] + 1, 3)


@rule.observe
def observe(state: Any, seat: int, out: Any) -> None:
    out[:] = 0.0
    out[state[0]] = 1.0


def taking(discount: float = 1.0, return_range: tuple[float, float] = (-8.0, 8.0)) -> Game:
    return Game(
        id="taking", players=2, actions=2, observation_shape=(4,), max_steps=3, zero_sum=True, discount=discount,
        return_range=return_range, state_words=1, reset=reset, player=player, legal=legal, step=step, observe=observe,
    )  # fmt: skip


def positions(world: Game) -> Positions:
    """The positions of the three plies when all take."""
    table = world.table(3)
    table.reset(np.arange(3), np.zeros(3, np.uint64))
    for ply in range(2):
        rows = np.arange(ply + 1, 3)
        table.step(rows, np.ones(len(rows), np.int64))
    return Positions.at(table, np.arange(3), np.arange(3, dtype=np.uint64))


@pytest.mark.parametrize("seat", [0, 1])
def test_in_the_vector_environment_it_is_an_end_for_whoever_is_to_move(seat: int) -> None:
    env = SeatEnv(taking(), 2, 0, [(1.0, lambda given: np.ones(len(given), np.int64))])
    assert env.seat.tolist() == [0, 1]
    told = []
    for _ in range(2):
        env.step(np.ones(2, np.int64))
        told.append((env.reward[seat], bool(env.terminated[seat]), bool(env.truncated[seat])))
    # Seat 1 decides once a game: its second decision is of the next game, in the other seat.
    assert told == ([(0.0, False, False), (4.0, True, False)], [(0.0, True, False), (0.0, False, False)])[seat]


@pytest.mark.parametrize("kind", ["q_learning", "sarsa"])
@pytest.mark.parametrize("discount", [1.0, 0.5])
def test_on_tables_all_seats_learn_from_it(kind: str, discount: float) -> None:
    """Values far from the truth to begin with would stay where nothing is learned, and leak where one looks ahead."""
    world = taking(discount)
    learner = make_learner(kind, Task(world, 0), {"initial": 50.0, "alpha": 0.5, "epsilon": 0.3, "epsilon_steps": 5000})
    list(learner.learn(Budget(20_000)))
    assert learner.agent.evaluate(positions(world)).value == pytest.approx(VALUES[discount], abs=0.01)


def test_in_muzeros_memory_it_is_an_end() -> None:
    world = taking()
    learner: Any = make_learner("muzero", Task(world, 0), {"games": 2, "opening": 0})
    for ply in range(3):
        seen, _ = learner.games.look()
        rewards, end = learner.games.step(np.ones(2, np.int64))
        assert rewards.tolist() == [4.0, 4.0]
        assert end.tolist() == [int(ply == 2)] * 2
        learner.memory.add(
            observation=seen.reshape(2, -1), action=np.ones(2, np.int64), reward=rewards, end=end,
            policy=np.full((2, 2), 0.5), value=np.full(2, 77.0), tail=np.full(2, 99.0 * (end[0] == 2)),
        )  # fmt: skip
        learner.games.restart()
    seen, _ = learner.games.look()
    nothing = np.zeros(2)
    learner.memory.add(
        observation=seen.reshape(2, -1), action=np.ones(2, np.int64), reward=nothing, end=nothing,
        policy=np.full((2, 2), 0.5), value=np.full(2, 77.0), tail=nothing,
    )  # fmt: skip
    learner.memory.aim(4)
    assert learner.memory.ring["target"][:3].tolist() == [[4.0, 4.0], [0.0, 0.0], [4.0, 4.0]]


def takes(leaves: Leaves) -> tuple[Any, Any]:
    """The network of one who always takes, and knows no value."""
    logits = np.tile(np.array([-50.0, 50.0], np.float32), (len(leaves.seats), 1))
    return logits, np.zeros(len(leaves.seats), np.float32)


@pytest.mark.parametrize("discount", [1.0, 0.5])
def test_what_self_play_teaches_agrees_with_the_search(discount: float) -> None:
    """The outcomes noted, and what a search finds that looks at nothing but the best moves."""
    world = taking(discount)
    config = SearchConfig(simulations=4000, solver=False, noise=0.0)
    selfplay = SelfPlay(world, 2, config, PlayConfig(sample=0, opening=0), seed=0)
    examples, sums = selfplay.play(takes, 3)
    assert sums["games"] == 2
    ply = examples.observations.argmax(axis=1)
    assert examples.outcome.tolist() == [VALUES[discount][p] for p in ply]
    assert examples.value == pytest.approx(examples.outcome, abs=0.02)


@pytest.mark.parametrize("discount", [1.0, 0.5])
@pytest.mark.parametrize("kind", ["alphazero", "alphago"])
def test_networks_tell_returns_beyond_one(kind: str, discount: float) -> None:
    world = taking(discount)
    options = {
        "alphazero": {"games": 16, "moves": 6, "batch": 32, "hidden": [32], "rate": 1e-2},
        "alphago": {
            "games": 16,
            "opening": 0,
            "batch": 32,
            "hidden": [32],
            "rate": 1e-2,
            "expert": "mcts:simulations=50",
        },
    }[kind]
    learner = make_learner(kind, Task(world, 0), {**options, "simulations": 0})
    list(learner.learn(Budget(6_000)))
    agent: Any = learner.agent
    network = agent.reflex if kind == "alphazero" else agent.searcher.evaluate.value
    assert network.answer(positions(world).observations)[1] == pytest.approx(VALUES[discount], abs=0.6)


@pytest.mark.parametrize("kind", ["alphazero", "alphago"])
def test_returns_without_bound_are_refused(kind: str) -> None:
    with pytest.raises(
        UserError, match=r"taking has returns without bound \[-inf, inf\], .* give the world a return_range"
    ):
        make_learner(kind, Task(taking(1.0, (-np.inf, np.inf))), {})
