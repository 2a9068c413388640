"""Matches against agents that misbehave in every way (FAULTS 11, 12, 19-22, 27, 28), and against exact numbers."""

import random
import re
import sys
from collections.abc import Sequence

import numpy as np
import pytest

from elodrome.agents.agent import RESIGN, Agent, Position, Positions
from elodrome.agents.random import Random
from elodrome.arena.batch import play_games
from elodrome.arena.match import make_jobs, play_match
from elodrome.arena.record import GameJob, replay, scores_of
from elodrome.arena.result import MatchResult
from elodrome.envs.boards.tic_tac_toe import tic_tac_toe
from elodrome.envs.game import Game, rule
from elodrome.errors import BrokenAgent, IllegalAction, UserError

WORLD = tic_tac_toe()


class FirstLegal(Agent):
    """The lowest legal action: the same game every time."""

    def choose(self, position: Position) -> int:
        return int(position.legal_actions[0])


def against(agent: Agent, games: int = 20, opponent: Agent | None = None) -> MatchResult:
    return play_match(WORLD, agent, opponent or FirstLegal(WORLD), games)


def answering(value: object) -> Agent:
    """An agent that answers everything with ``value``."""

    class Stubborn(Agent):
        def choose(self, position: Position) -> object:
            return value

    return Stubborn(WORLD)


@pytest.mark.parametrize(
    "value",
    [None, float("nan"), 3.0, 9, -1, "4", True, np.float64(2), np.zeros(2, np.int64), [4], object()],
    ids=lambda v: f"{type(v).__name__}-{str(v)[:6]}",
)
def test_what_is_no_legal_action_loses_by_illegal_move(value: object) -> None:
    result = against(answering(value))
    assert result.tally() == {"wins": 0, "draws": 0, "losses": 20}
    assert {r.termination for r in result.records} == {"illegal"}
    for index, record in enumerate(result.records):
        assert record.culprit == index % 2
        assert record.reason
        assert len(record.moves[0]) == index % 2  # the state is as it was before the bad answer


def test_an_occupied_square_loses_by_illegal_move() -> None:
    class Occupied(Agent):
        def choose(self, position: Position) -> int:
            return int(np.flatnonzero(position.legal == 0)[0]) if position.ply else 0

    result = against(Occupied(WORLD), 2)
    assert [r.termination for r in result.records] == ["illegal", "illegal"]
    assert "not legal there" in result.records[0].reason


def test_a_numpy_integer_is_an_action() -> None:
    class Typed(FirstLegal):
        def act(self, positions: Positions) -> Sequence[object]:
            return [np.uint8(p.legal_actions[0]) for p in positions]

    assert {r.termination for r in against(Typed(WORLD)).records} == {"win"}


def test_an_agent_that_raises_loses_that_game_only() -> None:
    class Shaky(FirstLegal):
        def choose(self, position: Position) -> int:
            if position.ply >= 2 and position.game % 4 == 0:
                raise RuntimeError("out of ideas")
            return super().choose(position)

    result = against(Shaky(WORLD), 12)
    crashed = [index for index, r in enumerate(result.records) if r.termination == "crash"]
    assert crashed == [0, 4, 8]
    assert re.fullmatch(r"RuntimeError: out of ideas \(test_match\.py, line \d+\)", result.records[0].reason)
    assert result.records[0].scores == (0.0, 1.0)
    assert result.summary()["failures"] == {"Shaky": {result.records[0].reason: 3}}


def test_a_wrong_number_of_answers_is_a_crash() -> None:
    class Short(Agent):
        def act(self, positions: Positions) -> list[int]:
            return []

    assert {r.termination for r in against(Short(WORLD), 4).records} == {"crash"}


def test_when_both_crash_nobody_wins() -> None:
    class Dead(Agent):
        def choose(self, position: Position) -> int:
            raise ValueError("dead")

    result = play_match(WORLD, Dead(WORLD), Dead(WORLD), 4)
    assert {r.termination for r in result.records} == {"void"}
    assert all(r.scores == () for r in result.records)
    assert result.tally() == {"wins": 0, "draws": 0, "losses": 0}
    assert result.summary()["elo_difference"] is None


def test_a_crash_at_the_first_move_is_a_win_for_one_who_works() -> None:
    class Dead(Agent):
        def choose(self, position: Position) -> int:
            raise ValueError("dead")

    result = against(Dead(WORLD), 4)
    assert [r.termination for r in result.records] == ["crash"] * 4
    assert result.tally()["losses"] == 4


