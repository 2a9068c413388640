"""Gymnasium both ways: its environments as worlds, and our solo worlds as its environments.

``make_env("gymnasium:CartPole-v1")`` brings one in. ``gymnasium.make("elodrome:cliff_walking")`` takes one out
(``register.py`` puts the ids into Gymnasium's registry); ``GymnasiumEnv(world)`` does so without a name.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from elodrome.envs.actions import as_array, kind_of_action
from elodrome.envs.adapters import atari
from elodrome.envs.adapters.foreign import (
    STEPS_WITHOUT_LIMIT,
    RenderedTable,
    RenderedWorld,
    action_fields,
    action_space,
    blamed,
    env_seed,
    flattener,
    full_id,
    is_picture,
    passed_on,
    rendering,
    split_name,
    step_limit,
    world_of,
)
from elodrome.envs.enumeration import Tables
from elodrome.envs.game import Floats, Mask, World
from elodrome.envs.table import Rows
from elodrome.errors import BadOption, IllegalAction, UserError, unknown

Env = gymnasium.Env[Any, Any]


def from_name(rest: str, **options: Any) -> World:
    """The Gymnasium environment ``rest`` (``ID[:key=value,...]``) as a world of one seat.

    Options go to ``gymnasium.make``; ``max_steps`` is ours: where to truncate when the environment states no limit.
    Raises UserError for an unknown id, a missing dependency, a bad option, or actions that are neither discrete nor
    real numbers within bounds.
    """
    name, options = split_name(rest, options)
    id = full_id("gymnasium", name, options)
    limit = step_limit(options, atari.MAX_STEPS if name.startswith(atari.PREFIX) else STEPS_WITHOUT_LIMIT)
    with blamed(id):
        env = _make(name, options)
        paints = rendering(env, options)
        try:
            actions = action_fields(env.action_space, id)
            shape, _ = flattener(env.observation_space, id)
            pixels = is_picture(env.observation_space)
            real_valued = isinstance(env.observation_space, spaces.Box) and env.observation_space.dtype.kind == "f"
            steps = env.spec.max_episode_steps if env.spec else None
        finally:
            env.close()
    return GymnasiumWorld(
        id=id,
        players=1,
        **actions,
        observation_shape=shape,
        max_steps=steps or limit,
        real_valued=real_valued,
        pixels=pixels,
        return_range=(-np.inf, np.inf),
        summary=f"Gymnasium's {name}",
        source="gymnasium.farama.org",
        name=name,
        options=options,
        paints=paints,
    )


def _make(name: str, options: Mapping[str, Any]) -> Env:
    try:
        with warnings.catch_warnings():  # of newer versions: what is too old to run raises, and names them
            warnings.simplefilter("ignore", DeprecationWarning)
            return atari.make(name, options) if name.startswith(atari.PREFIX) else gymnasium.make(name, **options)
    except gymnasium.error.UnregisteredEnv:
        raise unknown("Gymnasium environment", name, gymnasium.registry) from None
    except gymnasium.error.DependencyNotInstalled as error:
        raise UserError(f"gymnasium:{name} needs a package that is not installed: {error}") from None


@dataclass(frozen=True, kw_only=True)
class GymnasiumWorld(RenderedWorld):
    """One of Gymnasium's environments. name and options are those of ``gymnasium.make``."""

    def table(self, games: int) -> GymnasiumTable:
        return GymnasiumTable(self, games)

    def tables(self) -> Tables | None:
        """Gymnasium's toy worlds tell all: ``P[state][action]``, a list of (probability, next state, reward, over)."""
        env = _make(self.name, self.options)
        try:
            toy: Any = env.unwrapped
            # A fickle passenger changes his mind outside P.
            if not type(toy).__module__.startswith("gymnasium.envs.toy_text.") or getattr(
                toy, "fickle_passenger", False
            ):
                return None
            return _toy_tables(self, toy) if hasattr(toy, "P") and hasattr(toy, "initial_state_distrib") else None
        finally:
            env.close()


def _toy_tables(world: GymnasiumWorld, toy: Any) -> Tables:
    """The tables of a toy world: its reachable states in order, and the end behind them."""
    reached: set[int] = set()
    ahead = {int(s) for s in np.flatnonzero(toy.initial_state_distrib)}
    while ahead:
        reached |= ahead
        moves = [move for s in ahead for outcomes in toy.P[s].values() for move in outcomes]
        ahead = {int(to) for _, to, _, over in moves if not over} - reached
    names = sorted(reached)
    number = {name: s for s, name in enumerate(names)}
    end = len(names)
    legal = np.zeros((end + 1, world.actions), np.uint8)
    for s, name in enumerate(names):
        legal[s] = toy.action_mask(name) if hasattr(toy, "action_mask") else 1
    edges: list[tuple[float, int, float]] = []
    offsets = [0]
    for s in range(end + 1):
        for a in range(world.actions):
            for p, to, reward, over in toy.P[names[s]][a] if legal[s, a] else ():
                if p > 0.0:
                    edges.append((float(p), end if over else number[int(to)], float(reward)))
            offsets.append(len(edges))
    probability, next_state, reward = (np.array(column) for column in zip(*edges, strict=True))
    _, flatten = flattener(toy.observation_space, world.id)
    return Tables(
        game=world,
        states=np.array([[*names, -1]]).T,
        seats=np.array([*[0] * end, -1]),
        legal=legal,
        offsets=np.array(offsets),
        next_state=next_state,
        probability=probability,
        reward=reward[:, None],
        starts=np.array([number[int(s)] for s in np.flatnonzero(toy.initial_state_distrib)]),
        start_probability=toy.initial_state_distrib[toy.initial_state_distrib > 0].astype(np.float64),
        seen=np.array([*(flatten(name) for name in names), np.zeros(world.observation_shape, np.float32)], np.float32),
    )


