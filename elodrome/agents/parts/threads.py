"""torch on one thread: its sums depend on the number of threads, and small networks are faster so."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
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
