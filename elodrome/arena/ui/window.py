"""The window: events in, pictures out. What happens in between is the director's business."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from elodrome.agents.isolation.isolated import Isolation, seat_agent
from elodrome.arena.ui import theme
from elodrome.arena.ui.advice import strongest
from elodrome.arena.ui.archive import Archive, go_on
from elodrome.arena.ui.board import BoardView
from elodrome.arena.ui.director import LASTS, Director
from elodrome.arena.ui.gridmap import MapView
from elodrome.arena.ui.panel import Panel, world_title
from elodrome.arena.ui.scene import SceneView
from elodrome.arena.ui.screen import pygame
from elodrome.arena.ui.session import HUMAN, Driver, Session
from elodrome.arena.ui.widgets import Button, Menu
from elodrome.envs.game import World
from elodrome.errors import UserError

SIZE, LEAST = (1120, 740), (720, 560)
# Milliseconds between looks at what is new: while something moves, while an agent thinks, while nothing happens.
FRAME, SPIN, QUIET = 16, 40, 120
DIGITS = "0123456789"  # the first ten actions of a world that paints itself
ARROWS = {"up": 0, "right": 1, "down": 2, "left": 3}


class Window:
    """One window on one director. ``run`` until closed; tests call ``handle``, ``tick`` and ``draw`` themselves."""

    def __init__(self, director: Director, size: tuple[int, int] = SIZE) -> None:
        self.director = director
        pygame.font.init()
        try:
            pygame.display.init()
            self.surface = pygame.display.set_mode(size, pygame.RESIZABLE)
        except pygame.error as error:
            raise UserError(f"no window can be opened here ({error}); elodrome match needs none") from error
        pygame.display.set_caption(f"Elodrome · {world_title(director.session.world.id)}")
        pygame.display.set_icon(theme.disc(16, theme.SEATS["discs"][0]))
        self.view = self._view_of(director)
        self.menu = Menu(
            "Choose the agent" if director.session.world.players == 1 else "Choose the opponent", director.choose
        )
        self.panel = Panel(director, self._buttons())
        self.mouse = (-1, -1)
        self.pressed = False
        self.open = True
        self._drawn = -1
        self._moved = True
        self._spent = 0.0

    @staticmethod
    def _view_of(director: Director) -> BoardView | MapView | SceneView:
        if director.session.scene:
            return SceneView(director)
        return MapView(director) if director.session.look.marker else BoardView(director)

    # Commands

    def _buttons(self) -> list[Button]:
        d = self.director
        solo = d.session.world.players == 1
        buttons = [
            Button("Take back", "U", d.undo),
            Button("New episode" if solo else "New game", "N", d.new_game),
            Button("Hand over" if solo else "Switch sides", "S", d.switch_sides),
            Button("Agent" if solo else "Opponent", "A", self._open_menu, lambda: self.menu.open),
            Button("Hint", "H", d.ask_hint),
            Button("Overlay", "O", d.toggle_overlay, lambda: d.counsel.overlay),
        ]
        if d.session.look.passing is not None and not d.session.watching:
            buttons.append(Button("Pass", "P", d.pass_turn))
        if d.session.may_resign and not d.session.watching:
            buttons.append(Button("Resign", "R", d.resign))
        if d.session.watching or solo:
            buttons += [
                Button("Pause", "Space", d.toggle_pause, lambda: d.paused),
                Button("One step", ".", d.step_once),
                Button("Slower", "-", lambda: d.change_pace(-1)),
                Button("Faster", "+", lambda: d.change_pace(1)),
            ]
        return buttons

    def _open_menu(self) -> None:
        self.director.open_menu()
        self.menu.show()

    # Events

    def handle(self, event: Any) -> None:
        """One event of pygame's."""
        self._moved = True
        if event.type == pygame.QUIT:
            self.open = False
        elif event.type == pygame.VIDEORESIZE:
            size = max(event.w, LEAST[0]), max(event.h, LEAST[1])
            if size != (event.w, event.h):
                self.surface = pygame.display.set_mode(size, pygame.RESIZABLE)
            else:
                self.surface = pygame.display.get_surface()
        elif event.type == pygame.WINDOWLEAVE:
            self.mouse = (-1, -1)
        elif self.menu.open:
            if event.type == pygame.MOUSEMOTION:
                self.mouse = event.pos
            self.menu.handle(event, self.director.menu)
        elif event.type == pygame.MOUSEMOTION:
            self.mouse = event.pos
        elif event.type == pygame.MOUSEWHEEL:
            self.panel.wheel(self.mouse, event.y)
        elif event.type == pygame.MOUSEBUTTONDOWN and event.button == 1:
            self.mouse, self.pressed = event.pos, True
            self._click(event.pos)
        elif event.type == pygame.MOUSEBUTTONUP:
            self.pressed = False
        elif event.type == pygame.KEYDOWN:
            self._key(event)

    def _click(self, point: tuple[int, int]) -> None:
        for button in self.panel.buttons:
            if button.rect.collidepoint(point):
                button.action()
                return
        cell = self.view.cell_at(point)
        if cell is not None:
            if self.director.session.look.marker:
                self.director.say("the arrow keys move")
            else:
                self.director.click(*cell)

    def _key(self, event: Any) -> None:
        name = pygame.key.name(event.key)
        world = self.director.session.world
        if name in ARROWS and self.director.session.look.marker and world.actions == len(ARROWS):
            self.director.act(world.action_names.index(name) if name in world.action_names else ARROWS[name])
            return
        if self.director.session.scene and name in DIGITS and int(name) < world.actions:
            self.director.act(int(name))
            return
        typed = {"space": "space", "return": "", "=": "+", "[+]": "+", "[-]": "-", "escape": ""}.get(name, name)
        if getattr(event, "unicode", "") in ("+", "-", "."):
            typed = event.unicode
        for button in self.panel.buttons:
            if button.key.lower() == typed:
                button.action()

    # Frames

    @property
    def animating(self) -> bool:
        """Whether the picture changes by itself."""
        now = self.director.clock()
        fading = 0 <= now - self.director.message.at - LASTS < 2 * QUIET / 1000  # the status line goes
        return self.view.animating(now) or self.panel.animating or fading

    def tick(self) -> None:
        """What the agents have to say."""
        self.director.tick()

    def draw(self) -> None:
        """The whole picture."""
        surface, now = self.surface, self.director.clock()
        width, height = surface.get_size()
        surface.blit(theme.backdrop(width, height), (0, 0))
        margin = 22
        side = min(max(round(width * 0.31), 268), 350)
        panel = pygame.Rect(width - side - margin, margin, side, height - 2 * margin)
        left = pygame.Rect(margin, margin, panel.left - 2 * margin, height - 2 * margin)
        head = pygame.Rect(left.x, left.y, left.width, 52)
        foot = pygame.Rect(left.x, left.bottom - 38, left.width, 38)
        mouse = (-1, -1) if self.menu.open else self.mouse
        self.view.layout(pygame.Rect(left.x, head.bottom + 8, left.width, foot.top - head.bottom - 18))
        self._headline(surface, head)
        self.view.draw(surface, mouse, now)
        self._status(surface, foot)
        self.panel.draw(surface, panel, mouse, self.pressed, now)
        if self.menu.open:
            index = self.director.session.opponent
            self.menu.draw(
                surface, self.director.menu, None if index is None else self.director.session.drivers[index].label
            )

    def _headline(self, surface: Any, rect: Any) -> None:
        """Whose turn it is, or how it ended."""
        session, director = self.director.session, self.director
        result, mover = session.result(), session.mover
        if result is not None:
            winner = session.winner()
            colour = theme.TEXT if winner is None else theme.seat_colour(session.look.style, winner)
            if winner is not None and sum(colour) < 240:
                colour = theme.TEXT
            head = theme.text(result[0], 26, colour, True)
            words = f"{result[1]}  ·  N for a new one"
            width = rect.width - head.get_width() - 62
            if theme.font(14).size(words)[0] > width:
                words = result[1]
            more = theme.fitted(words, 14, width, theme.MUTED)
            room = pygame.Rect(0, 0, head.get_width() + more.get_width() + 62, rect.height)
            room.center = rect.center
            edge = theme.mix(theme.LINE, colour, 0.5)
            theme.draw_shadow(surface, room, 16, 16, 0.4)
            theme.draw_box(surface, room, 16, theme.mix(theme.CARD, colour, 0.12), edge=edge)
            theme.put(surface, head, room.x + 22, room.centery, "midleft")
            theme.put(surface, more, room.right - 22, room.centery + 2, "midright")
            return
        if mover is None:
            return
        if director.failure:
            head, more = f"{mover.label} has failed", "the game is kept: A for another opponent, U to take back"
        elif mover.human:
            alone = sum(d.human for d in session.drivers) == 1
            head = "Your turn" if alone else f"{session.world.seat_name(session.seat)} to move"
            more = f"you play {session.world.seat_name(session.seat)}"
            if session.scene:
                last = min(session.world.actions, len(DIGITS)) - 1
                more = "its actions are real numbers: watch it" if last < 0 else f"keys 0 to {last} act"
            elif session.look.marker:
                more = "the arrow keys move"
        else:
            head = f"{mover.label} plays" if session.watching or session.world.players == 1 else f"{mover.label} thinks"
            more = "paused" if director.paused else ""
        title = theme.fitted(head, 24, rect.width - 20, theme.TEXT, True)
        at = theme.put(surface, title, rect.x + 4, rect.centery, "midleft")
        words = theme.fitted(more, 14, rect.right - at.right - 14, theme.MUTED)
        theme.put(surface, words, at.right + 14, rect.centery + 3, "midleft")

    def _status(self, surface: Any, rect: Any) -> None:
        """The last message, in the colour of its tone."""
        message = self.director.message
        if not message.shown(self.director.clock()):
            return
        colour = theme.TONES[message.tone]
        theme.draw_box(
            surface, rect, 11, theme.mix(theme.GROUND, colour, 0.14), edge=theme.mix(theme.GROUND, colour, 0.4)
        )
        theme.put(surface, theme.dot(4, colour), rect.x + 18, rect.centery, "center")
        words = theme.fitted(message.text, 14, rect.width - 46, theme.mix(colour, theme.TEXT, 0.45))
        theme.put(surface, words, rect.x + 32, rect.centery, "midleft")

    def run(self) -> None:
        """Until the window is closed. Sleeps between events; draws only what has changed or moves."""
        try:
            while self.open:
                wait = FRAME if self.animating else SPIN if self.director.active else QUIET
                event = pygame.event.wait(wait)
                if event.type != pygame.NOEVENT:
                    self.handle(event)
                for more in pygame.event.get():
                    self.handle(more)
                self.tick()
                spins = self.director.thinking is not None
                if self._moved or self.animating or spins or self._drawn != self.director.changed:
                    self._moved, self._drawn = False, self.director.changed
                    self.draw()
                    pygame.display.flip()
                    self._pace()
        except KeyboardInterrupt:
            self.open = False
        finally:
            self.close()

    def _pace(self) -> None:
        """At most one picture per FRAME, however fast the events come."""
        rest = FRAME / 1000 - (time.perf_counter() - self._spent)
        if rest > 0:
            time.sleep(rest)
        self._spent = time.perf_counter()

    def close(self) -> None:
        """Keep the game and go."""
        self.director.close()
        pygame.display.quit()

    def screenshot(self, file: Path) -> None:
        """The picture as a PNG file."""
        self.draw()
        file.parent.mkdir(parents=True, exist_ok=True)
        pygame.image.save(self.surface, str(file))


