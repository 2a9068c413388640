"""PettingZoo both ways, against PettingZoo itself stepped directly and against its own tests."""

import warnings
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pettingzoo
import pytest
from gymnasium import spaces

from elodrome import make_env
from elodrome.agents.agent import Budget, Task
from elodrome.agents.registry import make_learner
from elodrome.envs.adapters.foreign import env_seed
from elodrome.envs.adapters.pettingzoo import AecEnv, aec_env, parallel_env
from elodrome.envs.check import check_env
from elodrome.envs.registry import BUILTIN
from elodrome.errors import IllegalAction, UserError

with warnings.catch_warnings():  # importing its tests, PettingZoo uses a way to make environments that it deprecates
    warnings.simplefilter("ignore", DeprecationWarning)
    from pettingzoo.test import api_test, parallel_api_test, parallel_seed_test, seed_test

SEATED = [name for name in BUILTIN if make_env(name).players > 1]
SIMULTANEOUS = [name for name in SEATED if make_env(name).simultaneous]


def play_directly(name: str, seed: int, rng: np.random.Generator) -> tuple[list[int], dict[str, float]]:
    """A random game by PettingZoo's own loop; what each agent was told by ``last`` adds up to its return."""
    env = pettingzoo.make("aec", name.replace("_v", "-v"))
    env.reset(seed=env_seed(seed))
    actions, returns = [], Counter(dict.fromkeys(env.possible_agents, 0.0))
    for agent in env.agent_iter():
        seen, reward, terminated, truncated, _ = env.last()
        returns[agent] += reward
        if terminated or truncated:
            env.step(None)
            continue
        legal = np.flatnonzero(seen["action_mask"]) if isinstance(seen, dict) else np.arange(env.action_space(agent).n)
        actions.append(int(rng.choice(legal)))
        env.step(actions[-1])
    return actions, dict(returns)


@pytest.mark.parametrize("name", ["classic/connect_four_v3", "classic/tictactoe_v3", "classic/rps_v2"])
def test_games_are_pettingzoos_own(name: str) -> None:
    """The rewards of single steps add up to what PettingZoo's own loop hands out, and games end at the same ply."""
    world, row = make_env(f"pettingzoo:{name}"), np.array([0])
    assert world.seat_names == tuple(pettingzoo.make("aec", name.replace("_v", "-v")).possible_agents)
    assert world.simultaneous == (name == "classic/rps_v2")
    rng = np.random.default_rng(0)
    for seed in range(20):
        actions, returns = play_directly(name, seed, rng)
        table, total = world.table(1), np.zeros(2)
        table.reset(row, np.array([seed], np.uint64))
        for action in actions:
            assert table.seats[0] >= 0
            total += table.step(row, np.array([action]))[0]
        assert table.seats[0] == -1
        assert table.truncated[0] == (name == "classic/rps_v2")
        assert total.tolist() == list(returns.values())


def test_rewards_are_of_the_step_alone() -> None:
    """Paper beats rock in the first round; the second is a draw: nothing is told twice."""
    table, row = make_env("pettingzoo:classic/rps_v2", max_cycles=2).table(1), np.array([0])
    table.reset(row, np.array([0], np.uint64))
    rewards = [table.step(row, np.array([a]))[0].tolist() for a in (1, 0, 2, 2)]
    assert rewards == [[0, 0], [1, -1], [0, 0], [0, 0]]
    assert (table.seats[0], table.truncated[0]) == (-1, True)


def test_illegal_moves_change_nothing() -> None:
    table, row = make_env("pettingzoo:classic/tictactoe_v3").table(1), np.array([0])
    table.reset(row, np.array([0], np.uint64))
    table.step(row, np.array([4]))
    before = table.draw(0)
    for bad in (4, 9, -1):
        with pytest.raises(IllegalAction, match="legal: 0, 1, 2, 3, 5"):
            table.step(row, np.array([bad]))
    assert (table.draw(0), table.plies[0], table.seats[0]) == (before, 1, 1)