def test_resigning_loses_at_once_and_is_no_failure() -> None:
    result = against(answering(RESIGN), 4)
    assert [r.termination for r in result.records] == ["resign"] * 4
    assert [r.scores for r in result.records] == [(0.0, 1.0), (1.0, 0.0)] * 2
    assert [r.returns for r in result.records] == [(-1.0, 1.0), (1.0, -1.0)] * 2
    assert {(r.culprit, r.reason) for r in result.records} == {(None, "X resigned"), (None, "O resigned")}
    assert result.summary()["failures"] == {}
    for record in result.records:
        assert len(list(replay(record, WORLD))) == record.plies + 1


def test_one_who_resigns_against_one_who_has_crashed_works_and_wins() -> None:
    class Dead(Agent):
        def choose(self, position: Position) -> int:
            raise ValueError("dead")

    result = against(Dead(WORLD), 2, answering(RESIGN))
    assert [(r.termination, r.scores) for r in result.records] == [("crash", (0.0, 1.0)), ("resign", (0.0, 1.0))]


def test_away_from_boards_nobody_can_resign() -> None:
    result = play_match("rock_paper_scissors", answering(RESIGN), "random", games=2)
    assert [r.termination for r in result.records] == ["illegal"] * 2


def test_a_timeout_is_told_from_a_crash() -> None:
    class Slow(FirstLegal):
        def choose(self, position: Position) -> int:
            if position.ply >= 2:
                raise TimeoutError("no answer within 1 s")
            return super().choose(position)

    result = against(Slow(WORLD), 2)
    assert [(r.termination, r.culprit) for r in result.records] == [("time-out", 0), ("time-out", 1)]
    (reason,) = result.summary()["failures"]["Slow"]
    assert re.fullmatch(r"TimeoutError: no answer within 1 s \(test_match\.py, line \d+\)", reason)


def test_an_exception_in_place_of_an_action_is_to_blame_on_that_game_alone() -> None:
    asked = []

    class Picky(FirstLegal):
        stateful = True

        def act(self, positions: Positions) -> Sequence[object]:
            asked.append(len(positions))
            return [ValueError("not this one") if p.game == 2 else self.choose(p) for p in positions]

    result = against(Picky(WORLD), 4)
    assert [r.termination for r in result.records] == ["win", "win", "crash", "win"]
    assert result.records[2].reason == "ValueError: not this one"
    assert asked[0] == 2  # the batch is not asked a second time


def test_an_agent_is_given_no_more_games_at_once_than_it_says() -> None:
    class Few(FirstLegal):
        lanes = 3
        most = 0

        def act(self, positions: Positions) -> Sequence[object]:
            self.most = max(self.most, *(p.game + 1 for p in positions))
            return [self.choose(p) for p in positions]

    few = Few(WORLD)
    assert [r.moves for r in against(few, 8).records] == [r.moves for r in against(FirstLegal(WORLD), 8).records]
    assert few.most == 3


def test_remarks_of_agents_that_remember_stand_beside_the_result() -> None:
    class Remembers(FirstLegal):
        stateful = True
        seen: tuple[object, ...] = ()

        def ended(self, game: int, state: object, returns: Sequence[float]) -> str:
            self.seen += (list(returns),)
            if game == 1:
                raise RuntimeError("lost my notes")
            return "a fine game"

    agent = Remembers(WORLD)
    result = against(agent, 2, Random(WORLD))
    fine, lost = (r.reason for r in result.records)
    assert fine == "a fine game"
    assert re.fullmatch(r"RuntimeError: lost my notes \(test_match\.py, line \d+\)", lost)
    assert sorted(map(tuple, agent.seen)) == sorted(r.returns for r in result.records)  # type: ignore[arg-type]
    assert result.summary()["remarks"] == {fine: 1, lost: 1}
    assert result.summary()["failures"] == {}


def test_an_agent_that_fails_to_load_is_named_before_the_first_game(tmp_path) -> None:
    file = tmp_path / "broken.py"
    file.write_text(
        "from elodrome.agents.agent import Agent\n"
        "class Broken(Agent):\n"
        "    def __init__(self, world, config=None): raise OSError('no weights')\n"
        "    def choose(self, position): return 0\n"
    )
    with pytest.raises(BrokenAgent, match=r"broken\.py:Broken.*no weights"):
        play_match(WORLD, "random", f"{file}:Broken", 2)


