"""SARSA and Q-learning against exact solutions, the known figures of cliff walking, and play against random."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from elodrome.agents.agent import Budget, Task
from elodrome.agents.check import check_agent
from elodrome.agents.parts.saved import load_checkpoint, save_checkpoint
from elodrome.agents.parts.tabular import Runs, TabularConfig, TabularLearner
from elodrome.agents.specs import builtin, make_config
from elodrome.agents.tabular.expected_sarsa import ExpectedSarsa
from elodrome.agents.tabular.q_lambda import QLambda
from elodrome.agents.tabular.q_learning import QLearning
from elodrome.agents.tabular.sarsa import Sarsa
from elodrome.agents.tabular.sarsa_lambda import SarsaLambda
from elodrome.envs.enumeration import enumerate_world
from elodrome.envs.game import Game, Reals
from elodrome.envs.information import InformationStates
from elodrome.envs.registry import make_env
from elodrome.errors import UserError

SLIPPERY = "gridworld:map=S.T/.../..G,slip=0.4,discount=0.9,step_reward=-1,goal_reward=5"


def exact_q(world: Game, policy: str) -> Reals:
    """Q [S, A] of optimal play, or of uniformly random play by a linear solve."""
    tables = enumerate_world(world)
    transition, reward = tables.dense()
    live = tables.seats >= 0
    value = np.zeros(tables.size)
    if policy == "uniform":
        system = np.eye(tables.size) - world.discount * transition.mean(axis=1)
        value[live] = np.linalg.solve(system[np.ix_(live, live)], reward.mean(axis=1)[live])
    else:
        for _ in range(2000):
            value[live] = (reward + world.discount * transition @ value).max(axis=1)[live]
    return (reward + world.discount * transition @ value)[live]


@pytest.mark.parametrize(("learner", "policy"), [(QLearning, "optimal"), (Sarsa, "uniform")])
def test_robbins_monro_steps_converge_to_the_exact_values(learner: type[TabularLearner], policy: str) -> None:
    world = make_env(SLIPPERY)
    config = TabularConfig(alpha=1.0, alpha_power=0.7, epsilon=1.0)
    trained = learner(Task(world, 3), config)
    exact = exact_q(world, policy)
    list(trained.learn(Budget(30_000)))
    early = np.abs(trained.run.q - exact).mean()
    list(trained.learn(Budget(3_000_000)))
    error = np.abs(trained.run.q - exact)
    # The limit law of stochastic approximation: variance alpha_n / 2 times that of a target, which lies in [-10, 5].
    assert (error < 4 * 7.5 * np.sqrt(trained.run.visits**-0.7 / 2)).all()
    assert error.mean() < early / 4


def test_running_out_of_time_is_no_end() -> None:
    """Sutton & Barto's 5 x 5 grid never ends; cut every 20 steps, its values are still those of the endless task."""
    world = make_env("gridworld:map=sutton_barto_5x5,max_steps=20")
    trained = QLearning(Task(world), TabularConfig(alpha=1.0, epsilon=1.0))
    list(trained.learn(Budget(300_000)))
    row = [np.flatnonzero(o)[0] for o in trained.states.observations]
    value = np.zeros(25)
    value[row] = trained.run.q.max(axis=1)
    assert value[:5].round(1).tolist() == [22.0, 24.4, 22.0, 19.4, 17.5]


@pytest.fixture(scope="module")
def cliff() -> Game:
    return make_env("cliff_walking")


@pytest.fixture(scope="module")
def runs(cliff: Game) -> dict[str, Runs]:
    config = TabularConfig(alpha=0.5, epsilon=0.1, discount=1.0)
    return {cls.__name__: cls.run_control(cliff, config, range(50), 500) for cls in (QLearning, Sarsa)}


def greedy_path_length(world: Game, q: Reals) -> int:
    """Steps of greedy play to the goal, 999 where it goes round in circles."""
    model = InformationStates.of(world).model
    state, steps = int(model.starts[0]), 0
    while model.seats[state] >= 0 and steps < 999:
        state = int(model.next_state[model.offsets[state * world.actions + int(q[model.info[state]].argmax())]])
        steps += 1
    return steps


@pytest.mark.parametrize(("name", "reference"), [("QLearning", -51.4), ("Sarsa", -27.4)])
def test_cliff_walking_returns_while_learning(runs: dict[str, Runs], name: str, reference: float) -> None:
    assert runs[name].returns[:, -100:].mean() == pytest.approx(reference, abs=3.0)