def test_a_row_does_not_depend_on_the_others() -> None:
    world = make_env("pettingzoo:classic/connect_four_v3", max_steps=5)
    many, one = world.table(3), world.table(1)
    many.reset(np.arange(3), np.array([1, 2, 3], np.uint64))
    one.reset(np.array([0]), np.array([3], np.uint64))
    for action in (3, 3, 2, 6, 0):
        many.step(np.arange(3), np.array([0, 1, action]))
        one.step(np.array([0]), np.array([action]))
    seats = np.ones(1, np.int64)
    np.testing.assert_array_equal(many.observe(np.array([2]), seats), one.observe(np.array([0]), seats))
    assert one.truncated[0]
    assert one.seats[0] == -1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("classic/rsp_v2", "did you mean 'classic/rps_v2'"),
        ("connect_four_v3", "did you mean 'classic/connect_four_v3'"),
        ("classic/rps_v2:wings=2", "wings"),
    ],
)
def test_errors_say_what_would_be_right(name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        make_env(f"pettingzoo:{name}")


def test_a_missing_dependency_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*args: Any, **options: Any) -> Any:
        raise ImportError("No module named 'chess'")

    monkeypatch.setattr(pettingzoo, "make", missing)
    with pytest.raises(UserError, match=r"'chess'.*pip install 'pettingzoo\[classic\]'"):
        make_env("pettingzoo:classic/chess_v6")


# PettingZoo wants a plain array unless the environment is one of a list of its own; its own board games would warn too.
@pytest.mark.filterwarnings("ignore:Observation is not a NumPy array:UserWarning")
@pytest.mark.filterwarnings("ignore:Observation space for each agent probably should be:UserWarning")
# An empty board is all zeros, and at the end nobody has a legal action.
@pytest.mark.filterwarnings("ignore:Observation numpy array is all zeros:UserWarning")
@pytest.mark.filterwarnings("ignore:Action mask numpy array is all zeros:UserWarning")
@pytest.mark.parametrize("name", SEATED)
def test_our_worlds_pass_pettingzoos_tests(name: str) -> None:
    world = make_env(name)
    api_test(aec_env(world), num_cycles=60)
    api_test(AecEnv(world), num_cycles=60)
    seed_test(lambda: aec_env(world), num_cycles=60)


@pytest.mark.parametrize("name", SIMULTANEOUS)
def test_our_worlds_pass_pettingzoos_parallel_tests(name: str) -> None:
    world = make_env(name)
    parallel_api_test(parallel_env(world), num_cycles=60)
    parallel_seed_test(lambda: parallel_env(world), num_cycles=60)


@pytest.mark.parametrize("name", SEATED)
def test_ours_out_and_the_table_agree(name: str) -> None:
    """Random games through AEC, by what ``last`` says, against the table's rewards for the same actions."""
    world, row = make_env(name), np.array([0])
    rng = np.random.default_rng(0)
    for seed in range(5):
        env, table, total = AecEnv(world), world.table(1), np.zeros(world.players)
        env.reset(seed=seed)
        table.reset(row, np.array([0], np.uint64))
        returns = dict.fromkeys(env.possible_agents, 0.0)
        for agent in env.agent_iter():
            seen, reward, terminated, truncated, _ = env.last()
            returns[agent] += reward
            if terminated or truncated:
                assert truncated == table.truncated[0]
                env.step(None)
                continue
            assert env.possible_agents.index(agent) == table.seats[0]
            np.testing.assert_array_equal(seen["action_mask"], table.legal(row)[0])
            np.testing.assert_array_equal(seen["observation"], table.observe(row)[0])
            action = int(rng.choice(np.flatnonzero(seen["action_mask"])))
            total += table.step(row, np.array([action]))[0]
            env.step(action)
        assert list(returns.values()) == total.tolist()


def test_an_illegal_move_loses_where_wrapped_and_raises_where_bare() -> None:
    bare = AecEnv("tic_tac_toe", render_mode="ansi")
    bare.reset(seed=0)
    bare.step(4)
    drawn = bare.render()
    for bad in (4, 9, "e5", None):
        with pytest.raises(IllegalAction):
            bare.step(bad)
    assert (bare.render(), bare.agent_selection) == (drawn, "player_1")
    env = aec_env("tic_tac_toe")
    env.reset(seed=0)
    env.step(4)
    env.step(4)
    assert (env.rewards, env.terminations) == (
        {"player_0": 0, "player_1": -1.0},
        {"player_0": True, "player_1": True},
    )


