"""Colours, fonts and shapes. Shapes are painted from distance fields, so that every edge is smooth at every size."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from elodrome.arena.ui.screen import pygame

Colour = tuple[int, int, int]
Field = npt.NDArray[np.float64]

SKY, GROUND = (30, 35, 48), (18, 21, 30)  # the background, from top to bottom
PANEL, CARD, RAISED, LINE = (35, 41, 56), (45, 52, 70), (58, 67, 90), (64, 73, 96)
TEXT, MUTED, FAINT = (236, 240, 248), (160, 170, 192), (108, 118, 142)
ACCENT, GOOD, WARN, ERROR = (104, 164, 255), (98, 208, 150), (247, 190, 88), (244, 104, 104)
TONES = {"calm": MUTED, "good": GOOD, "warn": WARN, "error": ERROR}
SEATS: dict[str, tuple[Colour, Colour]] = {
    "marks": ((255, 122, 110), (84, 204, 204)),
    "discs": ((238, 86, 86), (250, 202, 74)),
    "stones": ((46, 49, 58), (240, 238, 230)),
    "map": ((255, 176, 84), (104, 164, 255)),
}
PLATE: Colour = (52, 96, 196)  # the front of a board with holes
WOOD: Colour = (214, 172, 112)
FLOOR, WALL, START, GOAL, TRAP, PORTAL = (
    (50, 58, 78),
    (25, 29, 40),
    (62, 82, 120),
    (58, 140, 100),
    (130, 54, 64),
    (112, 82, 170),
)


def seat_colour(style: str, seat: int) -> Colour:
    """The colour of a seat's pieces; seats beyond the second take turns."""
    return SEATS[style][seat % 2]


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """``a`` with ``share`` of ``b`` in it."""
    return tuple(round(x + (y - x) * share) for x, y in zip(a, b, strict=True))  # type: ignore[return-value]


HEAT: tuple[Colour, ...] = ((84, 46, 92), (70, 74, 148), (46, 116, 168), (40, 152, 148), (96, 186, 118))


def heat(share: float) -> Colour:
    """From low (dim violet) to high (bright green) as ``share`` goes from 0 to 1."""
    at = min(max(share, 0.0), 1.0) * (len(HEAT) - 1)
    i = min(int(at), len(HEAT) - 2)
    return mix(HEAT[i], HEAT[i + 1], at - i)


# Text


def _font_file(name: str) -> str | None:
    """A font of the DejaVu family as matplotlib brings it along: the same letters on every machine."""
    spec = importlib.util.find_spec("matplotlib")
    for place in (spec.submodule_search_locations or []) if spec else []:
        file = Path(place) / "mpl-data" / "fonts" / "ttf" / name
        if file.is_file():
            return str(file)
    return None


@lru_cache(maxsize=64)
def font(size: int, bold: bool = False) -> Any:
    """A font of ``size`` pixels; pygame's own where DejaVu Sans is missing."""
    return pygame.font.Font(_font_file("DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"), size)


@lru_cache(maxsize=1024)
def text(words: str, size: int, colour: Colour = TEXT, bold: bool = False) -> Any:
    """Words as a surface."""
    return font(size, bold).render(words, True, colour)


@lru_cache(maxsize=1024)
def typed(words: str, size: int) -> Any:
    """Words as a surface, each letter as wide as the others."""
    return pygame.font.Font(_font_file("DejaVuSansMono.ttf"), size).render(words, True, TEXT)


def fitted(words: str, size: int, width: int, colour: Colour = TEXT, bold: bool = False) -> Any:
    """Words as a surface of at most ``width`` pixels, cut with an ellipsis where they are longer."""
    if font(size, bold).size(words)[0] <= width:
        return text(words, size, colour, bold)
    while words and font(size, bold).size(words + "…")[0] > width:
        words = words[:-1]
    return text(words.rstrip() + "…", size, colour, bold)


def put(surface: Any, picture: Any, x: float, y: float, anchor: str = "topleft") -> Any:
    """Blit with ``anchor`` at (x, y); the rectangle covered."""
    return surface.blit(picture, picture.get_rect(**{anchor: (round(x), round(y))}))


