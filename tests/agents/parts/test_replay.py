"""Rings of fields, priorities and n-step sums, against slow loops and the formulas of the papers."""

import numpy as np
import pytest

from elodrome.agents.parts import frames
from elodrome.agents.parts import replay as module
from elodrome.agents.parts.replay import NStep, Replay, transition_fields
from elodrome.agents.parts.vector import SeatEnv
from elodrome.agents.random import Random
from elodrome.envs.game import World
from elodrome.envs.registry import make_env
from elodrome.errors import BrokenAgent, UserError

WORLD = make_env("tic_tac_toe")
FIELDS = transition_fields(WORLD)


def batch(numbers):
    numbers = np.asarray(numbers)
    size = len(numbers)
    board = np.broadcast_to(numbers.reshape(-1, 1, 1, 1), (size, 2, 3, 3)).astype(np.float32)
    return {
        "observation": board,
        "action": numbers % 9,
        "reward": numbers * 1.0,
        "discount": numbers % 2 * 0.5,
        "next_observation": board + 1,
        "next_legal": (numbers[:, None] % np.arange(1, 10) == 0).astype(np.uint8),
    }


@pytest.mark.parametrize("in_bytes", [False, True])
def test_the_oldest_are_overwritten_and_fields_stay_together(in_bytes):
    replay = Replay(WORLD, transition_fields(WORLD, in_bytes=in_bytes), 10)
    for start in range(0, 24, 4):
        replay.add(batch(range(start, start + 4)))
    assert len(replay) == 10
    at, drawn = replay.sample(4000, np.random.default_rng(0))
    assert set(drawn["reward"]) == set(range(14, 24))
    expected = batch(drawn["reward"].astype(int))
    for name in FIELDS:
        assert np.array_equal(drawn[name], expected[name]), name
    assert drawn["observation"].dtype == (np.uint8 if in_bytes else np.float32)
    assert np.array_equal(replay["reward"][at], drawn["reward"])
    shares = np.bincount(drawn["reward"].astype(int) - 14) / 4000
    assert np.abs(shares - 0.1).max() < 4.5 * (0.09 / 4000) ** 0.5
    assert (replay.weights(at, 0.7) == 1).all()


def test_a_batch_greater_than_the_ring_keeps_its_end():
    replay = Replay(WORLD, FIELDS, 5, priority=1.0)
    replay.add(batch(range(12)))
    assert set(replay.sample(200, np.random.default_rng(0))[1]["reward"]) == {7, 8, 9, 10, 11}


def test_reward_scale():
    replay = Replay(WORLD, FIELDS, 8)
    assert replay.reward_scale() == 1.0
    replay.add(batch([0, 0]))
    assert replay.reward_scale() == 1.0
    replay.add(batch([6, 8]))
    assert replay.reward_scale() == 5.0


@pytest.mark.parametrize("seen", [0.5, -1.0, 256.0, np.nan])
def test_what_is_no_byte_is_refused(seen):
    replay = Replay(WORLD, transition_fields(WORLD, in_bytes=True), 8)
    with pytest.raises(UserError, match="observations of tic_tac_toe are not all whole numbers from 0 to 255"):
        replay.add({**batch([1, 2]), "observation": np.full((2, 2, 3, 3), seen, np.float32)})


def test_priorities_and_their_weights_are_those_of_the_paper():
    """P(i) = p_i^alpha / sum p^alpha; w_i = (N P(i))^-beta / max w; a new entry has the greatest p told so far."""
    replay = Replay(WORLD, FIELDS, 6, priority=0.5)
    replay.add(batch(range(6)))
    p = np.array([4.0, 1.0, 9.0, 0.25, 16.0, 0.01])
    replay.tell(np.arange(6), p)
    shares = p**0.5 / (p**0.5).sum()
    rng, drawn = np.random.default_rng(0), np.zeros(6)
    for _ in range(2000):
        at, _ = replay.sample(8, rng)
        drawn += np.bincount(at, minlength=6)
    assert np.abs(drawn / 16_000 - shares).max() < 0.01
    at = np.array([0, 3, 5, 5])
    weights = (6 * shares[at]) ** -0.4
    assert np.allclose(replay.weights(at, 0.4), weights / weights.max())
    assert np.allclose(replay.weights(at, 1.0) * shares[at], (replay.weights(at, 1.0) * shares[at])[0])
    replay.add(batch([6]))  # in the place of entry 0
    assert replay.weights(np.array([0, 4]), 1.0).tolist() == [1.0, 1.0]
    replay.tell(np.array([2]), np.array([100.0]))
    replay.add(batch([7]))
    assert replay.weights(np.array([1, 2]), 1.0).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("priority", [0.0, 0.7])
