"""Errors that a person caused and can mend: one line each, printed without a traceback (exit code 2)."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Bad input from outside. The message says what was wrong and what would be right."""


class IllegalAction(UserError):
    """An action that the rules refuse: not legal here, out of range, after the end, or out of turn."""


class BrokenAgent(UserError):
    """An agent, saved or a plugin, or a plugin's world that cannot be used here: it does not load, its engine is
    missing, it refuses the board. The message names it and the trouble."""


class NotThere(BrokenAgent):
    """A file that was named and is not there, or that has no such name in it: most likely misspelt."""


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


class Diverged(UserError):
    """Training ended because a loss or weight is no longer a number. The message says at which step and why."""
