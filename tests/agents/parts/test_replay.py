import numpy as np
import pytest

from elodrome.agents.parts import replay as module
from elodrome.agents.parts.replay import Replay, Transitions
from elodrome.envs.registry import make_env
from elodrome.errors import UserError


def batch(numbers):
    numbers = np.asarray(numbers)
    size = len(numbers)
    board = np.broadcast_to(numbers.reshape(-1, 1, 1, 1), (size, 2, 3, 3)).astype(np.float32)
    legal = (numbers[:, None] % np.arange(1, 10) == 0).astype(np.uint8)
    return Transitions(board, numbers % 9, numbers * 1.0, board + 0.5, legal, numbers % 2 == 0)


def test_the_oldest_are_overwritten_and_fields_stay_together():
    replay = Replay(make_env("tic_tac_toe"), 10)
    for start in range(0, 24, 4):
        replay.add(batch(range(start, start + 4)))
    assert len(replay) == 10
    drawn = replay.sample(4000, np.random.default_rng(0))
    assert set(drawn.reward) == set(range(14, 24))
    expected = batch(drawn.reward.astype(int))
    for name in ("observation", "action", "next_observation", "next_legal", "terminated"):
        assert np.array_equal(getattr(drawn, name), getattr(expected, name))
    shares = np.bincount(drawn.reward.astype(int) - 14) / 4000
    assert np.abs(shares - 0.1).max() < 4.5 * (0.09 / 4000) ** 0.5


def test_a_batch_greater_than_the_ring_keeps_its_end():
    replay = Replay(make_env("tic_tac_toe"), 5)
    replay.add(batch(range(12)))
    assert set(replay.sample(200, np.random.default_rng(0)).reward) == {7, 8, 9, 10, 11}


def test_reward_scale():
    replay = Replay(make_env("tic_tac_toe"), 8)
    assert replay.reward_scale() == 1.0
    replay.add(batch([0, 0]))
    assert replay.reward_scale() == 1.0
    replay.add(batch([6, 8]))
    assert replay.reward_scale() == 5.0


def test_a_snapshot_goes_on_exactly():
    world = make_env("tic_tac_toe")
    first, second = Replay(world, 10), Replay(world, 10)
    first.add(batch(range(7)))
    second.resume(first.snapshot())
    for replay in (first, second):
        replay.add(batch(range(20, 26)))
    one, two = (replay.sample(100, np.random.default_rng(1)) for replay in (first, second))
    assert np.array_equal(one.reward, two.reward)
    assert np.array_equal(one.observation, two.observation)


def test_a_ring_that_does_not_fit_is_refused_with_one_that_does(monkeypatch):
    """Tic-tac-toe: two observations of 18 float32, 9 bytes of mask, 17 of action, reward and end: 170 bytes."""
    monkeypatch.setattr(module, "free_memory", lambda: 1_000_000)
    world = make_env("tic_tac_toe")
    assert Replay(world, 4700).capacity == 4700
    with pytest.raises(UserError, match=r"capacity=100000 takes .* GiB .*; capacity=4700 would fit"):
        Replay(world, 100_000)
    monkeypatch.undo()
    with pytest.raises(UserError, match="would fit"):
        Replay(world, 10**12)
    arrays = Replay(world, 10)._ring.values()
    assert sum(a.nbytes for a in arrays) == 10 * 170
