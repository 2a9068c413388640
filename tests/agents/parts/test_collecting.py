"""What is collected, against a loop that steps the same games one decision at a time."""

import numpy as np
import pytest

from elodrome.agents.parts.collecting import collect
from elodrome.agents.parts.vector import SeatEnv
from elodrome.agents.random import Random
from elodrome.envs.registry import make_env

WORLDS = ["tic_tac_toe", "gridworld:map=S../.#./..G,slip=0.3,max_steps=7"]


def seats(world, size, restart):
    return SeatEnv(world, size, 5, [(1.0, Random(world).act)] if world.players > 1 else [], restart=restart)


def sample(observations, legal, quantiles):
    """Any policy that depends on all that it is given."""
    scores = legal * (1 + np.abs(np.sin(observations.reshape(len(legal), -1).sum(1) + 3 * quantiles))[:, None])
    return (scores * (1 + np.arange(legal.shape[1]) * quantiles[:, None])).argmax(1)


@pytest.mark.parametrize("name", WORLDS)
def test_a_batch_of_so_many_decisions(name):
    world, size = make_env(name), 4
    env, rng = seats(world, size, True), np.random.default_rng(1)
    collect(env, sample, rng, 3)
    got = collect(env, sample, rng, 20)  # goes on where the first left off
    again, draws = seats(world, size, True), np.random.default_rng(1)
    finals, returns, lengths = [], [], []
    for t in range(-3, 20):
        seen, legal = again.observation.copy(), again.legal.copy()
        action = sample(seen, legal, draws.random(size))
        again.step(action)
        if t < 0:
            continue
        assert np.array_equal(got.observation[t], seen)
        assert np.array_equal(got.legal[t], legal > 0)
        assert np.array_equal(got.action[t], action)
        assert np.array_equal(got.reward[t], again.reward)
        assert np.array_equal(got.continues[t], ~(again.terminated | again.truncated))
        assert got.live[t].all()
        finals += [again.final_observation[row] for row in range(size) if again.truncated[row]]
        returns += again.returns.tolist()
        lengths += again.lengths.tolist()
    assert np.array_equal(got.observation[20], again.observation)
    assert len(finals) == len(got.final) == got.truncated.sum()
    assert all(np.array_equal(one, other) for one, other in zip(finals, got.final, strict=True))
    assert got.metrics == {"return": np.mean(returns), "length": np.mean(lengths)}
    if world.players == 1:
        assert len(finals) > 2


@pytest.mark.parametrize("name", WORLDS)
def test_one_episode_in_each_game(name):
    world, size = make_env(name), 6
    got = collect(seats(world, size, False), sample, np.random.default_rng(2))
    again, draws = seats(world, size, False), np.random.default_rng(2)
    again.reset()
    for t in range(len(got.action)):
        live = again.live
        assert np.flatnonzero(got.live[t]).tolist() == live.tolist()
        action = np.zeros(size, np.int64)
        action[live] = sample(again.observation[live], again.legal[live], draws.random(len(live)))
        again.step(action)
        assert np.array_equal(got.action[t][live], action[live])
        assert np.array_equal(got.reward[t], again.reward)
    assert len(again.live) == 0
    assert got.continues[got.live].sum() == got.live.sum() - size
    assert got.metrics["length"] == got.live.sum() / size
    assert got.metrics["return"] == pytest.approx(got.reward.sum() / size)


def test_quantiles_of_a_shape_of_their_own_stand_for_so_many_decisions():
    world, size, given = make_env("tic_tac_toe"), 12, []

    def watched(observations, legal, quantiles):
        given.append(quantiles)
        return sample(observations, legal, quantiles[:, 0, 1])

    got = collect(seats(world, size, False), watched, np.random.default_rng(2), None, (2, 3), 3)
    draws = np.random.default_rng(2)
    counts = got.live.sum(1)
    assert any(counts[t] < counts[t - 1] for t in range(1, len(counts)) if t % 3)  # games end in between
    for t, quantiles in enumerate(given):
        if t % 3 == 0:
            fresh = {row: draws.random((2, 3)) for row in np.flatnonzero(got.live[t])}
        assert np.array_equal(quantiles, [fresh[row] for row in np.flatnonzero(got.live[t])])


def test_nothing_ended_nothing_measured():
    got = collect(seats(make_env("connect_four"), 2, True), sample, np.random.default_rng(0), 2)
    assert got.metrics == {}
    assert got.final.shape == (0, *got.observation.shape[2:])
