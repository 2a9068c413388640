"""What is unrolled from the memory, against a walk along the games as they were noted."""

from typing import Any

import numpy as np
import pytest

from elodrome import make_env
from elodrome.agents.search.unrolled import Trajectories
from elodrome.envs.game import Game

K = 4


def filled(world_id: str, count: int, length: int, seed: int = 0) -> tuple[Trajectories, list[dict[str, Any]]]:
    """A memory of arbitrary decisions; observations tell (time, lane) by their first two numbers."""
    world = make_env(world_id)
    memory = Trajectories(world, 3, length, 0.9, 2)
    rng = np.random.default_rng(seed)
    noted = []
    for t in range(count):
        seen = np.zeros((3, world.observation_size), np.float32)
        seen[:, 0], seen[:, 1] = t, np.arange(3)
        decision = {
            "observation": seen,
            "action": rng.integers(0, world.actions, 3),
            "reward": rng.normal(size=3).astype(np.float32),
            "policy": rng.dirichlet(np.ones(world.actions), 3).astype(np.float32),
            "value": rng.normal(size=3).astype(np.float32),
            "end": rng.choice([0, 0, 0, 1, 2], 3),
            "tail": np.zeros(3),
        }
        memory.add(**decision)
        memory.aim(1)
        noted.append(decision)
    return memory, noted


@pytest.mark.parametrize("count", [6, 31])
def test_positions_ahead_ends_and_what_is_not_known(count: int) -> None:
    length = 12
    memory, noted = filled("gridworld", count, length)
    batch = memory.sample(400, K, np.random.default_rng(1))
    times = set()
    for i in range(400):
        t, lane = int(batch.observations[i, 0]), int(batch.observations[i, 1])
        times.add(t)
        state = "in game"
        for k in range(K + 1):
            if state == "in game" and t + k >= count:
                state = "unknown"
            inside = state == "in game"
            assert batch.policy_known[i, k] == inside
            assert batch.value_known[i, k] == (state != "unknown")
            if inside:
                np.testing.assert_array_equal(batch.policies[i, k], noted[t + k]["policy"][lane])
            elif state == "absorbed":
                assert batch.values[i, k] == 0
            if k < K:
                assert batch.reward_known[i, k] == (state != "unknown")
                if inside:
                    assert batch.actions[i, k] == noted[t + k]["action"][lane]
                    assert batch.rewards[i, k] == noted[t + k]["reward"][lane]
                    state = ("in game", "absorbed", "unknown")[noted[t + k]["end"][lane]]
                elif state == "absorbed":
                    assert batch.rewards[i, k] == 0
    assert times == set(range(max(0, count - length), count))


def test_sides_turn_positions_policies_and_actions_together() -> None:
    """Policies that are 1 at the action, and positions with a stone where the action goes, stay so on every side."""
    world = make_env("tic_tac_toe")
    assert isinstance(world, Game)
    memory = Trajectories(world, 9, 1, 1.0, 1)
    eye = np.eye(9, dtype=np.float32)
    none = np.zeros(9, np.float32)
    memory.add(
        observation=np.concatenate([eye, 0 * eye], axis=1),
        action=np.arange(9), reward=none, policy=eye, value=none, end=none, tail=none,
    )  # fmt: skip
    batch = memory.sample(300, 1, np.random.default_rng(0))
    cell = batch.observations.reshape(300, 2, 9)[:, 0].argmax(axis=1)
    np.testing.assert_array_equal(batch.actions[:, 0], cell)
    np.testing.assert_array_equal(batch.policies[:, 0].argmax(axis=1), cell)


def test_a_snapshot_brings_everything_back() -> None:
    memory, _ = filled("gridworld", 20, 12)
    other, _ = filled("gridworld", 0, 12)
    other.resume(memory.snapshot())
    one, two = (m.sample(50, K, np.random.default_rng(2)) for m in (memory, other))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)
