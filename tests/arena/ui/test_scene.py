"""Worlds of others in the window: their own pictures, their text, and what keys and agents do there."""

import gymnasium
import numpy as np
import pytest

from elodrome.agents.agent import Agent
from elodrome.agents.random import Random
from elodrome.arena.ui.archive import Archive, go_on
from elodrome.arena.ui.director import Director
from elodrome.arena.ui.screen import pygame
from elodrome.arena.ui.session import HUMAN, Driver, Session
from elodrome.arena.ui.window import Window
from elodrome.envs.adapters.foreign import env_seed
from elodrome.envs.registry import make_env
from tests.arena.ui.test_window import key, moves, pixels, until


def opened(name, *, watched=False, agent=None, archive=None):
    world = make_env(name)
    other = Driver("rival", agent or Random(world))
    drivers = [other] * max(world.players, 1) if watched else [Driver(HUMAN), other]
    return Window(Director(Session(world, drivers, seed=1), archive, overlay=True), (900, 640))


def shown(made):
    """The picture as it stands in the window, shrunk to a pixel for each of the world's."""
    width, height = made.view._picture.get_size()
    scale = min((made.view.frame.width - 24) / width, (made.view.frame.height - 24) / height)
    room = pygame.Rect(0, 0, round(width * scale), round(height * scale))
    room.center = made.view.frame.center
    return pygame.surfarray.array3d(made.surface.subsurface(room)).swapaxes(0, 1)


def test_the_lake_paints_itself_and_keys_walk_on_it():
    made = opened("gymnasium:FrozenLake-v1:is_slippery=false")
    env = gymnasium.make("FrozenLake-v1", is_slippery=False, render_mode="rgb_array")
    env.reset(seed=env_seed(1))
    for action in (2, 1):
        made.draw()
        wanted = env.render()
        assert np.array_equal(made.director.session.table.picture(0), wanted)
        assert np.abs(shown(made).mean(axis=(0, 1)) - wanted.mean(axis=(0, 1))).max() < 3
        key(made, getattr(pygame, f"K_{action}"), str(action))
        env.step(action)
    assert moves(made) == [2, 1]
    assert made.director.session.over  # the hole below the second field
    key(made, pygame.K_7, "7")  # there is no such action, and no fault
    key(made, pygame.K_u, "u")
    assert moves(made) == [2]
    made.draw()
    env.reset(seed=env_seed(1))
    env.step(2)
    assert np.array_equal(made.director.session.table.picture(0), env.render())


@pytest.mark.parametrize(
    "name", ["gymnasium:CartPole-v1", "gymnasium:Pendulum-v1", "pettingzoo:classic/connect_four_v3"]
)
def test_agents_are_watched_in_their_pictures(name):
    made = opened(name, watched=True)
    made.draw()
    before = pixels(made)
    until(made, lambda: len(moves(made)) >= 3)
    made.draw()
    assert made.director.failure is None
    assert made.view._picture is not None
    assert (pixels(made)[:550] != before[:550]).any()
    made.director.toggle_pause()
    until(made, lambda: made.director._answer is None and not made.director.thinker.busy)
    made.director.ask_hint()
    until(made, lambda: made.director.counsel.hint is not None or "no hint" in made.director.message.text)


def test_a_world_that_cannot_paint_is_written():
    made = opened("open_spiel:tic_tac_toe")
    made.draw()
    assert made.view._picture is None
    assert made.view._lines == ["...", "...", "..."]
    before = pixels(made)
    key(made, pygame.K_4, "4")
    made.draw()
    assert made.view._lines == ["...", ".x.", "..."]
    assert (pixels(made) != before).any()


def test_what_the_other_seat_sees_is_not_written():
    made = opened("open_spiel:kuhn_poker")
    key(made, pygame.K_0, "0")
    made.draw()
    assert made.director.session.seat == 1
    assert made.view._lines == ["(the other seat looks at its own)"]


def test_a_picture_that_fails_leaves_text(monkeypatch):
    made = opened("gymnasium:CartPole-v1")

    def broken(row):
        raise RuntimeError("no screen here")

    monkeypatch.setattr(made.director.session.table, "_render", broken)
    made.draw()
    assert "CartPole-v1 cannot be painted: no screen here" in made.director.message.text
    assert made.view._lines[0].startswith("[")


def test_a_game_that_was_left_goes_on(tmp_path):
    made = opened("gymnasium:FrozenLake-v1", archive=Archive(make_env("gymnasium:FrozenLake-v1"), tmp_path))
    key(made, pygame.K_0, "0")
    made.close()
    archive = Archive(make_env("gymnasium:FrozenLake-v1"), tmp_path)
    again = opened("gymnasium:FrozenLake-v1")
    assert go_on(again.director.session, archive.unfinished((HUMAN, "rival")))
    assert moves(again) == [0]


class Pushes(Agent):
    def choose(self, position):
        return np.array([0.5], np.float32)


def test_actions_of_real_numbers_are_played_and_kept():
    made = opened("gymnasium:Pendulum-v1", watched=True, agent=Pushes(make_env("gymnasium:Pendulum-v1")))
    until(made, lambda: len(moves(made)) >= 2)
    assert moves(made)[:2] == [(0.5,), (0.5,)]
    assert made.director.session.record().moves[0][0] == (0.5,)
