"""Leaderboards from records: counting, anchoring, what is unrated, what is reported."""

import json

import pytest

from elodrome.arena.match import play_match
from elodrome.arena.record import GameRecord, scores_of
from elodrome.tournaments.ratings import ONLINE_K, Leaderboard, leaderboard


def game(number: int, *agents: str, returns: tuple[float, ...], moves: int | None = None, **more: object) -> GameRecord:
    fields = {
        "id": f"t:{number}",
        "env": "w",
        "agents": agents,
        "seed": 0,
        "agent_seed": 0,
        "opening": 0,
        "moves": ((number if moves is None else moves,),),
        "returns": returns,
        "scores": scores_of(list(returns)),
        "termination": "win" if len(set(returns)) > 1 else "draw",
    }
    return GameRecord.model_validate({**fields, **more})


def row(board: Leaderboard, agent: str) -> dict[str, object]:
    (found,) = (vars(r) for r in board.rows if r.agent == agent)
    return found


def test_counts_of_a_small_tournament_by_hand() -> None:
    records = [
        game(0, "a", "random", returns=(1, -1)),
        game(1, "random", "a", returns=(-1, 1)),
        game(2, "a", "b", returns=(0.5, 0.5), moves=9),
        game(3, "b", "a", returns=(2, -2)),
        game(4, "a", "b", returns=(0.5, 0.5), moves=9),
        game(5, "b", "random", returns=(0, 0), scores=(), termination="void", reason="both broke"),
        game(6, "b", "random", returns=(0, 0), scores=(0, 1), termination="crash", culprit=0, reason="ValueError: no"),
    ]
    board = leaderboard(records, "w", agents=("idle", "a"))
    a, b, random, idle = (row(board, name) for name in ("a", "b", "random", "idle"))
    assert (a["games"], a["wins"], a["draws"], a["losses"], a["score"]) == (5, 2, 2, 1, 0.6)
    assert (b["games"], b["wins"], b["draws"], b["losses"], b["failures"]) == (4, 1, 2, 1, 1)
    assert b["reasons"] == {"ValueError: no": 1}
    assert (a["mean_return"], b["mean_return"]) == (0.2, 0.6)
    assert random["elo"] == random["online"] == 0
    assert (idle["elo"], idle["low"], idle["high"], idle["online"], idle["score"]) == (None,) * 5
    assert board.rows[-1].agent == "idle"
    assert board.crosstable["a"] == {"random": [2, 2, 2], "b": [1, 3, 2]}
    assert board.crosstable["b"]["a"] == [2, 3, 2]
    assert (board.games, board.duplicate_games) == (7, 1)
    assert board.terminations == {"crash": 1, "draw": 2, "void": 1, "win": 3}
    json.dumps(board.document(), allow_nan=False)


def test_online_elo_by_hand_in_the_order_of_the_games() -> None:
    """Three games, worked out from R' = R + K (S - E)."""
    records = [game(10, "a", "b", returns=(0, 0)), game(2, "b", "c", returns=(1, 0)), game(1, "a", "b", returns=(1, 0))]
    a, b, c = ONLINE_K / 2, -ONLINE_K / 2, 0.0
    change = ONLINE_K * (1 - 1 / (1 + 10 ** ((c - b) / 400)))
    b, c = b + change, c - change
    change = ONLINE_K * (0.5 - 1 / (1 + 10 ** ((b - a) / 400)))
    a, b = a + change, b - change
    board = leaderboard(records, "w")
    assert [row(board, x)["online"] for x in "abc"] == pytest.approx([a, b, c])


def test_the_order_of_records_does_not_matter() -> None:
    records = play_match("tic_tac_toe", "random", "minimax:depth=1", 60).records
    assert leaderboard(records, "tic_tac_toe") == leaderboard(records[::-1], "tic_tac_toe")


def test_no_games_one_player_and_void_games_are_unrated() -> None:
    for records in ([], [game(0, "a", "b", returns=(0, 0), scores=(), termination="void")]):
        board = leaderboard(records, "w", agents=("a",))
        assert all(r.elo is None and r.games == 0 for r in board.rows)
        assert board.first_move_advantage is None
        assert board.cycles == board.notes == []
    alone = leaderboard([game(0, "a", "a", returns=(1, 0))], "w")
    assert alone.rows[0].elo is None


def test_solo_games_have_no_first_move() -> None:
    records = [
        game(i, "a", "b", returns=(-13.0, -20.0 - i)).model_copy(update={"moves": ((1, 2), (3, i))}) for i in range(8)
    ]
    board = leaderboard(records, "cliff")
    assert board.first_move_advantage is board.first_move_error is None
    assert row(board, "a")["mean_return"] == -13
    assert row(board, "b")["mean_return"] == -23.5
    assert board.rows[0].agent == "a"
    assert (board.rows[0].elo or 0) == -(board.rows[1].elo or 0) > 100


def test_first_move_advantage_has_the_sign_of_who_profits() -> None:
    first_wins = [game(i, *("ab" if i % 2 else "ba"), returns=(1, -1)) for i in range(40)]
    board = leaderboard(first_wins, "w")
    assert (board.first_move_advantage or 0) > 200
    assert (board.first_move_error or 0) > 50
    assert board.rows[0].elo == pytest.approx(board.rows[1].elo, abs=1e-6)
    second_wins = [r.model_copy(update={"returns": (-1.0, 1.0), "scores": (0.0, 1.0)}) for r in first_wins]
    assert leaderboard(second_wins, "w").first_move_advantage == pytest.approx(-(board.first_move_advantage or 0))


def test_more_than_two_seats_are_rated_by_pairs() -> None:
    """The best of three by return every time: a before b before c."""
    records = [game(i, "a", "b", "c", returns=(3, 2, 1)) for i in range(30)]
    board = leaderboard(records, "w")
    assert [r.agent for r in board.rows] == ["a", "b", "c"]
    assert [r.score for r in board.rows] == [1.0, 0.5, 0.0]
    assert board.first_move_advantage is None
    assert board.crosstable["a"]["c"] == pytest.approx([20, 20, 20])


def test_unconnected_groups_and_cycles_are_reported() -> None:
    beats = [("rock", "scissors"), ("scissors", "paper"), ("paper", "rock")]
    records = [game(10 * k + i, *pair, returns=(1, -1)) for k, pair in enumerate(beats) for i in range(10)]
    records += [game(100 + i, "x", "y", returns=(1, -1)) for i in range(5)]
    board = leaderboard(records, "w")
    assert board.cycles == [["rock", "scissors", "paper"]]
    assert board.notes == ["groups that never met, compared by the prior alone: rock, scissors, paper | x, y"]
    elos = [row(board, name)["elo"] for name in ("rock", "paper", "scissors")]
    assert elos == pytest.approx([elos[0]] * 3, abs=1e-6)
