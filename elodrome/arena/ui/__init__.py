"""The window: ``play`` against an agent, ``watch`` agents play. pygame is imported when one of them is asked for."""

from __future__ import annotations

from typing import Any

__all__ = ["play", "watch"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from elodrome.arena.ui import window

    return getattr(window, name)
