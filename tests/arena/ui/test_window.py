"""The window itself, without a screen: events in, the director's state and pixels out."""

import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from elodrome.agents.agent import RESIGN, Agent
from elodrome.agents.random import Random
from elodrome.agents.registry import make_agent
from elodrome.arena.ui import theme
from elodrome.arena.ui.archive import Archive
from elodrome.arena.ui.director import Director
from elodrome.arena.ui.screen import pygame
from elodrome.arena.ui.session import HUMAN, Driver, Session
from elodrome.arena.ui.window import Window, play, watch
from elodrome.envs.registry import make_env
from elodrome.errors import UserError

TTT = make_env("tic_tac_toe")


class Last(Agent):
    def choose(self, position):
        return int(position.legal_actions[-1])


class Waits(Agent):
    """Never answers while the test goes on."""

    gate = threading.Event()

    def choose(self, position):
        self.gate.wait(10)
        return int(position.legal_actions[0])


def window(agent=None, world=TTT, archive=None, watched=False, size=(900, 640)):
    other = Driver("rival", agent or Last(world))
    session = Session(world, [other, other] if watched else [Driver(HUMAN), other], seed=1)
    return Window(Director(session, archive), size)


def click(made, point):
    place = tuple(round(x) for x in point)
    made.handle(pygame.event.Event(pygame.MOUSEMOTION, pos=place, rel=(0, 0), buttons=(0, 0, 0)))
    made.handle(pygame.event.Event(pygame.MOUSEBUTTONDOWN, pos=place, button=1))
    made.handle(pygame.event.Event(pygame.MOUSEBUTTONUP, pos=place, button=1))


def key(made, code, unicode=""):
    made.handle(pygame.event.Event(pygame.KEYDOWN, key=code, unicode=unicode, mod=0))


def until(made, condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition():
        made.director.moved_at = -1e9
        made.tick()
        made.draw()
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.002)


def moves(made):
    return [ply.action for ply in made.director.session.history]


def pixels(made):
    return pygame.surfarray.array3d(made.surface).copy()


def test_click_to_move_and_take_back_with_the_button():
    made = window()
    made.draw()
    click(made, made.view.centre((1, 1)))
    until(made, lambda: len(moves(made)) == 2)
    assert moves(made) == [4, 8]
    button = next(b for b in made.panel.buttons if b.label == "Take back")
    click(made, button.rect.center)
    assert moves(made) == []
    click(made, button.rect.center)
    assert made.director.message.text == "nothing to take back: no move has been played"


def test_illegal_click_shakes_and_says_why():
    made = window()
    made.draw()
    click(made, made.view.centre((1, 1)))
    until(made, lambda: made.director.people_to_move)
    click(made, made.view.centre((1, 1)))
    assert made.director.message.text == "b2 is taken"
    assert made.animating
    assert len(moves(made)) == 2


def test_clicks_beside_the_board_play_nothing():
    made = window()
    made.draw()
    click(made, (made.view.frame.left - 8, made.view.frame.centery))
    click(made, (2, 2))
    assert moves(made) == []


def test_a_ghost_under_the_mouse_only_where_one_may_play():
    made = window()
    made.draw()
    plain = pixels(made)
    centre = tuple(round(x) for x in made.view.centre((0, 0)))
    made.handle(pygame.event.Event(pygame.MOUSEMOTION, pos=centre, rel=(0, 0), buttons=(0, 0, 0)))
    made.draw()
    assert (pixels(made) != plain).any()
    colour = np.array(theme.seat_colour("marks", 0))
    tile = np.array(theme.RAISED)
    seen = pixels(made)[centre]
    assert np.abs(seen - tile).sum() > 20  # something of the mark's colour on the tile
    assert np.abs(seen - colour).sum() > 20  # but not the mark itself


def test_keys():
    made = window()
    made.draw()
    key(made, pygame.K_s, "s")
    until(made, lambda: len(moves(made)) == 1)
    assert made.director.session.driver(0).label == "rival"
    key(made, pygame.K_n, "n")
    assert moves(made) == []
    key(made, pygame.K_o, "o")
    assert made.director.counsel.overlay
    key(made, pygame.K_h, "h")
    until(made, lambda: made.director.counsel.hint is not None or not made.director.people_to_move)


def test_the_menu_chooses_another_opponent():
    made = window()
    made.draw()
    key(made, pygame.K_a, "a")
    assert made.menu.open
    until(made, lambda: made.director.menu is not None)
    made.draw()
    specs = [choice.spec for choice in made.director.menu]
    for _ in range(specs.index("random")):
        key(made, pygame.K_DOWN)
    key(made, pygame.K_RETURN)
    assert not made.menu.open
    until(made, lambda: made.director.session.drivers[1].label == "random")
    key(made, pygame.K_a, "a")
    key(made, pygame.K_ESCAPE)
    assert not made.menu.open


