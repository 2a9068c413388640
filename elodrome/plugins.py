"""Plugins: entry points of outside packages, and single files (``path/to/file.py:Name``).

A plugin is refused, by name and with the reason, when its name is odd; whatever goes wrong while it loads is its
own trouble: it is named and skipped, never fatal and never silent.
"""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from elodrome.errors import BrokenAgent, NotThere, unknown
from elodrome.seeding import derive

_NAME = re.compile(r"[a-z][a-z0-9_]*\Z")


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
            refused[ascii(point.name)] = f"{origin}: a plugin's name is lower-case letters, digits and _, no more"
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
    if not file.is_file():
        raise NotThere(f"{path}: no such file")
    name = f"elodrome_file_{file.stem}_{derive(0, str(file.resolve())):016x}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, file)
        if spec is None or spec.loader is None:
            raise BrokenAgent(f"{path}: not a Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            del sys.modules[name]
            raise BrokenAgent(f"{path} does not import: {type(error).__name__}: {error}") from error
    module = sys.modules[name]
    if not hasattr(module, attribute):
        raise NotThere(f"{path}: {unknown('name', attribute, [n for n in vars(module) if n[0] != '_'])}")
    return getattr(module, attribute)


def parse_value(text: str) -> Any:
    """A value from the command line: JSON where it parses (numbers, true, false, null), text elsewhere."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return {"True": True, "False": False, "None": None}.get(text, text)
