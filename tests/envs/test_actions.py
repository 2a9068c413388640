"""Actions that are real numbers, from the agent's answer to the record and back."""

import math
from dataclasses import replace

import gymnasium
import numpy as np
import pytest

from elodrome.agents.agent import Agent, Failure, Position
from elodrome.agents.check import check_acting
from elodrome.agents.isolation.cell import UNANSWERED, as_words, from_words
from elodrome.agents.parts.answers import answered
from elodrome.agents.parts.underway import Underway
from elodrome.agents.parts.vector import SeatEnv
from elodrome.arena.match import play_match
from elodrome.arena.record import GameRecord, nonsense, replay
from elodrome.arena.store import Store
from elodrome.envs.actions import as_array, as_plain, kind_of_action, random_actions, uniform
from elodrome.envs.adapters.foreign import action_fields, env_seed
from elodrome.envs.check import check_env
from elodrome.envs.registry import make_env
from elodrome.errors import IllegalAction, UserError
from elodrome.seeding import streams
from tests.regulator import Regulator

PENDULUM = "gymnasium:Pendulum-v1"
WORLD = Regulator()
WIDE = replace(WORLD, action_shape=(2, 2), low=(-1.0, -1.0, 0.0, 0.0), high=(1.0, 1.0, 0.5, 2.0))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"actions": 3}, "actions must be 0"),
        ({"low": ()}, "low must have 1 numbers"),
        ({"high": (math.inf,)}, "high must be a tuple of finite numbers"),
        ({"low": (2.0,)}, "low must be below high"),
        ({"action_shape": (0,)}, "action_shape must be"),
        ({"action_shape": (2,)}, "low must have 2 numbers"),
        ({"action_shape": (), "low": (), "high": ()}, "actions must be a whole number from 1"),
    ],
)
def test_a_world_says_its_bounds_soundly(fields, said):
    with pytest.raises(UserError, match=said):
        replace(WORLD, **fields)


@pytest.mark.parametrize("name", [PENDULUM, "gymnasium:MountainCarContinuous-v0"])
def test_gymnasiums_boxes_conform(name):
    assert check_env(make_env(name)) == []


def test_the_check_finds_a_world_that_takes_anything(monkeypatch):
    monkeypatch.setattr("tests.regulator.Regulator.refusal", lambda *_: None)
    assert any("step accepts the illegal action" in line for line in check_env(WORLD))


@pytest.mark.parametrize("answer", [np.array([0.5]), [0.5], (0.5,), np.array([0.5], np.float32), [np.float64(0.5)]])
def test_arrays_and_lists_of_numbers_are_actions(answer):
    assert answered(answer, WORLD) == (0.5,)
    assert WORLD.refusal((0.5,), np.zeros(0, np.uint8)) is None


class Sly(list):
    """A list of its own kind."""


@pytest.mark.parametrize(
    "answer",
    [
        *(0.5, None, "0.5", [[0.5]], [0.5, 0.5], [None], Sly([0.5]), np.array([1j]), np.array(["a"]), 3, [True]),
        np.array([True]),
    ],
)
def test_anything_else_is_none(answer):
    failure = answered(answer, WORLD)
    assert isinstance(failure, Failure)
    assert "not an array of 1 real number from -2 to 2" in str(failure)


def test_out_of_bounds_is_refused_by_the_world():
    nothing = np.zeros(0, np.uint8)
    assert WORLD.refusal((2.0,), nothing) is None
    for entry in (2.0001, -3.0, math.nan, math.inf):
        assert "in entry 0" in str(WORLD.refusal((entry,), nothing))
    assert "2 numbers, not an array of 1 real number" in str(WORLD.refusal((0.5, 0.5), nothing))
    assert "not an array of 1 real number" in str(WORLD.refusal((), nothing))
    assert WIDE.refusal((1.0, -1.0, 0.5, 2.0), nothing) is None
    tenth = replace(WORLD, high=(0.1,))  # as float32 it is more than 0.1, and at the bound all the same
    assert float(np.float32(0.1)) > 0.1
    assert tenth.refusal((float(np.float32(0.1)),), nothing) is None
    assert "1.5 in entry 2, not a number from 0 to 0.5" in str(WIDE.refusal((0.0, 0.0, 1.5, 0.0), nothing))
    assert kind_of_action(WIDE) == "an array of real numbers of shape (2, 2) within its bounds"
    table, row = WORLD.table(1), np.array([0])
    table.reset(row, streams(0, 1))
    before = table.observe(row)
    with pytest.raises(IllegalAction, match="5 in entry 0"):
        table.step(row, as_array(WORLD, [(5.0,)]))
    assert np.array_equal(before, table.observe(row))


def test_uniform_actions_fill_the_bounds():
    drawn = uniform(WIDE, streams(3, 20_000))
    low, high = np.array(WIDE.low).reshape(2, 2), np.array(WIDE.high).reshape(2, 2)
    assert drawn.shape == (20_000, 2, 2)
    assert (drawn >= low).all()
    assert (drawn <= high).all()
    error = (high - low) / 12**0.5 / 20_000**0.5
    assert (np.abs(drawn.mean(0) - (low + high) / 2) < 5 * error).all()
    assert abs(np.corrcoef(drawn.reshape(-1, 4).T)[0, 1]) < 5 / 20_000**0.5


def test_random_actions_come_from_the_generator():
    masks = np.zeros((1000, 0), np.uint8)
    drawn = random_actions(WIDE, masks, np.random.default_rng(4))
    assert len(np.unique(drawn[:, 0, 0])) > 990
    assert np.array_equal(drawn, random_actions(WIDE, masks, np.random.default_rng(4)))
    assert not np.array_equal(drawn, random_actions(WIDE, masks, np.random.default_rng(5)))


