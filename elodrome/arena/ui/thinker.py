"""Work off the drawing thread: one daemon thread, a queue, and answers that carry the ticket they were asked under."""

from __future__ import annotations

import atexit
import ctypes
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, Final

from elodrome.errors import UserError

LEAVING: Final = 2.0  # seconds that the process waits for its workers as it ends


@dataclass(frozen=True)
class Answer:
    """What came of a piece of work: its value, or the error in words. seconds: how long it took."""

    ticket: int
    topic: str
    value: Any
    error: str | None
    seconds: float


@dataclass(frozen=True)
class _Work:
    ticket: int
    topic: str
    call: Callable[[], Any]


class Thinker:
    """One worker. Whoever asks compares an answer's ticket with his own and drops what has grown stale."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._start()

    def _start(self) -> None:
        self._open = 0
        self._worker = _Worker(self.name)
        self._worker.start()

    @property
    def busy(self) -> bool:
        """Whether anything was asked that has not been collected."""
        return self._open > 0

    def submit(self, ticket: int, topic: str, call: Callable[[], Any]) -> None:
        """Have ``call`` done after everything asked before."""
        self._open += 1
        self._worker.work.put(_Work(ticket, topic, call))

    def answers(self) -> list[Answer]:
        """What is done by now, in order; never waits."""
        found = []
        while True:
            try:
                found.append(self._worker.done.get_nowait())
            except Empty:
                break
        self._open -= len(found)
        return found

    def abandon(self) -> None:
        """Leave the worker to whatever holds it up, and go on with a fresh one; its answers are never seen."""
        self._worker.work.put(None)
        self._start()

    def close(self, timeout: float = 0.0) -> bool:
        """End the worker, after at most ``timeout`` seconds for what is queued; whether all of it was done."""
        self._worker.work.put(None)
        self._worker.join(timeout)
        return not self._worker.is_alive()


class _Worker(threading.Thread):
    """Does what it finds in ``work``, in order, and puts the answers into ``done``; None ends it."""

    def __init__(self, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self.work: SimpleQueue[_Work | None] = SimpleQueue()
        self.done: SimpleQueue[Answer] = SimpleQueue()
        self.stopped = False

    def run(self) -> None:
        while (item := self.work.get()) is not None and not self.stopped:
            start = time.perf_counter()
            value, problem = None, None
            try:
                value = item.call()
            except UserError as error:
                problem = str(error)
            except BaseException as error:  # an agent may even raise SystemExit; the worker must live on
                problem = f"{type(error).__name__}: {error}"[:500]
            self.done.put(Answer(item.ticket, item.topic, value, problem, time.perf_counter() - start))

    def stop(self) -> None:
        """End it at its next line of Python, whatever it is doing."""
        self.stopped = True
        self.work.put(None)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self.ident or 0), ctypes.py_object(SystemExit))


@atexit.register
def _stop_all() -> None:
    """Have every worker end before the interpreter does, also in mid-search.

    The interpreter kills a daemon thread that comes back to it while it goes; one that comes back from C++ (torch)
    takes the process down with an abort.
    """
    workers = [thread for thread in threading.enumerate() if isinstance(thread, _Worker)]
    for worker in workers:
        worker.stop()
    until = time.monotonic() + LEAVING
    for worker in workers:
        worker.join(max(until - time.monotonic(), 0.0))
