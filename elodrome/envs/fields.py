"""What a world says of itself, looked through once: all that comes after relies on the kinds of its fields."""

from __future__ import annotations

from collections.abc import Iterator
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, get_args

if TYPE_CHECKING:
    from elodrome.envs.game import World


def trouble(world: World, kinds: Any, informations: Any) -> str | None:
    """The first field that is not what it should be, in words; ``kinds`` and ``informations`` are the words there are
    for these two."""
    return next(_troubles(world, get_args(kinds), get_args(informations)), None)


def _troubles(world: World, kinds: tuple[str, ...], informations: tuple[str, ...]) -> Iterator[str]:
    for name in ("id", "kind", "information", "summary", "source"):
        if type(getattr(world, name)) is not str:
            yield f"{name} must be text"
    if not world.id:
        yield "id must not be empty"
    if world.kind not in kinds:
        yield f"kind must be one of {', '.join(kinds)}"
    if world.information not in informations:
        yield f"information must be {' or '.join(informations)}"
    for name in ("players", "actions", "max_steps"):
        if not _whole(getattr(world, name)):
            yield f"{name} must be a whole number from 1 to 2^31"
    if type(world.observation_shape) is not tuple or not all(_whole(n, 0) for n in world.observation_shape):
        yield "observation_shape must be a tuple of whole numbers"
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


def _whole(value: Any, least: int = 1) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and least <= int(value) <= 1 << 31


def _number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and value == value  # NaN is none
