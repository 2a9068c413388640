"""Gymnasium both ways, against Gymnasium itself stepped directly and against its own environment checker."""

import copy
import pickle
import subprocess
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env

from elodrome import make_env
from elodrome.envs.adapters.foreign import env_seed
from elodrome.envs.adapters.gymnasium import GymnasiumEnv
from elodrome.envs.adapters.pettingzoo import AecEnv, ParallelEnv
from elodrome.envs.adapters.register import ANY, ENTRY_POINT
from elodrome.envs.enumeration import enumerate_world
from elodrome.envs.index import RowIndex
from elodrome.envs.information import InformationStates, keys_of
from elodrome.envs.registry import BUILTIN
from elodrome.errors import IllegalAction, UserError

SOLO = [name for name in BUILTIN if make_env(name).players == 1]
FREE = [name for name in SOLO if name != "doors"]  # every action is legal; Gymnasium's checker tries them all


class Odd(gymnasium.Env[Any, Any]):
    """Three actions called 5, 6, 7, of which the last is legal at every other step; a Dict to look at."""

    metadata = {"render_modes": ["ansi"], "render_fps": 4}  # noqa: RUF012
    action_space = spaces.Discrete(3, start=5)
    observation_space = spaces.Dict({"n": spaces.Discrete(4), "flags": spaces.MultiBinary(2)})

    def __init__(self, render_mode: str | None = None, both: bool = False) -> None:
        self.render_mode, self.both, self.n = render_mode, both, 0

    def _look(self) -> Any:
        return {"n": self.n, "flags": np.array([0, 1], np.int8)}

    def _info(self) -> Any:
        return {"action_mask": np.array([1, 1, self.n % 2], np.int8)}

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.n = 0
        return self._look(), self._info()

    def step(self, action: int) -> Any:
        assert action in (5, 6, 7)
        self.n += 1
        return self._look(), float(action), self.both and self.n == 3, self.n == 3, self._info()

    def render(self) -> Any:
        return f"n = {self.n}"


@pytest.fixture
def odd() -> Iterator[str]:
    gymnasium.register("Odd-v0", entry_point=Odd)
    yield "gymnasium:Odd-v0"
    del gymnasium.registry["Odd-v0"]


def test_cart_pole_is_gymnasiums_own() -> None:
    """Every row, step by step, until all have ended."""
    world = make_env("gymnasium:CartPole-v1")
    assert (world.players, world.actions, world.observation_shape, world.max_steps) == (1, 2, (4,), 500)
    rows, seeds = np.arange(5), np.array([3, 0, 2**64 - 1, 7, 7], np.uint64)
    table, envs = world.table(5), [gymnasium.make("CartPole-v1") for _ in range(5)]
    table.reset(rows, seeds)
    seen = [env.reset(seed=env_seed(int(seed)))[0] for env, seed in zip(envs, seeds, strict=True)]
    np.testing.assert_array_equal(table.observe(rows), np.array(seen))
    rng = np.random.default_rng(0)
    live = rows
    while len(live):
        actions = rng.integers(2, size=len(live))
        rewards = table.step(live, actions)
        for i, row in enumerate(live):
            observation, reward, terminated, truncated, _ = envs[row].step(int(actions[i]))
            np.testing.assert_array_equal(table.observe(np.array([row]), np.zeros(1, np.int64))[0], observation)
            assert rewards[i, 0] == reward
            assert (table.seats[row] < 0) == (terminated or truncated)
        live = live[table.seats[live] >= 0]
    assert not table.truncated.any()
    assert table.draw(0)


def test_time_limit_truncates() -> None:
    world = make_env("gymnasium:CartPole-v1", max_episode_steps=4)
    assert world.id == "gymnasium:CartPole-v1:max_episode_steps=4"
    assert make_env(world.id) == world
    table, row = world.table(1), np.array([0])
    table.reset(row, np.array([0], np.uint64))
    for _ in range(4):
        table.step(row, row)
    assert table.seats[0] == -1
    assert table.truncated[0]


