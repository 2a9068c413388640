"""Elodrome: an arena where reinforcement-learning agents train, meet each other and earn Elo ratings.

The front door. Names are resolved on first use, so that ``import elodrome`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from elodrome.envs.adapters.register import register_with_gymnasium

__version__ = "0.1.0"

if TYPE_CHECKING:
    from elodrome.agents.registry import make_agent
    from elodrome.arena.match import play_match
    from elodrome.envs.registry import make_env

_HOMES = {
    "make_env": "elodrome.envs.registry",
    "make_agent": "elodrome.agents.registry",
    "play_match": "elodrome.arena.match",
}

__all__ = ["__version__", "make_agent", "make_env", "play_match"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'elodrome' has no attribute {name!r}")


register_with_gymnasium()