def test_a_foreign_world_gets_the_numbers_that_were_chosen():
    """Beside Gymnasium's own environment, with the seed that the table hands on."""
    world = make_env(PENDULUM)
    table, row = world.table(1), np.array([0])
    table.reset(row, np.array([9], np.uint64))
    env = gymnasium.make("Pendulum-v1")
    seen, _ = env.reset(seed=env_seed(9))
    for action in uniform(world, streams(2, 20)):
        assert table.observe(row)[0] == pytest.approx(seen, abs=1e-6)
        paid = table.step(row, action[None])[0, 0]
        seen, reward, *_ = env.step(action)
        assert paid == pytest.approx(reward, abs=1e-6)
    env.close()


def test_numbers_without_bounds_are_no_actions():
    for ends in ((-np.inf, np.inf), (-1.0, np.inf), (-np.inf, 1.0)):
        with pytest.raises(UserError, match=r"some world: actions without bounds \(Box"):
            action_fields(gymnasium.spaces.Box(*ends, (2,), np.float32), "some world")
    bounded = gymnasium.spaces.Box(np.array([-1.0, 0.0]), np.array([1.0, 3.0]), dtype=np.float64)
    assert action_fields(bounded, "some world") == {
        "actions": 0, "action_shape": (2,), "low": (-1.0, 0.0), "high": (1.0, 3.0)
    }  # fmt: skip


def test_an_array_becomes_plain_and_back():
    given = uniform(WIDE, streams(1, 3))
    assert np.array_equal(as_array(WIDE, as_plain(WIDE, given)), given)


def test_a_cell_writes_an_action_as_words():
    action = (-0.0, 0.25, 0.5, 2.0)
    words = as_words(action)
    assert UNANSWERED not in words.tolist()
    assert from_words(words, WIDE)[0].tolist() == [[0.0, 0.25], [0.5, 2.0]]
    twice = from_words(np.concatenate([words, words]), WIDE)
    assert [answer.shape for answer in twice.values()] == [(2, 2), (2, 2)]
    words[3] = UNANSWERED
    assert from_words(words, WIDE) == {}
    assert from_words(np.array([7, UNANSWERED, 3]), make_env("tic_tac_toe")) == {0: 7, 2: 3}


@pytest.mark.parametrize("isolate", [False, True])
def test_a_match_is_recorded_kept_and_replayed(isolate, tmp_path):
    from elodrome.agents.isolation.isolated import Isolation

    result = play_match(PENDULUM, "random", "random", 2, seed=4, isolation=Isolation(isolate=isolate))
    one = result.records[0]
    assert nonsense(one) is None
    assert len(one.moves[0]) == 200
    assert all(len(action) == 1 and -2 <= action[0] <= 2 for action in one.moves[0])
    for bad in ((math.nan,), (math.inf,), ()):
        moves = (*one.moves[0][:3], bad), one.moves[1]
        assert nonsense(one.model_copy(update={"moves": moves})) == "a move that is no action"
    assert GameRecord.model_validate_json(one.model_dump_json()) == one
    with Store(tmp_path / "results.sqlite") as store:
        store.add(result.records)
        assert {r.id: r for r in store.games()} == {r.id: r for r in result.records}
    *_, (table, action) = replay(one, result.world)
    assert action is None
    assert table.truncated[0]
    with pytest.raises(UserError):
        list(replay(one.model_copy(update={"moves": ((1, 2), (1, 2))}), result.world))


class Centre(Agent):
    def choose(self, position: Position) -> np.ndarray:
        return np.zeros(1)


class Beyond(Agent):
    def choose(self, position: Position) -> list[float]:
        return [position.world.high[0] + 1.0]


class Bare(Agent):
    def choose(self, position: Position) -> float:
        return 0.0


def test_agents_are_checked_and_lose_by_what_is_no_action():
    assert check_acting(Centre(WORLD), WORLD) == []
    assert "stay within world.low" in " ".join(check_acting(Beyond(WORLD), WORLD))
    assert "answer with an array of 1 real number" in " ".join(check_acting(Bare(WORLD), WORLD))
    for bad in (Beyond, Bare):
        result = play_match(WORLD, bad(WORLD), Centre(WORLD), 2)
        assert {r.termination for r in result.records} == {"illegal"}
        assert result.tally() == {"wins": 0, "draws": 0, "losses": 2}


def test_games_of_unequal_length_are_resumed():
    world = make_env(PENDULUM)
    one, other, seeds = Underway(world.table(3)), Underway(world.table(3)), streams(8, 3)
    one.reset(np.arange(3), seeds)
    for step, rows in enumerate(([0, 1, 2], [0, 2], [2], [2])):
        one.step(np.array(rows), uniform(world, streams(step, len(rows))))
    other.resume(one.snapshot(), seeds)
    assert other.table.plies.tolist() == [2, 1, 4]
    assert np.array_equal(one.table.observe(np.arange(3)), other.table.observe(np.arange(3)))


def test_games_of_a_foreign_world_are_resumed():
    world = make_env(PENDULUM)
    one, other = SeatEnv(world, 3, 1), SeatEnv(world, 3, 1)
    for step in range(230):  # beyond the first end, at 200
        one.step(uniform(world, streams(step, 3)))
    other.resume(one.snapshot())
    for step in range(5):
        actions = uniform(world, streams(1000 + step, 3))
        one.step(actions)
        other.step(actions)
        assert np.array_equal(one.observation, other.observation)
        assert np.array_equal(one.reward, other.reward)
