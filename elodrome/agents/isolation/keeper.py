"""Our side of a cell: the process, the two ways to it, and the clock (``cell.py`` is the other side)."""

from __future__ import annotations

import mmap
import os
import re
import selectors
import socket
import sys
import tempfile
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
from pydantic import Field

from elodrome.agents.agent import Config, Failure, Positions
from elodrome.agents.isolation.cell import SHARED
from elodrome.agents.isolation.process import Program
from elodrome.agents.isolation.wire import Garbled, receive, send
from elodrome.errors import BrokenAgent, NotThere, UserError

FLOOD = 16 << 20  # bytes that an agent may print between two answers
SHOWN = 1 << 16  # bytes of what it prints that are passed on
TAIL = 1 << 14
WORDS = 1.0  # seconds that it has to say where it hangs
CLOSING = 0.1  # seconds that it has to end by itself
_FRAME = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+) in (?P<name>\S+)')
_HOME = str(Path(__file__).parents[2])


class Limits(Config):
    """seconds: for one move. load: seconds to start. memory: MiB that the agent and all that it starts may hold."""

    seconds: float = Field(default=5.0, gt=0, le=86_400, allow_inf_nan=False)
    load: float = Field(default=60.0, gt=0, le=86_400, allow_inf_nan=False)
    memory: int = Field(default=4096, ge=64, le=1 << 24)


class Printed:
    """Passes on what an agent prints, as plain text, up to a bound."""

    def __init__(self, spec: str) -> None:
        self.spec, self.count = spec, 0

    def __call__(self, data: bytes) -> None:
        if self.count < SHOWN:
            text = data[: SHOWN - self.count].decode("utf-8", "replace")
            sys.stderr.write("".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text))
            if self.count + len(data) >= SHOWN:
                sys.stderr.write(f"\n{self.spec}: what it prints is not shown any more\n")
        self.count += len(data)