def test_cliff_walking_paths(cliff: Game, runs: dict[str, Runs]) -> None:
    bold = [greedy_path_length(cliff, q) for q in runs["QLearning"].q]
    assert np.median(bold) == 13
    safe = [greedy_path_length(cliff, q) for q in runs["Sarsa"].q]
    assert np.median(safe) >= 15
    assert sum(n == 13 for n in safe) < 5


@pytest.mark.parametrize("learner", [QLearning, ExpectedSarsa, SarsaLambda, QLambda])
def test_the_shortest_way_through_the_maze(learner: type[TabularLearner]) -> None:
    world = make_env("gridworld:map=maze")
    trained = learner(Task(world, 2))
    list(trained.learn(Budget(200_000)))
    assert greedy_path_length(world, trained.run.q) == 14


def test_the_same_seeds_give_the_same_runs_on_any_number_of_threads(cliff: Game) -> None:
    one, three = (Sarsa.run_control(cliff, TabularConfig(), range(7), 40, threads=n) for n in (1, 3))
    assert np.array_equal(one.returns, three.returns)
    assert np.array_equal(one.q, three.q)
    assert one.steps == three.steps


def score_against_random(world: Game, learner: TabularLearner, seat: int) -> float:
    """The exact mean return of greedy play (ties at random) against uniformly random play in tic-tac-toe."""
    tables = enumerate_world(world)
    info = learner.states.info
    reach = np.zeros(tables.size)
    reach[tables.starts] = 1.0
    score = 0.0
    for s in np.flatnonzero(tables.seats >= 0):
        best = learner.run.q[info[s]] == learner.run.q[info[s]].max()
        chosen = best if tables.seats[s] == seat else tables.legal[s]
        for a in np.flatnonzero(chosen):
            edge = tables.offsets[s * 9 + a]
            p = reach[s] / chosen.sum()
            reach[tables.next_state[edge]] += p
            score += p * tables.reward[edge, seat]
    return score


@pytest.mark.parametrize("learner", [QLearning, Sarsa])
def test_self_play_learns_tic_tac_toe(learner: type[TabularLearner]) -> None:
    world = make_env("tic_tac_toe")
    trained = learner(Task(world))
    list(trained.learn(Budget(2_000_000)))
    assert score_against_random(world, trained, 0) > 0.9  # random play itself: 0.30, the best possible 0.995
    assert score_against_random(world, trained, 1) > 0.7  # random play itself: -0.30, the best possible 0.925


@pytest.mark.parametrize("learner", [QLearning, Sarsa])
def test_seats_that_cannot_see_each_other_both_defect(learner: type[TabularLearner]) -> None:
    trained = learner(Task(make_env("prisoners_dilemma")), TabularConfig(alpha=0.05, epsilon=0.2))
    assert trained.run.q.shape == (2, 2)  # one information state for each seat, though there are more states
    list(trained.learn(Budget(50_000)))
    assert trained.run.q.argmax(axis=1).tolist() == [1, 1]


@pytest.mark.parametrize("world", ["cliff_walking", "tic_tac_toe", "prisoners_dilemma:rounds=2"])
@pytest.mark.parametrize("kind", ["q_learning", "sarsa"])
def test_conformance(kind: str, world: str) -> None:
    assert check_agent(kind, make_env(world)) == []


@pytest.mark.parametrize("world", ["tic_tac_toe", "open_spiel:kuhn_poker"])
def test_a_learner_resumed_from_a_checkpoint_goes_on_exactly(world: str, tmp_path: Path) -> None:
    """Every one, amid an episode of several seats, with tables and without; alone: ``test_every_learner``."""
    learners: list[Any] = [kind.load() for kind in builtin().values() if kind.about.needs == ("few",)]
    for cls in learners:
        whole, first, second = (cls(Task(make_env(world), 5)) for _ in range(3))
        list(whole.learn(Budget(4321)))
        list(first.learn(Budget(1234)))
        save_checkpoint(tmp_path, 1234, first.snapshot())
        _, snapshot = load_checkpoint(tmp_path) or (0, {})
        second.resume(snapshot)
        list(second.learn(Budget(4321)))
        for name, array in whole.run.arrays().items():
            assert np.array_equal(array, second.run.arrays()[name]), name


def test_the_acting_agent_is_frozen(cliff: Game) -> None:
    learner = QLearning(Task(cliff))
    list(learner.learn(Budget(1000)))
    agent = learner.agent
    before = agent.q.copy()
    list(learner.learn(Budget(5000)))
    assert np.array_equal(agent.q, before)


def test_bad_settings_are_refused() -> None:
    with pytest.raises(UserError, match="alpha"):
        make_config("q_learning", QLearning, {"alpha": 2})