def test_a_snapshot_goes_on_exactly(priority):
    first, second = Replay(WORLD, FIELDS, 10, priority), Replay(WORLD, FIELDS, 10, priority)
    first.add(batch(range(7)))
    first.tell(np.array([0, 3]), np.array([2.0, 5.0]))
    second.resume(first.snapshot())
    for replay in (first, second):
        replay.add(batch(range(20, 26)))
    (at, one), (other, two) = (replay.sample(100, np.random.default_rng(1)) for replay in (first, second))
    assert np.array_equal(at, other)
    assert np.array_equal(one["observation"], two["observation"])
    assert np.array_equal(first.weights(at, 0.5), second.weights(at, 0.5))


def test_a_ring_that_does_not_fit_is_refused_with_one_that_does(monkeypatch):
    """Tic-tac-toe: two observations of 18 float32, 9 bytes of mask, 24 of action, reward and discount: 177 bytes."""
    monkeypatch.setattr(module, "free_memory", lambda: 1_000_000)
    assert Replay(WORLD, FIELDS, 4500).capacity == 4500
    with pytest.raises(UserError, match=r"capacity=100000 takes .* GiB .*; capacity=4500 would fit"):
        Replay(WORLD, FIELDS, 100_000)
    monkeypatch.undo()
    with pytest.raises(UserError, match="would fit"):
        Replay(WORLD, FIELDS, 10**12)
    assert sum(a.nbytes for a in Replay(WORLD, FIELDS, 10)._ring.values()) == 10 * 177


def test_a_hundred_thousand_stacks_of_four_frames_fit_in_8_gib(monkeypatch):
    class Pong(World):
        table = None

    pong = Pong(id="pong", players=1, actions=6, observation_shape=(4, 84, 84), max_steps=1, pixels=True)
    monkeypatch.setattr(module, "free_memory", lambda: 1 << 30)
    assert Replay(pong, transition_fields(pong, in_bytes=True), 100_000).capacity == 100_000
    monkeypatch.setattr(module, "free_memory", lambda: 8 << 30)
    with pytest.raises(UserError, match="would fit"):
        Replay(pong, transition_fields(pong), 100_000)


class Pictures(World):
    """Stands for a world of pictures; nobody plays it."""

    table = None


PICTURES = Pictures(id="pictures", players=1, actions=3, observation_shape=(4, 6, 5), max_steps=9, pixels=True)


def stacks(rng, length, n):
    """Transitions over ``n`` steps of one row of episodes, four pictures a stack, the first repeated at the start: some
    episodes ``length`` long, pictures of few kinds so that many recur."""
    while True:
        pictures = rng.integers(0, 2, (length + 1, 6, 5)) * rng.integers(0, 256)
        pictures = np.concatenate([np.repeat(pictures[:1], 3, 0), pictures]).astype(np.float32)
        for t in range(length):
            yield pictures[t : t + 4], pictures[min(t + n, length) :][:4]


def pictured(source, size, start):
    seen, following = (np.stack(column) for column in zip(*[next(source) for _ in range(size)], strict=True))
    numbers = np.arange(start, start + size)
    rest = {"action": numbers % 3, "reward": numbers * 1.0, "discount": np.ones(size)}
    return {**rest, "observation": seen, "next_observation": following, "next_legal": np.ones((size, 3), np.uint8)}


@pytest.mark.parametrize("n", [1, 3])
def test_shared_pictures_are_those_of_a_ring_that_shares_nothing(n):
    """Through several rounds of overwriting, with resuming in between."""
    fields = transition_fields(PICTURES, in_bytes=True)
    plain = {name: field._replace(shared=False) for name, field in fields.items()}
    ours, oracle = Replay(PICTURES, fields, 50), Replay(PICTURES, plain, 50)
    source, rng, count = stacks(np.random.default_rng(3), 11, n), np.random.default_rng(4), 0
    for turn in range(40):
        batch = pictured(source, int(rng.integers(1, 12)), count)
        count += len(batch["action"])
        for replay in (ours, oracle):
            replay.add(batch)
        if turn == 20:
            other = Replay(PICTURES, fields, 50)
            other.resume(ours.snapshot())
            ours = other
        for name in fields:
            assert np.array_equal(ours[name], oracle[name]), (turn, name)
        one, two = (replay.sample(20, np.random.default_rng(turn))[1] for replay in (ours, oracle))
        assert all(np.array_equal(one[name], two[name]) and one[name].dtype == two[name].dtype for name in fields)
        shown = np.concatenate([oracle[name].reshape(-1, 30) for name in ("observation", "next_observation")])
        assert ours._frames.count == len(np.unique(shown, axis=0))


