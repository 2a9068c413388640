"""BatchEnv.random_play against single steps through a table, and one thread against several."""

from dataclasses import replace

import numpy as np
import pytest

from elodrome import make_env
from elodrome.envs.table import BatchEnv

BUFFERS = ("observation", "final_observation", "legal", "seats", "plies", "rewards", "terminated", "truncated")


@pytest.mark.parametrize("name", ["tic_tac_toe", "connect_four", "go:size=5"])
def test_threads_change_nothing(name: str) -> None:
    one = BatchEnv(make_env(name), 501, seed=3, threads=1)
    two = BatchEnv(make_env(name), 501, seed=3, threads=2)
    assert one.random_play(37, 5) == two.random_play(37, 5) == 37 * 501
    for buffer in BUFFERS:
        np.testing.assert_array_equal(getattr(one, buffer), getattr(two, buffer), err_msg=buffer)


@pytest.mark.parametrize(
    "name", ["tic_tac_toe", "connect_four", "go:size=5", "cliff_walking", "gridworld:map=4x4,slip=0.3"]
)
def test_rules_compiled_in_or_by_pointer(name: str) -> None:
    own = BatchEnv(make_env(name), 200, seed=3, threads=1)
    plain = BatchEnv(replace(make_env(name), stroll=None), 200, seed=3, threads=1)
    for seed in range(3):
        own.random_play(70, seed)
        plain.random_play(70, seed)
        for buffer in BUFFERS:
            np.testing.assert_array_equal(getattr(own, buffer), getattr(plain, buffer), err_msg=buffer)


def test_a_row_does_not_depend_on_the_others() -> None:
    many, few = (BatchEnv(make_env("connect_four"), size, seed=1, threads=1) for size in (1000, 7))
    many.random_play(50, 2)
    few.random_play(50, 2)
    for buffer in BUFFERS:
        np.testing.assert_array_equal(getattr(many, buffer)[:7], getattr(few, buffer), err_msg=buffer)


def test_moves_are_legal_and_uniform() -> None:
    """From the start all seven columns come up equally often (chi-square, 6 degrees of freedom, alpha 1e-3)."""
    batch = BatchEnv(make_env("connect_four"), 70_000, seed=0, threads=1)
    batch.random_play(1, 11)
    counts = batch.observation[:, 1, 5].sum(0)
    assert counts.sum() == 70_000
    assert ((counts - 10_000) ** 2 / 10_000).sum() < 22.46


def test_ended_rows_start_anew() -> None:
    batch = BatchEnv(make_env("tic_tac_toe"), 400, seed=0, threads=1)
    ended = 0
    for t in range(30):
        batch.random_play(1, t)
        over = batch.terminated.astype(bool)
        ended += over.sum()
        assert (batch.plies[over] == 0).all()
        assert (batch.observation[over] == 0).all()
        assert (batch.legal[over] == 1).all()
        stones = batch.final_observation[over].sum((1, 2, 3))
        assert ((stones >= 5) & (stones <= 9)).all()
        assert (batch.rewards.sum(1) == 0).all()
        assert (np.abs(batch.rewards[~over]) == 0).all()
    assert ended > 1000
