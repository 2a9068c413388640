"""Matrix games: payoffs by hand, hidden choices, repetition, other shapes."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from elodrome import make_env
from elodrome.envs.matrix.matrix_game import matrix_game
from elodrome.errors import UserError

CLASSICS = {
    # (a, b) -> payments of both, copied from the sources by hand
    "prisoners_dilemma": {"CC": (-1, -1), "CD": (-3, 0), "DC": (0, -3), "DD": (-2, -2)},
    "matching_pennies": {"HH": (1, -1), "HT": (-1, 1), "TH": (-1, 1), "TT": (1, -1)},
    "stag_hunt": {"SS": (4, 4), "SH": (0, 3), "HS": (3, 0), "HH": (3, 3)},
    "chicken": {"SS": (0, 0), "SG": (-1, 1), "GS": (1, -1), "GG": (-10, -10)},
    "coordination": {"LL": (1, 1), "LR": (0, 0), "RL": (0, 0), "RR": (1, 1)},
    "rock_paper_scissors": {
        "RR": (0, 0), "RP": (-1, 1), "RS": (1, -1),
        "PR": (1, -1), "PP": (0, 0), "PS": (-1, 1),
        "SR": (-1, 1), "SP": (1, -1), "SS": (0, 0),
    },
}  # fmt: skip


def play(world: Any, choices: list[int]) -> tuple[list[np.ndarray], np.ndarray]:
    """Rewards of every step, and the row after."""
    row = world.template.copy()
    world.reset(row, 0)
    paid = []
    for choice in choices:
        rewards = np.zeros(world.players)
        world.step(row, choice, 0, rewards)
        paid.append(rewards)
    return paid, row


def observed(world: Any, row: np.ndarray, seat: int) -> list[float]:
    out = np.full(world.observation_size, 9, np.float32)
    world.observe(row, seat, out)
    return out.tolist()


@pytest.mark.parametrize("name", CLASSICS)
def test_payoffs(name: str) -> None:
    world = make_env(name)
    pairs = product(range(world.actions), repeat=2)
    for (a, b), wanted in zip(pairs, CLASSICS[name].values(), strict=True):
        (first, second), row = play(world, [a, b])
        assert first.tolist() == [0, 0]
        assert second.tolist() == list(wanted)
        assert world.player(row) < 0
    assert world.zero_sum == all(sum(w) == 0 for w in CLASSICS[name].values())
    assert world.return_range == (
        min(min(w) for w in CLASSICS[name].values()),
        max(max(w) for w in CLASSICS[name].values()),
    )


def test_the_first_choice_is_hidden() -> None:
    world = make_env("rock_paper_scissors", rounds=4)
    rows = [play(world, [0, 1, a])[1] for a in range(3)]
    for seat in range(2):
        assert len({tuple(observed(world, row, seat)) for row in rows}) == 1
    assert len({world.draw(row) for row in rows}) == 1


def test_repeated_rounds_show_the_last_one() -> None:
    world = make_env("rock_paper_scissors:rounds=4")
    _, row = play(world, [0, 1])
    assert observed(world, row, 0) == [1, 0, 0, 0, 1, 0, 1, 0, 0.25]  # own rock, other paper, seat 0, a quarter over
    assert observed(world, row, 1) == [0, 1, 0, 1, 0, 0, 0, 1, 0.25]
    paid, row = play(world, [0, 1, 2, 1, 0, 0, 1, 0])
    assert np.sum(paid, 0).tolist() == [1, -1]
    assert world.player(row) < 0


def test_three_seats_with_other_numbers_of_actions() -> None:
    payoffs = np.arange(2 * 3 * 4 * 3).reshape(2, 3, 4, 3) % 7
    world = matrix_game(payoffs.tolist())
    assert (world.players, world.actions, world.max_steps) == (3, 4, 3)
    for joint in product(range(2), range(3), range(4)):
        paid, _ = play(world, list(joint))
        assert paid[-1].tolist() == payoffs[joint].tolist()
    row, mask = world.template.copy(), np.zeros(4, np.uint8)
    world.reset(row, 0)
    for seat, count in enumerate((2, 3, 4)):
        world.legal(row, mask)
        assert mask.tolist() == [1] * count + [0] * (4 - count)
        assert world.player(row) == seat
        world.step(row, 0, 0, np.zeros(3))


def test_from_the_command_line() -> None:
    world = make_env("matrix_game:payoffs=[[[1,-1],[0,0]],[[0.5,-0.5],[2,-2]]],rounds=3")
    assert world.zero_sum
    assert world.return_range == (-6, 6)
    assert make_env(world.id) == world


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"payoffs": [[1, 2], [3, 4]]}, "shape [2, 2]"),
        ({"payoffs": [[[1, 2], [3]]]}, "full tensor"),
        ({"payoffs": "rock"}, "full tensor"),
        ({"payoffs": [[[1, float("nan")]]]}, "finite"),
        ({"rounds": 0}, "rounds=0"),
        ({"action_names": ["a"]}, "1 action names for 2 actions"),
    ],
)
def test_refusals(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError) as caught:
        matrix_game(**options)
    assert words in str(caught.value)
