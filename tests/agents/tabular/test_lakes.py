"""Undiscounted worlds, in which staying safe is as good as going on: Gymnasium's slippery lakes and small ones."""

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest

from elodrome.agents.agent import Budget, Positions, Task
from elodrome.agents.check import sample_positions
from elodrome.agents.registry import make_agent, make_learner
from elodrome.agents.tabular import arriving
from elodrome.agents.tabular import dynamic_programming as dp
from elodrome.envs.enumeration import Tables, enumerate_world
from elodrome.envs.game import Reals
from elodrome.envs.index import RowIndex
from elodrome.envs.information import InformationStates
from elodrome.envs.registry import make_env
from elodrome.seeding import streams

LAKES = {"gymnasium:FrozenLake-v1": (0.7442, 14 / 17), "gymnasium:FrozenLake8x8-v1": (0.9132, 1.0)}
NO_HURRY = "gridworld:map=S../.T./..G,slip=0.4,step_reward=0,bump_reward=0,trap_reward=0,goal_reward=1"


def within(tables: Tables, policy: Reals, plies: int) -> float:
    """The exact return within ``plies`` of a policy [L, S, A], by the distribution of states going forwards."""
    transition, reward = tables.dense()
    reach = np.zeros(tables.size)
    reach[tables.starts] = tables.start_probability
    total = 0.0
    for ply in range(plies):
        chosen = reach[:, None] * policy[min(plies - ply, len(policy)) - 1]
        total += float((chosen * reward).sum())
        reach = np.einsum("sa,sat->t", chosen, transition)
    return total


@pytest.mark.parametrize("lake", LAKES)
def test_planned_to_the_limit(lake: str) -> None:
    world = make_env(lake)
    tables = enumerate_world(world)
    agent: Any = make_agent("value_iteration:limit=true", world)
    best, _ = LAKES[lake]
    assert agent.value[-1][tables.starts[0]] == pytest.approx(best, abs=5e-5)
    assert within(tables, agent.policy, world.max_steps) == pytest.approx(best, abs=5e-5)


@pytest.mark.parametrize("kind", ["value_iteration", "policy_iteration"])
@pytest.mark.parametrize("lake", LAKES)
def test_planned_without_a_limit_one_still_arrives(lake: str, kind: str) -> None:
    world = make_env(lake)
    tables = enumerate_world(world)
    agent: Any = make_agent(kind, world)
    best, endless = LAKES[lake]
    assert agent.value[0][tables.starts[0]] == pytest.approx(endless, abs=1e-6)
    assert within(tables, agent.policy, 20_000) == pytest.approx(endless, abs=1e-6)
    assert within(tables, agent.policy, world.max_steps) > best - 0.03  # 0.740 and 0.886


def test_games_on_the_lake_are_worth_what_was_planned() -> None:
    world = make_env("gymnasium:FrozenLake-v1")
    agent = make_agent("value_iteration:limit=true", world)
    table, rows = world.table(400), np.arange(400)
    table.reset(rows, streams(3, 400))
    total = 0.0
    while len(rows := rows[table.seats[rows] >= 0]):
        total += table.step(rows, np.asarray(agent.act(Positions.at(table, rows, streams(4, 400)[rows])))).sum()
    assert total / 400 == pytest.approx(0.7442, abs=4 * np.sqrt(0.7442 * 0.2558 / 400))


def test_of_equally_good_actions_those_count_that_end_it_soonest() -> None:
    """Against every deterministic policy among the equally good ones, its expected steps by a linear solve."""
    tables = enumerate_world(make_env(NO_HURRY))
    transition, _ = tables.dense()
    q, *_ = dp.value_iteration(tables, 1.0)
    ties = dp.best_actions(q)
    live = np.flatnonzero(tables.seats >= 0)
    assert ties[live].sum() > len(live)

    def steps_of(policy: Reals) -> Reals:
        p = np.einsum("sa,sat->st", policy, transition)[np.ix_(live, live)]
        if np.abs(np.linalg.eigvals(p)).max() > 1 - 1e-9:
            return np.full(len(live), np.inf)  # it need not end
        return np.linalg.solve(np.eye(len(live)) - p, np.ones(len(live)))

    fewest = np.full(len(live), np.inf)
    for actions in product(*(np.flatnonzero(ties[s]) for s in live)):
        policy = np.zeros(ties.shape)
        policy[live, list(actions)] = 1.0
        fewest = np.minimum(fewest, steps_of(policy))
    assert np.isfinite(fewest).all()
    found = arriving.best_policy(tables, q, 1.0)
    assert (found <= ties).all()
    assert steps_of(found) == pytest.approx(fewest)


