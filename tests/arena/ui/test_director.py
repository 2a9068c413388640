"""The director with agents that are slow, that raise, that cheat: no freeze, and the game is kept."""

import threading
import time

import numpy as np
import pytest

from elodrome.agents.agent import Agent, Evaluation
from elodrome.agents.random import Random
from elodrome.arena.ui.advice import adviser, choices, map_values, strongest
from elodrome.arena.ui.archive import Archive
from elodrome.arena.ui.director import Director
from elodrome.arena.ui.session import HUMAN, Driver, Session
from elodrome.envs.registry import make_env

TTT = make_env("tic_tac_toe")


class First(Agent):
    """The first legal action; sure of it, and that it wins."""

    def choose(self, position):
        return int(position.legal_actions[0])

    def evaluate(self, positions):
        policy = np.zeros(positions.legal.shape)
        policy[np.arange(len(positions)), positions.legal.argmax(axis=1)] = 1.0
        return Evaluation(policy, np.full(len(positions), 1.0))


class Slow(First):
    """Waits for ``gate`` before it answers."""

    def __init__(self, world):
        super().__init__(world)
        self.gate, self.asked = threading.Event(), 0

    def choose(self, position):
        self.asked += 1
        self.gate.wait(10)
        return super().choose(position)


class Raises(Agent):
    def choose(self, position):
        raise ValueError("lost the thread")


class Cheats(Agent):
    answer = 0

    def choose(self, position):
        return self.answer


def seated(agent, *, rotation=0, archive=None, world=TTT, **options):
    session = Session(world, [Driver(HUMAN), Driver("rival", agent)], rotation=rotation, seed=1)
    director = Director(session, archive, **options)
    director.moved_at = -1e9
    return director


def until(director, condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition():
        director.moved_at = -1e9  # no waiting between moves
        director.tick()
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.002)


def moves(director):
    return [ply.action for ply in director.session.history]


def test_click_and_reply():
    director = seated(First(TTT))
    assert director.click(1, 1)
    until(director, lambda: len(moves(director)) == 2)
    assert moves(director) == [4, 0]
    assert director.people_to_move


def test_illegal_click():
    director = seated(First(TTT))
    director.click(1, 1)
    until(director, lambda: director.people_to_move)
    assert not director.click(1, 1)
    assert director.message.text == "b2 is taken"
    assert director.refused == (1, 1)
    assert len(moves(director)) == 2


def test_click_while_the_agent_thinks():
    slow = Slow(TTT)
    director = seated(slow)
    director.click(1, 1)
    until(director, lambda: slow.asked == 1)
    start = time.perf_counter()
    assert not director.click(0, 0)
    assert time.perf_counter() - start < 0.5
    assert director.message.text == "it is rival's turn"
    assert director.thinking is not None
    slow.gate.set()
    until(director, lambda: director.people_to_move)
    assert moves(director) == [4, 0]


def test_undo_and_new_game_while_the_agent_thinks_drop_its_answer():
    for command in (Director.undo, Director.new_game):
        slow = Slow(TTT)
        director = seated(slow)
        director.click(1, 1)
        until(director, lambda slow=slow: slow.asked == 1)
        command(director)
        assert moves(director) == []
        slow.gate.set()
        until(director, lambda d=director: not d.thinker.busy)
        director.tick()
        assert moves(director) == []
        director.click(2, 2)
        until(director, lambda d=director: len(moves(d)) == 2)
        assert moves(director) == [8, 0]


def test_undo_at_move_0():
    director = seated(First(TTT))
    director.undo()
    assert director.message.text == "nothing to take back: no move has been played"
    assert director.message.tone == "warn"


def test_close_in_mid_search_keeps_the_game(tmp_path):
    slow = Slow(TTT)
    archive = Archive(TTT, tmp_path / "games", tmp_path / "results.sqlite")
    director = seated(slow, archive=archive)
    director.click(1, 1)
    until(director, lambda: slow.asked == 1)
    start = time.perf_counter()
    director.close()
    assert time.perf_counter() - start < 2
    kept = archive.unfinished((HUMAN, "rival"))
    assert kept is not None
    assert kept.moves == (4,)
    slow.gate.set()


def test_an_agent_that_raises():
    director = seated(Raises(TTT))
    director.click(1, 1)
    until(director, lambda: director.failure)
    assert "rival failed: ValueError: lost the thread" in director.message.text
    assert moves(director) == [4]
    director.choose("random")
    until(director, lambda: len(moves(director)) == 2)
    assert director.session.drivers[1].label == "random"
    assert director.session.history[0].driver == HUMAN


@pytest.mark.parametrize("answer", [4, 99, -1, None, 1.0, True, "a3"])
def test_an_agent_that_cheats(answer):
    cheat = Cheats(TTT)
    cheat.answer = answer
    director = seated(cheat)
    director.click(1, 1)
    until(director, lambda: director.failure)
    assert "rival answered" in director.message.text
    assert moves(director) == [4]
    director.undo()
    assert moves(director) == []
    assert director.failure is None


def test_an_agent_that_hangs_can_be_replaced():
    slow = Slow(TTT)
    director = seated(slow)
    director.click(1, 1)
    until(director, lambda: slow.asked == 1)
    director.choose("random")
    until(director, lambda: len(moves(director)) == 2)
    slow.gate.set()


def test_an_unknown_opponent_is_refused_in_words():
    director = seated(First(TTT))
    director.choose("randm")
    until(director, lambda: director.message.tone == "error")
    assert "did you mean" in director.message.text
    assert director.session.drivers[1].label == "rival"


def test_switching_sides_lets_the_agent_move():
    director = seated(First(TTT))
    director.switch_sides()
    assert director.message.text == "rival plays X, you play O"
    until(director, lambda: len(moves(director)) == 1)
    assert moves(director) == [0]
    assert director.people_to_move


