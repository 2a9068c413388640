"""What a learner keeps, declared once as the names of its attributes: saving, resuming and freezing follow.

Each kind of thing says here, or beside its own code (``networks`` for modules and optimisers), how it becomes arrays
and JSON values and how it takes them back; lists and dictionaries are kept thing by thing. Anything else is kept that
has a ``snapshot`` and a ``resume`` of its own.
"""

from __future__ import annotations

from functools import singledispatch
from typing import Any, ClassVar

import numpy as np

from elodrome.agents.agent import Agent, Learner
from elodrome.agents.parts.saved import under


@singledispatch
def kept(value: Any) -> dict[str, Any]:
    """A thing as arrays and JSON values by name; one that is a single value has the empty name."""
    entries: dict[str, Any] = value.snapshot()
    return entries


@singledispatch
def put_back(value: Any, entries: dict[str, Any]) -> Any:
    """What ``kept`` took, in place where there is a place; the thing as it was then. Raises BrokenAgent, KeyError or
    ValueError for what does not fit."""
    value.resume(entries)
    return value


@kept.register(bool | int | float | str)
def _(value: Any) -> dict[str, Any]:
    return {"": value}


@put_back.register(bool | int | float | str)
def _(value: Any, entries: dict[str, Any]) -> Any:
    return type(value)(entries[""])


@kept.register
def _(value: np.random.Generator) -> dict[str, Any]:
    return {"": value.bit_generator.state}


@put_back.register
def _(value: np.random.Generator, entries: dict[str, Any]) -> Any:
    value.bit_generator.state = entries[""]
    return value


@kept.register
def _(value: dict) -> dict[str, Any]:  # type: ignore[type-arg]
    return {
        f"{name}/{key}" if key else name: entry for name, thing in value.items() for key, entry in kept(thing).items()
    }


@put_back.register
def _(value: dict, entries: dict[str, Any]) -> dict[str, Any]:  # type: ignore[type-arg]
    return {
        name: put_back(thing, {"": entries[name]} if name in entries else under(entries, f"{name}/"))
        for name, thing in value.items()
    }


@kept.register
def _(value: list) -> dict[str, Any]:  # type: ignore[type-arg]
    return kept({str(place): thing for place, thing in enumerate(value)})


@put_back.register
def _(value: list, entries: dict[str, Any]) -> list[Any]:  # type: ignore[type-arg]
    return list(put_back({str(place): thing for place, thing in enumerate(value)}, entries).values())


class KeptLearner(Learner):
    """A learner that names the attributes which resuming needs: networks, optimisers, replay, environment, random
    generators, counters. Everything else must follow from them, the task and the settings."""

    KEEPS: ClassVar[tuple[str, ...]]

    @property
    def agent(self) -> Agent:
        return self.restore(self.world, self.config, self.weights())

    def snapshot(self) -> dict[str, Any]:
        return kept({name: getattr(self, name) for name in self.KEEPS})

    def resume(self, snapshot: dict[str, Any]) -> None:
        # One after the other: what comes later may read what came before.
        for name in self.KEEPS:
            setattr(self, name, put_back({name: getattr(self, name)}, snapshot)[name])
