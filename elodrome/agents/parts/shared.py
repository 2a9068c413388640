"""What all agents of one process share and none may change: the world above all, then what belongs to the process."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator
from functools import cached_property
from operator import is_
from types import ModuleType
from typing import Any

import numpy as np

from elodrome.envs.game import World

_MISSING = object()


class WorldGuard:
    """A world's fields as they were, so that an agent that changes one is found out and the field put back."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._fields = dict(vars(world))

    def altered(self) -> str:
        """Which fields are not what they were, in words, after putting them back; empty where all are."""
        now = vars(self.world)
        # Looked at after every answer, so quickly first: the same names and values in the same places.
        was = self._fields
        if len(now) == len(was) and all(map(is_, now.values(), was.values())) and now.keys() == was.keys():
            return ""
        # What a world derives from its fields when it is first asked (a cached property) may come, nothing else.
        derived = [k for k in now if k not in self._fields and not self._cached(k)]
        if not derived and all(now.get(name, _MISSING) is value for name, value in self._fields.items()):
            self._fields = dict(now)
            return ""
        changed = [k for k, v in self._fields.items() if now.get(k, _MISSING) is not v] + derived
        for name in changed:
            if name in self._fields:
                object.__setattr__(self.world, name, self._fields[name])
            else:
                object.__delattr__(self.world, name)
        return f"altered the world: {', '.join(changed)}"

    def _cached(self, name: str) -> bool:
        return isinstance(getattr(type(self.world), name, None), cached_property)


class ProcessGuard:
    """What belongs to the process, as it was: environment, folder, random generators, torch's settings, and the names
    in our own modules and classes. Costs some milliseconds, so it is for checks, not for matches."""

    def __init__(self) -> None:
        self._names = {(place, name): value for place in _places() for name, value in vars(place).items()}
        self._settings = _settings()

    def altered(self) -> list[str]:
        """What is not as it was, in words; names of ours and the environment are put back."""
        now = _settings()
        found = [name for name, value in self._settings.items() if now[name] != value]
        for (place, name), value in self._names.items():
            if vars(place).get(name, _MISSING) is not value and not name.startswith("__"):
                module = "" if isinstance(place, ModuleType) else f"{place.__module__}."
                found.append(f"{module}{getattr(place, '__qualname__', place.__name__)}.{name}")
                setattr(place, name, value)
        if now["os.environ"] != self._settings["os.environ"]:
            os.environ.clear()
            os.environ.update(self._settings["os.environ"])
        return found


def _places() -> Iterator[Any]:
    """Our modules that are loaded, and their classes."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "elodrome" and isinstance(module, ModuleType):
            yield module
            yield from (v for v in list(vars(module).values()) if isinstance(v, type) and v.__module__ == name)


def _settings() -> dict[str, Any]:
    # The legacy generator is read, never used: this is how a draw from it is caught.
    _, words, position, *_ = np.random.get_state()  # noqa: NPY002
    found: dict[str, Any] = {
        "numpy's global random generator": hash((np.asarray(words).tobytes(), position)),
        "Python's global random generator": hash(random.getstate()),
        "os.environ": dict(os.environ),
        "the working folder": os.getcwd(),
        "sys.path": list(sys.path),
        "sys.stdout": id(sys.stdout),
        "sys.stderr": id(sys.stderr),
        "the limit of recursion": sys.getrecursionlimit(),
        "numpy's handling of errors": np.geterr(),
    }
    torch = sys.modules.get("torch")
    found |= {
        "torch's global random generator": torch and hash(torch.random.get_rng_state().numpy().tobytes()),
        "torch's threads": torch and torch.get_num_threads(),
        "torch's default dtype": torch and str(torch.get_default_dtype()),
        "torch's grad mode": torch and torch.is_grad_enabled(),
    }
    return found
