"""Dynamic programming against linear solves, the numbers of Sutton & Barto, and exact figures of cliff walking."""

from dataclasses import replace
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pytest

from elodrome.agents.check import check_agent, sample_positions
from elodrome.agents.registry import make_agent
from elodrome.agents.tabular import dynamic_programming as dp
from elodrome.agents.tabular.value_iteration import ValueIteration
from elodrome.envs.enumeration import Tables, enumerate_world
from elodrome.envs.game import Reals
from elodrome.envs.index import RowIndex
from elodrome.envs.registry import make_env
from elodrome.errors import UserError

SLIPPERY = "gridworld:map=S.T/.#./..G,slip=0.3,discount=0.8,goal_reward=4"


@pytest.fixture(scope="module")
def slippery() -> Tables:
    return enumerate_world(make_env(SLIPPERY))


@pytest.fixture(scope="module")
def cliff() -> Tables:
    return enumerate_world(make_env("cliff_walking"))


def by_linear_solve(tables: Tables, policy: Reals, discount: float) -> Reals:
    """V [S] from (I - gamma P_pi) V = R_pi on the states that are not over."""
    transition, reward = tables.dense()
    live = tables.seats >= 0
    p = np.einsum("sa,sat->st", policy, transition)[np.ix_(live, live)]
    value = np.zeros(tables.size)
    value[live] = np.linalg.solve(np.eye(live.sum()) - discount * p, (policy * reward).sum(axis=1)[live])
    return value


def on_the_grid(tables: Tables, value: Reals, cells: int) -> Reals:
    grid = np.zeros(cells)
    live = tables.seats >= 0
    grid[tables.states[live, 0]] = value[live]
    return grid


def test_policy_evaluation_equals_the_linear_solve(slippery: Tables) -> None:
    for seed in range(5):
        policy = np.random.default_rng(seed).random(slippery.legal.shape) * slippery.legal
        policy /= np.maximum(policy.sum(axis=1, keepdims=True), 1e-300)
        found = dp.policy_evaluation(slippery, policy, 0.8)
        assert found == pytest.approx(by_linear_solve(slippery, policy, 0.8), abs=1e-9)


def test_policy_and_value_iteration_agree_with_trying_every_policy(slippery: Tables) -> None:
    live = np.flatnonzero(slippery.seats >= 0)
    assert len(live) == 5
    best = np.full(slippery.size, -np.inf)
    for actions in product(range(4), repeat=len(live)):
        policy = np.zeros(slippery.legal.shape)
        policy[live, actions] = 1.0
        best = np.maximum(best, by_linear_solve(slippery, policy, 0.8))
    q, value, _ = dp.value_iteration(slippery, 0.8)
    policy, other, rounds = dp.policy_iteration(slippery, 0.8)
    assert value == pytest.approx(best, abs=1e-9)
    assert other == pytest.approx(best, abs=1e-9)
    assert value == pytest.approx(by_linear_solve(slippery, policy, 0.8), abs=1e-9)
    assert q[live].max(axis=1) == pytest.approx(value[live], abs=1e-9)
    assert rounds < 10


def test_the_error_shrinks_by_the_discount_in_every_sweep(slippery: Tables) -> None:
    _, optimal, _ = dp.value_iteration(slippery, 0.8)
    model = dp.model_of(slippery)
    value = np.random.default_rng(0).normal(size=slippery.size) * 10
    value[slippery.seats < 0] = 0.0
    error = np.abs(value - optimal).max()
    for _ in range(40):
        dp.optimality_sweep(model, 0.8, value)
        smaller = np.abs(value - optimal).max()
        assert smaller <= 0.8 * error + 1e-12
        error = smaller


def test_the_gridworld_of_sutton_and_barto() -> None:
    tables = enumerate_world(make_env("gridworld:map=sutton_barto_5x5"))
    random = dp.policy_evaluation(tables, dp.uniform_policy(tables), 0.9)
    assert on_the_grid(tables, random, 25)[:5].round(1).tolist() == [3.3, 8.8, 4.4, 5.3, 1.5]
    _, optimal, _ = dp.value_iteration(tables, 0.9)
    assert on_the_grid(tables, optimal, 25)[:5].round(1).tolist() == [22.0, 24.4, 22.0, 19.4, 17.5]


def test_exact_returns_of_cliff_walking(cliff: Tables) -> None:
    start = cliff.starts[0]
    q, value, _ = dp.value_iteration(cliff, 1.0)
    assert value[start] == -13.0
    greedy = dp.best_actions(q)
    greedy /= np.maximum(greedy.sum(axis=1, keepdims=True), 1)
    soft = 0.9 * greedy + 0.1 * dp.uniform_policy(cliff)
    assert dp.policy_evaluation(cliff, soft, 1.0)[start] == pytest.approx(-50.80, abs=0.005)
    policy, best_soft, _ = dp.policy_iteration(cliff, 1.0, epsilon=0.1)
    assert best_soft[start] == pytest.approx(-20.71, abs=0.005)
    state, steps = start, 0
    while cliff.seats[state] >= 0:
        state, steps = cliff.next_state[cliff.offsets[state * 4 + policy[state].argmax()]], steps + 1
    assert steps == 15
    _, best, _ = dp.policy_iteration(cliff, 1.0)
    assert best[start] == -13.0


