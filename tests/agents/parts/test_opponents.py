"""Who is met how often: former selves, prioritised ones, fixed agents; and that it goes on after a stop as without."""

import copy
from typing import Any

import numpy as np
import pytest
import torch

from elodrome.agents.agent import Agent, Budget, Task
from elodrome.agents.parts import opponents
from elodrome.agents.parts.opponents import LEAST, Opponents, Past, fixed
from elodrome.agents.parts.vector import SeatEnv
from elodrome.agents.random import Random
from elodrome.agents.registry import make_learner
from elodrome.envs.registry import make_env
from elodrome.errors import BrokenAgent, UserError
from elodrome.seeding import generator, streams

TTT: Any = make_env("tic_tac_toe")


def past_of(count: int, size: int = 8, *, prioritised: bool = False) -> tuple[Past, torch.nn.Linear]:
    """Former selves of a network whose bias was their number."""
    net = torch.nn.Linear(1, 1)
    past = Past(net, size, prioritised=prioritised)
    for number in range(count):
        torch.nn.init.constant_(net.bias, number)
        past.note()
    return past, net


def test_the_last_selves_are_remembered_as_they_were() -> None:
    past, net = past_of(5, 3)
    torch.nn.init.constant_(net.bias, 99.0)
    assert (len(past), past.oldest, past.count) == (3, 2, 5)
    assert [past.rival(number).bias.item() for number in (0, 1, 2, 3, 4)] == [2, 2, 2, 3, 4]  # forgotten: the oldest
    assert net.bias.item() == 99.0


@pytest.mark.parametrize("prioritised", [False, True])
def test_without_results_all_are_met_alike(prioritised: bool) -> None:
    past, _ = past_of(9, 4, prioritised=prioritised)
    rng = generator(0)
    counts = np.bincount([past.draw(rng) for _ in range(4000)], minlength=9)
    assert counts[:5].tolist() == [0] * 5
    assert np.abs(counts[5:] - 1000).max() < 5 * np.sqrt(4000 * 0.25 * 0.75)
    assert [past.at(q) for q in (0.0, 0.249, 0.251, 0.999999)] == [5, 5, 6, 8]


def test_prioritised_favours_whom_one_loses_to() -> None:
    past, _ = past_of(4, prioritised=True)
    past.tell(np.array([0] * 10 + [1] * 10 + [2] * 10), np.array([1.0] * 10 + [-1.0] * 10 + [1.0, -1.0] * 5))
    weights = np.array([LEAST, 1.0, 0.25, 1.0])  # always beaten, always lost to, half of each, never met
    np.testing.assert_allclose(past.chances(), weights / weights.sum())
    rng = generator(1)
    counts = np.bincount([past.draw(rng) for _ in range(8000)], minlength=4)
    np.testing.assert_allclose(counts / 8000, weights / weights.sum(), atol=0.025)
    past.tell(np.full(200, 1), np.ones(200))  # of late it is beaten
    assert past.chances()[1] < 0.03 * past.chances()[3]
    uniform, _ = past_of(4)
    uniform.tell(np.array([0, 1]), np.array([1.0, -1.0]))
    assert uniform.chances().tolist() == [0.25] * 4


def test_results_against_the_forgotten_count_for_nobody() -> None:
    past, _ = past_of(4, 2, prioritised=True)
    past.tell(np.array([0, 1, 2, 3]), np.array([-1.0, -1.0, 1.0, 1.0]))
    np.testing.assert_allclose(past.chances(), [0.5, 0.5])
    past.note()  # in the place of number 2, as one never met
    np.testing.assert_allclose(past.chances(), np.array([LEAST, 1.0]) / (1 + LEAST))


def test_shares_of_games_and_a_new_self_every_so_many() -> None:
    net, played = torch.nn.Linear(1, 1), []

    def play(net: Any, positions: Any) -> Any:
        played.append(net.bias.item())
        return np.zeros(len(positions), np.int64)

    past = Past(net, 4)
    pool = Opponents([(3.0, lambda given: play(net, given))], (1.0, past), play, every=1000)
    met = []
    for begin in range(8):
        torch.nn.init.constant_(net.bias, begin)
        met.append(pool.meet(streams(begin, 1000)))
        assert past.count == begin + 1
    last = met[-1]
    assert (last == 0).mean() == pytest.approx(0.75, abs=5 * np.sqrt(0.75 * 0.25 / 1000))
    counts = np.bincount(last[last > 0] - 1, minlength=8)
    assert counts[:4].tolist() == [0] * 4
    assert np.abs(counts[4:] - counts.sum() / 4).max() < 5 * np.sqrt(counts.sum() * 0.25 * 0.75)
    for who in (0, 1 + 5, 1 + 7, 1 + 2):
        pool.act(who, np.zeros(3))  # type: ignore[arg-type]
    assert played == [7.0, 5.0, 7.0, 4.0]