class GymnasiumTable(RenderedTable):
    """Environments of Gymnasium side by side; a row's environment is made when it is first reset.

    Row seeds become ``env.reset(seed=env_seed(seed))``. Truncation is the environment's own; where it says terminated
    and truncated at once, the game counts as terminated.
    """

    world: GymnasiumWorld

    def __init__(self, world: GymnasiumWorld, games: int) -> None:
        super().__init__(world, games)
        self._envs: list[Env | None] = [None] * games
        self._seen = np.zeros((games, *world.observation_shape), np.float32)
        self._masks = np.ones((games, world.actions), np.uint8)

    def _env(self, row: int) -> Env:
        env = self._envs[row]
        if env is None:
            env = self._envs[row] = _make(self.world.name, self._options())
            self._space = env.action_space
            _, self._flatten = flattener(env.observation_space, self.world.id)
        return env

    def _note(self, row: int, observation: Any, info: Mapping[str, Any]) -> None:
        self._seen[row] = self._flatten(observation)
        self._masks[row] = info.get("action_mask", 1)

    def _start(self, row: int, seed: int) -> None:
        observation, info = self._env(row).reset(seed=env_seed(seed))
        self.seats[row] = 0
        self._note(row, observation, info)

    def legal(self, rows: Rows) -> Mask:
        masks: Mask = self._masks[rows]
        masks[self.seats[rows] < 0] = 0
        return masks

    def observe(self, rows: Rows, seats: Rows | None = None) -> Floats:
        seen: Floats = self._seen[rows]
        return seen

    def _legal(self, row: int) -> Mask:
        return self._masks[row]

    def _see(self, row: int, seat: int) -> Floats:
        return self._seen[row]

    def _play(self, row: int, action: Any) -> float:
        observation, reward, terminated, truncated, info = self._env(row).step(passed_on(self._space, action))
        self._note(row, observation, info)
        if terminated or truncated:
            self.seats[row] = -1
            self.truncated[row] = not terminated
        return float(reward)

    def _render(self, row: int) -> Any:
        return self._env(row).render()


class GymnasiumEnv(gymnasium.Env[Floats, Any]):
    """A world of one seat as a Gymnasium environment; ``world`` is a World or the name of one.

    Observations float32 of the world's shape; ``info["action_mask"]`` int8 [A], nothing where actions are a Box. Raises
    UserError for worlds of several seats, BadOption (a TypeError) for options that it does not take, IllegalAction
    (with nothing changed) for an action that the rules refuse.
    """

    metadata = {"render_modes": ["ansi"], "render_fps": 4}  # noqa: RUF012 (as the base class has it)

    def __init__(self, world: World | str, render_mode: str | None = None, **options: Any) -> None:
        self.world = world_of(world, options)
        if self.world.players != 1:
            raise UserError(
                f"{self.world.id} has {self.world.players} seats and Gymnasium one; "
                "use elodrome.envs.adapters.pettingzoo.aec_env"
            )
        if render_mode not in (None, "ansi"):
            raise BadOption(f"{self.world.id}: unknown render mode {render_mode!r}; known: ansi")
        self.render_mode = render_mode
        self.observation_space = spaces.Box(-np.inf, np.inf, self.world.observation_shape, np.float32)
        self.action_space = action_space(self.world)
        self._table = self.world.table(1)
        self._row = np.zeros(1, np.int64)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Floats, dict[str, Any]]:
        super().reset(seed=seed)
        self._table.reset(self._row, self.np_random.integers(2**64, size=1, dtype=np.uint64))
        return self._look()

    def step(self, action: Any) -> tuple[Floats, float, bool, bool, dict[str, Any]]:
        if not self.action_space.contains(action):
            raise IllegalAction(f"{self.world.id}: {action!r} is not {kind_of_action(self.world)}")
        reward = self._table.step(self._row, as_array(self.world, [action]))[0, 0]
        truncated = bool(self._table.truncated[0])
        observation, info = self._look()
        return observation, float(reward), bool(self._table.seats[0] < 0) and not truncated, truncated, info

    def render(self) -> str | None:
        """The state as text, in the mode "ansi"."""
        return self._table.draw(0) if self.render_mode == "ansi" else None

    def _look(self) -> tuple[Floats, dict[str, Any]]:
        mask = {} if self.world.continuous else {"action_mask": self._table.legal(self._row)[0].astype(np.int8)}
        return self._table.observe(self._row, self._row)[0], mask
