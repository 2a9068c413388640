"""The pygame window: ``play`` against an agent, ``watch`` agents play."""

from elodrome.arena.ui.window import play, watch

__all__ = ["play", "watch"]