def test_the_environment_tells_how_its_games_went(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[int, float]] = []
    pool = Opponents([(1.0, Random(TTT).act), (1.0, fixed("minimax", TTT))])
    monkeypatch.setattr(pool, "tell", lambda who, returns: told.extend(zip(who, returns, strict=True)))
    env, rng = SeatEnv(TTT, 50, 0, pool), generator(2)
    for _ in range(60):
        env.step((rng.random(env.legal.shape) * env.legal).argmax(axis=1))
    results = {who: {gained for met, gained in told if met == who} for who in (0, 1)}
    assert results == {0: {-1.0, 0.0, 1.0}, 1: {-1.0, 0.0}}  # nobody beats minimax
    assert len(told) > 500


@pytest.mark.parametrize("kind", ["ppo", "dqn", "reinforce"])
@pytest.mark.parametrize("opponent", ["past", "prioritised"])
def test_learning_against_the_past_goes_on_after_a_stop_as_without(kind: str, opponent: str) -> None:
    small = {
        "ppo": {"envs": 8, "horizon": 8, "minibatch": 32},
        "dqn": {"envs": 8, "warmup": 50, "batch": 16},
        "reinforce": {"episodes": 16},
    }[kind]
    options = {**small, "opponent": opponent, "self_share": 0.5, "past": 3, "past_every": 40}
    first, second = (make_learner(kind, Task(TTT, 1), options) for _ in range(2))
    budget = Budget(3000)
    reports = first.learn(budget)
    for _ in range(2):
        next(reports)
    second.resume(copy.deepcopy(first.snapshot()))
    assert list(reports) == list(second.learn(budget))
    for name, array in first.weights().items():
        np.testing.assert_array_equal(array, second.weights()[name])
    past: Any = first.env.opponents._past  # type: ignore[attr-defined]
    assert past.count > 5
    assert len(past) == 3
    assert past._games.sum() > 10


def test_any_agent_may_stay_as_it_is() -> None:
    learner = make_learner("ppo", Task(TTT, 0), {"opponent": "minimax:depth=9", "envs": 8, "horizon": 16})
    returns = [report.metrics["return"] for report in learner.learn(Budget(600))]
    assert max(returns) <= 0.0
    with pytest.raises(UserError, match=r"opponent=minimex: .*minimax.*; or choose self, mixed, past, prioritised"):
        make_learner("ppo", Task(TTT, 0), {"opponent": "minimex"})


class Odd(Agent):
    """Answers what it was told to."""

    answer: Any = 0

    def choose(self, position: Any) -> Any:
        return self.answer


@pytest.mark.parametrize(("answer", "said"), [(3.0, "not an action"), (9, "answered 9"), (ValueError("so"), "so")])
def test_a_fixed_opponent_that_fails_is_named(monkeypatch: pytest.MonkeyPatch, answer: Any, said: str) -> None:
    agent = Odd(TTT)
    agent.answer = answer
    monkeypatch.setattr(opponents, "make_agent", lambda spec, world: agent)
    with pytest.raises(BrokenAgent, match=f"opponent odd: .*{said}"):
        SeatEnv(TTT, 2, 0, [(1.0, fixed("odd", TTT))])
    agent.stateful = True
    with pytest.raises(UserError, match="remembers its games"):
        fixed("odd", TTT)


@pytest.mark.parametrize("kind", ["dqn", "ppo", "reinforce"])
@pytest.mark.parametrize("opponent", ["minimax", "mixd"])
def test_alone_nobody_can_be_an_opponent(kind, opponent):
    with pytest.raises(UserError, match=rf"opponent={opponent}: cliff_walking has one seat, nobody to play against"):
        make_learner(kind, Task(make_env("cliff_walking")), {"opponent": opponent})
    make_learner(kind, Task(make_env("cliff_walking")), {"opponent": "self"})
