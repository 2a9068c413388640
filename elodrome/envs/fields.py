"""What a world says of itself, looked through once: all that comes after relies on the kinds of its fields."""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite, prod
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, get_args

if TYPE_CHECKING:
    from elodrome.envs.game import World


def trouble(world: World, kinds: Any, informations: Any) -> str | None:
    """The first field that is not what it should be, in words; ``kinds`` and ``informations`` are the words there are
    for these two."""
    return next(_troubles(world, get_args(kinds), get_args(informations)), None)


def _troubles(world: World, kinds: tuple[str, ...], informations: tuple[str, ...]) -> Iterator[str]:
    for name in ("id", "kind", "information", "summary", "source", "layout"):
        if type(getattr(world, name)) is not str:
            yield f"{name} must be text"
    if not world.id:
        yield "id must not be empty"
    if world.kind not in kinds:
        yield f"kind must be one of {', '.join(kinds)}"
    if world.information not in informations:
        yield f"information must be {' or '.join(informations)}"
    for name in ("players", "actions", "max_steps"):
        if not _whole(getattr(world, name), 0 if name == "actions" and world.action_shape else 1):
            yield f"{name} must be a whole number from 1 to 2^31"
    yield from _box_troubles(world)
    if type(world.observation_shape) is not tuple or not all(_whole(n, 0) for n in world.observation_shape):
        yield "observation_shape must be a tuple of whole numbers"
    if world.pixels and len(world.observation_shape) != 3:
        yield "observation_shape of pictures must be (planes, rows, columns)"
    ends = world.return_range
    if type(ends) is not tuple or len(ends) != 2 or not all(_number(end) for end in ends) or ends[0] > ends[1]:
        yield "return_range must be two numbers, the lower first"
    if not _number(world.discount) or not 0 <= world.discount <= 1:
        yield "discount must be a number from 0 to 1"
    for name, count in (("action_names", world.actions), ("seat_names", world.players)):
        words = getattr(world, name)
        if type(words) is not tuple or not all(type(word) is str for word in words):
            yield f"{name} must be a tuple of text"
        if len(words) not in (0, count):
            yield f"{len(words)} {name.replace('_', ' ')} for {count} {name.partition('_')[0]}s"


def _box_troubles(world: World) -> Iterator[str]:
    """Of actions that are arrays of real numbers."""
    shape = world.action_shape
    if type(shape) is not tuple or not all(_whole(n) for n in shape):
        yield "action_shape must be a tuple of whole numbers from 1"
    if shape and world.actions != 0:
        yield "actions must be 0 where there is an action_shape"
    size = prod(shape) if shape else 0
    for name in ("low", "high"):
        ends = getattr(world, name)
        if type(ends) is not tuple or not all(_number(end) and isfinite(end) for end in ends):
            yield f"{name} must be a tuple of finite numbers"
        if len(ends) != size:
            yield f"{name} must have {size} numbers for an action_shape of {shape}, not {len(ends)}"
    if not all(low < high for low, high in zip(world.low, world.high, strict=True)):
        yield "low must be below high in every entry"


def _whole(value: Any, least: int = 1) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and least <= int(value) <= 1 << 31


def _number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and value == value  # NaN is none