def test_closing_in_mid_search_is_quick_and_keeps_the_game(tmp_path):
    archive = Archive(TTT, tmp_path / "games", tmp_path / "results.sqlite")
    made = window(Waits(TTT), archive=archive)
    made.draw()
    click(made, made.view.centre((1, 1)))
    pygame.event.post(pygame.event.Event(pygame.QUIT))
    start = time.perf_counter()
    made.run()
    assert time.perf_counter() - start < 3
    assert archive.unfinished((HUMAN, "rival")).moves == (4,)


def test_the_loop_sleeps_while_nothing_happens():
    made = window()
    timer = threading.Timer(1.0, lambda: pygame.event.post(pygame.event.Event(pygame.QUIT)))
    made.draw()
    timer.start()
    start = time.thread_time()
    made.run()
    assert time.thread_time() - start < 0.3


def test_the_arrow_keys_walk():
    made = window(world=make_env("cliff_walking"))
    made.draw()
    key(made, pygame.K_UP)
    key(made, pygame.K_RIGHT)
    made.draw()
    assert moves(made) == [0, 1]
    assert made.director.session.last.cell == (2, 1)


@pytest.mark.parametrize("size", [(720, 560), (1120, 740), (1600, 1000)])
@pytest.mark.parametrize("env", ["tic_tac_toe", "connect_four", "cliff_walking", "go:size=5"])
def test_every_cell_is_where_it_is_drawn(env, size):
    made = window(world=make_env(env), size=size)
    made.draw()
    look = made.director.session.look
    assert made.view.frame.left >= 0
    assert made.view.frame.right < made.panel.rect.left
    for cell in ((0, 0), (look.rows - 1, look.columns - 1)):
        assert made.view.cell_at(tuple(round(x) for x in made.view.centre(cell))) == cell


def test_resizing_and_too_small_a_window():
    made = window()
    made.handle(pygame.event.Event(pygame.VIDEORESIZE, w=300, h=200, size=(300, 200)))
    assert made.surface.get_size() == (720, 560)
    made.draw()


def test_a_watched_game_runs_to_its_end():
    made = window(Random(TTT), watched=True)
    made.draw()
    until(made, lambda: made.director.session.over)
    made.draw()
    key(made, pygame.K_PERIOD, ".")
    assert made.director.session.over


def test_play_goes_on_with_the_game_that_was_left(monkeypatch):
    tick, end = Window.tick, time.monotonic() + 30

    def tick_until_answered(made):
        tick(made)
        assert time.monotonic() < end, "the agent did not reply"
        if len(moves(made)) == 2:
            pygame.event.post(pygame.event.Event(pygame.QUIT))

    monkeypatch.setattr(Window, "tick", tick_until_answered)
    session = Session(TTT, [Driver(HUMAN), Driver("random", Random(TTT))], seed=1)
    director = Director(session, Archive(TTT))
    director.click(1, 1)
    director.close()
    play(TTT, "random")
    kept = Archive(TTT).unfinished((HUMAN, "random"))
    assert kept.id == session.id
    assert kept.moves[0] == 4
    assert len(kept.moves) == 2  # the agent has replied meanwhile


def test_play_and_watch_refuse_in_words():
    with pytest.raises(UserError, match="seat 2 is none of tic_tac_toe"):
        play(TTT, "random", 2)
    with pytest.raises(UserError, match="did you mean"):
        play(TTT, "randm")
    with pytest.raises(UserError, match="name 1 to 2 agents"):
        watch(TTT, ["random"] * 3)


def test_a_machine_without_a_screen(monkeypatch):
    pygame.display.quit()
    monkeypatch.setenv("SDL_VIDEODRIVER", "nonsense")
    with pytest.raises(UserError, match="no window can be opened here"):
        window()