def test_start_mask_and_flattening(odd: str) -> None:
    world = make_env(odd)
    table, row = world.table(1), np.array([0])
    table.reset(row, np.array([0], np.uint64))
    np.testing.assert_array_equal(table.legal(row), [[1, 1, 0]])
    expected = spaces.flatten(Odd.observation_space, {"n": 0, "flags": np.array([0, 1], np.int8)})
    np.testing.assert_array_equal(table.observe(row)[0], expected)
    for bad in (2, 3, -1):
        with pytest.raises(IllegalAction, match="legal: 0, 1"):
            table.step(row, np.array([bad]))
    assert (table.draw(0), table.plies[0]) == ("n = 0", 0)
    assert table.step(row, np.array([1]))[0, 0] == 6.0
    assert table.step(row, np.array([2]))[0, 0] == 7.0
    table.step(row, np.array([0]))
    assert (table.seats[0], table.truncated[0]) == (-1, True)
    np.testing.assert_array_equal(table.legal(row), [[0, 0, 0]])
    with pytest.raises(IllegalAction, match="over"):
        table.step(row, np.array([0]))


def test_terminated_and_truncated_at_once_is_terminated(odd: str) -> None:
    table, row = make_env(odd, both=True).table(1), np.array([0])
    table.reset(row, np.array([0], np.uint64))
    for _ in range(3):
        table.step(row, np.array([0]))
    assert (table.seats[0], table.truncated[0]) == (-1, False)