def play(
    world: World,
    opponent_spec: str | None = None,
    seat: int = 0,
    *,
    seed: int | None = None,
    isolation: Isolation | None = None,
) -> None:
    """Open a window on a game of a person in ``seat`` against an agent; an open game against it goes on.

    Without an opponent the strongest that ships or needs no training sits down. In a solo world the person plays alone,
    and the "opponent" is the agent whose values are drawn. ``isolation`` says which agents live in cells. Raises
    UserError for a bad seat, agent or world.
    """
    if not 0 <= seat < world.players:
        raise UserError(f"seat {seat} is none of {world.id}: choose 0 to {world.players - 1}")
    spec = opponent_spec or strongest(world)[0]
    other = Driver(HUMAN) if spec == HUMAN else Driver(spec, seat_agent(spec, world, isolation))
    session = Session(world, [Driver(HUMAN), *([other] * max(world.players - 1, 1))], rotation=0, seed=seed)
    session.rotation = -seat % len(session.drivers)
    archive = Archive(world)
    director = Director(session, archive, isolation=isolation)
    if seed is None:
        kept = archive.unfinished(tuple(d.label for d in session.drivers))
        if kept is not None and kept.rotation == session.rotation and go_on(session, kept):
            director.say("going on with the game you left; N starts a new one", "good")
    Window(director).run()


def watch(world: World, specs: Sequence[str], *, seed: int | None = None, isolation: Isolation | None = None) -> None:
    """Open a window on agents at play: one for each seat (one alone plays all; in a solo world the second waits for
    its turn, S changes them). Raises UserError for an agent that does not fit."""
    if not 1 <= len(specs) <= max(world.players, 2):
        raise UserError(f"{world.id} has {world.players} seats; name 1 to {max(world.players, 2)} agents")
    given = [Driver(spec, seat_agent(spec, world, isolation)) for spec in specs]
    count = world.players if world.players > 1 else len(given)
    drivers = [given[i % len(given)] for i in range(count)]
    session = Session(world, drivers, seed=seed)
    Window(Director(session, Archive(world), overlay=True, isolation=isolation)).run()
