"""Gridworlds against Gymnasium's tables and Sutton & Barto's figures; the random walk against its exact values."""

from __future__ import annotations

from collections import deque
from typing import Any

import gymnasium
import numpy as np
import pytest

from elodrome import make_env
from elodrome.agents.parts.exact import Decisions
from elodrome.envs.enumeration import enumerate_world
from elodrome.envs.gridworlds.gridworld import gridworld
from elodrome.envs.information import InformationStates
from elodrome.errors import UserError


def one_step(world: Any, cell: int, action: int, outcome: int = 0) -> tuple[int, float, bool]:
    """Next cell, reward and end of a step from a cell."""
    row, rewards = world.template.copy(), np.zeros(1)
    row[0] = cell
    world.step(row, action, outcome, rewards)
    seen = np.full(world.observation_size, 5, np.float32)
    world.observe(row, 0, seen)
    assert seen.sum() == 1
    return int(seen.argmax()), float(rewards[0]), world.player(row) < 0


@pytest.mark.parametrize("actions", [2, 10])
def test_two_doors_are_worth_what_sutton_and_barto_say(actions: int) -> None:
    """Example 6.7: the room costs 0.1 in the mean, with a standard deviation of 1, and outside nothing happens."""
    tables = enumerate_world(make_env(f"doors:actions={actions}"))
    places = tables.states[:, 0]
    start, room = int(tables.starts[0]), int(np.flatnonzero(places == 1)[0])
    assert tables.legal[start].tolist() == [1, 1] + [0] * (actions - 2)
    assert tables.legal[room].all()
    p, r = tables.dense()
    assert r[room] == pytest.approx(-0.1)
    assert r[start, :2] == pytest.approx(0.0)
    assert p[start, 0, room] == 1
    assert places[p[start, 1].argmax()] == 2
    at = room * actions
    paid = tables.reward[tables.offsets[at] : tables.offsets[at + 1], 0]
    assert paid.std() == pytest.approx(1.0)


@pytest.mark.parametrize("actions", ["1", "1001", "two", "[2]", "2.5", "true"])
def test_doors_of_no_sense_are_refused(actions: str) -> None:
    with pytest.raises(UserError, match="a whole number from 2 to 1000"):
        make_env(f"doors:actions={actions}")


def test_cliff_walking_is_gymnasiums() -> None:
    """All 37 states in which one can stand, all actions (Gymnasium lists the cliff and the goal as well)."""
    world = make_env("cliff_walking")
    table = gymnasium.make("CliffWalking-v1").unwrapped.P
    for cell in range(37):
        for action in range(4):
            ((probability, after, reward, ended),) = table[cell][action]
            assert probability == 1
            assert one_step(world, cell, action) == (after, reward, ended), (cell, action)
    row = world.template.copy()
    world.reset(row, 0)
    assert row[0] == 36
    assert enumerate_world(world).size == 38
    assert world.return_range == (-100_000, -13)


@pytest.mark.parametrize(("name", "limit"), [("lake", 100), ("lake_8x8", 200)])
def test_lakes_are_gymnasiums(name: str, limit: int) -> None:
    """FrozenLake's slippery maps: its three equal outcomes are a slip of 2/3. Its actions: left, down, right, up."""
    env = gymnasium.make("FrozenLake8x8-v1" if "8" in name else "FrozenLake-v1", is_slippery=True)
    world = gridworld(name)
    assert world.max_steps == env.spec.max_episode_steps == limit
    theirs = {0: 3, 1: 2, 2: 1, 3: 0}
    probs = np.zeros(3)
    row = world.template.copy()
    for cell, symbol in enumerate(world.extra.text.replace("/", "")):
        if symbol in "TG":
            continue
        for action, ours in theirs.items():
            row[0] = cell
            assert world.chance(row, ours, probs) == 3
            found = sorted((round(float(probs[k]), 9), *one_step(world, cell, ours, k)) for k in range(3))
            wanted = sorted((round(p, 9), s, float(r), e) for p, s, r, e in env.unwrapped.P[cell][action])
            assert found == wanted


