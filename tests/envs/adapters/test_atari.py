"""Worlds of pictures: a small one of our own, learned by name, and Atari's where ale-py is at hand."""

import subprocess
import sys

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

from elodrome import make_env
from elodrome.agents.agent import Budget, Task
from elodrome.agents.registry import make_learner
from elodrome.arena.best import solo_returns
from elodrome.envs.adapters.atari import STILL, Fired
from elodrome.envs.adapters.foreign import env_seed
from elodrome.errors import UserError

SIDE, CELL = 36, 12


class Catch(gymnasium.Env):
    """A ball falls in one of three lanes, a paddle below moves left, stays or moves right: 10 where it catches, else
    -10. In colour, planes last, as Gymnasium's own pictures are."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 4}  # noqa: RUF012
    action_space = spaces.Discrete(3)
    observation_space = spaces.Box(0, 255, (SIDE, SIDE + CELL, 3), np.uint8)

    def __init__(self, render_mode=None):
        self.render_mode = render_mode

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.ball, self.row, self.paddle = int(self.np_random.integers(4)), 0, 1
        return self.render(), {}

    def step(self, action):
        self.paddle = min(max(self.paddle + action - 1, 0), 3)
        self.row += 1
        over = self.row == 2
        reward = 10.0 * (2 * (self.ball == self.paddle) - 1) if over else 0.0
        return self.render(), reward, over, False, {}

    def render(self):
        picture = np.zeros((3, 4, 3), np.uint8)
        picture[self.row, self.ball, 0] = 200
        picture[2, self.paddle, 1] = 255
        return picture.repeat(CELL, 0).repeat(CELL, 1)


@pytest.fixture
def catch():
    gymnasium.register("Catch-v0", entry_point=Catch, max_episode_steps=9)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield make_env("gymnasium:Catch-v0")
    torch.set_num_threads(threads)
    del gymnasium.registry["Catch-v0"]


def test_pictures_are_told_and_their_planes_come_first(catch):
    assert catch.pixels
    assert catch.observation_shape == (3, SIDE, SIDE + CELL)
    table, env = catch.table(1), Catch()
    table.reset(np.arange(1), np.array([4], np.uint64))
    seen, _ = env.reset(seed=env_seed(4))
    for action in (0, 2):
        assert np.array_equal(table.observe(np.arange(1))[0], seen.transpose(2, 0, 1))
        table.step(np.arange(1), np.array([action]))
        seen = env.step(action)[0]
    assert not make_env("gymnasium:CartPole-v1").pixels
    with pytest.raises(UserError, match="needs a world in which the same is seen again; this one shows pictures"):
        make_learner("q_learning", Task(catch), {})


SETTINGS = {
    "dqn": {"envs": 8, "updates": 1, "batch": 32, "warmup": 200, "target_every": 50, "rate": 5e-4, "hidden": [32]},
    "ppo": {"envs": 16, "horizon": 8, "minibatch": 64, "rate": 1e-3, "hidden": [32]},
}
SETTINGS["rainbow"] = SETTINGS["dqn"] | {"n_step": 2}


@pytest.mark.parametrize("kind", SETTINGS)
def test_a_small_world_of_pictures_is_learned(catch, kind):
    """Every ball can be reached."""
    learner = make_learner(kind, Task(catch, 0), SETTINGS[kind])
    reports = list(learner.learn(Budget(4_000)))
    assert learner.config.clip_rewards
    returns, _ = solo_returns(catch, learner.agent, 40, 5)
    assert (returns == 10).all()
    assert abs(reports[0].metrics["return"]) <= 10
    assert any(isinstance(layer, torch.nn.Conv2d) for layer in learner.net.modules())
    if kind != "ppo":
        assert learner.replay["observation"].dtype == np.uint8
        assert learner.replay._frames.count <= 3 * (4 + 16 + 4)  # what there is to see, however much was replayed
        assert set(np.unique(learner.replay["reward"])) <= {0.0, 1.0, -1.0, 0.99, -0.99}


def test_learning_from_pictures_goes_on_exactly(catch):
    settings = SETTINGS["rainbow"] | {"warmup": 100}
    whole, first, second = (make_learner("rainbow", Task(catch, 0), settings) for _ in range(3))
    list(whole.learn(Budget(1_600)))
    reports = first.learn(Budget(1_600))
    next(reports)
    second.resume(first.snapshot())
    list(second.learn(Budget(1_600)))
    for name, array in whole.weights().items():
        assert np.array_equal(array, second.weights()[name]), name


class Waiting(gymnasium.Env):
    """A ball that lies still until the fire button is pressed, and falls then; in a ``short`` game the button ends it.
    Seen: which game it is, and how far the ball has fallen."""

    action_space = spaces.Discrete(3)
    observation_space = spaces.Box(0, 255, (2,), np.int64)

    def __init__(self, meanings=("NOOP", "LEFT", "FIRE"), short=False):
        self.meanings, self.short, self.games = list(meanings), short, 0

    def get_action_meanings(self):
        return self.meanings

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.games, self.fallen = self.games + 1, 0
        return np.array([self.games, 0]), {"seed": seed}

    def step(self, action):
        fired = self.meanings[action] == "FIRE"
        self.fallen += fired or self.fallen > 0
        return np.array([self.games, self.fallen]), 0.0, self.short and fired, False, {"frames": 4}


def test_a_game_that_waits_for_the_fire_button_has_begun():
    env = Fired(Waiting())
    for game in (1, 2):
        seen, info = env.reset(seed=game)
        assert (seen.tolist(), info) == ([game, 1], {"seed": game, "frames": 4})
        assert env.step(0)[0].tolist() == [game, 2]
    seen, info = Fired(Waiting(short=True)).reset(seed=7)
    assert (seen.tolist(), info) == ([2, 0], {"seed": 7})
    with pytest.raises(UserError, match=r"^fire=true needs a game with a fire button; its actions are NOOP, LEFT, UP$"):
        Fired(Waiting(("NOOP", "LEFT", "UP")))


def test_without_its_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ale_py", None)
    with pytest.raises(UserError, match=r"gymnasium:ALE/Pong-v5 needs ale_py, .*: pip install 'elodrome\[atari\]'"):
        make_env("gymnasium:ALE/Pong-v5")


@pytest.fixture
def pong():
    pytest.importorskip("ale_py")
    pytest.importorskip("cv2")
    return make_env("gymnasium:ALE/Pong-v5")


def test_pong_is_that_of_gymnasiums_wrappers(pong):
    import ale_py
    from gymnasium.wrappers import AtariPreprocessing, FrameStackObservation

    assert (pong.pixels, pong.observation_shape, pong.actions, pong.max_steps) == (True, (4, 84, 84), 6, 27_000)
    gymnasium.register_envs(ale_py)
    env = FrameStackObservation(AtariPreprocessing(gymnasium.make("ALE/Pong-v5", frameskip=1)), 4)
    seen, _ = env.reset(seed=env_seed(8))
    table, row, rng = pong.table(1), np.arange(1), np.random.default_rng(0)
    table.reset(row, np.array([8], np.uint64))
    for _ in range(60):
        assert np.array_equal(table.observe(row)[0], seen)
        action = int(rng.integers(6))
        seen, reward, *_ = env.step(action)
        assert table.step(row, np.array([action]))[0, 0] == reward
    raw = make_env("gymnasium:ALE/Pong-v5:preprocess=false")
    assert (raw.pixels, raw.observation_shape) == (True, (3, 210, 160))
    with pytest.raises(UserError, match=r"did you mean 'ALE/Pong-v5'"):
        make_env("gymnasium:ALE/Pongg-v5")


@pytest.mark.parametrize("game", STILL)
def test_what_stands_still_at_first_begins(pong, game):
    """Forty decisions of nothing: the last twenty show one picture, unless the fire button was pressed before."""
    for fire, moves in (("false", False), ("true", True)):
        table, row = make_env(f"gymnasium:ALE/{game}-v5:fire={fire},noop_max=0").table(1), np.arange(1)
        table.reset(row, np.array([8], np.uint64))
        seen = []
        for _ in range(40):
            table.step(row, np.zeros(1, np.int64))
            seen.append(table.observe(row)[0])
        assert any(not np.array_equal(picture, seen[-1]) for picture in seen[20:]) == moves


@pytest.mark.parametrize("kind", ["dqn", "rainbow", "ppo"])
def test_pong_is_trained_on_by_name(pong, kind, tmp_path):
    settings = {"horizon=32", "epochs=1"} if kind == "ppo" else {"warmup=64", "batch=8", "updates=1"}
    command = [sys.executable, "-m", "elodrome", "train", kind, "--env", "gymnasium:ALE/Pong-v5", "--steps", "256"]
    sets = [word for setting in settings for word in ("--set", setting)]
    done = subprocess.run([*command, *sets, "--no-best", "--out", tmp_path / "run"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "A.L.E" not in done.stderr


def test_a_replay_of_pong_shares_its_pictures(pong):
    """A picture a decision, and a few more where episodes begin."""
    learner = make_learner("dqn", Task(pong, 0), {"envs": 2, "warmup": 10_000})
    list(learner.learn(Budget(400)))
    replay = learner.replay
    assert replay._frames.count <= len(replay) + 2 * 4
    assert sum(array.nbytes for array in replay._ring.values()) == 100_000 * (32 + 24 + 6)