def test_a_parallel_round() -> None:
    """Rock, paper, scissors as 0, 1, 2: paper beats rock."""
    env = parallel_env("rock_paper_scissors", rounds=2)
    env.reset(seed=0)
    _, rewards, terminations, _, _ = env.step({"player_0": 1, "player_1": 0})
    assert rewards == {"player_0": 1.0, "player_1": -1.0}
    assert not any(terminations.values())
    with pytest.raises(IllegalAction):
        env.step({"player_0": 1})
    observations, rewards, terminations, truncations, _ = env.step({"player_0": 2, "player_1": 2})
    assert rewards == {"player_0": 0.0, "player_1": 0.0}
    assert all(terminations.values()) or all(truncations.values())
    assert env.agents == []
    assert set(observations) == {"player_0", "player_1"}
    with pytest.raises(UserError, match="take turns"):
        parallel_env("tic_tac_toe")


class Tug(pettingzoo.ParallelEnv):
    """Two pull a rope that begins at a random place: each is paid what it moved towards it, for four rounds."""

    metadata = {"name": "tug_v0", "render_modes": [], "is_parallelizable": True}  # noqa: RUF012
    possible_agents = ["left", "right"]  # noqa: RUF012
    render_mode = None
    high = 2.0

    def observation_space(self, agent: str) -> Any:
        return spaces.Box(-99.0, 99.0, (1,), np.float32)

    def action_space(self, agent: str) -> Any:
        return spaces.Box(np.zeros(2, np.float32), np.full(2, self.high if agent == "left" else 2.0, np.float32))

    def reset(self, seed: int | None = None, options: Any = None) -> Any:
        self.agents, self.round = self.possible_agents[:], 0
        self.place = np.random.default_rng(seed).uniform(-1.0, 1.0)
        return self._seen(), {agent: {} for agent in self.agents}

    def _seen(self) -> Any:
        return {agent: np.array([self.place], np.float32) for agent in self.agents}

    def step(self, actions: Any) -> Any:
        moved = float(actions["right"].sum() - actions["left"].sum())
        self.place, self.round = self.place + moved, self.round + 1
        over = dict.fromkeys(self.agents, self.round == 4)
        seen, rewards = self._seen(), {"left": -moved, "right": moved}
        told = seen, rewards, over, dict.fromkeys(self.agents, False), {agent: {} for agent in self.agents}
        self.agents = [] if self.round == 4 else self.agents
        return told


@pytest.fixture
def tug() -> Iterator[None]:
    before = dict(pettingzoo.parallel_registry)
    pettingzoo.register("parallel", "own/tug-v0", entry_point=Tug)
    pettingzoo.register("parallel", "own/odd_tug-v0", entry_point=type("OddTug", (Tug,), {"high": 5.0}))
    yield
    for name in set(pettingzoo.parallel_registry) - set(before):
        del pettingzoo.parallel_registry[name]


def test_actions_of_real_numbers_are_pettingzoos_own(tug: None) -> None:
    world, row = make_env("pettingzoo:own/tug_v0"), np.array([0])
    assert (world.action_shape, world.low, world.high, world.actions) == ((2,), (0.0, 0.0), (2.0, 2.0), 0)
    table, env = world.table(1), Tug()
    table.reset(row, np.array([5], np.uint64))
    env.reset(seed=env_seed(5))
    rng = np.random.default_rng(0)
    for _ in range(4):
        pulls = {agent: rng.uniform(0.0, 2.0, 2).astype(np.float32) for agent in env.possible_agents}
        total = np.zeros(2)
        for seat, agent in enumerate(env.possible_agents):
            assert table.seats[0] == seat
            assert table.observe(row)[0] == np.float32(env.place)  # the second does not see what the first has done
            total += table.step(row, pulls[agent][None])[0]
        _, rewards, *_ = env.step(pulls)
        assert total.tolist() == [rewards["left"], rewards["right"]]
    assert table.seats[0] == -1
    assert not table.truncated[0]
    table.reset(row, np.array([5], np.uint64))
    with pytest.raises(IllegalAction):
        table.step(row, np.array([[0.0, 2.5]]))


def test_real_numbers_are_played_and_learned_and_checked(tug: None) -> None:
    world = make_env("pettingzoo:own/tug_v0")
    assert not check_env(world)
    learner = make_learner("ppo", Task(world, 0), {"opponent": "random", "envs": 16, "horizon": 8, "rate": 3e-3})
    reports = list(learner.learn(Budget(6_000)))
    assert np.mean([report.metrics["return"] for report in reports[-3:]]) > 4.0  # all one's strength pays 8


def test_real_numbers_within_bounds_that_differ_are_refused(tug: None) -> None:
    with pytest.raises(UserError, match="its seats have actions of different kinds or bounds"):
        make_env("pettingzoo:own/odd_tug_v0")
