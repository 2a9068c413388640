"""The solved positions that ship are solved right (an independent search agrees), and counting moves is right."""

from functools import cache
from typing import Any

import numpy as np
import pytest

from elodrome import make_env
from elodrome.agents.agent import Agent, Positions
from elodrome.arena.strength import connect_four
from elodrome.arena.strength.connect_four import CLASSES, ILLEGAL, STAGES, class_of, positions, remaining, rows_of

WORLD = make_env("connect_four")
Board = tuple[str, ...]  # columns, from the bottom


def board_of(stones: Any) -> Board:
    """A position as seven strings of the digits 0 and 1."""
    columns = []
    for column in range(7):
        text = ""
        for height in range(6):
            for seat in (0, 1):
                if int(stones[seat]) >> (column * 7 + height) & 1:
                    text += str(seat)
        columns.append(text)
    return tuple(columns)


def won(board: Board) -> bool:
    """Four in a row anywhere."""
    at = {(c, r): stone for c, column in enumerate(board) for r, stone in enumerate(column)}
    return any(
        all(at.get((c + i * dc, r + i * dr)) == stone for i in range(1, 4))
        for (c, r), stone in at.items()
        for dc, dr in ((1, 0), (0, 1), (1, 1), (1, -1))
    )


@cache
def worth(board: Board) -> int:
    """1, 0 or -1 for the seat to act, by trying everything."""
    plies = sum(map(len, board))
    best = -2
    for column in range(7):
        if len(board[column]) < 6:
            after = (*board[:column], board[column] + str(plies % 2), *board[column + 1 :])
            best = max(best, 1 if won(after) else 0 if plies == 41 else -worth(after))
    return best


def test_scores_against_exhaustive_search() -> None:
    known = positions()
    plies = np.bitwise_count(known["stones"]).sum(axis=1)
    late = np.flatnonzero(plies >= 33)[:40]
    assert len(late) == 40
    for index in late:
        board = board_of(known["stones"][index])
        assert not won(board)
        for column, score in enumerate(known["scores"][index]):
            if len(board[column]) == 6:
                assert score == ILLEGAL
                continue
            after = (*board[:column], board[column] + str(plies[index] % 2), *board[column + 1 :])
            expected = 1 if won(after) else 0 if plies[index] == 41 else -worth(after)
            assert np.sign(score) == expected


def test_every_class_holds_what_it_says() -> None:
    known = positions()
    plies = np.bitwise_count(known["stones"]).sum(axis=1)
    assert len({(int(s), *map(int, p)) for s, p in zip(known["set"], known["stones"], strict=True)}) == len(plies)
    for chosen in range(2):
        for index, (stage, _) in enumerate(CLASSES):
            members = np.flatnonzero((known["set"] == chosen) & (known["class"] == index))
            assert len(members) == 500
            low, high = STAGES[stage]
            assert (plies[members] >= low).all()
            assert (plies[members] <= high).all()
            for member in members[:20]:
                assert class_of(int(plies[member]), int(known["scores"][member].max())) == index


@pytest.mark.parametrize(
    ("plies", "score", "left"),
    [
        (0, 1, 41),  # the first player's win with the last of the 21 stones
        (41, 1, 1),  # the second player's, with the last stone
        (6, 18, 1),  # at once, with the fourth stone: 22 - 4
        (0, 0, 42),
    ],
)
def test_plies_left(plies: int, score: int, left: int) -> None:
    assert remaining(plies, score) == left


class Oracle(Agent):
    """Plays the best or the worst of the known scores."""

    def __init__(self, sign: int) -> None:
        super().__init__(WORLD)
        known = positions()
        self.sign = sign
        self.scores = {tuple(map(int, s)): x for s, x in zip(known["stones"], known["scores"], strict=True)}

    def act(self, given: Positions) -> Any:
        assert given.states is not None
        answers = []
        for state in given.states:
            scores = self.scores[int(state[0]), int(state[1])].astype(int)
            answers.append(int(np.argmax(np.where(scores == ILLEGAL, -1000, self.sign * scores))))
        return answers


class Stubborn(Agent):
    """Always the first column, full or not."""

    def act(self, given: Positions) -> Any:
        return [0] * len(given)


def test_the_best_moves_lose_nothing_and_the_worst_all_there_is() -> None:
    best = connect_four.measure(WORLD, Oracle(1), count=20, tick=lambda *_: None).document  # type: ignore[arg-type]
    worst = connect_four.measure(WORLD, Oracle(-1), count=20, tick=lambda *_: None).document  # type: ignore[arg-type]
    for name in ("random", "noisy", "both"):
        for part in best[name].values():
            assert part["all"]["count"] == 0
            assert part["wins kept"] == part["won"]
        for part in worst[name].values():
            assert part["decidable"]["share"] == 1.0
            assert part["all"]["count"] == part["decidable"]["of"]
    assert best["random"]["begin"]["all"]["of"] == 60
    assert best["both"]["begin"]["all"]["of"] == 120


def test_what_is_no_legal_action_loses() -> None:
    known = positions()
    full = np.flatnonzero((known["scores"][:, 0] == ILLEGAL) & (known["scores"].max(axis=1) > 0))[:5]
    states, _ = rows_of(WORLD, known["stones"][full])
    assert states.shape[0] == 5
    found = connect_four.measure(WORLD, Stubborn(WORLD), count=500, tick=lambda *_: None).document  # type: ignore[arg-type]
    values = np.where(known["scores"] == ILLEGAL, -1, np.sign(known["scores"]))
    best = np.where(known["scores"] == ILLEGAL, -2, np.sign(known["scores"])).max(axis=1)
    late = known["class"] == CLASSES.index(("end", "easy"))
    expected = int((values[late, 0] < best[late]).sum())
    assert found["both"]["end"]["all"]["count"] == expected
