"""Learners whose actions are real numbers, against the exact solution of a regulator."""

import numpy as np
import pytest
import torch

from elodrome.agents.agent import Budget, Task
from elodrome.agents.check import check_acting
from elodrome.agents.registry import make_learner
from elodrome.agents.specs import find_kind, unfit
from elodrome.arena.batch import play_games
from elodrome.arena.match import make_jobs
from elodrome.envs.registry import make_env
from elodrome.seeding import units
from tests.regulator import STEPS, Regulator, best_weight

WORLD = Regulator()
OFF = {"hidden": [32, 32], "batch": 64, "warmup": 200, "rate": 3e-3, "discount": 0.9}
ON = {"hidden": [32], "discount": 0.9, "entropy": 0.0}
LEARNERS = {
    "sac": (OFF, 2_000),
    "td3": ({**OFF, "noise": 0.3}, 3_000),
    "ddpg": ({**OFF, "noise": 0.3}, 2_500),
    "ppo": ({**ON, "envs": 16, "horizon": 40, "minibatch": 160, "epochs": 8}, 25_000),
    "ppo:state_noise=4": ({**ON, "envs": 16, "horizon": 40, "minibatch": 160, "epochs": 8}, 25_000),
    "ppo_kl": ({**ON, "envs": 16, "horizon": 40, "minibatch": 160, "epochs": 8}, 25_000),
    "a2c": ({**ON, "envs": 16, "horizon": 20}, 40_000),
    "trpo": ({**ON, "envs": 16, "horizon": 40}, 30_000),
    "reinforce": ({**ON, "episodes": 16, "rate": 3e-3}, 40_000),
}


def returns_of(agent, games=64):
    """Its returns, and the best there are from the same starts."""
    jobs = make_jobs(games, 5, players=1)
    records = play_games(WORLD, [agent, agent], ["one", "other"], jobs)
    starts = 2 * units(np.array([job.seed for job in jobs], np.uint64)) - 1
    return np.array([record.returns[0] for record in records]), -best_weight() * starts**2


@pytest.mark.parametrize("kind", LEARNERS)
def test_it_comes_near_the_best_return(kind):
    settings, steps = LEARNERS[kind]
    torch.set_num_threads(1)
    learner = make_learner(kind, Task(WORLD, 1), settings)
    reports = list(learner.learn(Budget(steps)))
    if kind == "sac":  # the temperature brings the entropy to where it is wanted, from 0.3 at first
        assert reports[-1].metrics["entropy"] == pytest.approx(learner.config.entropy, abs=0.3)
    got, best = returns_of(learner.agent)
    assert (got <= best + 1e-5).all()  # nothing is above the exact solution
    idle = STEPS * best / best_weight()  # u = 0 throughout: -x^2 at each step
    assert (best.mean() - got.mean()) < 0.05 * (best.mean() - idle.mean())
    assert check_acting(learner.agent, WORLD) == []


def test_who_fits_where():
    pendulum, board = make_env("gymnasium:Pendulum-v1"), make_env("tic_tac_toe")
    assert unfit(find_kind("sac").about, pendulum) is None
    assert unfit(find_kind("ppo_kl").about, pendulum) is None
    assert unfit(find_kind("random").about, pendulum) is None
    assert "real numbers" in str(unfit(find_kind("sac").about, board))
    for kind in ("dqn", "q_learning", "value_iteration", "muzero"):
        assert "array of real numbers" in str(unfit(find_kind(kind).about, pendulum))