def test_only_the_window_imports_pygame_and_quietly():
    code = (
        "import sys, elodrome.arena.ui.director; print('pygame' in sys.modules);"
        "import elodrome.arena.ui.window; print('pygame' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-W", "always", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\nTrue\n"
    assert "pygame" not in done.stderr
    assert "pkg_resources" not in done.stderr


def test_a_screenshot_is_a_picture(tmp_path):
    made = window()
    made.screenshot(tmp_path / "shot.png")
    assert pygame.image.load(str(tmp_path / "shot.png")).get_size() == (900, 640)


def test_smooth_edges():
    """A disc covers the area of a circle, and its rim is neither full nor empty."""
    alpha = pygame.surfarray.array_alpha(theme.dot(40, (255, 255, 255))) / 255
    assert alpha.sum() == pytest.approx(np.pi * 40**2, rel=0.002)
    assert ((alpha > 0.02) & (alpha < 0.98)).sum() > 150


@pytest.mark.parametrize("env", ["tic_tac_toe", "connect_four", "cliff_walking", "go:size=5"])
@pytest.mark.parametrize("watched", [False, True])
def test_any_order_of_events_is_survived(env, watched, tmp_path):
    world = make_env(env)
    archive = Archive(world, tmp_path / "games", tmp_path / "results.sqlite")
    made = window(Random(world), world=world, archive=archive, watched=watched)
    rng = np.random.default_rng(7)
    keys = [
        pygame.K_u,
        pygame.K_n,
        pygame.K_s,
        pygame.K_h,
        pygame.K_o,
        pygame.K_a,
        pygame.K_p,
        pygame.K_r,
        pygame.K_SPACE,
        pygame.K_PERIOD,
    ]
    keys += [pygame.K_UP, pygame.K_RIGHT, pygame.K_DOWN, pygame.K_LEFT, pygame.K_ESCAPE, pygame.K_RETURN]
    for _ in range(250):
        if rng.random() < 0.4:
            key(made, int(rng.choice(keys)))
        elif rng.random() < 0.2:
            made.handle(pygame.event.Event(pygame.MOUSEWHEEL, x=0, y=int(rng.integers(-2, 3))))
        else:
            click(made, (rng.integers(0, 900), rng.integers(0, 640)))
        made.director.moved_at = -1e9
        made.tick()
        if rng.random() < 0.2:
            made.draw()
        session = made.director.session
        assert session.over == (not session.legal.any())
    made.draw()
    made.director.close()
    assert made.director.message.tone != "error", made.director.message.text


class Passes(Agent):
    """Passes at once."""

    def choose(self, position):
        return position.legal_actions[-1]


class GivesUp(Agent):
    def choose(self, position):
        return RESIGN


def test_a_game_of_go_by_clicks_and_keys():
    world = make_env("go:size=5")
    made = window(Passes(world), world=world)
    made.draw()
    click(made, made.view.centre((2, 2)))
    until(made, lambda: len(moves(made)) == 2)
    assert moves(made) == [12, 25]
    assert made.director.message.text == "rival passes"
    made.draw()
    key(made, pygame.K_p, "p")
    assert made.director.session.over
    assert made.director.session.result() == ("You win", "as Black, in 3 moves  ·  Black 25, White 24.5")
    made.draw()
    key(made, pygame.K_p, "p")
    assert made.director.message.text == "the game is over; press N for a new one"
    key(made, pygame.K_u, "u")
    assert moves(made) == [12, 25]


def test_passing_and_resigning_by_buttons():
    world = make_env("go:size=5")
    made = window(Passes(world), world=world)
    made.draw()
    buttons = {b.label: b for b in made.panel.buttons}
    click(made, buttons["Pass"].rect.center)
    assert moves(made) == [25]
    made.director.undo()
    click(made, buttons["Resign"].rect.center)
    session = made.director.session
    assert session.over
    assert session.record().termination == "resign"
    assert session.returns == (-1, 1)
    assert session.result() == ("rival wins", "as White, in 0 moves by resignation")
    made.draw()
    key(made, pygame.K_u, "u")
    assert not session.over
    assert made.director.message.text == "the game goes on"


def test_only_go_passes_and_only_boards_resign():
    labels = [{b.label for b in window(world=make_env(env)).panel.buttons} for env in ("tic_tac_toe", "cliff_walking")]
    assert [label & {"Pass", "Resign"} for label in labels] == [{"Resign"}, set()]


def test_an_agent_that_resigns_has_lost(tmp_path):
    archive = Archive(TTT, tmp_path / "games", tmp_path / "results.sqlite")
    made = window(GivesUp(TTT), archive=archive)
    made.draw()
    click(made, made.view.centre((1, 1)))
    until(made, lambda: made.director.session.over)
    assert made.director.session.result() == ("You win", "as X, in 1 moves by resignation")
    assert made.director.message.text == "rival resigns"
    record = made.director.session.record()
    assert (record.scores, record.reason) == ((1.0, 0.0), "O resigned")
    key(made, pygame.K_u, "u")
    assert moves(made) == []


def test_an_overlay_on_a_go_board():
    world = make_env("go:size=7")
    made = window(make_agent("mcts:simulations=50", world), world=world)
    made.draw()
    plain = pixels(made)
    key(made, pygame.K_o, "o")
    until(made, lambda: made.director.counsel.opinion is not None)
    made.draw()
    assert (pixels(made) != plain).any()
