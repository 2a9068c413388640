"""AlphaGo's three stages: it comes to play as its expert does, REINFORCE raises what won, and values tell who wins."""

import copy
from typing import Any

import numpy as np
import pytest

from elodrome import make_env, play_match
from elodrome.agents.agent import Budget, Task
from elodrome.agents.ops.policy_gradient import masked_log_probs, taken
from elodrome.agents.planning import alphago
from elodrome.agents.planning.alphago import AlphaGo, AlphaGoConfig
from elodrome.agents.registry import make_agent
from elodrome.agents.search.games import Played, play_games
from elodrome.errors import UserError

TTT: Any = make_env("tic_tac_toe")


def test_games_are_whole_and_their_outcomes_opposite() -> None:
    expert = make_agent("minimax", TTT)
    played = play_games(TTT, 40, 3, 4, expert.act)
    assert (played.legal[np.arange(len(played.actions)), played.actions] == 1).all()
    for game in range(40):
        mine = np.flatnonzero(played.games == game)
        assert (np.diff(played.seats[mine]) != 0).all()  # the seats take turns
        signed = played.outcome[mine] * np.where(played.seats[mine] == 0, 1, -1)
        assert len(set(signed.tolist())) <= 1
    assert {len(np.flatnonzero(played.games == game)) for game in range(40)} >= {5, 9}
    again = play_games(TTT, 40, 3, 4, expert.act)
    for one, other in zip(played, again, strict=True):
        np.testing.assert_array_equal(one, other)


def test_it_learns_to_play_as_its_expert() -> None:
    config = AlphaGoConfig(expert="minimax", imitate=0.8, reinforce=0.1, reuse=8.0)
    learner = AlphaGo(Task(TTT, 0), config)
    reports = list(learner.learn(Budget(12_000)))
    imitated = [r.metrics["loss/imitation"] for r in reports if "loss/imitation" in r.metrics]
    assert imitated[-1] < 0.75 * imitated[0]
    assert {name for r in reports for name in r.metrics} == {"loss/imitation", "return against the past", "loss/value"}
    alone = learner.restore(TTT, config.model_copy(update={"simulations": 0}), learner.weights())
    # Random play loses nine games of ten to its expert, a copy of the expert none.
    assert play_match(TTT, alone, "minimax", 100, seed=1).tally()["losses"] <= 15
    assert play_match(TTT, learner.agent, "minimax", 100, seed=1).tally()["losses"] <= 10


def test_one_step_of_reinforce_makes_what_won_more_likely_than_what_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    learner = AlphaGo(Task(TTT, 0), AlphaGoConfig(gradient_rate=1e-3))
    real = play_games

    def odd_wins(*given: Any) -> Played:
        """Games in which squares of odd number won, and the others lost."""
        played = real(*given)
        return played._replace(outcome=np.where(played.actions % 2 == 1, 1.0, -1.0).astype(np.float32))

    monkeypatch.setattr(alphago, "play_games", odd_wins)
    import torch

    def odd_share() -> float:
        net = learner.nets["policy"].eval()
        with torch.inference_mode():
            logits, _ = net(torch.zeros((1, *TTT.observation_shape)))
            everything = masked_log_probs(logits, torch.ones((1, 9), dtype=torch.bool))
            return float(sum(taken(everything, torch.tensor([a])).exp().sum() for a in (1, 3, 5, 7)))

    learner._reinforce(np.random.default_rng(0))
    before = odd_share()
    for _ in range(5):
        learner._reinforce(np.random.default_rng(0))
    assert odd_share() > before + 0.02


@pytest.mark.parametrize("opponent", ["past", "prioritised", "self", "random"])
def test_it_goes_on_after_a_stop_as_without(opponent: str) -> None:
    config = AlphaGoConfig(
        games=8, batch=16, window=100, hidden=(16,), expert="random", opponent=opponent, past=2, past_every=2
    )
    one, other = (AlphaGo(Task(TTT, 2), config) for _ in range(2))
    budget = Budget(1200)
    progress = one.learn(budget)
    while one.rounds < 5:
        next(progress)
    other.resume(copy.deepcopy(one.snapshot()))
    assert list(progress) == list(other.learn(budget))
    for name, array in one.weights().items():
        np.testing.assert_array_equal(array, other.weights()[name])
    assert len(one.past) == 2


def test_bad_shares_and_experts_are_refused() -> None:
    with pytest.raises(UserError, match="leave nothing for the value network"):
        AlphaGo(Task(TTT, 0), AlphaGoConfig(imitate=0.6, reinforce=0.4))
    with pytest.raises(UserError, match="minimax"):
        AlphaGo(Task(TTT, 0), AlphaGoConfig(expert="minimex"))