# Shapes: signed distances in pixels, negative inside


def grid(width: int, height: int) -> tuple[Field, Field]:
    """The x and y of pixel centres, each [width, height] (pygame's order)."""
    return np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5, indexing="ij")


def box_distance(x: Field, y: Field, left: float, top: float, right: float, bottom: float, radius: float) -> Field:
    """To a box with rounded corners."""
    dx = np.abs(x - (left + right) / 2) - (right - left) / 2 + radius
    dy = np.abs(y - (top + bottom) / 2) - (bottom - top) / 2 + radius
    return np.hypot(np.maximum(dx, 0), np.maximum(dy, 0)) + np.minimum(np.maximum(dx, dy), 0) - radius


def stroke_distance(x: Field, y: Field, a: tuple[float, float], b: tuple[float, float], width: float) -> Field:
    """To a stroke from a to b with round ends."""
    ux, uy = b[0] - a[0], b[1] - a[1]
    along = np.clip(((x - a[0]) * ux + (y - a[1]) * uy) / (ux * ux + uy * uy), 0, 1)
    return np.hypot(x - a[0] - along * ux, y - a[1] - along * uy) - width / 2


def cover(distance: Field) -> Field:
    """How much of each pixel lies inside."""
    return np.clip(0.5 - distance, 0, 1)


def picture(colour: Colour | Field, opacity: Field) -> Any:
    """A surface of one colour, or of a colour per pixel [w, h, 3], with an opacity in [0, 1] per pixel [w, h]."""
    surface = pygame.Surface(opacity.shape, pygame.SRCALPHA)
    pixels = pygame.surfarray.pixels3d(surface)
    pixels[:] = np.clip(np.asarray(colour), 0, 255)
    alphas = pygame.surfarray.pixels_alpha(surface)
    alphas[:] = np.round(opacity * 255)
    del pixels, alphas  # they lock the surface
    return surface


@lru_cache(maxsize=512)
def box(width: int, height: int, radius: int, colour: Colour, opacity: float = 1.0, edge: Colour | None = None) -> Any:
    """A rounded box, with a thin edge if wanted."""
    x, y = grid(width, height)
    distance = box_distance(x, y, 0, 0, width, height, min(radius, width / 2, height / 2))
    if edge is None:
        return picture(colour, cover(distance) * opacity)
    inner = cover(distance + 1.4)[:, :, None]
    return picture(np.array(colour) * inner + np.array(edge) * (1 - inner), cover(distance) * opacity)


@lru_cache(maxsize=128)
def outline(width: int, height: int, radius: int, thick: float, colour: Colour, opacity: float = 1.0) -> Any:
    """The line round a rounded box, ``thick`` pixels wide, inside it."""
    x, y = grid(width, height)
    distance = box_distance(x, y, 0, 0, width, height, radius)
    return picture(colour, cover(np.maximum(distance, -distance - thick)) * opacity)


@lru_cache(maxsize=64)
def shadow(width: int, height: int, radius: int, blur: int, opacity: float = 0.45) -> Any:
    """The soft shadow of a rounded box; larger than it by ``blur`` on each side."""
    x, y = grid(width + 2 * blur, height + 2 * blur)
    distance = box_distance(x, y, blur, blur, width + blur, height + blur, radius + blur / 3)
    fade = np.clip((blur - distance) / (2 * blur), 0, 1)
    return picture((0, 0, 0), fade * fade * (3 - 2 * fade) * opacity)


def draw_box(
    surface: Any, rect: Any, radius: int, colour: Colour, opacity: float = 1.0, edge: Colour | None = None
) -> None:
    """A rounded box on a surface."""
    if rect.width > 0 and rect.height > 0:
        surface.blit(box(rect.width, rect.height, radius, colour, round(opacity, 2), edge), rect.topleft)


