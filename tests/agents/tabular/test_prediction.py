"""Predictions against exact values, the published figures of the 19-state walk, and TD(lambda)'s views of itself."""

from typing import Any

import numpy as np
import pytest

from elodrome.agents.agent import Budget, Task
from elodrome.agents.check import sample_positions
from elodrome.agents.registry import make_learner
from elodrome.agents.specs import builtin
from elodrome.agents.tabular import dynamic_programming as dp
from elodrome.agents.tabular.lambda_return import LambdaReturn
from elodrome.agents.tabular.n_step_td import NStepTD, NStepTDConfig
from elodrome.agents.tabular.prediction import Prediction, value_errors
from elodrome.agents.tabular.td_lambda import TDLambdaConfig
from elodrome.envs.enumeration import enumerate_world
from elodrome.envs.game import Game
from elodrome.envs.information import InformationStates
from elodrome.envs.registry import make_env
from elodrome.errors import UserError

KINDS = sorted(name for name, kind in builtin().items() if issubclass(kind.load(), Prediction))


def test_there_are_five() -> None:
    assert KINDS == ["lambda_return", "monte_carlo_prediction", "n_step_td", "td", "td_lambda"]


def walk_values(world: Game) -> Any:
    place = InformationStates.of(world).observations.argmax(axis=1) + 1
    return -1 + 2 * place / (world.observation_size + 1)


@pytest.mark.parametrize(
    ("n", "alpha", "published"), [(1, 0.8, 0.348), (2, 0.6, 0.280), (4, 0.4, 0.268), (8, 0.2, 0.283), (16, 0.1, 0.324)]
)
def test_the_nineteen_state_walk(n: int, alpha: float, published: float) -> None:
    """Sutton & Barto's figure 7.2: the error over the first 10 episodes, 100 runs; either side has its own noise."""
    world = make_env("random_walk")
    errors = value_errors(NStepTD, world, NStepTDConfig(n=n, alpha=alpha), range(100), 10, walk_values(world))
    error = errors.mean(axis=1).std(ddof=1) / 10
    assert error < 0.007
    assert abs(errors.mean() - published) < 3 * np.hypot(error, 0.004)


@pytest.mark.parametrize("kind", KINDS)
def test_running_out_of_time_is_no_end(kind: str) -> None:
    """Sutton & Barto's grid never ends; cut every 20 steps, random play is worth what it is in the endless task."""
    world = make_env("gridworld:map=sutton_barto_5x5,max_steps=20")
    settings: dict[str, Any] = {"alpha": 1.0, "alpha_power": 0.6 if "td" in kind or "lambda" in kind else 1.0}
    learner = make_learner(kind, Task(world), settings)
    list(learner.learn(Budget(1_500_000)))
    told = learner.agent.evaluate(sample_positions(world, 200, 0)).value
    value = np.full(25, np.nan)
    value[sample_positions(world, 200, 0).observations.reshape(200, -1).argmax(axis=1)] = told
    tables = enumerate_world(world)
    exact = np.zeros(25)
    live = tables.seats >= 0
    exact[tables.states[live, 0]] = dp.policy_evaluation(tables, dp.uniform_policy(tables), 0.9)[live]
    met = ~np.isnan(value)
    assert met.sum() > 15
    assert value[met] == pytest.approx(exact[met], abs=0.35)


def test_offline_td_lambda_adds_up_to_the_lambda_return() -> None:
    """The backward view, kept for a whole episode and applied at its end, state by state."""
    world = make_env("random_walk:states=7")
    config = TDLambdaConfig(lam=0.7, alpha=0.2, discount=0.9, initial=0.3)
    learner = LambdaReturn(Task(world, 5), config)
    run, value = learner.run, learner.run.q[:, 0].copy()
    for _ in range(200):
        e, change, over = np.zeros_like(value), np.zeros_like(value), False
        while not over:
            learner.advance(learner.states, run, np.zeros((2, 1)), 1)
            i, r, over = int(run.held[0, 0]), float(run.sums[0, 0]), bool(run.clock[5])
            following = 0.0 if over else value[learner.states.info[run.clock[0]]]
            e[i] += 1.0
            change += 0.2 * (r + 0.9 * following - value[i]) * e
            e *= 0.9 * 0.7
        value += change
        assert value == pytest.approx(run.q[:, 0], abs=1e-12)


@pytest.mark.parametrize("first", [True, False])
def test_first_and_every_visit_by_hand(first: bool) -> None:
    """One way only, round a loop: S is met at steps 0 and, with luck, 2; -1 a step, 0 to reach the goal."""
    world = make_env("gridworld:map=SG,step_reward=-1,goal_reward=0,bump_reward=-1")
    learner = make_learner("monte_carlo_prediction", Task(world, 2), {"first": first})
    returns, lengths = [], []
    finished = np.zeros((50, 1))
    learner.advance(learner.states, learner.run, finished, 10_000)
    for total in finished[:, 0]:
        length = int(1 - total)  # every step but the last costs 1
        lengths.append(length)
        returns += [1.0 - length] if first else [1.0 - k for k in range(1, length + 1)]
    assert max(lengths) > 5
    assert learner.run.q[0, 0] == pytest.approx(np.mean(returns))


def test_the_policy_of_any_agent_is_evaluated_and_acted_by() -> None:
    world = make_env("cliff_walking")
    settings = {"policy": "value_iteration", "epsilon": 0.1, "alpha": 1.0, "alpha_power": 0.7}
    learner = make_learner("td", Task(world, 1), settings)
    list(learner.learn(Budget(1_000_000)))
    tables = enumerate_world(world)
    q, *_ = dp.value_iteration(tables, 1.0)
    greedy = dp.best_actions(q)
    greedy /= np.maximum(greedy.sum(axis=1, keepdims=True), 1)
    soft = 0.9 * greedy + 0.1 * dp.uniform_policy(tables)
    exact = dp.policy_evaluation(tables, soft, 1.0)
    positions = sample_positions(world, 64, 0)
    told = learner.agent.evaluate(positions)
    start = positions.observations.reshape(64, -1).argmax(axis=1) == 36
    assert start.any()
    assert told.value[start] == pytest.approx(exact[tables.starts[0]], abs=2.5)  # -50.80
    assert np.sort(told.policy[start][0]) == pytest.approx([0.025, 0.025, 0.025, 0.925])
    given = positions.take(np.repeat(np.flatnonzero(start)[:1], 4000))
    given.seeds[:] = np.arange(4000)
    assert np.bincount(learner.agent.act(given), minlength=4) / 4000 == pytest.approx(told.policy[start][0], abs=0.02)


def test_an_agent_that_tells_no_probabilities_has_no_policy_to_evaluate(tmp_path: Any) -> None:
    file = tmp_path / "mute.py"
    file.write_text(
        "from elodrome.agents.agent import Agent\n\nclass Mute(Agent):\n"
        "    def choose(self, position):\n        return int(position.legal_actions[0])\n"
    )
    with pytest.raises(UserError, match="this agent does not tell its probabilities; name one that does"):
        make_learner("td", Task(make_env("cliff_walking")), {"policy": f"{file}:Mute"})
