"""Takes the pictures of the window that the documentation shows: ``python docs/screenshots.py``."""

import os
import time
from collections.abc import Callable
from pathlib import Path

os.environ["SDL_VIDEODRIVER"] = "dummy"

from elodrome.agents.registry import make_agent
from elodrome.arena.ui.director import Director
from elodrome.arena.ui.session import HUMAN, Driver, Session
from elodrome.arena.ui.window import Window
from elodrome.envs.registry import make_env

IMAGES = Path(__file__).parent / "images"


def settle(window: Window, done: Callable[[], object], seconds: float = 60.0) -> None:
    """Let the agents answer and the pieces land."""
    end, quiet = time.monotonic() + seconds, 0.0
    while time.monotonic() < end and quiet < 1.0:
        window.tick()
        window.draw()
        time.sleep(0.01)
        quiet = quiet + 0.01 if done() and not window.director.thinker.busy else 0.0


def opened(env: str, rival: str, *, watch: bool = False, overlay: bool = True) -> Window:
    world = make_env(env)
    agents = [Driver(rival, make_agent(rival, world))]
    drivers = agents if watch else [Driver(HUMAN), *agents]
    return Window(Director(Session(world, drivers, seed=7), overlay=overlay))


def point_at(window: Window, cell: tuple[int, int]) -> None:
    x, y = window.view.centre(cell)
    window.mouse = round(x), round(y)


def board(env: str, rival: str, clicks: list[tuple[int, int]], hover: tuple[int, int]) -> None:
    window = opened(env, rival)
    director = window.director
    for cell in clicks:
        director.click(*cell)
        settle(window, lambda: director.people_to_move or director.session.over)
    point_at(window, hover)
    director.say("")
    window.screenshot(IMAGES / f"{env.partition(':')[0]}.png")


def main() -> None:
    board("tic_tac_toe", "minimax", [(1, 1), (0, 1)], (2, 1))
    board("connect_four", "alphazero-strong", [(0, 3), (0, 3), (0, 2), (0, 3), (0, 4)], (0, 1))
    board("go:size=7", "alphazero-strong", [(3, 3), (2, 2), (3, 2), (2, 4), (1, 3)], (4, 4))
    window = opened("cliff_walking", "value_iteration", watch=True)
    director = window.director
    director.change_pace(2)
    settle(window, lambda: len(director.session.history) >= 6, 1.0)
    while len(director.session.history) < 7:
        window.tick()
        window.draw()
    director.toggle_pause()
    director.say("")
    settle(window, lambda: True, 1.5)
    window.screenshot(IMAGES / "cliff_walking.png")


if __name__ == "__main__":
    main()
