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
from weakref import WeakKeyDictionary

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
        self._work: SimpleQueue[_Work | None] = SimpleQueue()
        self._done: SimpleQueue[Answer] = SimpleQueue()
        self._open = 0
        self._thread = threading.Thread(target=_run, args=(self._work, self._done), name=self.name, daemon=True)
        _started[self._thread] = self._work
        self._thread.start()

    @property
    def busy(self) -> bool:
        """Whether anything was asked that has not been collected."""
        return self._open > 0

    def submit(self, ticket: int, topic: str, call: Callable[[], Any]) -> None:
        """Have ``call`` done after everything asked before."""
        self._open += 1
        self._work.put(_Work(ticket, topic, call))

    def answers(self) -> list[Answer]:
        """What is done by now, in order; never waits."""
        found = []
        while True:
            try:
                found.append(self._done.get_nowait())
            except Empty:
                break
        self._open -= len(found)
        return found

    def abandon(self) -> None:
        """Leave the worker to whatever holds it up, and go on with a fresh one; its answers are never seen."""
        self._work.put(None)
        self._start()

    def close(self, timeout: float = 0.0) -> bool:
        """End the worker, after at most ``timeout`` seconds for what is queued; whether all of it was done."""
        self._work.put(None)
        self._thread.join(timeout)
        return not self._thread.is_alive()


_started: WeakKeyDictionary[threading.Thread, SimpleQueue[_Work | None]] = WeakKeyDictionary()
_leaving = threading.Event()


@atexit.register
def _end_all() -> None:
    """Have every worker end before the interpreter does, also in mid-search.

    The interpreter kills a daemon thread that comes back to it while it goes; one that comes back from C++ (torch)
    takes the process down with an abort. So each is told to stop, at its next line of Python.
    """
    _leaving.set()
    working = [thread for thread in _started if thread.is_alive()]
    for thread in working:
        _started[thread].put(None)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(SystemExit))
    until = time.monotonic() + LEAVING
    for thread in working:
        thread.join(max(until - time.monotonic(), 0.0))


def _run(work: SimpleQueue[_Work | None], done: SimpleQueue[Answer]) -> None:
    while (item := work.get()) is not None and not _leaving.is_set():
        start = time.perf_counter()
        value, problem = None, None
        try:
            value = item.call()
        except UserError as error:
            problem = str(error)
        except BaseException as error:  # an agent may even raise SystemExit; the worker must live on
            problem = f"{type(error).__name__}: {error}"[:500]
        done.put(Answer(item.ticket, item.topic, value, problem, time.perf_counter() - start))
