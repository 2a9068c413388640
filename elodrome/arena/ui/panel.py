"""The side panel: who plays, what the position is worth, the moves, the buttons."""

from __future__ import annotations

import math
from typing import Any

from elodrome.arena.ui import theme
from elodrome.arena.ui.director import PACES, Director
from elodrome.arena.ui.screen import pygame
from elodrome.arena.ui.widgets import Button

GAP = 12


def world_title(world_id: str) -> str:
    """A world's id as a heading."""
    return world_id.partition(":")[0].replace("_", " ").title()


class Panel:
    """Draws itself into a rectangle, from top to bottom."""

    def __init__(self, director: Director, buttons: list[Button]) -> None:
        self.director, self.buttons = director, buttons
        self.rect = pygame.Rect(0, 0, 0, 0)
        self.scroll = 0
        self._shown_share = 0.5
        self._moves = pygame.Rect(0, 0, 0, 0)

    @property
    def animating(self) -> bool:
        """Whether the bar of chances is still on its way."""
        share = self.director.counsel.share
        return self.director.counsel.overlay and share is not None and abs(share - self._shown_share) > 0.002

    def wheel(self, point: tuple[int, int], by: int) -> None:
        """Scroll the list of moves."""
        if self._moves.collidepoint(point):
            self.scroll = max(self.scroll + by, 0)

    def draw(self, surface: Any, rect: Any, mouse: tuple[int, int], pressed: bool, now: float) -> None:
        self.rect = rect
        theme.draw_shadow(surface, rect, 18, 22, 0.4)
        theme.draw_box(surface, rect, 18, theme.PANEL, edge=theme.LINE)
        inner = rect.inflate(-32, -32)
        session = self.director.session
        heading = theme.fitted(world_title(session.world.id), 22, inner.width, bold=True)
        theme.put(surface, heading, inner.x, inner.y)
        theme.put(surface, theme.fitted(session.world.summary, 12, inner.width, theme.MUTED), inner.x, inner.y + 30)
        y = inner.y + 58
        for seat in range(session.world.players):
            y = self._player(surface, pygame.Rect(inner.x, y, inner.width, 54), seat, now) + 8
        if session.world.players == 1 and len(session.drivers) > 1:
            y = self._onlooker(surface, pygame.Rect(inner.x, y, inner.width, 54)) + 8
        bottom = self._buttons(surface, inner, mouse, pressed) - GAP
        y += 6
        if session.world.players == 2:
            y = self._chances(surface, pygame.Rect(inner.x, y, inner.width, 58)) + GAP
        elif session.world.players == 1:
            y = self._solo(surface, pygame.Rect(inner.x, y, inner.width, 58)) + GAP
        self._history(surface, pygame.Rect(inner.x, y, inner.width, bottom - y))

    def _player(self, surface: Any, card: Any, seat: int, now: float) -> int:
        session, director = self.director.session, self.director
        turn, won = session.seat == seat, session.winner() == seat
        edge = theme.GOOD if won else theme.ACCENT if turn else theme.LINE
        fill = theme.mix(theme.CARD, edge, 0.16) if turn or won else theme.CARD
        theme.draw_box(surface, card, 11, fill, edge=edge)
        style = session.look.style
        colour = theme.seat_colour(style, seat)
        piece = theme.mark(seat % 2, 36, colour) if style == "marks" else theme.disc(15, colour, style == "discs")
        theme.put(surface, piece, card.x + 30, card.centery, "center")
        right = card.right - 14
        if turn and director.thinking is not None:
            self._spinner(surface, right - 9, card.centery, now)
            right -= 30
            if director.thinking >= 1:
                clock = theme.text(f"{director.thinking:.0f} s", 12, theme.MUTED)
                right = theme.put(surface, clock, right, card.centery, "midright").left - 8
        elif won:
            right = (
                theme.put(surface, theme.text("won", 12, theme.GOOD, True), right, card.centery, "midright").left - 8
            )
        elif turn:
            theme.put(surface, theme.dot(4, theme.ACCENT), right - 4, card.centery, "center")
            right -= 18
        name = self._name(seat)
        theme.put(surface, theme.fitted(name, 15, right - card.x - 58, bold=True), card.x + 58, card.y + 9)
        role = session.world.seat_name(seat)
        if director.failure and turn:
            theme.put(surface, theme.text("has failed", 12, theme.ERROR), card.x + 58, card.y + 30)
        else:
            theme.put(surface, theme.text(role, 12, theme.MUTED), card.x + 58, card.y + 30)
        return int(card.bottom)

    def _onlooker(self, surface: Any, card: Any) -> int:
        """The driver of a solo world who is not moving."""
        session, director = self.director.session, self.director
        driver = session.driver(1)
        theme.draw_box(surface, card, 11, theme.PANEL, edge=theme.LINE)
        theme.put(surface, theme.dot(13, theme.SEATS["map"][1], 0.9, 0.82), card.x + 30, card.centery, "center")
        name = "You" if driver.human else driver.label
        theme.put(surface, theme.fitted(name, 15, card.width - 72, theme.MUTED, True), card.x + 58, card.y + 9)
        drawn = not driver.human and director.counsel.overlay and director.counsel.values is not None
        role = "looks on; S takes over" if driver.human else "its values are drawn" if drawn else "S lets it move"
        theme.put(surface, theme.text(role, 12, theme.FAINT), card.x + 58, card.y + 30)
        return int(card.bottom)

    def _name(self, seat: int) -> str:
        session = self.director.session
        driver = session.driver(seat)
        if not driver.human:
            return driver.label
        return "You" if sum(d.human for d in session.drivers) == 1 else f"Player {seat + 1}"

    def _spinner(self, surface: Any, x: float, y: float, now: float) -> None:
        for i in range(8):
            angle = 2 * math.pi * i / 8
            strength = 0.15 + 0.85 * (((i / 8) - now * 1.1) % 1.0) ** 1.6
            dot = theme.dot(2, theme.ACCENT, round(strength, 1))
            theme.put(surface, dot, x + 9 * math.cos(angle), y + 9 * math.sin(angle), "center")

    def _chances(self, surface: Any, rect: Any) -> int:
        """What both seats may expect, as the opponent sees it."""
        director, session = self.director, self.director.session
        theme.put(surface, theme.text("WINNING CHANCES", 10, theme.FAINT, True), rect.x, rect.y)
        judge = session.opponent
        label = "" if judge is None else f"says {session.drivers[judge].label}"
        said = theme.fitted(label, 11, rect.width - 130, theme.FAINT)
        if director.counsel.overlay and director.counsel.share is not None:
            theme.put(surface, said, rect.right, rect.y, "topright")
        bar = pygame.Rect(rect.x, rect.y + 19, rect.width, 14)
        style = session.look.style
        if not director.counsel.overlay or director.counsel.share is None:
            theme.draw_box(surface, bar, 7, theme.CARD)
            words = "no agent at this table"
            if judge is not None:
                label = session.drivers[judge].label
                words = f"{label} has not said" if director.counsel.overlay else f"overlay (O): what {label} thinks"
            theme.put(surface, theme.fitted(words, 11, rect.width, theme.FAINT), rect.x, bar.bottom + 7)
            return int(rect.bottom)
        gap = director.counsel.share - self._shown_share
        self._shown_share = director.counsel.share if abs(gap) < 0.003 else self._shown_share + gap * 0.18
        share = self._shown_share
        theme.draw_box(surface, bar, 7, theme.seat_colour(style, 1))
        before = surface.get_clip()
        surface.set_clip(pygame.Rect(bar.x, bar.y, round(bar.width * share), bar.height))
        theme.draw_box(surface, bar, 7, theme.seat_colour(style, 0))
        surface.set_clip(before)
        middle = pygame.Rect(bar.centerx - 1, bar.y, 2, bar.height)
        theme.draw_box(surface, middle, 0, theme.PANEL, 0.6)
        y, half = bar.bottom + 6, rect.width // 2 - 4
        left = theme.text(f"{100 * director.counsel.share:.0f} %", 12, theme.TEXT, True)
        right = theme.text(f"{100 - 100 * director.counsel.share:.0f} %", 12, theme.TEXT, True)
        x = theme.put(surface, left, rect.x, y).right + 8
        theme.put(surface, theme.fitted(self._name(0), 12, half - left.get_width() - 8, theme.MUTED), x, y)
        x = theme.put(surface, right, rect.right, y, "topright").left - 8
        name = theme.fitted(self._name(1), 12, half - right.get_width() - 8, theme.MUTED)
        theme.put(surface, name, x, y, "topright")
        return int(rect.bottom)

    def _solo(self, surface: Any, rect: Any) -> int:
        """Steps, return and value of a solo world."""
        director, session = self.director, self.director.session
        facts = [("STEPS", f"{len(session.history)}"), ("RETURN", f"{session.returns[0]:g}")]
        values, last = director.counsel.values, session.look.marker
        if director.counsel.overlay and values is not None and last is not None and not session.over:
            value = values.value[last(session.state)]
            facts.append(("VALUE", "–" if math.isnan(value) else f"{value:.1f}"))
        width = (rect.width - 8 * (len(facts) - 1)) // len(facts)
        for i, (name, value_text) in enumerate(facts):
            card = pygame.Rect(rect.x + i * (width + 8), rect.y, width, rect.height)
            theme.draw_box(surface, card, 10, theme.CARD)
            theme.put(surface, theme.text(name, 10, theme.FAINT, True), card.x + 12, card.y + 10)
            theme.put(surface, theme.text(value_text, 18, bold=True), card.x + 12, card.y + 27)
        return int(rect.bottom)

    def _history(self, surface: Any, rect: Any) -> None:
        """The moves so far, newest in view."""
        self._moves = rect
        if rect.height < 44:
            return
        session = self.director.session
        world, history = session.world, session.history
        theme.put(surface, theme.text("MOVES", 10, theme.FAINT, True), rect.x, rect.y)
        inner = pygame.Rect(rect.x, rect.y + 19, rect.width, rect.height - 19)
        per_line = 2 if world.players == 2 else 4
        lines = [history[i : i + per_line] for i in range(0, len(history), per_line)]
        room = max(inner.height // 24, 1)
        self.scroll = min(self.scroll, max(len(lines) - room, 0))
        end = len(lines) - self.scroll
        start = max(end - room, 0)
        if not lines:
            theme.put(surface, theme.text("none yet", 13, theme.FAINT), inner.x, inner.y + 2)
        column = (inner.width - 36) // per_line
        for i, line in enumerate(lines[start:end]):
            y = inner.y + i * 24
            number = theme.text(f"{(start + i) * (1 if world.players == 2 else per_line) + 1}", 12, theme.FAINT)
            theme.put(surface, number, inner.x + 24, y + 12, "midright")
            for j, ply in enumerate(line):
                cell = pygame.Rect(inner.x + 36 + j * column, y + 1, column - 6, 22)
                newest = ply is history[-1]
                if newest:
                    theme.draw_box(surface, cell, 6, theme.RAISED)
                if world.players > 1:
                    colour = theme.seat_colour(session.look.style, ply.seat)
                    if sum(colour) < 240:
                        theme.put(surface, theme.dot(5, theme.FAINT), cell.x + 11, cell.centery, "center")
                    mark = theme.dot(4, colour)
                    theme.put(surface, mark, cell.x + 11, cell.centery, "center")
                left = cell.x + (22 if world.players > 1 else 8)
                name = theme.fitted(
                    world.action_name(ply.action), 13, cell.right - left - 4, theme.TEXT if newest else theme.MUTED
                )
                theme.put(surface, name, left, cell.centery, "midleft")

    def _buttons(self, surface: Any, inner: Any, mouse: tuple[int, int], pressed: bool) -> int:
        """Two columns at the bottom; the top of them."""
        width, height = (inner.width - 8) // 2, 34
        lines = -(-len(self.buttons) // 2)
        top = inner.bottom - lines * (height + 8) + 8
        for i, button in enumerate(self.buttons):
            button.rect = pygame.Rect(inner.x + (i % 2) * (width + 8), top + (i // 2) * (height + 8), width, height)
            button.draw(surface, mouse, pressed)
        if self.director.session.watching or self.director.session.world.players == 1:
            pace = theme.text(f"{PACES[self.director.pace]:g} moves a second", 11, theme.FAINT)
            theme.put(surface, pace, inner.right, top - 8, "bottomright")
            return int(top) - 16
        return int(top)