def test_a_picture_is_kept_once_and_room_grows(monkeypatch):
    rng, size = np.random.default_rng(0), 3000
    pictures = rng.integers(0, 256, (size + 4, 6, 5)).astype(np.uint8)
    replay = Replay(PICTURES, transition_fields(PICTURES, in_bytes=True), size)
    seen = np.stack([pictures[t : t + 4] for t in range(size + 1)])
    rest = {"action": np.zeros(size, int), "reward": np.zeros(size), "discount": np.ones(size)}
    given = {**rest, "observation": seen[:-1], "next_observation": seen[1:], "next_legal": np.ones((size, 3), np.uint8)}
    replay.add(given)
    assert replay._frames.count == size + 4
    assert np.array_equal(replay["next_observation"], seen[1:])
    short = Replay(PICTURES, transition_fields(PICTURES, in_bytes=True), size)
    monkeypatch.setattr(module, "free_memory", lambda: 50_000)
    with pytest.raises(UserError, match=r"pictures needs .* GiB for what 0 transitions show"):
        short.add(given)


def test_checksums_that_agree_hide_no_picture(monkeypatch):
    monkeypatch.setattr(frames, "crc32", lambda data: data[0] % 2)
    rng = np.random.default_rng(0)
    replay = Replay(PICTURES, transition_fields(PICTURES, in_bytes=True), 20)
    for start in range(0, 200, 10):
        batch = pictured(stacks(rng, 7, 1), 10, start)
        replay.add(batch)
        for name in ("observation", "next_observation"):
            assert np.array_equal(replay[name][start % 20 :][:10], batch[name])


@pytest.mark.parametrize("harm", ["range", "unused", "shape"])
def test_pictures_that_do_not_fit_their_stacks_are_refused(harm):
    replay = Replay(PICTURES, transition_fields(PICTURES, in_bytes=True), 20)
    replay.add(pictured(stacks(np.random.default_rng(0), 7, 1), 10, 0))
    kept = replay.snapshot()
    if harm == "range":
        kept["observation"][3, 2] = len(kept["frames"])
    else:
        more = np.zeros((1, 30)) if harm == "unused" else np.zeros((0, 30))
        kept["frames"] = np.concatenate([kept["frames"], more.astype(np.uint8)])[:, : 29 if harm == "shape" else 30]
    with pytest.raises((ValueError, BrokenAgent), match=r"pictures|frames"):
        replay.resume(kept)


@pytest.mark.parametrize("n", [1, 2, 3, 10])
@pytest.mark.parametrize("name", ["tic_tac_toe", "gridworld:map=S../.#./..G,slip=0.3,max_steps=7"])
def test_sums_over_n_steps_are_those_of_a_slow_loop(n, name):
    world, size, gamma, rng = make_env(name), 3, 0.9, np.random.default_rng(0)
    env = SeatEnv(world, size, 1, [(1.0, Random(world).act)] if world.players > 1 else [])
    fields = transition_fields(world)
    pending, got, log = NStep(n, gamma, fields), [], [[] for _ in range(size)]
    for t in range(60):
        seen = env.observation
        action = np.array([rng.choice(np.flatnonzero(legal)) for legal in env.legal])
        env.step(action)
        if t == 30:  # saved and taken up again
            resumed = NStep(n, gamma, fields)
            resumed.resume({name: np.array(array) for name, array in pending.snapshot().items()})
            pending = resumed
        got += [
            [{k: v[i] for k, v in whole.items()} for i in range(len(whole["action"]))]
            for whole in pending.add(seen, action, env)
        ]
        for row in range(size):
            ended = env.terminated[row] or env.truncated[row]
            log[row].append((seen[row], action[row], env.reward[row], env.terminated[row], ended,
                             env.final_observation[row], env.final_legal[row]))  # fmt: skip
    wanted = []
    for steps in log:
        for t in range(len(steps)):
            total, discount, k = 0.0, 1.0, t
            while k < len(steps):
                _, _, reward, terminated, ended, final, legal = steps[k]
                total, discount = total + discount * reward, discount * gamma
                if ended or k - t == n - 1:
                    wanted.append((steps[t][0], steps[t][1], total, discount * (not terminated), final, legal))
                    break
                k += 1

    def key(entry):
        seen, action, reward, discount, final, legal = entry
        return (
            seen.tobytes(),
            int(action),
            round(float(reward), 9),
            round(float(discount), 9),
            final.tobytes(),
            legal.tobytes(),
        )

    order = ("observation", "action", "reward", "discount", "next_observation", "next_legal")
    flat = [tuple(entry[name] for name in order) for entries in got for entry in entries]
    assert sorted(map(key, flat)) == sorted(map(key, wanted))
    assert {float(entry[3]) for entry in flat} >= {0.0}