def test_what_an_agent_writes_into_its_position_changes_nothing() -> None:
    class Vandal(FirstLegal):
        def act(self, positions: Positions) -> Sequence[int]:
            actions = super().act(positions)
            positions.observations[:] = 7
            positions.legal[:] = 1
            positions.seats[:] = 0
            assert positions.states is not None
            positions.states[:] = 0
            positions.seeds[:] = 0
            return actions

    vandal, polite = against(Vandal(WORLD), opponent=Random(WORLD)), against(FirstLegal(WORLD), opponent=Random(WORLD))
    assert [r.moves for r in vandal.records] == [r.moves for r in polite.records]


def test_what_an_agent_does_to_global_generators_touches_nobody() -> None:
    class Reseeder(FirstLegal):
        def choose(self, position: Position) -> int:
            np.random.seed(0)  # noqa: NPY002
            random.seed(0)
            return super().choose(position)

    meddling, polite = (
        against(Reseeder(WORLD), opponent=Random(WORLD)),
        against(FirstLegal(WORLD), opponent=Random(WORLD)),
    )
    assert [r.moves for r in meddling.records] == [r.moves for r in polite.records]


@rule.reset
def _reset(state, chance):
    state[0] = 0


@rule.player
def _player(state):
    return state[0] % 2


@rule.legal
def _legal(state, mask):
    mask[:] = 1


@rule.step
def _step(state, action, chance, rewards):
    state[0] += 1


@rule.observe
def _observe(state, seat, out):
    out[0] = state[0]


def test_an_endless_game_ends_at_the_limit_with_a_stated_result() -> None:
    endless = Game(
        id="endless", players=2, actions=2, observation_shape=(1,), state_words=1, max_steps=7, zero_sum=True,
        reset=_reset, player=_player, legal=_legal, step=_step, observe=_observe,
    )  # fmt: skip
    result = play_match(endless, Random(endless), Random(endless), 4)
    assert [r.termination for r in result.records] == ["length"] * 4
    assert all(r.plies == 7 and r.scores == (0.5, 0.5) for r in result.records)


def test_act_after_the_end_is_refused_and_changes_nothing() -> None:
    table, row = WORLD.table(1), np.zeros(1, np.int64)
    table.reset(row, np.array([1], np.uint64))
    for action in (0, 3, 1, 4, 2):
        table.step(row, np.array([action]))
    before = table.states(row)
    with pytest.raises(IllegalAction, match="the game is over"):
        table.step(row, np.array([5]))
    assert np.array_equal(table.states(row), before)


def test_an_illegal_step_is_refused_with_the_position_and_changes_no_row() -> None:
    table, rows = WORLD.table(2), np.arange(2)
    table.reset(rows, np.array([1, 2], np.uint64))
    table.step(rows, np.array([0, 4]))
    before = table.states(rows)
    with pytest.raises(IllegalAction, match=r"action 4 is not legal here; legal: a3, .*\n\.\.\.\n\.X\."):
        table.step(rows, np.array([1, 4]))
    assert np.array_equal(table.states(rows), before)


def test_pairs_share_dice_and_opening_and_swap_seats() -> None:
    jobs = make_jobs(4, seed=3, opening=2)
    records = play_games(WORLD, [Random(WORLD), Random(WORLD)], ["a", "b"], jobs)
    assert [r.agents for r in records] == [("a", "b"), ("b", "a")] * 2
    assert records[0].moves[0][:2] == records[1].moves[0][:2]
    assert records[0].moves[0][:2] != records[2].moves[0][:2]
    assert records[0].moves != records[1].moves  # the agents draw afresh in the second game


def test_the_same_seed_gives_the_same_records_and_another_seed_others() -> None:
    one, two, other = (play_match(WORLD, "random", "random", 300, seed=s).records for s in (5, 5, 6))
    assert one == two
    assert one != other


def test_a_game_can_be_played_alone_with_the_same_result() -> None:
    records = play_match(WORLD, "random", "random", 300, seed=5).records
    jobs = make_jobs(300, 5)
    alone = play_games(WORLD, [Random(WORLD), Random(WORLD)], ["random", "random"], [jobs[271]])
    assert alone == [records[271]]


def test_replay_ends_where_the_game_ended() -> None:
    for record in play_match(WORLD, "random", "random", 10, seed=5).records:
        frames = list(replay(record, WORLD))
        assert len(frames) == record.plies + 1
        assert frames[-1][0].seats[0] == -1


