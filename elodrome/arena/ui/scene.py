"""Worlds of others, as they paint themselves; or, where they cannot, as text."""

from __future__ import annotations

from typing import Any

from elodrome.arena.ui import theme
from elodrome.arena.ui.director import Director
from elodrome.arena.ui.screen import pygame
from elodrome.errors import UserError

PAD = 12
SMALL, LARGE = 6, 22  # pixels of a letter, at least and at most


class SceneView:
    """Draws a world that has no ``look``. A click on it means nothing; keys play actions by their numbers."""

    def __init__(self, director: Director) -> None:
        self.director = director
        self.frame = pygame.Rect(0, 0, 0, 0)
        self._seen: tuple[str, int] | None = None
        self._picture: Any = None
        self._lines: list[str] = []

    def layout(self, area: Any) -> None:
        """Take all of ``area``."""
        self.frame = pygame.Rect(area)

    def cell_at(self, point: tuple[int, int]) -> None:
        """No point is a cell."""
        return

    def animating(self, now: float) -> bool:
        """Nothing moves by itself."""
        return False

    def _look(self) -> None:
        """Ask the world for its picture, once for each position."""
        session = self.director.session
        seen = (session.id, len(session.history))
        if seen == self._seen:
            return
        self._seen, self._picture = seen, None
        try:
            painted = session.table.picture(0)
        except UserError as error:
            painted = None
            self.director.say(f"no picture: {error}", "warn")
        mover = session.mover
        hidden = session.world.information == "imperfect" and not session.watching
        if painted is None and hidden and mover is not None and not mover.human:
            self._lines = ["(the other seat looks at its own)"]  # text is what the seat to act may see
        elif painted is None:
            self._lines = session.table.draw(0).expandtabs(4).splitlines()
        else:
            self._picture = pygame.surfarray.make_surface(painted.swapaxes(0, 1))

    def draw(self, surface: Any, mouse: tuple[int, int], now: float) -> None:
        self._look()
        if self._picture is not None:
            self._paint(surface)
        else:
            self._write(surface)

    def _paint(self, surface: Any) -> None:
        """As large as fits; one of few pixels stays sharp."""
        width, height = self._picture.get_size()
        scale = min((self.frame.width - 2 * PAD) / width, (self.frame.height - 2 * PAD) / height)
        size = (max(round(width * scale), 1), max(round(height * scale), 1))
        room = pygame.Rect(0, 0, *size)
        room.center = self.frame.center
        theme.draw_shadow(surface, room.inflate(2 * PAD, 2 * PAD), 16, 26, 0.5)
        theme.draw_box(surface, room.inflate(2 * PAD, 2 * PAD), 16, theme.PANEL, edge=theme.LINE)
        enlarge = pygame.transform.scale if scale >= 2 else pygame.transform.smoothscale
        surface.blit(enlarge(self._picture, size), room)

    def _write(self, surface: Any) -> None:
        """Lines as they come, in the largest letters at which all of them fit."""
        theme.draw_shadow(surface, self.frame, 16, 26, 0.5)
        theme.draw_box(surface, self.frame, 16, theme.PANEL, edge=theme.LINE)
        room = self.frame.inflate(-4 * PAD, -4 * PAD)
        longest = max((len(line) for line in self._lines), default=1) or 1
        fits = min(room.width / (0.61 * longest), room.height / (1.3 * max(len(self._lines), 1)))
        size = int(min(max(fits, SMALL), LARGE))
        clip = surface.get_clip()
        surface.set_clip(room)
        for i, line in enumerate(self._lines):
            words = theme.typed(line, size)
            theme.put(surface, words, room.x, room.y + round(1.3 * size * i))
        surface.set_clip(clip)
