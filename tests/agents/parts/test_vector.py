"""SeatEnv against games replayed by hand on a table of their own."""

from collections import Counter

import numpy as np
import pytest

from elodrome.agents.parts.vector import SeatEnv
from elodrome.agents.random import Random
from elodrome.envs.registry import make_env
from elodrome.errors import UserError


def random_legal(legal, rng):
    return np.array([rng.choice(np.flatnonzero(row)) if row.any() else 0 for row in legal])


class Recorder:
    """A random opponent that keeps what it was shown."""

    def __init__(self, world):
        self.agent, self.seen = Random(world), []

    def act(self, positions):
        self.seen.append(positions)
        return self.agent.act(positions)


def test_a_world_of_two_seats_needs_opponents():
    with pytest.raises(UserError, match="2 seats"):
        SeatEnv(make_env("tic_tac_toe"), 2, 0)


def test_rewards_seats_and_observations_of_tic_tac_toe():
    world, rng = make_env("tic_tac_toe"), np.random.default_rng(0)
    rival = Recorder(world)
    env = SeatEnv(world, 8, 3, [(1.0, rival.act)])
    assert (env.seat == np.arange(8) % 2).all()
    seen = Counter()
    for _ in range(200):
        before, seat, legal = env.observation.copy(), env.seat.copy(), env.legal.copy()
        assert (legal == 1 - before.sum(1).reshape(8, 9)).all()  # the free squares
        actions = random_legal(legal, rng)
        env.step(actions)
        assert not env.truncated.any()
        over = env.terminated
        after = env.final_observation.reshape(8, 2, 9)
        for b in range(8):
            mine, theirs = after[b]
            assert mine[actions[b]] == 1
            lines = [(0, 1, 2), (3, 4, 5), (6, 7, 8), (0, 3, 6), (1, 4, 7), (2, 5, 8), (0, 4, 8), (2, 4, 6)]
            won, lost = (any(stones[list(line)].all() for line in lines) for stones in (mine, theirs))
            assert env.reward[b] == won - lost
            assert over[b] == (won or lost or mine.sum() + theirs.sum() == 9)
            assert env.seat[b] == (1 - seat[b] if over[b] else seat[b])
            seen[env.reward[b], bool(over[b])] += 1
        assert len(env.returns) == over.sum()
        assert (env.returns == env.reward[over]).all()
    assert set(seen) == {(0.0, False), (1.0, True), (-1.0, True), (0.0, True)}
    for positions in rival.seen:
        assert positions.states is not None
        assert ((positions.plies + positions.seats) % 2 == 0).all()
    assert len({int(seed) for positions in rival.seen for seed in positions.seeds}) == sum(map(len, rival.seen))


def test_opponents_see_no_state_where_information_is_imperfect():
    world = make_env("rock_paper_scissors:rounds=3")
    rival = Recorder(world)
    env = SeatEnv(world, 4, 0, [(1.0, rival.act)])
    assert world.information == "imperfect"
    for _ in range(9):
        env.step(np.zeros(4, np.int64))
    assert all(positions.states is None for positions in rival.seen)


def test_the_pool_is_drawn_by_its_weights():
    world, counts = make_env("tic_tac_toe"), Counter()
    rivals = [Recorder(world), Recorder(world)]
    env = SeatEnv(world, 2000, 1, [(3.0, rivals[0].act), (1.0, rivals[1].act)])
    for number, rival in enumerate(rivals):
        counts[number] = sum(map(len, rival.seen))  # the rows where the opponent opens: every second one
    assert counts[0] + counts[1] == 1000
    assert counts[0] / 1000 == pytest.approx(0.75, abs=4 * (0.1875 / 1000) ** 0.5)
    assert env.observation.sum() == 1000


def test_truncation_is_kept_apart_and_shows_what_was_cut_off():
    world = make_env("gridworld:map=S...G,max_steps=3")
    env = SeatEnv(world, 2, 0)
    log = []
    for t in range(4):
        env.step(np.array([1, 3]))  # one walks right, one bumps into the edge
        log.append((env.terminated.tolist(), env.truncated.tolist()))
        if t == 2:
            assert env.final_observation.argmax(1).tolist() == [3, 0]
            assert env.observation.argmax(1).tolist() == [0, 0]
            assert env.final_legal.tolist() == [[1] * 4] * 2
            assert env.lengths.tolist() == [3.0, 3.0]
            assert env.returns.tolist() == [-3.0, -3.0]
    assert log[2] == ([False, False], [True, True])
    assert log[3] == ([False, False], [False, False])
    short = SeatEnv(make_env("gridworld:map=S.G,max_steps=2"), 1, 0)
    short.step(np.array([1]))
    short.step(np.array([1]))
    assert short.terminated.all()  # at the limit and at the goal: terminated
    assert not short.truncated.any()


def test_rewards_are_clipped_to_their_signs_and_returns_are_not():
    world = make_env("cliff_walking")
    env, other = SeatEnv(world, 2, 0, clip_rewards=True), SeatEnv(world, 2, 0)
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(2000):
        actions = rng.integers(4, size=2)
        env.step(actions)
        other.step(actions)
        assert np.array_equal(env.reward, np.sign(other.reward))
        assert np.array_equal(env.returns, other.returns)
        seen |= set(other.reward)
    assert seen >= {-1.0, -100.0}
    assert not len(env.returns) or env.returns.min() < -100


def test_without_restart_finished_rows_rest():
    world, rng = make_env("tic_tac_toe"), np.random.default_rng(0)
    env = SeatEnv(world, 16, 0, [(1.0, Random(world).act)], restart=False)
    finished, before = np.zeros(16, bool), 16
    while len(env.live):
        env.step(random_legal(env.legal, rng))
        assert (env.reward[finished] == 0).all()
        assert not (finished & env.terminated).any()
        finished |= env.terminated
        assert len(env.live) == 16 - finished.sum() <= before
        before = len(env.live)
    env.reset()
    assert len(env.live) == 16


@pytest.mark.parametrize(
    "name",
    [
        "tic_tac_toe",
        "gridworld:map=S../.#./..G,slip=0.3",
        "rock_paper_scissors:rounds=3",
        "open_spiel:kuhn_poker",
        "gymnasium:CartPole-v1",
    ],
)
def test_a_snapshot_goes_on_exactly(name):
    world = make_env(name)
    pool = [(1.0, Random(world).act), (2.0, Random(world).act)] if world.players > 1 else []

    def follow(env, rng, steps):
        trace = []
        for _ in range(steps):
            env.step(random_legal(env.legal, rng))
            trace.append((env.observation.copy(), env.reward, env.terminated, env.truncated, env.seat.copy()))
        return trace

    first, rng = SeatEnv(world, 6, 7, pool), np.random.default_rng(1)
    follow(first, rng, 25)
    kept = first.snapshot()
    wanted = follow(first, np.random.default_rng(2), 25)
    second = SeatEnv(world, 6, 7, pool)
    second.resume(kept)
    got = follow(second, np.random.default_rng(2), 25)
    assert all(
        np.array_equal(a, b) for one, two in zip(wanted, got, strict=True) for a, b in zip(one, two, strict=True)
    )


def test_a_foreign_world_steps_and_counts():
    env = SeatEnv(make_env("gymnasium:CartPole-v1"), 2, 0)
    for _ in range(40):
        env.step(np.ones(2, np.int64))
        if env.terminated.any():
            break
    assert env.lengths[0] == env.returns[0] >= 8  # a reward of 1 for each step
