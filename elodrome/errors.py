"""Errors that a person caused and can mend: one line each, printed without a traceback (exit code 2).

And what makes strangers' words fit for that line: their names, messages and answers may hold anything, or raise.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any


class UserError(Exception):
    """Bad input from outside. The message says what was wrong and what would be right."""


class IllegalAction(UserError):
    """An action that the rules refuse: not legal here, out of range, after the end, or out of turn."""


class BrokenAgent(UserError):
    """A saved agent or plugin that cannot be used. The message names the file or plugin and the trouble."""


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


def printable(text: str, most: int = 0, keep: str = "") -> str:
    r"""``text`` with all that a screen would obey instead of show (control characters, escape sequences, marks that
    turn the direction of reading, lone surrogates) as ``\x1b`` or ``\u202e``; but for the characters in ``keep``.

    With ``most`` it is cut in the middle to that many characters. What is printable comes back as it is.
    """
    if not text.isprintable():
        text = "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text)
    return f"{text[: most // 2]}...{text[3 - most // 2 :]}" if 0 < most < len(text) else text


def shown(value: Any, most: int = 80) -> str:
    """The ``repr`` of anything, whatever it is, in at most ``most`` characters. Never raises."""
    try:
        # Joined, so that it is a str and no class of its own that pretends to be one.
        return printable("".join([repr(value)]), most)
    except KeyboardInterrupt:
        raise
    except BaseException:
        return f"a {type(value).__name__} that cannot be shown"


def told(error: BaseException, most: int = 500) -> str:
    """What an exception says, in one line: our own errors' message, the type and message of others. Never raises."""
    name = type(error).__name__
    try:
        text = " ".join("".join([str(error)]).split())
    except KeyboardInterrupt:
        raise
    except BaseException:
        text = "(its message cannot be shown)"
    if not isinstance(error, UserError):
        text = f"{name}: {text}" if text else name
    return printable(text, most)


@contextmanager
def blamed(who: str) -> Iterator[None]:
    """Run code of a stranger. Raises BrokenAgent that begins with ``who`` for whatever it raises (``sys.exit`` too) but
    our own errors and Ctrl-C."""
    try:
        yield
    except (UserError, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise BrokenAgent(f"{who}: {told(error)}") from error