def test_a_tampered_record_is_refused_with_its_ply() -> None:
    record = play_match(WORLD, "random", "random", 1).records[0]
    bad = record.model_copy(update={"moves": ((record.moves[0][0], record.moves[0][0]),)})
    with pytest.raises(UserError, match=r"ply 2.*not legal"):
        list(replay(bad, WORLD))
    with pytest.raises(UserError, match="not on"):
        list(replay(record.model_copy(update={"env": "go"}), WORLD))


def test_random_play_meets_the_exact_probabilities() -> None:
    result = play_match(WORLD, "random", "random", 20_000, seed=1)
    first = sum(r.scores == (1.0, 0.0) for r in result.records) / 20_000
    draws = sum(r.termination == "draw" for r in result.records) / 20_000
    # 4 standard errors of a share at n = 20,000
    assert first == pytest.approx(737 / 1260, abs=4 * (0.585 * 0.415 / 20_000) ** 0.5)
    assert draws == pytest.approx(8 / 63, abs=4 * (0.127 * 0.873 / 20_000) ** 0.5)


def test_deterministic_agents_repeat_games_and_the_repeats_are_counted_and_do_not_narrow_the_interval() -> None:
    many, few = against(FirstLegal(WORLD), 200), against(FirstLegal(WORLD), 2)
    assert many.duplicates == 199  # both are the same agent under the same label: one game in all
    assert many.summary()["duplicate_games"] == 199
    wide, narrow = few.elo(), many.elo()
    assert narrow.high - narrow.low >= 0.9 * (wide.high - wide.low)


def test_random_openings_break_the_repetition() -> None:
    result = play_match(WORLD, FirstLegal(WORLD), FirstLegal(WORLD), 100, opening=2)
    assert len(result.records) - result.duplicates > 20


def test_an_odd_number_of_games_is_said() -> None:
    assert "first seat once more" in against(FirstLegal(WORLD), 3).summary()["note"]
    assert "note" not in against(FirstLegal(WORLD), 4).summary()


def test_bad_numbers_are_user_errors() -> None:
    with pytest.raises(UserError, match="at least 1, not 0"):
        play_match(WORLD, "random", "random", 0)


def test_scores_of_ties_and_of_more_seats() -> None:
    assert scores_of([1.0, -1.0]) == (1.0, 0.0)
    assert scores_of([0.0, 0.0]) == (0.5, 0.5)
    assert scores_of([3.0, 1.0, 1.0]) == (1.0, 0.25, 0.25)


def test_a_job_says_everything_about_its_game() -> None:
    job = GameJob(id="x", seats=(0, 1), seed=1, agent_seed=2, opening=1)
    assert GameJob.model_validate_json(job.model_dump_json()) == job


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"forget": lambda self: 1 / 0}, "forget raises ZeroDivisionError"),
        ({"lanes": 0}, "lanes is 0"),
        ({"lanes": "x"}, "lanes is 'x'"),
        ({"choose": lambda self, p: sys.exit(3)}, "SystemExit: 3"),
        ({"act": lambda self, ps: object.__setattr__(ps.world, "max_steps", 1) or [0] * len(ps)}, "altered the world"),
        ({"choose": lambda self, p: type("A", (), {"__repr__": lambda s: 1 / 0})()}, "A that cannot be shown"),
        ({"choose": lambda self, p: Unspeakable()}, "Unspeakable: (its message cannot be shown)"),
        ({"choose": lambda self, p: RuntimeError("\ud800\x1b[2J")}, r"RuntimeError: \ud800\x1b[2J"),
    ],
)
def test_an_agent_that_misuses_what_it_is_given_loses_by_name(attributes: dict[str, object], reason: str) -> None:
    result = against(type("Odd", (FirstLegal,), attributes)(WORLD))
    assert result.tally() == {"wins": 0, "draws": 0, "losses": 20}
    assert all(reason in record.reason and record.culprit is not None for record in result.records)
    assert WORLD.max_steps == 9
    assert against(FirstLegal(WORLD), opponent=Random(WORLD)).summary()["terminations"].keys() <= {"win", "draw"}


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def test_lanes_beyond_all_bounds_and_odd_remarks_do_no_harm() -> None:
    talker = type("T", (FirstLegal,), {"lanes": 10**30, "stateful": True, "ended": lambda self, *a: 7})
    records = against(talker(WORLD)).records
    assert {r.termination for r in records} == {"win"}
    assert {r.reason for r in records} == {"7"}