class Cell:
    """A process with an agent in it, and the ways there and back."""

    def __init__(self, limits: Limits, show: Printed) -> None:
        self.limits, self.show = limits, show
        self.said, self.flood = b"", 0
        self.dump = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 (it lives as long as the cell)
        ours, theirs = socket.socketpair()
        with tempfile.TemporaryFile() as file, theirs:
            file.truncate(8 * SHARED)
            self.board = np.frombuffer(mmap.mmap(file.fileno(), 8 * SHARED), np.int64)
            channels = (theirs.fileno(), file.fileno(), self.dump.fileno())
            # It finds modules where we do. What it prints comes at once, as it may not live to flush it.
            paths = os.pathsep.join(str(Path(path).absolute()) for path in sys.path)
            self.program = Program(
                [sys.executable, "-P", "-m", "elodrome.agents.isolation.cell", *map(str, channels)],
                memory=limits.memory,
                channels=channels,
                environment={**os.environ, "PYTHONPATH": paths, "PYTHONUNBUFFERED": "1"},
                merged=True,
            )
        self.channel = ours
        self.output = self.program.output.fileno()
        os.set_blocking(self.output, False)
        self.selector = selectors.DefaultSelector()
        self.selector.register(ours, selectors.EVENT_READ)
        self.selector.register(self.output, selectors.EVENT_READ)
        self._end = weakref.finalize(self, _end, self.program, self.selector, ours, self.dump)

    def load(self, spec: str, env: str) -> None:
        """Make the agent. Raises UserError or BrokenAgent, after which the cell is gone."""
        try:
            ready, _ = self.exchange({"do": "load", "spec": spec, "env": env}, {}, self.limits.load)
        except Failure as error:
            raise BrokenAgent(f"agent {spec!r} does not load: {error}") from None
        self._accept(ready)
        self.stateful, self.one_by_one = ready.get("stateful") is True, ready.get("one_by_one") is True
        lanes = ready.get("lanes")
        self.lanes = lanes if isinstance(lanes, int) and lanes > 0 else 1

    def check(self, spec: str, env: str) -> list[str]:
        """What ``check_agent`` finds about an agent; the last of it how it ended the check, if it did. The clock starts
        anew whenever something is asked of the agent, with its time for so many moves, or the time to load."""

        def allowed() -> float:
            return float(self.board[1]) * self.limits.seconds or self.limits.load

        try:
            header, _ = self.exchange({"do": "check", "spec": spec, "env": env}, {}, self.limits.load, allowed)
        except Failure as error:
            return [f"the check ends here: {error}"]
        self._accept(header)
        return [str(finding)[:2000] for finding in header.get("findings", ())]

    def _accept(self, header: dict[str, Any]) -> None:
        """Raise what the other side has refused with."""
        if "refused" in header:
            self.close()
            kinds = {kind.__name__: kind for kind in (BrokenAgent, NotThere)}
            raise kinds.get(str(header.get("kind")), UserError)(str(header["refused"])[:2000])

    @property
    def alive(self) -> bool:
        """Whether it can still be asked."""
        return self._end.alive

    def close(self) -> None:
        """End it, and all that it started."""
        self._end()

    def exchange(
        self,
        order: dict[str, Any],
        given: Positions | dict[str, Any],
        seconds: float,
        move: Callable[[], float] | None = None,
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Send an order and wait for what comes back, ``seconds`` at most; where ``move`` is given the clock starts
        anew with every position begun, with so many seconds. Raises Failure, after which the cell is gone."""
        arrays = _arrays(given) if isinstance(given, Positions) else given
        self.flood = 0
        clock = Clock(self.board, seconds, move)
        try:
            self.channel.settimeout(seconds)
            send(self.channel, order, arrays)
            return receive(lambda count: self._take(count, clock))
        except (TimeoutError, Garbled, EOFError, OSError, Failure) as error:
            raise self._failure(error, clock) from None
        finally:
            if clock.failed:
                self.close()

    def _failure(self, error: Exception, clock: Clock) -> Failure:
        """What an exchange that failed means for the game."""
        clock.failed = True
        self.board = self.board.copy()  # what it still answers comes too late
        if isinstance(error, Failure):
            return error
        if isinstance(error, TimeoutError):
            return Failure("time-out", f"no answer within {clock.allowed:g} s{self._where()}")
        if isinstance(error, Garbled):
            return Failure("crash", f"sent what is no answer: {error}")
        return Failure("crash", self._died())

    def _take(self, count: int, clock: Clock) -> bytearray:
        data = bytearray()
        while len(data) < count:
            ready = [key.fd for key, _ in self.selector.select(clock.slice())]
            if self.output in ready and not self._hear(True):
                self.selector.unregister(self.output)
            if self.channel.fileno() in ready:
                part = self.channel.recv(min(count - len(data), 1 << 20))
                if not part:
                    raise EOFError
                data += part
            elif clock.over():
                raise TimeoutError
        return data

    def _hear(self, show: bool) -> bool:
        """Read what it printed; whether there may be more."""
        try:
            data = os.read(self.output, 1 << 16)
        except BlockingIOError:
            return True
        self.said = (self.said + data)[-TAIL:]
        self.flood += len(data)
        if self.flood > FLOOD:
            raise Failure("crash", f"printed more than {FLOOD >> 20} MiB{self._where()}")
        if show and data:
            self.show(data)
        return bool(data)

    def _where(self) -> str:
        """The line of its own at which it hangs."""
        self.dump.seek(0)  # the place is the cell's as well: nobody else may move it while the cell writes
        self.dump.truncate()
        self.program.tell_where()
        until = time.monotonic() + WORDS
        while not (place := self._dumped()) and time.monotonic() < until:
            time.sleep(0.01)
        return place

    def _died(self) -> str:
        """How it ended, and where."""
        ending = self.program.ending(0.5)
        with suppress(OSError, Failure):
            while self._hear(False) and self.selector.select(0):
                pass
        lines = self.said.decode("utf-8", "replace").split("\n")
        words = [line for line in lines if line.startswith(("used more than", "started more than"))]
        return words[-1] if words else (ending or "closed its channel") + self._dumped()

    def _dumped(self) -> str:
        """`` (FILE, line N, in NAME)``: its last dump's innermost frame that is not ours or Python's; or nothing."""
        frames = _FRAME.finditer(os.pread(self.dump.fileno(), TAIL, 0).decode("utf-8", "replace"))
        theirs = (f for f in frames if not f["file"].startswith((_HOME, sys.prefix, sys.base_prefix, "<")))
        return next((f" ({Path(f['file']).name}, line {f['line']}, in {f['name']})" for f in theirs), "")


class Clock:
    """The time that an exchange has left."""

    def __init__(self, board: Any, seconds: float, move: Callable[[], float] | None) -> None:
        self.board, self.allowed, self.move = board, seconds, move
        self.begun, self.since = 0, time.monotonic()
        self.failed = False

    def slice(self) -> float:
        """How long to wait before looking again."""
        left = max(0.0, self.since + self.allowed - time.monotonic())
        return left if self.move is None else min(left, max(0.01, self.move() / 20))

    def over(self) -> bool:
        """Whether the time is up."""
        if self.move is not None and self.board[0] != self.begun:
            self.begun, self.since, self.allowed = int(self.board[0]), time.monotonic(), self.move()
        return time.monotonic() - self.since >= self.allowed


def _end(program: Program, selector: selectors.BaseSelector, channel: socket.socket, dump: IO[bytes]) -> None:
    selector.close()
    channel.close()
    dump.close()
    program.close(CLOSING)


def _arrays(positions: Positions) -> dict[str, Any]:
    """What a batch is made of."""
    names = ("observations", "legal", "seats", "states", "seeds", "games", "plies")
    return {name: array for name in names if (array := getattr(positions, name)) is not None}