def test_an_illegal_row_leaves_the_others_where_they_were(odd: str) -> None:
    table, rows = make_env(odd).table(2), np.arange(2)
    table.reset(rows, np.zeros(2, np.uint64))
    with pytest.raises(IllegalAction):
        table.step(rows, np.array([0, 2]))
    assert [table.draw(0), table.draw(1)] == ["n = 0", "n = 0"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cartpole", "did you mean 'CartPole-v1'"),
        ("CartPole-v9", "did you mean 'CartPole-v1'"),
        ("LunarLander-v3", "not installed"),
        ("CartPole-v1:wings=2", "wings"),
        ("CartPole-v1:max_steps=0", "max_steps must be"),
        ("no_such_module:X-v0", "no_such_module"),
    ],
)
def test_errors_say_what_would_be_right(name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        make_env(f"gymnasium:{name}")


# Worlds do not declare the bounds of what they show, so the Box is unbounded; Gymnasium only finds that unusual.
@pytest.mark.filterwarnings("ignore:.*A Box observation space m.* value is -?infinity:UserWarning")
@pytest.mark.parametrize("name", FREE)
def test_our_solo_worlds_pass_gymnasiums_checker(name: str) -> None:
    env = gymnasium.make(f"elodrome:{name}", render_mode="ansi")
    assert isinstance(env.unwrapped, GymnasiumEnv)
    check_env(env.unwrapped)


@pytest.mark.parametrize("name", [*SOLO, "gridworld:slip=0.3"])
def test_a_seed_repeats_an_episode(name: str) -> None:
    def episode(env: GymnasiumEnv, seed: int | None) -> list[Any]:
        rng, over = np.random.default_rng(1), False
        observation, info = env.reset(seed=seed)
        trace = [observation.tolist()]
        while not over and len(trace) < 200:
            action = rng.choice(np.flatnonzero(info["action_mask"]))
            observation, reward, terminated, truncated, info = env.step(action)
            over = terminated or truncated
            trace.append((observation.tolist(), reward, terminated, truncated))
        return trace

    first, second = GymnasiumEnv(name), GymnasiumEnv(name)
    assert episode(first, 4) == episode(second, 4)
    assert episode(first, None) == episode(second, None)


def test_a_gridworld_is_cut_off_but_not_terminated() -> None:
    env = GymnasiumEnv("cliff_walking")
    env.reset(seed=0)
    for step in range(env.world.max_steps):
        _, reward, terminated, truncated, _ = env.step(np.int64(0))  # up, against the wall
        assert reward == -1.0
        assert not terminated
        assert truncated == (step == env.world.max_steps - 1)
    with pytest.raises(IllegalAction, match="over"):
        env.step(np.int64(0))


def test_refusals_of_our_own() -> None:
    with pytest.raises(UserError, match="2 seats"):
        GymnasiumEnv("tic_tac_toe")
    with pytest.raises(UserError, match="known: ansi"):
        GymnasiumEnv("cliff_walking", render_mode="human")
    env = GymnasiumEnv("cliff_walking", render_mode="ansi")
    env.reset(seed=0)
    before = env.render()
    for bad in (99, -1, None, 0.5):
        with pytest.raises(IllegalAction):
            env.step(bad)  # type: ignore[arg-type]
    assert env.render() == before


# Libraries look for a package without importing it, import it again, and from several threads at once.
ORDERS = [
    "import elodrome, gymnasium",
    "import gymnasium, elodrome",
    "import gymnasium",
    "import elodrome, importlib.util as u; [u.find_spec('gymnasium') for _ in range(3)]; import gymnasium",
    "import elodrome, gymnasium, importlib; importlib.reload(gymnasium)",
    "import elodrome, gymnasium, sys; [sys.modules.pop(m) for m in [*sys.modules] if m.split('.')[0] == 'gymnasium']; "
    "import gymnasium",
    "import elodrome, importlib; importlib.reload(elodrome); import gymnasium",
    "import elodrome; from concurrent.futures import ThreadPoolExecutor as T; from importlib import import_module; "
    "from importlib.util import find_spec; list(T(8).map(find_spec, ['gymnasium'] * 8)); "
    "list(T(8).map(import_module, ['gymnasium'] * 8)); import gymnasium",
]


@pytest.mark.parametrize("imports", ORDERS)
def test_ids_are_there_in_any_order_of_imports(imports: str) -> None:
    code = f"""{imports}
import sys
if "elodrome" in sys.modules:
    assert {{"cliff_walking", "elodrome/cliff_walking"}} <= set(gymnasium.registry)
    assert not {{"tic_tac_toe", "elodrome/tic_tac_toe", "go"}} & set(gymnasium.registry)
assert not {{"numba", "torch"}} & set(sys.modules)
print(gymnasium.make("elodrome:cliff_walking").reset(seed=0)[0].shape)"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("(48,)", "")


def test_the_registry_holds_the_solo_worlds_and_knows_how_many_seats_each_has() -> None:
    assert {name: entry.seats for name, entry in BUILTIN.items()} == {n: make_env(n).players for n in BUILTIN}
    ours = {id for id, spec in gymnasium.registry.items() if spec.entry_point == ENTRY_POINT}
    assert ours == {*SOLO, *(f"elodrome/{name}" for name in SOLO), ANY}
    env = gymnasium.make(ANY, world="gridworld:map=maze")
    assert env.reset(seed=0)[0].shape == (54,)


def test_importing_elodrome_imports_nothing_heavy() -> None:
    code = "import elodrome, sys; print({'gymnasium', 'numpy', 'numba', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


PROBES = {
    "gymnasium.make": lambda: gymnasium.make("elodrome:cliff_walking", frame_skip=4),
    "make_vec": lambda: gymnasium.make_vec("elodrome:cliff_walking", num_envs=2, frame_skip=4),
    "render_mode": lambda: GymnasiumEnv("cliff_walking", render_mode="rgb_array"),
    "GymnasiumEnv": lambda: GymnasiumEnv("cliff_walking", frame_skip=4),
    "GymnasiumEnv of a world": lambda: GymnasiumEnv(make_env("cliff_walking"), frame_skip=4),
    "GymnasiumEnv of none": lambda: GymnasiumEnv(None),  # type: ignore[arg-type]
    "AecEnv": lambda: AecEnv("tic_tac_toe", frame_skip=4),
    "AecEnv, render_mode": lambda: AecEnv("tic_tac_toe", render_mode="rgb_array"),
    "ParallelEnv": lambda: ParallelEnv("rock_paper_scissors", frame_skip=4),
    "make_env": lambda: make_env("go", frame_skip=4),
    "make_env of Gymnasium's": lambda: make_env("gymnasium:CartPole-v1", frame_skip=4),
    "make_env of PettingZoo's": lambda: make_env("pettingzoo:classic/tictactoe_v3", frame_skip=4),
    "make_env of OpenSpiel's": lambda: make_env("open_spiel:hex", frame_skip=4),
}


# Gymnasium only mentions a render mode that the environment does not list.
@pytest.mark.filterwarnings("ignore:.*render_mode.*:UserWarning")
@pytest.mark.parametrize("door", PROBES)
def test_a_library_that_probes_with_unknown_keywords_gets_the_type_error_it_waits_for(door: str) -> None:
    """Stable-Baselines3 and TorchRL do so, and go on without the keyword."""
    with pytest.raises(TypeError) as caught:
        PROBES[door]()
    assert isinstance(caught.value, UserError)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [*SOLO, "gridworld:slip=0.3", "gymnasium:CartPole-v1"])
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
def test_a_copy_of_an_environment_goes_on_with_the_same_episode(name: str, copied: Any) -> None:
    env = GymnasiumEnv(name)
    _, info = env.reset(seed=3)
    every = np.ones(env.action_space.n)
    mask = info.get("action_mask", every)
    twin, rng = copied(env), np.random.default_rng(0)
    assert twin.world == env.world
    for _ in range(40):
        action = rng.choice(np.flatnonzero(mask))
        ends = []
        for one in (env, twin):
            observation, reward, terminated, truncated, info = one.step(action)
            ends.append((observation.tolist(), reward, terminated, truncated))
        assert ends[0] == ends[1]
        mask = info.get("action_mask", every)
        if ends[0][2] or ends[0][3]:
            first, info = env.reset()
            assert first.tolist() == twin.reset()[0].tolist()
            mask = info.get("action_mask", every)


def test_environments_in_processes_of_their_own() -> None:
    """Gymnasium sends the maker and the spaces through pickle; the children import everything anew."""
    env = gymnasium.make_vec(
        "elodrome:cliff_walking", num_envs=2, vectorization_mode="async", vector_kwargs={"context": "spawn"}
    )
    try:
        observation, _ = env.reset(seed=0)
        observation, reward, *_ = env.step(np.zeros(2, np.int64))
    finally:
        env.close()
    assert (observation.argmax(axis=1).tolist(), reward.tolist()) == ([24, 24], [-1, -1])


@pytest.mark.parametrize("name", ["gymnasium", "gymnasium:", "pettingzoo:", "open_spiel"])
def test_a_prefix_alone_is_answered_with_an_example(name: str) -> None:
    with pytest.raises(UserError, match="needs a name behind the colon, as in"):
        make_env(name)


@pytest.mark.parametrize(
    "name",
    ["FrozenLake-v1", "FrozenLake8x8-v1:is_slippery=false", "Taxi-v4", "CliffWalking-v1", "CliffWalkingSlippery-v1"],
)
def test_toy_worlds_tell_their_transitions(name: str) -> None:
    """What is seen in random play has the frequencies, the rewards and the ends that the tables say."""
    world = make_env(f"gymnasium:{name}")
    states = InformationStates.of(world)
    tables = states.tables
    assert (states.seats == 0).all()
    assert tables.start_probability.sum() == pytest.approx(1.0)
    index = RowIndex(keys_of(states.seats, states.observations, 0 * states.legal))
    table, rng, any_legal = world.table(1), np.random.default_rng(0), np.zeros((1, world.actions), np.uint8)
    row = np.zeros(1, np.int64)
    told: dict[tuple[int, int], list[tuple[int, float]]] = {}
    for game in range(60):
        table.reset(row, np.array([game], np.uint64))
        for _ in range(100):
            (i,) = index.find(keys_of(np.zeros(1, np.int64), table.observe(row).reshape(1, -1), any_legal))
            assert i >= 0
            assert np.array_equal(table.legal(row)[0], states.legal[i])
            action = int(rng.choice(np.flatnonzero(states.legal[i])))
            reward = table.step(row, np.array([action]))[0, 0]
            over = table.seats[0] < 0 and not table.truncated[0]
            after = table.observe(row, np.zeros(1, np.int64)).reshape(1, -1)
            (to,) = index.find(keys_of(np.zeros(1, np.int64), after, any_legal))
            told.setdefault((int(states.first[i]), action), []).append((-1 if over else int(to), float(reward)))
            if table.seats[0] < 0:
                break
    for (s, a), seen in told.items():
        edges = slice(*tables.offsets[s * world.actions + a : s * world.actions + a + 2])
        assert tables.probability[edges].sum() == pytest.approx(1.0)
        expected: dict[tuple[int, float], float] = {}
        for to, reward, p in zip(
            states.info[tables.next_state[edges]], tables.reward[edges, 0], tables.probability[edges], strict=True
        ):
            expected[int(to), float(reward)] = expected.get((int(to), float(reward)), 0.0) + p
        for outcome in set(seen) | set(expected):
            p = expected.get(outcome, 0.0)
            assert abs(seen.count(outcome) - p * len(seen)) <= 5 * np.sqrt(len(seen) * p * (1 - p)), (s, a, outcome)


def test_other_worlds_tell_nothing() -> None:
    for name in ("Blackjack-v1", "CartPole-v1", "Taxi-v4:fickle_passenger=true"):
        with pytest.raises(UserError, match="does not tell its transitions"):
            enumerate_world(make_env(f"gymnasium:{name}"))


def test_an_old_version_is_one_error_that_names_the_new_one(elodrome: Any) -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        code, out, err = elodrome("check", "env", "gymnasium:Taxi-v3")
    assert (code, out, err.count("\n"), told) == (2, "", 1, [])
    assert "gymnasium:Taxi-v3: " in err
    assert "Taxi-v4" in err
