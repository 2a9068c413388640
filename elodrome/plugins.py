"""Plugins: entry points of outside packages, and single files (``path/to/file.py:Name``).

A plugin is refused, by name and with the reason, when its name is odd; whatever goes wrong while it loads is its
own trouble: it is named and skipped, never fatal and never silent.
"""

from __future__ import annotations

import importlib.util
import json
import math
import re
import sys
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from elodrome.errors import BrokenAgent, NotThere, UserError, blamed, unknown
from elodrome.files import SOURCE, is_file, regular
from elodrome.seeding import derive

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}\Z")
# Bounds on what stands in a command: a value's characters, its brackets inside each other, the bits of a whole number.
LONGEST, DEEPEST, BITS = 1 << 16, 32, 64


@dataclass(frozen=True)
class Plugin:
    """One entry point: its name, its target as text and the package it comes from."""

    name: str
    target: str
    origin: str
    point: EntryPoint

    def load(self) -> Any:
        """Import the target. Whatever the plugin raises, comes through."""
        return self.point.load()


@cache
def _scan(group: str) -> tuple[dict[str, Plugin], dict[str, str]]:
    found: dict[str, Plugin] = {}
    refused: dict[str, str] = {}
    for point in sorted(entry_points(group=group), key=lambda p: (p.name, p.value)):
        origin = point.dist.name if point.dist else "an unknown package"
        if not _NAME.match(point.name):
            refused[ascii(point.name)] = (
                f"{origin}: a plugin's name is lower-case letters, digits and _, no more, at most 64"
            )
        elif point.name in found:
            refused[point.name] = f"{origin}: the name is taken by {found[point.name].origin}"
        else:
            found[point.name] = Plugin(point.name, point.value, origin, point)
    return found, refused


def discover(group: str) -> dict[str, Plugin]:
    """The plugins of a group by name, nothing imported."""
    return dict(_scan(group)[0])


def broken(group: str) -> dict[str, str]:
    """Plugins refused for their name, with the reason."""
    return dict(_scan(group)[1])


def load_file(path: str, attribute: str) -> Any:
    """The object called ``attribute`` of a Python file that is not installed.

    Raises BrokenAgent, which names the file, when it does not import; NotThere when it, or the attribute, is missing.
    """
    file = Path(path)
    if not is_file(file):
        raise NotThere(f"{path}: no such file")
    regular(file, SOURCE)
    name = f"elodrome_file_{file.stem}_{derive(0, str(file.resolve())):016x}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, file)
        if spec is None or spec.loader is None:
            raise BrokenAgent(f"{path}: not a Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            with blamed(f"{path} does not import"):
                spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
    module = sys.modules[name]
    with blamed(path):
        if not hasattr(module, attribute):
            raise NotThere(f"{path}: {unknown('name', attribute, [n for n in vars(module) if n[:1] != '_'])}")
        return getattr(module, attribute)


def parse_value(text: str) -> Any:
    """A value from the command line: JSON where it parses (numbers, true, false, null), text elsewhere.

    Raises UserError for what is too long, too deep, no finite number or a whole number of more than 64 bits.
    """
    if len(text) > LONGEST:
        raise UserError(f"a value of {len(text)} characters; at most {LONGEST}")
    depth = deepest = 0
    for bracket in re.findall(r"[\[\]{}]", text):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    if deepest > DEEPEST:
        raise UserError(f"a value of {deepest} brackets inside each other; at most {DEEPEST}")
    try:
        return json.loads(text, parse_int=_whole, parse_float=_finite, parse_constant=_finite)
    except json.JSONDecodeError:
        return {"True": True, "False": False, "None": None}.get(text, text)


def _whole(text: str) -> int:
    if len(text) > BITS or abs(value := int(text)) >= 1 << BITS:
        raise UserError(f"a whole number of {len(text.lstrip('-'))} digits; at most {BITS} bits")
    return value


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise UserError(f"{text[:20]} is no finite number")
    return value
