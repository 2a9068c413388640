"""Tic-tac-toe and Connect Four against exact counts, exact probabilities and OpenSpiel."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pyspiel
import pytest

from elodrome import make_env
from elodrome.envs import engine
from elodrome.envs.enumeration import enumerate_world


def children(world: Any, state: tuple[int, ...]) -> list[tuple[tuple[int, ...], np.ndarray]]:
    """The states behind every legal action, with the rewards."""
    row = np.array(state, np.int64)
    mask = np.zeros(world.actions, np.uint8)
    world.legal(row, mask)
    found = []
    for action in np.flatnonzero(mask):
        after, rewards = row.copy(), np.zeros(world.players)
        world.step(after, int(action), 0, rewards)
        found.append((tuple(after.tolist()), rewards))
    return found


def test_tic_tac_toe_histories() -> None:
    """Histories, the empty one included (perft by length): 549,946, of which 255,168 are complete games."""
    world = make_env("tic_tac_toe")

    @cache
    def count(state: tuple[int, ...]) -> tuple[int, int]:
        below = [count(child) for child, _ in children(world, state)]
        return 1 + sum(b[0] for b in below), sum(b[1] for b in below) if below else 1

    assert count((0, 0, 0)) == (549_946, 255_168)


def test_tic_tac_toe_states_and_random_play() -> None:
    world = make_env("tic_tac_toe")
    tables = enumerate_world(world)
    assert tables.size == 5478

    @cache
    def shares(state: tuple[int, ...]) -> tuple[Fraction, Fraction, Fraction]:
        """(first wins, second wins, draw) under uniform play."""
        below = children(world, state)
        total = [Fraction(0)] * 3
        for child, rewards in below:
            if child[2] < 0:
                total[{1.0: 0, -1.0: 1, 0.0: 2}[rewards[0]]] += Fraction(1, len(below))
            else:
                total = [t + s / len(below) for t, s in zip(total, shares(child), strict=True)]
        return total[0], total[1], total[2]

    exact = shares((0, 0, 0))
    assert exact == (Fraction(737, 1260), Fraction(121, 420), Fraction(8, 63))
    games = 200_000
    tallies = np.zeros((2, 3))
    engine.playouts(world.compiled, games, np.uint64(5), tallies, np.zeros(2))
    for count, share in zip(tallies[0, [0, 2, 1]], map(float, exact), strict=True):
        assert abs(count - games * share) < 4 * (games * share * (1 - share)) ** 0.5


def test_connect_four_positions_by_ply() -> None:
    """Distinct positions by ply; John Tromp counted the same."""
    world = make_env("connect_four")
    level = np.zeros((1, 3), np.int64)
    counts = []
    for _ in range(9):
        counts.append(len(level))
        alive = level[level[:, 2] >= 0]
        level = np.unique(np.concatenate([_after(world, alive, action) for action in range(7)]), axis=0)
    assert counts == [1, 7, 49, 238, 1120, 4263, 16422, 54859, 184275]


def _after(world: Any, states: np.ndarray, action: int) -> np.ndarray:
    """The states after one action where it is legal, through the compiled batch."""
    rows = np.arange(len(states))
    masks = np.zeros((len(states), world.actions), np.uint8)
    engine.batch_legal(world.compiled, states, rows, masks)
    after = np.ascontiguousarray(states[masks[:, action] == 1])
    rows = np.arange(len(after))
    seats = after[:, 2].copy()
    rewards = np.zeros((len(after), 2))
    rng = np.zeros(len(after), np.uint64)
    assert engine.batch_step(world.compiled, after, rng, rows, np.full(len(after), action), rewards, seats) == -1
    return after


@pytest.mark.parametrize(("ours", "theirs"), [("connect_four", "connect_four"), ("tic_tac_toe", "tic_tac_toe")])
def test_against_open_spiel(ours: str, theirs: str) -> None:
    """300 random games, move by move: who acts, legal actions, the observation's stones, the end, the returns."""
    world, game = make_env(ours), pyspiel.load_game(theirs)
    rng = np.random.default_rng(0)
    ends = {1.0: 0, 0.0: 0, -1.0: 0}
    planes = np.zeros(world.observation_size, np.float32)
    for _ in range(300):
        state, row = game.new_initial_state(), world.template.copy()
        world.reset(row, 0)
        mask, rewards = np.zeros(world.actions, np.uint8), np.zeros(2)
        while not state.is_terminal():
            assert world.player(row) == state.current_player()
            world.legal(row, mask)
            assert np.flatnonzero(mask).tolist() == state.legal_actions()
            world.observe(row, 0, planes)
            assert _stones(planes.reshape(world.observation_shape)) == _board(str(state))
            action = int(rng.choice(state.legal_actions()))
            rewards[:] = 0
            world.step(row, action, 0, rewards)
            state.apply_action(action)
        assert world.player(row) < 0
        assert rewards.tolist() == state.returns()
        ends[rewards[0]] += 1
    assert ends[1.0]
    assert ends[-1.0]


def _stones(planes: np.ndarray) -> list[str]:
    own, other = planes
    return [
        "".join("x" if own[r, c] else "o" if other[r, c] else "." for c in range(own.shape[1])) for r in range(len(own))
    ]


def _board(text: str) -> list[str]:
    return [line for line in text.splitlines() if line]


def test_connect_four_does_not_wrap_around() -> None:
    """Stones at the top of one column and the foot of the next are no line."""
    from elodrome.envs.boards.connect_four import won

    squares = {(c, h): 1 << (c * 7 + h) for c in range(7) for h in range(6)}
    lines = set()
    for c in range(7):
        for h in range(6):
            for dc, dh in ((0, 1), (1, 0), (1, 1), (1, -1)):
                line = [(c + k * dc, h + k * dh) for k in range(4)]
                if all(place in squares for place in line):
                    lines.add(sum(squares[place] for place in line))
    assert len(lines) == 69
    rng = np.random.default_rng(1)
    for _ in range(20_000):
        stones = sum(bit for bit in squares.values() if rng.random() < 0.45)
        assert won(stones) == any(stones & line == line for line in lines)


def test_connect_four_look() -> None:
    world = make_env("connect_four")
    row = world.template.copy()
    world.reset(row, 0)
    for before, after in pairwise([3, 3, 4, 0]):
        assert world.look.cell_of(row, before) is not None
        r, c = world.look.cell_of(row, before)
        seat = world.player(row)
        world.step(row, before, 0, np.zeros(2))
        assert world.look.cells(row)[r, c] == 1 + seat
        assert world.look.action_at(0, after, np.ones(7, np.uint8)) == after