def test_the_end_is_sure_only_where_no_outcome_strays() -> None:
    """State 0 may end or stray to 1, which never ends; 2 may do as 0 or end; 3 is the end."""
    seats, legal = np.array([0, 0, 0, -1]), np.array([[1, 0], [1, 0], [1, 1], [0, 0]], np.uint8)
    offsets, next_state = np.array([0, 2, 2, 3, 3, 5, 6, 6, 6]), np.array([3, 1, 1, 3, 1, 3])
    model = seats, legal, offsets, next_state, np.array([0.5, 0.5, 1.0, 0.5, 0.5, 1.0]), np.zeros((6, 1))
    sure = np.zeros(4, np.uint8)
    arriving.mark_sure(model, legal, sure)
    assert sure.tolist() == [0, 0, 1, 1]


def test_a_plan_to_the_limit_knows_how_much_is_left() -> None:
    world = make_env("gymnasium:FrozenLake-v1")
    agent: Any = make_agent("value_iteration:limit=true", world)
    given = sample_positions(world, 64, 0)
    values, _ = dp.backward_induction(enumerate_world(world), 1.0, 100)
    state = agent.states.first[RowIndex(agent.states.observations.astype(np.int64)).find(
        given.observations.astype(np.int64))]  # fmt: skip
    for ply in (0, 50, 98, 99):
        told = agent.evaluate(replace(given, plies=np.full(len(given), ply)))
        assert told.value == pytest.approx(values[100 - ply][state])


def test_where_no_best_action_ends_it_all_of_them_count() -> None:
    """With nothing to win and everything to lose one stays, by any way that is safe."""
    tables = enumerate_world(make_env("gridworld:map=S./TT,step_reward=0,bump_reward=0,trap_reward=-1"))
    q, value, _ = dp.value_iteration(tables, 1.0)
    assert value.max() == value.min() == 0.0
    assert np.array_equal(arriving.best_policy(tables, q, 1.0) > 0, dp.best_actions(q) > 0)


def test_backward_induction_against_dense_matrices() -> None:
    tables = enumerate_world(make_env(NO_HURRY))
    transition, reward = tables.dense()
    values, best = dp.backward_induction(tables, 0.9, 12)
    value = np.zeros(tables.size)
    live = tables.seats >= 0
    for left in range(1, 13):
        q = reward + 0.9 * transition @ value
        value = np.where(live, q.max(axis=1), 0.0)
        assert values[left] == pytest.approx(value, abs=1e-12)
        assert np.array_equal(best[left][live] > 0, (q >= q.max(axis=1, keepdims=True) - 1e-9)[live])


@pytest.mark.parametrize(("lake", "least"), [("gymnasium:FrozenLake-v1", 0.72), ("gymnasium:FrozenLake8x8-v1", 0.80)])
def test_q_learning_with_its_defaults_crosses_the_lake(lake: str, least: float) -> None:
    """0.740 and 0.89 over 16 seeds, at the default number of steps; the exact return of the agent that is kept."""
    world = make_env(lake)
    states = InformationStates.of(world)
    live = states.tables.seats >= 0
    for seed in range(3):
        learner: Any = make_learner("q_learning", Task(world, seed), {})
        list(learner.learn(Budget(learner.default_steps)))
        q = learner.weights()["q"]
        policy = np.zeros(states.tables.legal.shape)
        policy[live] = (q == q.max(axis=1, keepdims=True))[states.info[live]]
        policy /= np.maximum(policy.sum(axis=1, keepdims=True), 1)
        assert within(states.tables, policy[None], world.max_steps) >= least
