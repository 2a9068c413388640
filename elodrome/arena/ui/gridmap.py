"""Gridworlds: the map, the agent on it, its trail, the values of all cells as heat and the greedy actions as arrows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from elodrome.arena.ui import theme
from elodrome.arena.ui.director import PACES, Director
from elodrome.arena.ui.screen import pygame

_TILES = (theme.FLOOR, theme.WALL, theme.START, theme.GOAL, theme.TRAP, theme.PORTAL)
_LETTERS = ("", "", "S", "G", "", "")
TRAIL = 40  # steps that leave a trace


class MapView:
    """Draws a gridworld into a rectangle. A click on a map means nothing; the arrow keys move."""

    def __init__(self, director: Director) -> None:
        self.director = director
        self.cell = 10
        self.frame = pygame.Rect(0, 0, 0, 0)
        self.inside = pygame.Rect(0, 0, 0, 0)
        self._seen: tuple[str, int] = ("", 0)
        self._at: tuple[int, int] = (0, 0)
        self._from: tuple[float, float] = (0, 0)
        self._left_at = -math.inf

    def layout(self, area: Any) -> None:
        """Fit the map into ``area``."""
        look = self.director.session.look
        pad = 12
        self.cell = max(int(min((area.width - 2 * pad) / look.columns, (area.height - 2 * pad) / look.rows, 140)), 6)
        self.inside = pygame.Rect(0, 0, self.cell * look.columns, self.cell * look.rows)
        self.inside.center = area.center
        self.frame = self.inside.inflate(2 * pad, 2 * pad)

    def cell_at(self, point: tuple[int, int]) -> tuple[int, int] | None:
        """(row, column) under a point, or None."""
        if not self.inside.collidepoint(point):
            return None
        return (point[1] - self.inside.y) // self.cell, (point[0] - self.inside.x) // self.cell

    def centre(self, cell: tuple[float, float]) -> tuple[float, float]:
        """The middle of a cell in pixels."""
        return self.inside.x + (cell[1] + 0.5) * self.cell, self.inside.y + (cell[0] + 0.5) * self.cell

    def _slide(self) -> float:
        """Seconds that a step takes to the eye."""
        return min(0.14, 0.7 / PACES[self.director.pace]) if self.director.session.history else 0.0

    def animating(self, now: float) -> bool:
        """Whether the agent is between two cells."""
        return now - self._left_at < self._slide()

    def draw(self, surface: Any, mouse: tuple[int, int], now: float) -> None:
        session = self.director.session
        look = session.look
        theme.draw_shadow(surface, self.frame, 16, 26, 0.5)
        theme.draw_box(surface, self.frame, 16, theme.PANEL, edge=theme.LINE)
        codes = look.cells(session.state)
        shares = self._shares()
        gap = 1 if self.cell >= 14 else 0
        values = self.director.counsel.values if self.director.counsel.overlay else None
        for r in range(look.rows):
            for c in range(look.columns):
                code = int(codes[r, c])
                tile = pygame.Rect(self.inside.x + c * self.cell, self.inside.y + r * self.cell, self.cell, self.cell)
                tile = tile.inflate(-2 * gap, -2 * gap)
                colour = _TILES[min(code, len(_TILES) - 1)]
                if shares is not None and not math.isnan(shares[r, c]):
                    colour = theme.heat(float(shares[r, c]))
                theme.draw_box(surface, tile, max(self.cell // 9, 2), colour)
                if code == 4:
                    self._spikes(surface, tile)
                elif code < len(_LETTERS) and _LETTERS[code]:
                    size = max(self.cell // 4, 9) if values is None or code == 3 else max(self.cell // 6, 8)
                    at = tile.center if values is None or code == 3 else (tile.x + size, tile.y + size)
                    theme.put(surface, theme.text(_LETTERS[code], size, theme.TEXT, True), *at, "center")
                elif code == 5:
                    theme.put(surface, theme.dot(self.cell // 3, theme.TEXT, 0.5, 0.7), *tile.center, "center")
        self._trail(surface)
        self._follow(now)
        if values is not None:
            self._arrows(surface, values.greedy, values.value)
        self._agent(surface, now)
        hover = self.cell_at(mouse)
        if values is not None and hover and not math.isnan(values.value[hover]):
            self._tip(surface, mouse, f"V = {values.value[hover]:.2f}")

    def _shares(self) -> Any:
        """Values scaled to [0, 1] for the heat; the worst tenth is cut off, so that one abyss does not dim the rest."""
        values = self.director.counsel.values if self.director.counsel.overlay else None
        if values is None or np.isnan(values.value).all():
            return None
        low, high = np.nanquantile(values.value, 0.1), np.nanmax(values.value)
        return (
            np.clip((values.value - low) / (high - low), 0, 1)
            if high > low
            else np.where(np.isnan(values.value), np.nan, 0.5)
        )

    def _spikes(self, surface: Any, tile: Any) -> None:
        """A trap or a cliff: a warning cross."""
        if tile.width >= 12:
            colour = theme.mix(theme.ERROR, theme.TRAP, 0.45)
            surface.blit(theme.faded(theme.mark, 150, 0, tile.width, colour), tile.topleft)

    def _arrows(self, surface: Any, greedy: Any, value: Any) -> None:
        if greedy.shape[2] != 4:
            return  # arrows mean up, right, down, left, in the order of our gridworlds
        numbers = self.cell >= 46
        for r, c in np.argwhere(greedy.any(axis=2)).tolist():
            if (r, c) == self._at:
                continue
            x, y = self.centre((r, c))
            best = np.flatnonzero(greedy[r, c]).tolist()
            size = max(round(self.cell * (0.32 if len(best) == 1 else 0.24)), 5)
            off = 0.0 if len(best) == 1 else 0.15 * self.cell
            up = self.cell * 0.1 if numbers else 0.0
            for action in best if len(best) < 4 else []:  # four ways alike say nothing
                dx, dy = ((0, -1), (1, 0), (0, 1), (-1, 0))[action]
                place = (x + dx * off, y + dy * off - up)
                theme.put(surface, theme.arrow(size, action, (255, 255, 255), 0.85), *place, "center")
            if numbers and not math.isnan(value[r, c]):
                words = theme.text(f"{value[r, c]:.1f}", min(max(self.cell // 6, 10), 15), (255, 255, 255))
                theme.put(surface, words, x, y + self.cell * 0.35, "center")

    def _trail(self, surface: Any) -> None:
        """Where the agent has been: dots, or frames where the middles of cells hold arrows."""
        drawn = self.director.counsel.overlay and self.director.counsel.values is not None
        recent = self.director.session.history[-TRAIL - 1 : -1]
        colour, passed = theme.SEATS["map"][0], set()
        for age, ply in enumerate(reversed(recent)):
            if ply.cell is None or ply.cell in passed:
                continue
            passed.add(ply.cell)
            opacity = round(0.8 * (1 - age / TRAIL), 1)
            if drawn:
                size = self.cell - (2 if self.cell >= 14 else 0)
                trace = theme.outline(size, size, max(self.cell // 9, 2), max(size / 30, 1.6), colour, opacity)
            else:
                trace = theme.dot(max(self.cell // 14, 2), colour, opacity)
            theme.put(surface, trace, *self.centre(ply.cell), "center")

    def _follow(self, now: float) -> None:
        """Notice that the agent has moved, and from where."""
        session = self.director.session
        seen = (session.id, len(session.history))
        if seen != self._seen:
            stepped = seen[0] == self._seen[0] and seen[1] == self._seen[1] + 1
            place_of: Any = session.look.marker  # every map has one
            to = place_of(session.state)
            self._from = self._at if stepped else to
            self._left_at = now if stepped else -math.inf
            self._at, self._seen = to, seen

    def _agent(self, surface: Any, now: float) -> None:
        slide = self._slide()
        done = min((now - self._left_at) / slide, 1.0) if slide > 0 else 1.0
        done = 1 - (1 - done) ** 3
        place = tuple(a + (b - a) * done for a, b in zip(self._from, self._at, strict=True))
        x, y = self.centre((place[0], place[1]))
        radius = max(round(self.cell * 0.27), 3)
        theme.put(surface, theme.dot(round(radius * 1.35), (0, 0, 0), 0.28), x, y + 2, "center")
        theme.put(surface, theme.disc(radius, theme.SEATS["map"][0], False), x, y, "center")
        theme.put(surface, theme.dot(radius + 1, (255, 255, 255), 0.9, 0.86), x, y, "center")

    def _tip(self, surface: Any, mouse: tuple[int, int], words: str) -> None:
        label = theme.text(words, 13, theme.TEXT, True)
        room = pygame.Rect(mouse[0] + 14, mouse[1] - 34, label.get_width() + 18, 26)
        room.clamp_ip(surface.get_rect())
        theme.draw_box(surface, room, 7, theme.GROUND, 0.92, theme.LINE)
        theme.put(surface, label, *room.center, "center")
