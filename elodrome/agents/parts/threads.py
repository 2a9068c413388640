"""torch on one thread: its sums depend on the number of threads, and small networks are faster so."""

from __future__ import annotations

import contextlib
import ctypes
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any


@contextmanager
def single_threaded() -> Iterator[None]:
    """Within, torch runs on one thread, where an agent has loaded it; it is not imported for the purpose."""
    torch: Any = sys.modules.get("torch")
    before = torch.get_num_threads() if torch else 0
    if torch:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        if torch:
            torch.set_num_threads(before)


@cache
def keep_memory() -> None:
    """Where the C library is glibc, let it keep large buffers for the next call: handing those of activations
    back to the system and mapping them anew took 10 % of a training step, and more with several threads."""
    trim_threshold, mmap_threshold = -1, -3  # malloc.h
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(mmap_threshold, 1 << 30)
        libc.mallopt(trim_threshold, (1 << 31) - 1)


_settled = threading.local()


def settle_worker() -> None:
    """In a thread other than the main one, let torch compute there on this thread alone. What is set in the main thread
    does not reach the mathematics libraries in others: left to themselves, they start teams that fight for the cores
    (measured: a small layer 300 times slower)."""
    if threading.current_thread() is not threading.main_thread() and not getattr(_settled, "done", False):
        sys.modules["torch"].set_num_threads(1)
        _settled.done = True