def draw_shadow(surface: Any, rect: Any, radius: int, blur: int = 18, opacity: float = 0.45) -> None:
    """The shadow of a box that is drawn next."""
    surface.blit(shadow(rect.width, rect.height, radius, blur, opacity), (rect.x - blur, rect.y - blur + blur // 3))


@lru_cache(maxsize=256)
def dot(radius: int, colour: Colour, opacity: float = 1.0, hole: float = 0.0) -> Any:
    """A flat disc, or a ring where ``hole`` (a share of the radius) is open."""
    x, y = grid(2 * radius + 2, 2 * radius + 2)
    distance = np.hypot(x - radius - 1, y - radius - 1)
    return picture(colour, cover(np.maximum(distance - radius, radius * hole - distance)) * opacity)


@lru_cache(maxsize=64)
def backdrop(width: int, height: int) -> Any:
    """The background: a gentle fall of light."""
    x, y = grid(width, height)
    fall = np.clip(y / height * 0.8 + np.abs(x / width - 0.4) * 0.3, 0, 1)[:, :, None]
    return picture(np.array(SKY) * (1 - fall) + np.array(GROUND) * fall, np.ones((width, height))).convert()


# Pieces, cached by size


def _domed(colour: Colour, x: Field, y: Field, radius: float) -> Field:
    """A colour lit from above left, [w, h, 3]."""
    light = np.clip(1.14 - np.hypot(x - radius * 0.66, y - radius * 0.58) / (radius * 3.1), 0.62, 1.14)
    return np.array(colour) * light[:, :, None]


@lru_cache(maxsize=128)
def disc(radius: int, colour: Colour, rim: bool = True) -> Any:
    """A playing piece seen from above: domed, with a turned rim."""
    x, y = grid(2 * radius, 2 * radius)
    distance = np.hypot(x - radius, y - radius) - radius
    paint = _domed(colour, x, y, radius)
    if rim:
        groove = np.exp(-(((distance + radius * 0.24) / (radius * 0.035 + 0.8)) ** 2))
        paint = paint * (1 - 0.20 * groove[:, :, None])
    shine = np.clip(1 - np.hypot((x - radius * 0.72) / 0.9, y - radius * 0.6) / (radius * 0.75), 0, 1)
    return picture(paint + 34 * (shine * shine)[:, :, None], cover(distance + 0.5))


@lru_cache(maxsize=128)
def mark(seat: int, size: int, colour: Colour) -> Any:
    """A cross for seat 0, a ring for the other."""
    x, y = grid(size, size)
    if seat == 0:
        near, far = size * 0.2, size * 0.8
        distance = np.minimum(
            stroke_distance(x, y, (near, near), (far, far), size * 0.135),
            stroke_distance(x, y, (far, near), (near, far), size * 0.135),
        )
    else:
        distance = np.abs(np.hypot(x - size / 2, y - size / 2) - size * 0.295) - size * 0.0675
    return picture(np.array(colour) * (1.08 - 0.16 * (y / size))[:, :, None], cover(distance))


@lru_cache(maxsize=256)
def faded(make: Callable[..., Any], opacity: int, *what: Any) -> Any:
    """A see-through copy of what ``make`` draws; opacity from 0 to 255."""
    copy = make(*what).copy()
    copy.fill((255, 255, 255, opacity), special_flags=pygame.BLEND_RGBA_MULT)
    return copy


@lru_cache(maxsize=256)
def arrow(size: int, quarter: int, colour: Colour, opacity: float = 1.0) -> Any:
    """A small arrow: quarter 0 up, 1 right, 2 down, 3 left."""
    x, y = grid(size, size)
    for _ in range(quarter % 4):
        x, y = y, size - x
    c, w = size / 2, max(size * 0.16, 1.6)
    distance = np.minimum.reduce(
        [
            stroke_distance(x, y, (c, size * 0.86), (c, size * 0.2), w),
            stroke_distance(x, y, (c, size * 0.16), (size * 0.22, size * 0.46), w),
            stroke_distance(x, y, (c, size * 0.16), (size * 0.78, size * 0.46), w),
        ]
    )
    return picture(colour, cover(distance) * opacity)
