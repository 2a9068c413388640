"""The Go Text Protocol, version 2 (G. Farnebäck, 2002): names of points, and an engine as an untrusted process.

An engine runs under a supervisor (``isolation``), with a limit on its memory. Every answer has a deadline and a largest
size, and whatever an engine does wrong ends as one of three errors: ``Refused`` (it said no), ``EngineFailure`` (it
crashed, or what it wrote is no answer) and ``TimeoutError``. After the latter two it is gone with all that it started.
"""

from __future__ import annotations

import os
import re
import selectors
import shlex
import shutil
import time
import weakref
from collections.abc import Sequence
from contextlib import suppress

import numpy as np

from elodrome.agents.isolation.process import Program
from elodrome.envs.game import Game
from elodrome.errors import UserError

COLUMNS = "ABCDEFGHJKLMNOPQRSTUVWXYZ"  # no I: it looks like J
ANSWER = 1 << 16  # bytes; the longest answer that is read
_READ = 1 << 14
_PATIENCE = 0.5  # seconds between asking a process to end and making it
_INSTALL = {"gnugo": "Debian's package gnugo", "pachi": "Debian's package pachi"}
# Debian puts games where root's PATH does not look.
_GAMES = ("/usr/games", "/usr/local/games")


class Refused(Exception):
    """The engine answered ``? reason``."""


class EngineFailure(Exception):
    """The engine died, or wrote what is no answer; its processes have been ended."""


def board_of(world: Game) -> tuple[int, float]:
    """(size, komi) of a Go world: its constants."""
    size, komi = world.constants
    return int(size), float(komi.view(np.float64))


def vertex(action: int, size: int) -> str:
    """An action of a Go world of ours (row by row from the top left; size * size passes) as GTP writes it."""
    if action == size * size:
        return "pass"
    row, column = divmod(action, size)
    return f"{COLUMNS[column]}{size - row}"


def action_of(text: str, size: int) -> int:
    """The action that a GTP vertex means. Raises ValueError, in words, when it is no point of the board."""
    if text.lower() == "pass":
        return size * size
    found = re.fullmatch(r"([A-HJ-Z])([1-9]\d?)", text.upper())
    if found:
        column, row = COLUMNS.index(found[1]), size - int(found[2])
        if column < size and row >= 0:
            return row * size + column
    raise ValueError(f"{text[:40]!r} is no point of a board of {size} x {size}")