def test_a_policy_that_never_ends_is_refused(cliff: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dp, "SWEEPS", 1000)
    up = np.zeros(cliff.legal.shape)
    up[:, 0] = cliff.seats >= 0
    with pytest.raises(UserError, match="do not converge at discount 1"):
        dp.policy_evaluation(cliff, up, 1.0)


def test_several_seats_are_refused() -> None:
    with pytest.raises(UserError, match="one seat"):
        dp.value_iteration(enumerate_world(make_env("tic_tac_toe")), 1.0)


def test_the_agent_walks_along_the_cliff() -> None:
    world = make_env("cliff_walking")
    agent = ValueIteration(world)
    table = world.table(1)
    row = np.array([0])
    table.reset(row, np.zeros(1, np.uint64))
    total = 0.0
    while table.seats[0] >= 0:
        given = sample_positions(world, 1, 0)
        now = type(given)(
            world, table.observe(row), table.legal(row), table.seats.copy(), table.states(row), given.seeds, row, row
        )
        total += table.step(row, agent.act(now))[0, 0]
    assert total == -13.0


@pytest.mark.parametrize("world", ["cliff_walking", SLIPPERY, "gridworld:map=four_rooms", "gymnasium:Taxi-v4"])
@pytest.mark.parametrize(
    "spec", ["value_iteration", "value_iteration:limit=true", "policy_iteration", "policy_evaluation:discount=0.9"]
)
def test_conformance(spec: str, world: str) -> None:
    assert check_agent(spec, make_env(world)) == []


def test_games_are_evaluated_for_every_seat() -> None:
    """Random play at tic-tac-toe: the first wins 737 games of 1260, the second 363. With a discount, by recursion."""
    world = make_env("tic_tac_toe")
    tables = enumerate_world(world)
    policy = dp.uniform_policy(tables)
    value = dp.joint_evaluation(tables, policy, 1.0)
    assert value[tables.starts[0]] == pytest.approx([374 / 1260, -374 / 1260], abs=1e-12)
    found = dp.joint_evaluation(tables, policy, 0.5)

    @cache
    def worth(s: int, seat: int) -> float:
        total = 0.0
        for a in np.flatnonzero(tables.legal[s]):
            edge = tables.offsets[s * 9 + a]
            to = int(tables.next_state[edge])
            fade = 0.5 if tables.seats[to] == seat else 1.0
            total += policy[s, a] * (tables.reward[edge, seat] + fade * worth(to, seat))
        return total

    wanted = [[worth(s, seat) for seat in range(2)] for s in range(tables.size)]
    assert found == pytest.approx(np.array(wanted), abs=1e-12)
    told: Any = make_agent("policy_evaluation", world)
    positions = sample_positions(world, 50, 0)
    assert told.evaluate(positions).value == pytest.approx(
        [value[RowIndex(tables.states).find(row[None])[0], seat]
         for row, seat in zip(positions.states, positions.seats, strict=True)]
    )  # fmt: skip
    perfect: Any = make_agent("policy_evaluation:policy=minimax", world)
    assert perfect.value[0][tables.starts[0]] == 0.0
    assert check_agent("policy_evaluation:policy=minimax,epsilon=0.2", world) == []


def test_with_one_seat_it_is_policy_evaluation(slippery: Tables) -> None:
    policy = dp.uniform_policy(slippery)
    many = replace(slippery, game=replace(slippery.game, max_steps=1000))
    one = dp.joint_evaluation(many, policy, 0.8)[:, 0]
    assert one == pytest.approx(dp.policy_evaluation(slippery, policy, 0.8), abs=1e-9)


def test_in_games_the_limit_of_steps_is_a_rule(slippery: Tables) -> None:
    policy = dp.uniform_policy(slippery)
    transition, reward = slippery.dense()
    value = np.zeros(slippery.size)
    for _ in range(5):
        value = (policy * (reward + 0.8 * transition @ value)).sum(axis=1)
    short = replace(slippery, game=replace(slippery.game, max_steps=5))
    assert dp.joint_evaluation(short, policy, 0.8)[:, 0] == pytest.approx(value, abs=1e-12)


def test_a_policy_is_evaluated_and_acted_by() -> None:
    world = make_env("gridworld:map=sutton_barto_5x5")
    agent: Any = make_agent("policy_evaluation:policy=random", world)
    positions = sample_positions(world, 100, 1)
    told = agent.evaluate(positions)
    top = positions.observations.reshape(100, -1).argmax(axis=1) == 1
    assert told.value[top].round(1).tolist() == [8.8] * top.sum()
    assert (told.policy == 0.25).all()
    soft: Any = make_agent("policy_evaluation:policy=value_iteration,epsilon=0.1", make_env("cliff_walking"))
    assert soft.value[0][soft.states.tables.starts[0]] == pytest.approx(-50.80, abs=0.005)
