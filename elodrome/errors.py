"""Errors that a person caused and can mend: one line each, printed without a traceback (exit code 2)."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any


class UserError(Exception):
    """Bad input from outside. The message says what was wrong and what would be right."""


class BadOption(UserError, TypeError):
    """An option that a world does not take, or a value of the wrong kind: libraries that probe wait for a TypeError."""


class IllegalAction(UserError):
    """An action that the rules refuse: not legal here, out of range, after the end, or out of turn."""


class BrokenAgent(UserError):
    """An agent, saved or a plugin, or a plugin's world that cannot be used here: it does not load, its engine is
    missing, it refuses the board. The message names it and the trouble."""


class NotThere(BrokenAgent):
    """A file that was named and is not there, or that has no such name in it: most likely misspelt."""


class BrokenWorld(UserError):
    """A world whose rules cannot be compiled or must not run. The message names the rule or world and the trouble."""


def nearest(name: str, choices: Iterable[str]) -> str:
    """``"; did you mean 'a' or 'b'?"``, or the whole list where nothing is near."""
    known = sorted(choices)
    close = difflib.get_close_matches(name.lower(), known, n=3, cutoff=0.5)
    if close:
        return "; did you mean " + " or ".join(repr(c) for c in close) + "?"
    return "; known: " + ", ".join(known) if known else ""


def unknown(what: str, name: str, choices: Iterable[str]) -> UserError:
    """The error for a name that is not on the list."""
    return UserError(f"unknown {what} {name!r}{nearest(name, choices)}")


def shown(value: object, most: int = 60) -> str:
    """A value as text for a message: cut where it is long; its type where it cannot be written."""
    try:
        text = repr(value)
    except Exception:
        return f"a {type(value).__name__} that cannot be written"
    return text if len(text) <= most else f"{text[: most - 3]}..."


def place(error: BaseException) -> str:
    """``" (file.py, line 7)"``: where an exception was raised, or nothing where it was not."""
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    return f" ({Path(at.tb_frame.f_code.co_filename).name}, line {at.tb_lineno})" if at is not None else ""


class Diverged(UserError):
    """Training ended because a loss or weight is no longer a number. The message says at which step and why."""


def shortened(value: object, length: int, how: Callable[[Any], str] = str) -> str:
    """``value`` as text (``how`` makes it) of at most ``length`` characters, whatever its ``str`` and ``repr`` do."""
    try:
        text = how(value)
        return text if len(text) <= length else f"{text[: length - 3]}..."
    except BaseException as error:
        return f"<{type(value).__name__} whose text raises {type(error).__name__}>"


def told(error: BaseException) -> str:
    """An exception of somebody else's code in one line: its type, what it says, and the file and line it came from."""
    said = " ".join(shortened(error, 400).split())
    place = _origin(error)
    return f"{type(error).__name__}{': ' if said else ''}{said}" + (f" ({place})" if place else "")


def _origin(error: BaseException) -> str:
    """FILE:LINE of the innermost code that is neither ours nor a library's; nothing where there is none."""
    from traceback import walk_tb

    libraries = (str(Path(__file__).parent), sys.prefix, sys.base_prefix)
    frames = [(frame.f_code.co_filename, line) for frame, line in walk_tb(error.__traceback__)]
    theirs = [frame for frame in frames if not frame[0].startswith(libraries) and not frame[0].startswith("<")]
    return f"{Path(theirs[-1][0]).name}:{theirs[-1][1]}" if theirs else ""
