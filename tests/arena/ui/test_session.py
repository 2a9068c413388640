"""Sessions against hand-played games."""

import numpy as np
import pytest

from elodrome.agents.random import Random
from elodrome.arena.record import replay
from elodrome.arena.ui.archive import Archive, go_on, snapshot
from elodrome.arena.ui.session import HUMAN, Driver, Session, expected_score, winning_lines
from elodrome.envs.registry import make_env
from elodrome.errors import IllegalAction, UserError

WON = ("a3", "a2", "b3", "b2", "c3")  # X takes the upper row


def table(world_name="tic_tac_toe", rotation=0, seed=3):
    world = make_env(world_name)
    return Session(world, [Driver(HUMAN), Driver("random", Random(world))], rotation=rotation, seed=seed)


def play(session, *names):
    for name in names:
        session.play(session.world.action_names.index(name))


def test_a_won_game_and_its_record():
    session = table()
    play(session, *WON)
    assert session.over
    assert session.winner() == 0
    assert session.result() == ("You win", "as X, in 5 moves")
    record = session.record()
    assert (record.agents, record.scores, record.termination) == (("human", "random"), (1.0, 0.0), "win")
    *_, (last, _) = replay(record, session.world)
    assert (last.states(np.zeros(1, np.int64))[0] == session.state).all()


def test_the_second_seat_loses_in_the_right_words():
    session = table(rotation=1)
    play(session, *WON)
    assert session.result() == ("random wins", "as X, in 5 moves")
    assert session.record().agents == ("random", "human")


def test_a_draw():
    session = table()
    play(session, "a3", "b3", "c3", "b2", "a2", "c2", "b1", "a1", "c1")
    assert session.winner() is None
    assert session.result() == ("Draw", "after 9 moves")
    assert session.record().scores == (0.5, 0.5)


def test_refusals_say_why():
    session = table()
    play(session, "a3")
    with pytest.raises(IllegalAction, match="a3 is taken"):
        session.action_at(0, 0)
    play(session, *WON[1:])
    with pytest.raises(IllegalAction, match="the game is over"):
        session.action_at(2, 2)


def test_a_full_column_is_named():
    session = table("connect_four")
    play(session, *"333333")
    with pytest.raises(IllegalAction, match="column 3 is full"):
        session.action_at(0, 2)
    assert session.action_at(0, 3) == 3


def test_undo_takes_back_both_plies():
    session = table()
    play(session, "a3", "a2", "b3", "b2")
    assert session.undo() == 2
    assert [ply.action for ply in session.history] == [0, 3]
    assert session.seat == 0
    assert session.undo() == 2
    with pytest.raises(UserError, match="no move has been played"):
        session.undo()


def test_undo_leaves_the_first_move_of_the_agent():
    session = table(rotation=1)
    play(session, "a3")
    with pytest.raises(UserError, match="you have not moved yet"):
        session.undo()
    play(session, "b2")
    assert session.undo() == 1
    assert len(session.history) == 1


def test_undo_gives_back_the_same_dice():
    world = make_env("gridworld:map=4x4,slip=0.5")
    session = Session(world, [Driver(HUMAN)], seed=11)
    for action in (1, 2, 1, 2, 2):
        if not session.over:
            session.play(action)
    cells = [ply.cell for ply in session.history]
    last = session.history[-1].action
    session.undo()
    session.play(last)
    assert [ply.cell for ply in session.history] == cells


def test_switching_in_the_middle_is_not_counted():
    session = table()
    session.switch_sides()
    assert not session.mixed
    play(session, "a3")
    session.switch_sides()
    assert session.mixed
    assert session.driver(1).label == "random"


def test_kept_games_go_on(tmp_path):
    session, archive = table(), None
    archive = Archive(session.world, tmp_path / "games", tmp_path / "results.sqlite")
    play(session, "a3", "b2", "c1")
    archive.keep(snapshot(session, "open"))
    kept = archive.unfinished(("human", "random"))
    other = table(seed=99)
    assert kept is not None
    assert go_on(other, kept)
    assert (other.state == session.state).all()
    assert other.id == session.id
    assert archive.unfinished(("human", "mcts")) is None
    archive.keep(snapshot(session, "left"))
    assert archive.unfinished(("human", "random")) is None


def test_a_broken_file_costs_nothing(tmp_path):
    archive = Archive(make_env("tic_tac_toe"), tmp_path)
    (tmp_path / "x.json").write_text("{")
    assert archive.unfinished(("human", "random")) is None


def test_a_kept_game_that_breaks_the_rules_is_not_taken(tmp_path):
    session = table()
    play(session, "a3")
    kept = snapshot(session, "open").model_copy(update={"moves": (0, 0)})
    assert not go_on(session, kept)
    assert session.history == []


def test_finished_games_reach_the_results(tmp_path):
    from elodrome.arena.store import Store

    session = table()
    archive = Archive(session.world, tmp_path / "games", tmp_path / "results.sqlite")
    play(session, *WON[:-1])
    archive.keep(snapshot(session, "open"))
    play(session, WON[-1])
    archive.finish(session.record())
    assert list((tmp_path / "games").iterdir()) == []
    with Store(tmp_path / "results.sqlite") as store:
        assert store.games() == [session.record()]


def test_results_that_refuse_a_finished_game_get_it_with_the_next(tmp_path):
    from elodrome.arena.store import Store

    results, first, second = tmp_path / "results.sqlite", table(seed=1), table(seed=2)
    archive = Archive(first.world, tmp_path / "games", results)
    results.mkdir()
    for session in (first, second):
        play(session, *WON)
    with pytest.raises(UserError, match=r"cannot write .*the game is kept in .*finished") as caught:
        archive.finish(first.record())
    assert "\n" not in str(caught.value)
    assert archive.unfinished(("human", "random")) is None
    results.rmdir()
    archive.finish(second.record())
    with Store(results) as store:
        assert {game.id for game in store.games()} == {first.id, second.id}
    assert list((tmp_path / "games").iterdir()) == []


def test_expected_scores():
    world = make_env("tic_tac_toe")
    assert expected_score(1.0, 0, world) == 1.0
    assert expected_score(1.0, 1, world) == 0.0
    assert expected_score(0.5, 1, world) == pytest.approx(0.25)


def test_winning_lines():
    cells = np.zeros((4, 5), np.int64)
    cells[2, 0:4] = 1
    cells[1, 2] = 2
    assert winning_lines(cells, (2, 1)) == [(2, 0), (2, 1), (2, 2), (2, 3)]
    assert winning_lines(cells, (1, 2)) == []
    assert winning_lines(cells, None) == []


def test_a_world_of_ours_without_a_look_is_refused():
    world = make_env("token_mdp")
    with pytest.raises(UserError, match="cannot be drawn"):
        Session(world, [Driver(HUMAN)])