@pytest.mark.parametrize(
    ("options", "wind", "bump", "goal"),
    [
        ({"map": "windy", "slip": 0.1}, [0, 0, 0, 1, 1, 1, 2, 2, 1, 0], -1.0, -1.0),
        (
            {"map": "..#./S..G/#T../..#./....", "wind": [2, 0, 1, 3], "slip": 0.5, "bump_reward": -5},
            [2, 0, 1, 3],
            -5.0,
            0.0,
        ),
    ],
)
def test_wind_against_a_slow_walk(options: dict[str, Any], wind: list[int], bump: float, goal: float) -> None:
    """Sutton & Barto, example 6.5: the wind of the column that one leaves blows after the move."""
    world = gridworld(**options)
    grid, pays = world.extra.grid, {"G": goal, "T": -10.0}

    def free(r: int, c: int) -> bool:
        return 0 <= r < len(grid) and 0 <= c < len(wind) and grid[r, c] != "#"

    for cell in range(grid.size):
        r, c = divmod(cell, len(wind))
        if grid[r, c] in "#GT":
            continue
        for action, (down, right) in enumerate([(-1, 0), (0, 1), (1, 0), (0, -1)]):
            moved = free(r + down, c + right)
            row, column = (r + down, c + right) if moved else (r, c)
            for _ in range(wind[c]):
                if not free(row - 1, column):
                    break
                row, moved = row - 1, True
            reward = pays.get(str(grid[row, column]), -1.0) if moved else bump
            assert one_step(world, cell, action) == (row * len(wind) + column, reward, grid[row, column] in "GT")
            assert one_step(world, cell, (action - 1) % 4, 1) == one_step(world, cell, action)  # a slip to its right


def values(world: Any, discount: float, policy: np.ndarray | None) -> np.ndarray:
    """V by cell: of the uniform policy by a linear solve, or optimal by iteration until nothing changes."""
    tables = enumerate_world(world)
    transition, reward = tables.dense()
    if policy is not None:
        p = np.einsum("sa,sat->st", policy, transition)
        v = np.linalg.solve(np.eye(tables.size) - discount * p, (policy * reward).sum(1))
    else:
        v = np.zeros(tables.size)
        for _ in range(2000):
            v = (reward + discount * transition @ v).max(1)
    by_cell = np.full(world.observation_size, np.nan)
    by_cell[tables.states[:, 0]] = v
    return by_cell


def test_sutton_barto_5x5() -> None:
    """Sutton & Barto, figures 3.2 and 3.5."""
    world = make_env("gridworld:map=sutton_barto_5x5")
    assert world.discount == 0.9
    random = values(world, 0.9, np.full((25, 4), 0.25)).reshape(5, 5)
    np.testing.assert_allclose(random[0], [3.3, 8.8, 4.4, 5.3, 1.5], atol=0.05)
    np.testing.assert_allclose(random[4], [-1.9, -1.3, -1.2, -1.4, -2.0], atol=0.05)
    best = values(world, 0.9, None).reshape(5, 5)
    np.testing.assert_allclose(best[0], [22.0, 24.4, 22.0, 19.4, 17.5], atol=0.05)
    np.testing.assert_allclose(best[4], [14.4, 16.0, 14.4, 13.0, 11.7], atol=0.05)


@pytest.mark.parametrize(
    ("name", "shortest"), [("maze", 14), ("windy", 15), ("four_rooms", 20), ("cliff", 13), ("3x3", 4), ("4x4", 6)]
)
def test_shortest_paths(name: str, shortest: int) -> None:
    """Breadth-first through the rules, against the maze's published 14 and distances by hand."""
    world = make_env(f"gridworld:map={name}")
    row = world.template.copy()
    world.reset(row, 0)
    seen, queue = {int(row[0])}, deque([(int(row[0]), 0)])
    while queue:
        cell, steps = queue.popleft()
        for action in range(4):
            after, reward, ended = one_step(world, cell, action)
            if ended and reward == max(one_step(world, c, a)[1] for c in seen for a in range(4)):
                assert steps + 1 == shortest
                return
            if not ended and after not in seen:
                seen.add(after)
                queue.append((after, steps + 1))
    pytest.fail("the goal cannot be reached")


def test_portals_cliffs_traps_bumps_by_hand() -> None:
    world = gridworld(
        "SA.#/.B.a/bTCG", step_reward=-1, goal_reward=9, trap_reward=-7, cliff_reward=-50, bump_reward=-3,
        portal_rewards={"A": 2.0, "B": -1.0},
    )  # fmt: skip
    assert one_step(world, 0, 1) == (1, -1, False)  # onto the portal: floor
    assert [one_step(world, 1, a) for a in range(4)] == [(7, 2, False)] * 4  # off it: always to a
    assert one_step(world, 5, 2) == (8, -1, False)
    assert one_step(world, 0, 0) == (0, -3, False)  # the edge
    assert one_step(world, 2, 1) == (2, -3, False)  # a wall
    assert one_step(world, 7, 0) == (7, -3, False)
    assert one_step(world, 6, 2) == (0, -50, False)
    assert one_step(world, 8, 1) == (9, -7, True)
    assert one_step(world, 7, 2) == (11, 9, True)


