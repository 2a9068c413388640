"""Buttons and the opponent menu."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from elodrome.arena.ui import theme
from elodrome.arena.ui.advice import Choice
from elodrome.arena.ui.screen import pygame


@dataclass
class Button:
    """A label, the key beside it, what it does; ``lit`` while what it switches is on."""

    label: str
    key: str
    action: Callable[[], None]
    lit: Callable[[], bool] = lambda: False
    rect: Any = field(default_factory=lambda: pygame.Rect(0, 0, 0, 0))

    def draw(self, surface: Any, mouse: tuple[int, int], pressed: bool) -> None:
        over, lit = self.rect.collidepoint(mouse), self.lit()
        base = theme.mix(theme.CARD, theme.ACCENT, 0.38) if lit else theme.CARD
        colour = theme.mix(base, theme.GROUND, 0.35) if over and pressed else theme.RAISED if over and not lit else base
        theme.draw_box(surface, self.rect, 9, colour, edge=theme.ACCENT if lit else theme.LINE)
        cap = theme.text(self.key, 11, theme.TEXT if lit else theme.MUTED, True)
        right = self.rect.right - 8
        room = pygame.Rect(0, 0, cap.get_width() + 10, 18)
        room.midright = (right, self.rect.centery)
        theme.draw_box(surface, room, 5, theme.mix(base, theme.GROUND, 0.45))
        theme.put(surface, cap, *room.center, "center")
        width = room.left - self.rect.left - 15
        size = next((n for n in (13, 12) if theme.font(n).size(self.label)[0] <= width), 11)
        words = theme.fitted(self.label, size, width)
        theme.put(surface, words, self.rect.left + 11, self.rect.centery, "midleft")


class Menu:
    """A list over the dimmed window; ``pick`` gets the spec chosen."""

    LINE_HEIGHT = 52

    def __init__(self, title: str, pick: Callable[[str], None]) -> None:
        self.title, self.pick = title, pick
        self.open = False
        self.at = 0
        self.scroll = 0.0
        self._lines: list[tuple[Any, int]] = []
        self._frame = pygame.Rect(0, 0, 0, 0)

    def show(self) -> None:
        self.open, self.at, self.scroll = True, 0, 0.0

    def handle(self, event: Any, found: list[Choice] | None) -> None:
        """Keys, wheel and clicks while the menu is open."""
        count = len(found or ())
        if event.type == pygame.KEYDOWN:
            if event.key in (pygame.K_ESCAPE, pygame.K_a):
                self.open = False
            elif event.key in (pygame.K_UP, pygame.K_DOWN) and count:
                self.at = (self.at + (1 if event.key == pygame.K_DOWN else -1)) % count
                top, bottom = self.at * self.LINE_HEIGHT, (self.at + 1) * self.LINE_HEIGHT
                self.scroll = min(max(self.scroll, bottom - self._room()), top)
            elif event.key in (pygame.K_RETURN, pygame.K_KP_ENTER) and count:
                self._take(found, self.at)
        elif event.type == pygame.MOUSEWHEEL:
            self.scroll = min(max(self.scroll - 30 * event.y, 0), max(count * self.LINE_HEIGHT - self._room(), 0))
        elif event.type == pygame.MOUSEMOTION:
            self.at = next((i for rect, i in self._lines if rect.collidepoint(event.pos)), self.at)
        elif event.type == pygame.MOUSEBUTTONDOWN and event.button == 1:
            hit = next((i for rect, i in self._lines if rect.collidepoint(event.pos)), None)
            if hit is not None and count:
                self._take(found, hit)
            elif not self._frame.collidepoint(event.pos):
                self.open = False

    def _take(self, found: list[Choice] | None, index: int) -> None:
        self.open = False
        if found:
            self.pick(found[index].spec)

    def _room(self) -> int:
        return max(int(self._frame.height) - 78, self.LINE_HEIGHT)

    def draw(self, surface: Any, found: list[Choice] | None, current: str | None) -> None:
        width, height = surface.get_size()
        dim = pygame.Surface((width, height), pygame.SRCALPHA)
        dim.fill((10, 12, 18, 150))
        surface.blit(dim, (0, 0))
        count = len(found or ()) or 1
        frame = pygame.Rect(0, 0, min(520, width - 40), min(78 + count * self.LINE_HEIGHT, height - 60))
        frame.center = (width // 2, height // 2)
        self._frame, self._lines = frame, []
        theme.draw_shadow(surface, frame, 16, 30, 0.6)
        theme.draw_box(surface, frame, 16, theme.PANEL, edge=theme.LINE)
        theme.put(surface, theme.text(self.title, 18, bold=True), frame.x + 22, frame.y + 20)
        keys = theme.text("Esc closes", 12, theme.FAINT)
        theme.put(surface, keys, frame.right - 22, frame.y + 25, "topright")
        inner = pygame.Rect(frame.x + 10, frame.y + 60, frame.width - 20, frame.height - 72)
        if not found:
            words = "looking for agents ..." if found is None else "nobody fits this world"
            theme.put(surface, theme.text(words, 14, theme.MUTED), *inner.center, "center")
            return
        before = surface.get_clip()
        surface.set_clip(inner)
        for i, choice in enumerate(found):
            line = pygame.Rect(inner.x, inner.y + i * self.LINE_HEIGHT - round(self.scroll), inner.width, 48)
            if not line.colliderect(inner):
                continue
            self._lines.append((line.clip(inner), i))
            if i == self.at:
                theme.draw_box(surface, line, 9, theme.RAISED)
            theme.put(surface, theme.text(choice.spec, 14, bold=True), line.x + 14, line.y + 6)
            theme.put(surface, theme.fitted(choice.summary, 12, line.width - 60, theme.MUTED), line.x + 14, line.y + 27)
            if choice.spec == current:
                theme.put(surface, theme.dot(5, theme.GOOD), line.right - 18, line.centery, "center")
        surface.set_clip(before)
