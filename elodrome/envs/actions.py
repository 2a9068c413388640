"""What an action is: the number of one of A, or an array of real numbers within bounds. As plain values and as arrays.

A world says which (``World.action_shape``). A plain action, as records keep it, is an int or a tuple of floats, row by
row; many at once are int64 [k], or float32 [k, *action_shape].
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from elodrome.seeding import U64, branches, units

if TYPE_CHECKING:
    from elodrome.envs.game import Floats, Mask, World

Action = int | tuple[float, ...]
Actions = npt.NDArray[Any]  # int64 [k] or float32 [k, *action_shape]


def blank(world: World, count: int) -> Actions:
    """Room for ``count`` actions, zeros."""
    return np.zeros((count, *world.action_shape), np.float32 if world.continuous else np.int64)


def as_array(world: World, actions: Sequence[Action]) -> Actions:
    """Plain actions [k] as an array."""
    if not world.continuous:
        return np.array(actions, np.int64)
    return np.array(actions, np.float32).reshape(len(actions), *world.action_shape)


def as_plain(world: World, actions: Actions) -> list[Action]:
    """Actions [k] of an array as plain values."""
    if not world.continuous:
        return actions.tolist()
    return [tuple(entries) for entries in actions.reshape(len(actions), -1).tolist()]


def box(world: World) -> tuple[Floats, Floats]:
    """The least and the greatest action, float32 [*action_shape]."""
    low, high = (np.array(ends, np.float32).reshape(world.action_shape) for ends in (world.low, world.high))
    return low, high


@lru_cache
def _ends(low: tuple[float, ...], high: tuple[float, ...]) -> tuple[list[float], list[float]]:
    """Bounds as float32 has them: an action that is at one must not be beyond it."""
    least, most = (np.array(ends, np.float32).tolist() for ends in (low, high))
    return least, most


def refusal(world: World, action: Action, legal: Mask) -> str | None:
    """Why an action may not be played where ``legal`` [A] may, for people; None where it may."""
    if isinstance(action, int):
        if 0 <= action < len(legal):
            return None if legal[action] else f"{world.action_name(action)}, not legal there"
        return f"{action}, not {kind_of_action(world)}"
    if not world.continuous:
        return f"{action}, not {kind_of_action(world)}"
    if len(action) != len(world.low):
        return f"{len(action)} numbers, not {kind_of_action(world)}"
    for index, (entry, least, most) in enumerate(zip(action, *_ends(world.low, world.high), strict=True)):
        if not least <= entry <= most:  # NaN is not
            return f"{entry:.6g} in entry {index}, not a number from {least:g} to {most:g}"
    return None


def kind_of_action(world: World) -> str:
    """What an action of this world is, for people."""
    if not world.continuous:
        return f"an action from 0 to {world.actions - 1}"
    shape, ends = world.action_shape, (set(world.low), set(world.high))
    numbers = f"{shape[0]} real number{'s' * (shape[0] > 1)}" if len(shape) == 1 else f"real numbers of shape {shape}"
    if max(map(len, ends)) > 1:
        return f"an array of {numbers} within its bounds"
    return f"an array of {numbers} from {world.low[0]:g} to {world.high[0]:g}"


def uniform(world: World, words: U64) -> Floats:
    """Actions [k, *action_shape] from anywhere within the bounds with equal density, one from each word [k]."""
    low, high = box(world)
    shares = units(branches(words, len(world.low))).reshape(len(words), *world.action_shape)
    return np.clip((low + shares * (high - low)).astype(np.float32), low, high)


def random_actions(world: World, legal: Mask, rng: np.random.Generator) -> Actions:
    """One uniformly random action for each row of masks [k, A], where a generator is at hand."""
    if world.continuous:
        return uniform(world, rng.integers(0, 2**64, len(legal), np.uint64))
    return np.array([rng.choice(np.flatnonzero(mask)) for mask in legal], np.int64)
