"""Walking every reply: counts agree with a plain recursion, and what is known of tic-tac-toe comes out."""

from typing import Any

import numpy as np
import pytest

from elodrome import make_env
from elodrome.agents.agent import Agent, Positions
from elodrome.agents.parts.solve import Judge
from elodrome.agents.registry import make_agent
from elodrome.arena.strength import exhaustive
from elodrome.arena.strength.exhaustive import walk
from elodrome.errors import UserError

WORLD: Any = make_env("tic_tac_toe")
LINES = [(0, 1, 2), (3, 4, 5), (6, 7, 8), (0, 3, 6), (1, 4, 7), (2, 5, 8), (0, 4, 8), (2, 4, 6)]


class FirstFree(Agent):
    """The lowest legal action."""

    def act(self, given: Positions) -> Any:
        return given.legal.argmax(axis=1)


def lines(seat: int, board: str = "." * 9) -> np.ndarray:
    """(won, drawn, lost) games of "lowest free square" in a seat against every reply, by recursion on strings."""
    turn = 9 - board.count(".")
    if any(board[a] != "." and board[a] == board[b] == board[c] for a, b, c in LINES):
        mine = (turn - 1) % 2 == seat
        return np.array([mine, 0, not mine], int)
    free = [i for i, square in enumerate(board) if square == "."]
    if not free:
        return np.array([0, 1, 0])
    moves = free[:1] if turn % 2 == seat else free
    return np.sum([lines(seat, board[:i] + "XO"[turn % 2] + board[i + 1 :]) for i in moves], axis=0)


@pytest.mark.parametrize("seat", [0, 1])
def test_lines_of_a_simple_player(seat: int) -> None:
    found = walk(WORLD, FirstFree(WORLD), Judge(WORLD), seat, 0)
    assert [found.won, found.drawn, found.lost] == lines(seat).tolist()
    assert found.lines == sum(lines(seat))
    assert found.blunders > 0


def test_perfect_play_loses_nothing() -> None:
    found = exhaustive.measure(WORLD, make_agent("minimax", WORLD), count=2, tick=lambda *_: None)
    for part in found.document.values():
        assert part["lost"] == part["blunders"] == part["illegal"] == 0
        assert part["won"] > 0
        assert part["walks"] == 2


class Absurd(Agent):
    """Answers what is no action."""

    def act(self, given: Positions) -> Any:
        return ["pass"] * len(given)


def test_no_legal_answer_loses_all_lines() -> None:
    found = walk(WORLD, Absurd(WORLD), Judge(WORLD), 1, 0)
    assert found.lines == found.lost == found.illegal == 9


def test_agents_with_a_memory_are_refused() -> None:
    class Elephant(FirstFree):
        stateful = True

    with pytest.raises(UserError, match="remembers"):
        exhaustive.measure(WORLD, Elephant(WORLD), tick=lambda *_: None)


def test_where_it_fits() -> None:
    assert exhaustive.fits(WORLD)
    for other in ("connect_four", "gridworld", "rock_paper_scissors"):
        assert not exhaustive.fits(make_env(other))