def test_rows_by_newline_or_slash_and_several_starts() -> None:
    assert gridworld("S.\n.G") == gridworld("S./.G")
    world = gridworld("S.S/..G")
    probs = np.zeros(world.outcomes)
    assert world.chance(world.template.copy(), -1, probs) == 2
    assert probs.tolist() == [0.5, 0.5]
    row = world.template.copy()
    world.reset(row, 1)
    assert row[0] == 2
    assert world.look.marker(row) == (0, 2)
    assert world.draw(row) == "S.@/..G".replace("/", "\n")


def test_ids_differ_with_what_differs() -> None:
    ids = [
        gridworld(**o).id
        for o in (
            {},
            {"slip": 0.1},
            {"map": "3x3"},
            {"map": "S.G/..."},
            {"map": "S.G/...", "goal_reward": 2},
            {"map": "S.G/...", "wind": [0, 1, 0]},
        )
    ]
    assert len(set(ids)) == 6
    assert gridworld(slip=0.0).id == gridworld().id
    for id in ids:
        again = make_env(id)
        assert again.id == id


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"map": "S../.."}, "row 2 has 2 cells where row 1 has 3"),
        ({"map": "S.?/..G"}, "row 1, column 3: unknown symbol '?'"),
        ({"map": "SA./..G"}, "row 1, column 2: portal 'A' needs exactly one exit 'a'"),
        ({"map": "S.b/..G"}, "row 1, column 3: exit 'b' has no portal"),
        ({"map": "..C/..G"}, "row 1, column 3: a cliff C"),
        ({"map": "##/##"}, "no cell to start on"),
        ({"map": "maz"}, "did you mean 'maze'"),
        ({"map": ""}, "1 to 4096 cells"),
        ({"map": 5}, "is not text"),
        ({"slip": 1.5}, "slip=1.5 is not between 0 and 1"),
        ({"slip": "x"}, "slip='x' is not a finite number"),
        ({"max_steps": 0}, "max_steps=0"),
        ({"portal_rewards": {"A": 1}}, "portal_rewards names 'A'"),
        ({"portal_rewards": 3}, "not a table"),
        ({"map": "S./.G", "wind": [1]}, "wind=[1] is not a list of 2 whole numbers from 0 to 2"),
        ({"map": "S./.G", "wind": [1, 3]}, "wind=[1, 3] is not a list of 2 whole numbers"),
        ({"map": "S./.G", "wind": 1}, "wind=1 is not a list"),
    ],
)
def test_bad_maps_say_where(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError) as caught:
        gridworld(**options)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_random_walk_values() -> None:
    world = make_env("random_walk")
    tables = enumerate_world(world)
    transition, reward = tables.dense()
    v = np.linalg.solve(np.eye(tables.size) - transition.mean(1), reward.mean(1))
    by_place = dict(zip(tables.states[:, 0].tolist(), v.tolist(), strict=True))
    np.testing.assert_allclose([by_place[i] for i in range(1, 20)], np.arange(-9, 10) / 10, atol=1e-12)
    row = world.template.copy()
    world.reset(row, 0)
    assert world.draw(row) == "-" + "." * 9 + "@" + "." * 9 + "+"


@pytest.mark.parametrize("states", [0, 4, -1, True, "x"])
def test_random_walk_refuses(states: Any) -> None:
    with pytest.raises(UserError, match="odd number"):
        make_env("random_walk", states=states)


@pytest.mark.parametrize("right", [0.1, 0.5, 2 - np.sqrt(2), 0.95])
def test_the_corridor_is_worth_what_its_equations_say(right: float) -> None:
    """Sutton & Barto, example 13.1: three linear equations for one probability, and their solution on paper."""
    world = make_env("corridor")
    tables = enumerate_world(world)
    left = 1 - right
    first = np.linalg.solve([[1 - left, -right, 0], [-right, 1, -left], [0, -left, 1]], [-1, -1, -1])[0]
    policy = np.array([left, right]) * tables.legal
    value = Decisions.of(tables).performance(policy)
    assert value == pytest.approx(first)
    assert value == pytest.approx((2 * right - 4) / (right * left))
    assert len(InformationStates.of(world).seats) == 1  # all places look the same
