"""The six classics among matrix games (notes 4.6.2 to 4.6.4), one-shot by default."""

from __future__ import annotations

from typing import Any

from elodrome.envs.game import Game
from elodrome.envs.matrix.matrix_game import matrix_game
from elodrome.errors import shown


def _classic(name: str, rounds: int, payoffs: Any, actions: tuple[str, ...], summary: str, source: str) -> Game:
    id = name if rounds == 1 else f"{name}:rounds={shown(rounds)}"
    return matrix_game(payoffs, rounds, actions, id, summary, source)


def rock_paper_scissors(rounds: int = 1) -> Game:
    """Rock beats scissors, scissors beat paper, paper beats rock; equilibrium (1/3, 1/3, 1/3)."""
    return _classic(
        "rock_paper_scissors",
        rounds,
        [[[0, 0], [-1, 1], [1, -1]], [[1, -1], [0, 0], [-1, 1]], [[-1, 1], [1, -1], [0, 0]]],
        ("rock", "paper", "scissors"),
        "cyclic, zero-sum",
        "notes 4.6.4, example 4.2",
    )


def prisoners_dilemma(rounds: int = 1) -> Game:
    """To defect dominates; both defecting pays each -2 where both cooperating pays -1."""
    return _classic(
        "prisoners_dilemma",
        rounds,
        [[[-1, -1], [-3, 0]], [[0, -3], [-2, -2]]],
        ("cooperate", "defect"),
        "defection dominates",
        "notes 4.6.2, example 4.1",
    )


def matching_pennies(rounds: int = 1) -> Game:
    """Seat 0 wins when the coins match, seat 1 when they differ; equilibrium (1/2, 1/2)."""
    return _classic(
        "matching_pennies",
        rounds,
        [[[1, -1], [-1, 1]], [[-1, 1], [1, -1]]],
        ("heads", "tails"),
        "zero-sum, mixed equilibrium",
        "von Neumann & Morgenstern (1944)",
    )


def stag_hunt(rounds: int = 1) -> Game:
    """Stag pays 4 together and 0 alone, hare 3 in any case: two pure equilibria, one safe and one better."""
    return _classic(
        "stag_hunt",
        rounds,
        [[[4, 4], [0, 3]], [[3, 0], [3, 3]]],
        ("stag", "hare"),
        "trust or safety",
        "Rousseau (1755); payoffs of Skyrms, The Stag Hunt (2004)",
    )


def chicken(rounds: int = 1) -> Game:
    """Who swerves loses face, if nobody swerves both crash; equilibria: one swerves, or 9 in 10 each."""
    return _classic(
        "chicken",
        rounds,
        [[[0, 0], [-1, 1]], [[1, -1], [-10, -10]]],
        ("swerve", "straight"),
        "who swerves",
        "Rapoport & Chammah (1966)",
    )


def coordination(rounds: int = 1) -> Game:
    """A shared reward: 1 where both choose the same, 0 elsewhere."""
    return _classic(
        "coordination",
        rounds,
        [[[1, 1], [0, 0]], [[0, 0], [1, 1]]],
        ("left", "right"),
        "a shared reward",
        "Schelling, The Strategy of Conflict (1960)",
    )
