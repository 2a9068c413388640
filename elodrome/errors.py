"""Errors that a person caused and can mend: one line each, printed without a traceback (exit code 2).

And what makes strangers' words fit for that line: their names, messages and answers may hold anything, or raise.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
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
    return UserError(f"unknown {what} {shown(name, 120)}{nearest(name[:120], choices)}")


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
    """What an exception says, in one line: our own errors' message; of others the type, the message and the ``place``.
    Never raises."""
    name = type(error).__name__
    try:
        text = " ".join("".join([str(error)]).split())
    except KeyboardInterrupt:
        raise
    except BaseException:
        text = "(its message cannot be shown)"
    if not isinstance(error, UserError):
        return printable(f"{name}: {text}" if text else name, most) + place(error)
    return printable(text, most)


def place(error: BaseException) -> str:
    """`` (FILE, line N)`` of the innermost code that is neither ours nor a library's; nothing where there is none."""
    libraries = (str(Path(__file__).parent), sys.prefix, sys.base_prefix, "<")
    at, found = error.__traceback__, ""
    while at is not None:
        file = at.tb_frame.f_code.co_filename
        if not file.startswith(libraries):
            found = f" ({printable(Path(file).name, 80)}, line {at.tb_lineno})"
        at = at.tb_next
    return found


@contextmanager
def blamed(who: str, kind: type[UserError] = BrokenAgent) -> Iterator[None]:
    """Run code of a stranger. Raises ``kind`` that begins with ``who`` for whatever it raises (``sys.exit`` too) but
    our own errors and Ctrl-C."""
    try:
        yield
    except (UserError, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise kind(f"{who}: {told(error)}") from error
