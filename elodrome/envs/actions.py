"""What an action is: the number of one of A, or an array of real numbers within bounds. As plain values and as arrays.

A world says which (``World.action_shape``). A plain action, as records keep it, is an int or a tuple of floats, row by
row; many at once are int64 [k], or float32 [k, *action_shape].
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from elodrome.seeding import U64, mix64, units

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


def as_plain(action: Any) -> Action:
    """One action out of an array as a plain value."""
    return tuple(action.ravel().tolist()) if isinstance(action, np.ndarray) and action.ndim else int(action)


def box(world: World) -> tuple[Floats, Floats]:
    """The least and the greatest action, float32 [*action_shape]."""
    low, high = (np.array(ends, np.float32).reshape(world.action_shape) for ends in (world.low, world.high))
    return low, high


def refusal(world: World, action: Action, legal: Mask) -> str | None:
    """Why an action may not be played where ``legal`` [A] may, for people; None where it may."""
    if isinstance(action, tuple) is not world.continuous:
        return f"{action}, not {kind_of_action(world)}"
    if not isinstance(action, tuple):
        if not 0 <= action < len(legal):
            return f"{action}, not an action from 0 to {len(legal) - 1}"
        return None if legal[action] else f"{world.action_name(action)}, not legal there"
    if len(action) != len(world.low):
        return f"{len(action)} numbers, not {kind_of_action(world)}"
    low, high = (np.array(ends, np.float32).tolist() for ends in (world.low, world.high))
    for index, (entry, least, most) in enumerate(zip(action, low, high, strict=True)):
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
    size = len(world.low)
    columns: Any = words[:, None] + np.arange(1, size + 1, dtype=np.uint64)
    shares = units(mix64(columns)).reshape(len(words), *world.action_shape)
    return np.clip((low + shares * (high - low)).astype(np.float32), low, high)


def random_actions(world: World, legal: Mask, rng: np.random.Generator) -> Actions:
    """One uniformly random action for each row of masks [k, A], where a generator is at hand."""
    if world.continuous:
        return uniform(world, rng.integers(0, 2**64, len(legal), np.uint64))
    return np.array([rng.choice(np.flatnonzero(mask)) for mask in legal], np.int64)