def test_overlay_shows_policy_and_chances():
    director = seated(First(TTT), overlay=True)
    until(director, lambda: director.counsel.opinion is not None)
    assert director.counsel.opinion.policy.tolist() == [1.0] + [0.0] * 8
    assert director.counsel.share == 1.0
    director.click(2, 2)
    until(director, lambda: director.people_to_move and director.counsel.opinion is not None)
    director.toggle_overlay()
    assert director.counsel.opinion is None
    assert director.counsel.share is None


def test_overlay_of_an_agent_without_opinions():
    director = seated(Cheats(TTT), overlay=True)
    until(director, lambda: director.message.text)
    assert director.message.text == "rival has no opinion on this position"


def test_hint_wins_at_once():
    director = seated(First(TTT))
    for action in (0, 3, 1, 4):
        director.session.play(action)
    director.ask_hint()
    until(director, lambda: director.counsel.hint is not None, 30)
    assert director.counsel.hint == 2
    assert director.message.text.endswith("would play c3")


def test_finished_games_are_saved(tmp_path):
    from elodrome.arena.store import Store

    archive = Archive(TTT, tmp_path / "games", tmp_path / "results.sqlite")
    director = seated(First(TTT), archive=archive)
    for cell in ((2, 0), (2, 1), (2, 2)):
        director.click(*cell)
        until(director, lambda: director.people_to_move or director.session.over)
    assert director.session.over
    director.close()
    with Store(tmp_path / "results.sqlite") as store:
        (record,) = store.games()
    assert record.agents == (HUMAN, "rival")
    assert list((tmp_path / "games").glob("*.json")) == []


def test_a_disk_that_refuses_is_reported(tmp_path):
    blocker = tmp_path / "file"
    blocker.write_text("")
    director = seated(First(TTT), archive=Archive(TTT, blocker / "games", blocker / "results.sqlite"))
    director.click(1, 1)
    until(director, lambda: "could not be saved" in director.message.text)
    assert moves(director)[0] == 4


def test_watching_pauses_and_steps():
    drivers = [Driver("one", First(TTT)), Driver("two", First(TTT))]
    director = Director(Session(TTT, drivers, seed=1), paused=True)
    director.tick()
    assert not director.thinker.busy
    director.step_once()
    until(director, lambda: len(moves(director)) == 1)
    director.tick()
    assert not director.thinker.busy
    assert not director.click(1, 1)
    director.toggle_pause()
    until(director, lambda: director.session.over)
    assert director.session.result() == ("one wins", "as X, in 7 moves")
    director.undo()
    assert director.paused
    assert len(moves(director)) == 6


def test_arrow_keys_on_a_map_and_handing_over():
    world = make_env("cliff_walking")
    director = seated(First(world), world=world)
    director.act(0)
    assert director.session.last.cell == (2, 0)
    director.switch_sides()
    until(director, lambda: len(moves(director)) >= 3)
    director.switch_sides()
    assert director.people_to_move


def test_values_of_a_map():
    world = make_env("cliff_walking")
    values = map_values(First(world), world)
    assert np.isfinite(values.value).sum() == 37  # 48 cells without the cliff's 10 and the goal
    assert (values.greedy[0, 0] == [True, False, False, False]).all()
    assert not values.greedy[3, 11].any()
    assert map_values(Cheats(world), world) is None


def test_who_can_be_chosen():
    found = {choice.spec for choice in choices(TTT)}
    assert {"human", "random", "minimax", "mcts"} <= found
    assert "q_learning" not in found  # learns, and none is trained
    assert strongest(TTT)[0] == "minimax"
    assert strongest(make_env("connect_four"))[:2] == ["alphazero-strong", "mcts"]
    assert adviser(make_env("cliff_walking"))[0] == "value_iteration"


def test_one_and_the_same_draws():
    """The agent gets the seeds that a match would give it, so that records replay."""
    from elodrome.arena.batch import play_games
    from elodrome.arena.record import GameJob

    director = Director(Session(TTT, [Driver("a", Random(TTT)), Driver("b", Random(TTT))], seed=5))
    until(director, lambda: director.session.over)
    session = director.session
    job = GameJob(id="x", seats=(0, 1), seed=session.seed, agent_seed=session.agent_seed)
    (record,) = play_games(TTT, [Random(TTT), Random(TTT)], ["a", "b"], [job])
    assert record.moves[0] == tuple(moves(director))


class Babbles(First):
    """Plays well and says nonsense."""

    def evaluate(self, positions):
        return Evaluation(np.full((1, 3), np.nan), np.array([np.inf]))


def test_a_nonsense_opinion_costs_no_move():
    director = seated(Babbles(TTT), overlay=True)
    until(director, lambda: director.message.text)
    assert director.message.text == "rival has no opinion: its policy is no array [1, 9] of probabilities"
    director.click(1, 1)
    until(director, lambda: director.people_to_move)
    assert moves(director) == [4, 0]


def test_what_the_results_do_not_count_is_kept_as_a_file(tmp_path):
    archive = Archive(TTT, tmp_path / "games", tmp_path / "results.sqlite")
    director = seated(First(TTT), archive=archive)
    director.click(2, 0)
    until(director, lambda: director.people_to_move)
    director.choose("random")
    until(director, lambda: director.session.drivers[1].label == "random")
    while not director.session.over:
        director.act(int(director.session.legal.nonzero()[0][-1]))
        until(director, lambda: director.people_to_move or director.session.over)
    director.close()
    (file,) = (tmp_path / "games").glob("*.json")
    assert '"status": "over"' in file.read_text()
    assert not (tmp_path / "results.sqlite").exists()
