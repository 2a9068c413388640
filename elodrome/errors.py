"""Errors that a person caused and can mend: one line each, printed without a traceback (exit code 2)."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path


class UserError(Exception):
    """Bad input from outside. The message says what was wrong and what would be right."""


class BadOption(UserError, TypeError):
    """An option that a world does not take, or a value of the wrong kind: libraries that probe wait for a TypeError."""


class IllegalAction(UserError):
    """An action that the rules refuse: not legal here, out of range, after the end, or out of turn."""


class BrokenAgent(UserError):
    """A saved agent or plugin that cannot be used. The message names the file or plugin and the trouble."""


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
    return UserError(f"unknown {what} {shown(name, 120)}{nearest(name[:120], choices)}")


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
