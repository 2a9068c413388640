"""What the three adapters share: a table of Python objects, names with options, observations as floats."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from elodrome.envs.actions import Actions, as_plain, box
from elodrome.envs.game import LONGEST, Floats, Mask, Reals, World
from elodrome.envs.registry import parse_options
from elodrome.envs.table import Rows, Table
from elodrome.errors import BadOption, UserError, shown
from elodrome.seeding import U64, mix64

PICTURE = 36  # rows and columns at least
STEPS_WITHOUT_LIMIT = 10_000  # max_steps where a foreign environment states none; the option max_steps overrides it


@contextmanager
def blamed(what: str) -> Iterator[None]:
    """Whatever another library raises, told in one line: BadOption for a TypeError, UserError for anything else."""
    try:
        yield
    except Exception as error:
        raise told(what, error) from error


def told(what: str, error: Exception) -> Exception:
    """The error to raise for one of another library's; one of ours is itself."""
    if isinstance(error, UserError):
        return error
    said = " ".join(str(error).split()) or type(error).__name__
    kind = BadOption if isinstance(error, TypeError) else UserError
    return kind(f"{what}: {said[:300]}{'...' if len(said) > 300 else ''}")


def split_name(rest: str, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """``NAME[:key=value,...]`` and keywords as (NAME, all options). NAME may hold colons of its own."""
    name, _, tail = rest.rpartition(":")
    if name and "=" in tail:
        return name, {**parse_options(rest, tail), **options}
    return rest, dict(options)


def step_limit(options: dict[str, Any], usual: int = STEPS_WITHOUT_LIMIT) -> int:
    """Takes ``max_steps`` out of the options. Raises BadOption when it is not a whole number from 1 to LONGEST."""
    limit = options.pop("max_steps", usual)
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= LONGEST:
        raise BadOption(f"max_steps must be a whole number from 1 to {LONGEST}, not {shown(limit)}")
    return limit


def full_id(prefix: str, name: str, options: Mapping[str, Any]) -> str:
    """The name under which ``make_env`` makes the same world again."""
    tail = ",".join(f"{key}={json.dumps(value, default=str)}" for key, value in options.items())
    return f"{prefix}:{name}" + (f":{tail}" if tail else "")


def env_seed(seed: int) -> int:
    """The seed handed to a foreign environment for a row that was reset with ``seed``: 31 bits, which all accept."""
    return int(mix64(np.array([seed], np.uint64))[0] >> np.uint64(33))


def flattener(space: spaces.Space[Any], world: str) -> tuple[tuple[int, ...], Callable[[Any], Floats]]:
    """The shape of a space's values as float32, and what turns a value into them.

    A Box keeps its shape, but for pictures (``is_picture``), whose planes come first; everything else becomes what
    ``gymnasium.spaces.flatten`` makes of it (Discrete: one-hot). Raises UserError for spaces of no fixed size.
    """
    if isinstance(space, spaces.Box) and is_picture(space) and _planes_last(space.shape):
        height, width, planes = space.shape
        return (planes, height, width), _planes_first
    if isinstance(space, spaces.Box):
        shape = space.shape or (1,)
        return shape, partial(_boxed, shape)
    try:
        return (spaces.flatdim(space),), partial(_flat, space)
    except (ValueError, NotImplementedError):
        pass
    raise UserError(f"{world}: observations in {space} have no fixed size; a Box, Discrete or their like is needed")


def is_picture(space: spaces.Space[Any]) -> bool:
    """Whether a space is of pictures: bytes in planes, of a size at which one speaks of pixels."""
    if not isinstance(space, spaces.Box) or space.dtype != np.uint8 or len(space.shape) != 3:
        return False
    rows, columns = space.shape[:2] if _planes_last(space.shape) else space.shape[1:]
    return bool(min(rows, columns) >= PICTURE and space.low.min() == 0 and space.high.max() == 255)


def _planes_last(shape: tuple[int, ...]) -> bool:
    return shape[2] <= 4 < shape[0]


# No lambdas: tables, and with them environments, are pickled.
def _boxed(shape: tuple[int, ...], value: Any) -> Floats:
    return np.asarray(value, np.float32).reshape(shape)


def _planes_first(value: Any) -> Floats:
    return np.asarray(value, np.float32).transpose(2, 0, 1)


def _flat(space: spaces.Space[Any], value: Any) -> Floats:
    return np.asarray(spaces.flatten(space, value), np.float32)


def action_fields(space: spaces.Space[Any], world: str) -> dict[str, Any]:
    """What a world says of its actions (``World.actions``, ``action_shape``, ``low``, ``high``), from a space that is
    Discrete or a Box of real numbers within bounds. Raises UserError for any other."""
    if isinstance(space, spaces.Discrete):
        return {"actions": int(space.n)}
    if isinstance(space, spaces.Box) and space.dtype.kind == "f":
        if not space.is_bounded():
            raise UserError(f"{world}: actions without bounds ({space}); gymnasium.wrappers.RescaleAction gives bounds")
        shape = space.shape or (1,)
        low, high = (tuple(np.asarray(ends, np.float32).ravel().tolist()) for ends in (space.low, space.high))
        return {"actions": 0, "action_shape": shape, "low": low, "high": high}
    raise UserError(f"{world}: actions must be Discrete or a Box of real numbers, but they are {space}")


def action_space(world: World) -> spaces.Space[Any]:
    """The space of a world's actions, on its way out."""
    return spaces.Box(*box(world)) if world.continuous else spaces.Discrete(world.actions)


def passed_on(space: spaces.Space[Any], action: Any) -> Any:
    """An action of ours as the foreign environment wants it: Discrete spaces may start elsewhere than at 0."""
    if isinstance(space, spaces.Discrete):
        return int(space.start) + int(action)
    return np.array(action, space.dtype).reshape(space.shape)


class ForeignTable(Table):
    """A table of foreign games, one Python object for each row; a subclass says how one of them is played.

    Subclasses keep ``seats`` and ``truncated`` up to date in ``_start`` and ``_play``; legality, plies and the
    step limit are kept here.
    """

    def reset(self, rows: Rows, seeds: U64) -> None:
        for row, seed in zip(rows.tolist(), seeds.tolist(), strict=True):
            self.plies[row] = 0
            self.truncated[row] = False
            with blamed(f"{self.world.id}: a game cannot be started"):
                self._start(row, seed)

    def legal(self, rows: Rows) -> Mask:
        masks = np.zeros((len(rows), self.world.actions), np.uint8)
        for i, row in enumerate(rows.tolist()):
            if self.seats[row] >= 0:
                mask = self._legal(row)
                masks[i, : len(mask)] = mask
        return masks

    def observe(self, rows: Rows, seats: Rows | None = None) -> Floats:
        who = self.seats[rows] if seats is None else seats
        seen = np.zeros((len(rows), prod(self.world.observation_shape)), np.float32)
        for i, (row, seat) in enumerate(zip(rows.tolist(), who.tolist(), strict=True)):
            values = self._see(row, seat).ravel()
            seen[i, : len(values)] = values
        return seen.reshape(len(rows), *self.world.observation_shape)

    def step(self, rows: Rows, actions: Actions) -> Reals:
        plain = as_plain(self.world, actions)
        for row, action, mask in zip(rows.tolist(), plain, self.legal(rows), strict=True):
            if self.seats[row] < 0 or self.world.refusal(action, mask):
                raise self._refusal(row, action)
        rewards = np.zeros((len(rows), self.world.players))
        for i, (row, action) in enumerate(zip(rows.tolist(), plain, strict=True)):
            try:
                rewards[i] = self._play(row, action)
            except Exception as error:
                raise told(f"{self.world.id}: action {action} in its game", error) from error
            self.plies[row] += 1
            if self.seats[row] >= 0 and self.plies[row] >= self.world.max_steps:
                self.truncated[row] = True
                self.seats[row] = -1
        return rewards

    @abstractmethod
    def _start(self, row: int, seed: int) -> None:
        """Start a game; everything random in it comes from ``seed``."""

    @abstractmethod
    def _legal(self, row: int) -> Mask:
        """The mask of the seat to act, of length A or less."""

    @abstractmethod
    def _see(self, row: int, seat: int) -> Floats:
        """What a seat sees, of the observation's size or less."""

    @abstractmethod
    def _play(self, row: int, action: Any) -> Reals | float:
        """Play a legal action, a plain one (``envs.actions``); the rewards [P] of this step, where P is 1 the number
        alone."""


@dataclass(frozen=True, kw_only=True)
class RenderedWorld(World):
    """A world whose environments are made by name, with options and a render mode. paints: whether that can be
    ``rgb_array``."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    paints: bool = False


def rendering(env: Any, options: dict[str, Any]) -> bool:
    """Whether environments like this one can paint themselves; options that name no render mode ask for text where
    there is one."""
    modes = env.metadata.get("render_modes") or ()
    paints = "rgb_array" in modes and options.get("render_mode", "rgb_array") == "rgb_array"
    if "ansi" in modes:
        options.setdefault("render_mode", "ansi")
    return paints


class RenderedTable(ForeignTable):
    """A table of such environments."""

    world: RenderedWorld

    def _options(self) -> dict[str, Any]:
        """The options by which an environment of this table is made."""
        mode = {"render_mode": "rgb_array"} if self.painted and self.world.paints else {}
        return {**self.world.options, **mode}

    def picture(self, row: int) -> npt.NDArray[np.uint8] | None:
        if self._options().get("render_mode") != "rgb_array":
            return None
        with blamed(f"{self.world.id} cannot be painted"):
            painted = np.asarray(self._render(row))
        return painted.astype(np.uint8) if painted.ndim == 3 and painted.shape[2] == 3 else None

    def draw(self, row: int) -> str:
        """The environment's own text where it has one, else what the seat to act sees (the first seat at the end)."""
        if self._options().get("render_mode") == "ansi":
            return str(self._render(row)).rstrip()
        return np.array2string(self._see(row, max(0, int(self.seats[row]))), precision=4, suppress_small=True)

    @abstractmethod
    def _render(self, row: int) -> Any:
        """What a row's environment renders."""


def world_of(world: World | str, options: Mapping[str, Any]) -> World:
    """A world, or the one of that name, on its way out to a foreign interface.

    Raises BadOption, a TypeError, for options that it does not take.
    """
    if isinstance(world, World):
        if options:
            raise BadOption(f"{world.id} is made already and takes no options: {', '.join(options)}")
        return world
    from elodrome.envs.registry import make_env

    return make_env(world, **options)