def program(command: str) -> list[str]:
    """A command line as words, the program as a path. Raises UserError when there is none, with how to install it."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UserError(f"command {command!r}: {error}") from error
    if not words:
        raise UserError("no command; name the engine's, as in: gtp:gnugo --mode gtp")
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *_GAMES])
    found = shutil.which(words[0], path=path)
    if found is None:
        known = _INSTALL.get(os.path.basename(words[0]))
        hint = f"; it comes with {known}" if known else "; install it, or give its path"
        raise UserError(f"engine {words[0]!r} is not on this machine{hint}")
    return [found, *words[1:]]


class Engine:
    """One running engine. ``memory`` is the most that it may hold in MiB (0: no limit)."""

    def __init__(self, words: Sequence[str], memory: int = 0) -> None:
        try:
            self._program = Program(words, memory=memory)
        except (OSError, ValueError) as error:  # a ValueError for words that no program can be given
            reason = error.strerror if isinstance(error, OSError) else error
            raise EngineFailure(f"cannot be started: {reason}") from error
        pipes = (self._program.input, self._program.output, self._program.complaints)
        self._in, self._out, self._err = (pipe.fileno() for pipe in pipes)
        for pipe in (self._in, self._out, self._err):
            os.set_blocking(pipe, False)
        self._selector = selectors.DefaultSelector()
        for pipe in (self._out, self._err):
            self._selector.register(pipe, selectors.EVENT_READ)
        self._buffer = b""
        self._complaint = b""  # the last that it wrote to its stderr
        self._asked = 0
        self._close = weakref.finalize(self, _end, self._program, self._selector)

    @property
    def alive(self) -> bool:
        """Whether it can still be asked."""
        return self._close.alive

    def ask(self, command: str, seconds: float) -> str:
        """The answer to a command, without its mark.

        Raises Refused for ``? ...``, TimeoutError when none came in time, EngineFailure when the engine died or wrote
        something else.
        """
        if not self.alive:
            raise EngineFailure("the engine has ended")
        try:
            return self._ask(command, seconds)
        except (TimeoutError, EngineFailure):
            self.close(patience=0.0)
            raise

    def close(self, patience: float = _PATIENCE) -> None:
        """End the engine and all its children: by closing its input, by SIGTERM, by SIGKILL."""
        if self._close.detach():
            _end(self._program, self._selector, patience)

    def _ask(self, command: str, seconds: float) -> str:
        deadline = time.monotonic() + seconds
        while self._pump(0.0, command):
            if self._buffer.strip():
                raise EngineFailure(f"wrote {_shown(self._buffer)} without being asked")
            self._buffer = b""
        if self._buffer.strip():
            raise EngineFailure(f"wrote {_shown(self._buffer)} after its answer")
        self._buffer = b""
        self._asked += 1
        try:
            os.write(self._in, f"{self._asked} {command}\n".encode())
        except BlockingIOError:
            raise TimeoutError(f"does not read its input; {command!r} was not taken") from None
        except OSError:
            raise self._died(command) from None
        while (end := self._buffer.find(b"\n\n")) < 0:
            if len(self._buffer) > ANSWER:
                raise EngineFailure(f"wrote more than {ANSWER} bytes to {command!r} without ending its answer")
            left = deadline - time.monotonic()
            if left <= 0:
                half = f", only {_shown(self._buffer)}" if self._buffer.strip() else ""
                raise TimeoutError(f"no answer to {command!r} within {seconds:g} s{half}")
            # In slices, as a child may hold the pipe open after the engine itself has died.
            if not self._pump(min(left, 0.2), command) and self._program.ending():
                while self._pump(0.0, command):
                    pass
                if b"\n\n" not in self._buffer:
                    raise self._died(command)
        answer, self._buffer = self._buffer[:end], self._buffer[end + 2 :]
        return self._parse(answer, command)

    def _parse(self, answer: bytes, command: str) -> str:
        text = "".join(c for c in answer.decode("utf-8", "replace").strip() if c in "\n\t" or c.isprintable())
        found = re.fullmatch(r"([=?])(\d*)(?:\s(.*))?", text, re.DOTALL)
        if found is None or found[2] not in ("", str(self._asked)):
            raise EngineFailure(f"answered {command!r} with {_shown(answer)}, which is not GTP")
        value = (found[3] or "").strip()
        if found[1] == "?":
            raise Refused(value or "no reason given")
        return value

    def _pump(self, seconds: float, command: str) -> bool:
        """Read once what there is; whether the engine wrote an answer's bytes. Its complaints are kept on the way."""
        came = False
        for key, _ in self._selector.select(seconds):
            data = os.read(key.fd, _READ).replace(b"\r", b"")
            if key.fd == self._err:
                self._complaint = (self._complaint + data)[-400:]
                if not data:
                    self._selector.unregister(self._err)
            elif not data:
                raise self._died(command)
            else:
                self._buffer += data
                came = True
        return came

    def _died(self, command: str) -> EngineFailure:
        """How it ended, with the last line that it wrote to its stderr."""
        with suppress(OSError, KeyError):
            for _ in self._selector.select(0.05):
                self._complaint = (self._complaint + os.read(self._err, _READ))[-400:]
        ending = self._program.ending(_PATIENCE) or "closed its output"
        lines = self._complaint.decode("utf-8", "replace").strip().splitlines()
        return EngineFailure(f"{ending} at {command!r}" + (f": {lines[-1][:200]}" if lines else ""))


def _shown(data: bytes) -> str:
    return repr(data[:60].decode("utf-8", "replace"))


def _end(program: Program, selector: selectors.BaseSelector, patience: float = _PATIENCE) -> None:
    selector.close()
    program.close(patience)
