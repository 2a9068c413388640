"""Boards: marks on tiles, discs behind a plate with holes, stones on wood; ghosts, overlays, the last move."""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import Any

import numpy as np

from elodrome.arena.ui import theme
from elodrome.arena.ui.director import Director
from elodrome.arena.ui.screen import pygame
from elodrome.arena.ui.session import Session, winning_lines

SHAKE = 0.35  # seconds


class BoardView:
    """Draws any board with a ``look`` into a rectangle and says which cell a point lies on."""

    def __init__(self, director: Director) -> None:
        self.director = director
        self.cell = 10
        self.frame = pygame.Rect(0, 0, 0, 0)
        self.inside = pygame.Rect(0, 0, 0, 0)
        self._seen: tuple[str, int] = (director.session.id, len(director.session.history))
        self._landed = -math.inf
        self._labels: tuple[list[str], list[str]] | None = None

    # Where things are

    def layout(self, area: Any) -> None:
        """Fit the board into ``area``."""
        look = self.director.session.look
        edge = 26 if any(self._coordinates()) else 10
        pad = 12
        self.cell = max(
            int(
                min(
                    (area.width - 2 * (edge + pad)) / look.columns,
                    (area.height - 2 * (edge + pad)) / look.rows,
                    240,
                )
            ),
            8,
        )
        self.inside = pygame.Rect(0, 0, self.cell * look.columns, self.cell * look.rows)
        self.inside.center = area.center
        self.frame = self.inside.inflate(2 * pad, 2 * pad)

    def cell_at(self, point: tuple[int, int]) -> tuple[int, int] | None:
        """(row, column) under a point, or None."""
        look = self.director.session.look
        if look.style == "discs" and self.frame.collidepoint(point):
            point = (point[0], min(max(point[1], self.inside.top), self.inside.bottom - 1))
        if not self.inside.collidepoint(point):
            return None
        return (point[1] - self.inside.y) // self.cell, (point[0] - self.inside.x) // self.cell

    def centre(self, cell: tuple[int, int]) -> tuple[float, float]:
        """The middle of a cell in pixels."""
        return self.inside.x + (cell[1] + 0.5) * self.cell, self.inside.y + (cell[0] + 0.5) * self.cell

    def _coordinates(self) -> tuple[list[str], list[str]]:
        """Labels of columns and rows, read off the names of actions; empty where names show no pattern."""
        if self._labels is None:
            session = self.director.session
            look, world = session.look, session.world
            every = np.ones(world.actions, np.uint8)

            def name(row: int, column: int) -> str:
                action = look.action_at(row, column, every)
                return world.action_name(action) if 0 <= action < world.actions else ""

            top = [name(0, c) for c in range(look.columns)]
            side = [name(r, 0) for r in range(look.rows)]
            parts = [re.fullmatch(r"([A-Za-z]+)(\d+)", n) for n in (*top, *side)]
            if all(parts):
                found = [p.groups() for p in parts if p]
                self._labels = [p[0] for p in found[: look.columns]], [p[1] for p in found[look.columns :]]
            else:
                self._labels = (top if look.style == "discs" else []), []
        return self._labels

    # Motion

    def animating(self, now: float) -> bool:
        """Whether anything moves by itself."""
        return now < self._landed or now - self._refused_at() < SHAKE

    def _refused_at(self) -> float:
        message = self.director.message
        return message.at if message.tone == "warn" and self.director.refused is not None else -math.inf

    def _progress(self, session: Session, now: float) -> float:
        """How far the last piece has come, from 0 to 1."""
        seen = (session.id, len(session.history))
        if seen != self._seen:
            grown = seen[0] == self._seen[0] and seen[1] == self._seen[1] + 1
            last = session.last
            fall = 0.16 + 0.07 * last.cell[0] if last and last.cell and session.look.style == "discs" else 0.18
            self._landed = now + fall if grown else now
            self._duration = fall
            self._seen = seen
        return 1.0 if now >= self._landed else 1.0 - (self._landed - now) / self._duration

    # Drawing

    def draw(self, surface: Any, mouse: tuple[int, int], now: float) -> None:
        director = self.director
        session = director.session
        look, style = session.look, session.look.style
        progress = self._progress(session, now)
        home = self.inside.topleft, self.frame.topleft
        since = now - self._refused_at()
        if since < SHAKE:
            shift = round(7 * math.sin(since * 55) * (1 - since / SHAKE))
            self.inside.x += shift
            self.frame.x += shift
        theme.draw_shadow(surface, self.frame, 18, 26, 0.5)
        cells = look.cells(session.state)
        last = session.last.cell if session.last else None
        hover = self._hover(mouse)
        if style == "discs":
            theme.draw_box(surface, self.frame, 18, theme.mix(theme.PLATE, (0, 0, 0), 0.62))
            if hover:
                self._column_light(surface, hover[0][1])
            self._pieces(surface, session, cells, last, progress)
            if hover:
                self._ghost(surface, session, hover[1])
            surface.blit(plate(look.rows, look.columns, self.cell, self.frame.size), self.frame.topleft)
        elif style == "stones":
            surface.blit(wood(look.rows, look.columns, self.cell, self.frame.size), self.frame.topleft)
        else:
            theme.draw_box(surface, self.frame, 18, theme.PANEL, edge=theme.LINE)
            self._tiles(surface, look.rows, look.columns, hover[0] if hover else None)
        if style != "discs":
            self._pieces(surface, session, cells, last, progress)
            if hover:
                self._ghost(surface, session, hover[1])
        self._marks_on_top(surface, session, cells, last, progress, now)
        self._edge_labels(surface)
        self.inside.topleft, self.frame.topleft = home

    def _hover(self, mouse: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]] | None:
        """(cell under the mouse, cell that would change) where a person may play there."""
        session = self.director.session
        at = self.cell_at(mouse)
        if at is None or not self.director.people_to_move:
            return None
        legal = session.legal
        action = session.look.action_at(*at, legal)
        if not 0 <= action < len(legal) or not legal[action]:
            return None
        target = session.cell_of(action)
        return (at, target) if target is not None else None

    def _piece(self, seat: int, size: int) -> Any:
        style = self.director.session.look.style
        colour = theme.seat_colour(style, seat)
        if style == "marks":
            return theme.mark, (seat, size, colour)
        return theme.disc, (max(size // 2, 2), colour, style == "discs")

    def _size(self) -> int:
        return round(self.cell * {"marks": 0.84, "discs": 0.84, "stones": 0.92}[self.director.session.look.style])

    def _pieces(self, surface: Any, session: Session, cells: Any, last: Any, progress: float) -> None:
        style = session.look.style
        for r, c in np.argwhere(cells > 0).tolist():
            moving = (r, c) == last and progress < 1
            size = self._size()
            x, y = self.centre((r, c))
            if moving and style == "discs":
                start = self.inside.y - self.cell * 0.6
                y = start + (y - start) * progress * progress
            elif moving:
                size = max(round(size * (1 - (1 - progress) ** 3)), 4)
            make, what = self._piece(int(cells[r, c]) - 1, size)
            if style == "stones":
                theme.put(surface, theme.dot(size // 2, (0, 0, 0), 0.28), x + 2, y + 3, "center")
            theme.put(surface, make(*what), x, y, "center")

    def _ghost(self, surface: Any, session: Session, cell: tuple[int, int]) -> None:
        make, what = self._piece(session.seat, self._size())
        theme.put(surface, theme.faded(make, 105, *what), *self.centre(cell), "center")

    def _tiles(self, surface: Any, rows: int, columns: int, hover: tuple[int, int] | None) -> None:
        gap = self._gap()
        for r in range(rows):
            for c in range(columns):
                tile = pygame.Rect(self.inside.x + c * self.cell, self.inside.y + r * self.cell, self.cell, self.cell)
                tile = tile.inflate(-2 * gap, -2 * gap)
                theme.draw_box(surface, tile, self.cell // 9, theme.RAISED if (r, c) == hover else theme.CARD)

    def _column_light(self, surface: Any, column: int) -> None:
        light = pygame.Rect(self.inside.x + column * self.cell, self.frame.y, self.cell, self.frame.height)
        theme.draw_box(surface, light, 6, theme.ACCENT, 0.22)

    def _marks_on_top(self, surface: Any, session: Session, cells: Any, last: Any, progress: float, now: float) -> None:
        director = self.director
        line = (
            winning_lines(cells, last)
            if session.winner() is not None and session.look.style != "stones" and progress == 1
            else []
        )
        for cell in line:
            self._outline(surface, cell, (255, 255, 255), 0.95)
        if last is not None and not line and progress == 1:
            x, y = self.centre(last)
            if session.look.style == "marks":
                tick = theme.dot(max(self.cell // 36, 3), theme.TEXT, 0.75)
                theme.put(surface, tick, x, y + self.cell * 0.4, "center")
            else:
                colour = (30, 32, 40) if cells[last] == 2 else (255, 255, 255)
                theme.put(surface, theme.dot(max(self.cell // 11, 3), colour, 0.8), x, y, "center")
        if director.counsel.overlay and director.counsel.opinion is not None and not session.over:
            self._overlay(surface, session, director.counsel.opinion.policy)
        if director.counsel.hint is not None and not session.over:
            advised = session.cell_of(director.counsel.hint)
            if advised is not None:
                self._outline(surface, advised, theme.GOOD, 1.0)
        since = now - self._refused_at()
        if since < SHAKE and director.refused is not None:
            self._outline(surface, director.refused, theme.ERROR, round(1 - since / SHAKE, 1))

    def _outline(self, surface: Any, cell: tuple[int, int], colour: theme.Colour, opacity: float) -> None:
        """A line round a tile, or a ring round a hole or a point."""
        if self.director.session.look.style == "marks":
            size = self.cell - 2 * self._gap()
            frame = theme.outline(size, size, self.cell // 9, max(size / 34, 2.5), colour, opacity)
        else:
            frame = theme.dot(round(self.cell * 0.43), colour, opacity, 0.88)
        theme.put(surface, frame, *self.centre(cell), "center")

    def _gap(self) -> int:
        return max(self.cell // 24, 2)

    def _overlay(self, surface: Any, session: Session, policy: Any) -> None:
        """What the agent would play: a disc that grows with the probability, with per cent."""
        legal = np.flatnonzero(session.legal).tolist()
        most = max((float(policy[a]) for a in legal), default=0.0)
        for action in legal:
            cell, p = session.cell_of(action), float(policy[action])
            if cell is None or most <= 0:
                continue
            centre = self.centre(cell)
            if p < 0.005:
                theme.put(surface, theme.dot(max(self.cell // 22, 2), theme.ACCENT, 0.45), *centre, "center")
                continue
            radius = round(self.cell * (0.16 + 0.2 * math.sqrt(p)))
            colour = theme.mix(theme.GROUND, theme.ACCENT, 0.35 + 0.55 * p / most)
            theme.put(surface, theme.dot(radius, colour, 0.92), *centre, "center")
            if p > most - 1e-9:
                theme.put(surface, theme.dot(radius + 2, theme.TEXT, 0.8, 1 - 2.2 / radius), *centre, "center")
            if self.cell >= 34:
                words = theme.text(f"{100 * p:.0f}", max(min(self.cell // 6, 20), 11), theme.TEXT, True)
                theme.put(surface, words, *centre, "center")

    def _edge_labels(self, surface: Any) -> None:
        columns, rows = self._coordinates()
        for c, name in enumerate(columns):
            x = self.inside.x + (c + 0.5) * self.cell
            theme.put(surface, theme.text(name, 13, theme.FAINT, True), x, self.frame.bottom + 14, "center")
        for r, name in enumerate(rows):
            y = self.inside.y + (r + 0.5) * self.cell
            theme.put(surface, theme.text(name, 13, theme.FAINT, True), self.frame.x - 14, y, "center")


@lru_cache(maxsize=4)
def plate(rows: int, columns: int, cell: int, size: tuple[int, int]) -> Any:
    """The front of a board with round holes, lit from above."""
    width, height = size
    x, y = theme.grid(width, height)
    left, top = (width - cell * columns) / 2, (height - cell * rows) / 2
    hole = np.hypot((x - left) % cell - cell / 2, (y - top) % cell - cell / 2) - cell * 0.405
    hole = np.where((x > left) & (x < width - left) & (y > top) & (y < height - top), hole, cell)
    body = theme.box_distance(x, y, 0, 0, width, height, 18)
    light = 1.1 - 0.26 * y / height
    bevel = np.exp(-(((hole - cell * 0.028) / (cell * 0.025 + 0.7)) ** 2))
    slope = ((y - top) % cell - cell / 2) / (cell / 2)  # lower lips catch the light, upper ones lie in shade
    paint = np.array(theme.PLATE) * (light + 0.26 * bevel * slope)[:, :, None]
    paint += 30 * np.exp(-((body + 1.5) ** 2) / 2)[:, :, None]
    return theme.picture(paint, theme.cover(np.maximum(body, -hole)))


@lru_cache(maxsize=4)
def wood(rows: int, columns: int, cell: int, size: tuple[int, int]) -> Any:
    """A wooden board with lines through the middles of cells."""
    width, height = size
    x, y = theme.grid(width, height)
    grain = 5 * np.sin(y * 0.11 + 3 * np.sin(x * 0.006 + y * 0.002)) + 3 * np.sin(y * 0.53 + 2 * np.sin(x * 0.011))
    left, top = (width - cell * columns) / 2, (height - cell * rows) / 2
    across = np.abs((x - left) % cell - cell / 2)
    down = np.abs((y - top) % cell - cell / 2)
    reach = theme.box_distance(
        x, y, left + cell / 2 - 1, top + cell / 2 - 1, width - left - cell / 2 + 1, height - top - cell / 2 + 1, 0
    )
    lines = np.clip(1.15 - np.minimum(across, down), 0, 1) * theme.cover(reach)
    paint = (np.array(theme.WOOD) + grain[:, :, None]) * (1 - 0.62 * lines)[:, :, None]
    return theme.picture(paint, theme.cover(theme.box_distance(x, y, 0, 0, width, height, 14)))
