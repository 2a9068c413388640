"""The steps that all tabular loops share: recorded tables, schedules, and the same results however a run is cut up."""

import hashlib

import numpy as np
import pytest

from elodrome.agents.agent import Budget, Task
from elodrome.agents.parts import walk
from elodrome.agents.parts.tabular import TabularConfig, TabularLearner
from elodrome.agents.parts.walk import STEP, Schedule, at_step
from elodrome.agents.specs import make_config
from elodrome.agents.tabular.q_learning import QLearning
from elodrome.agents.tabular.sarsa import Sarsa
from elodrome.envs.registry import make_env
from elodrome.errors import UserError
from elodrome.seeding import streams

FALLING = {"epsilon": 0.9, "epsilon_end": 0.05, "epsilon_steps": 30_000}
# Digests of the tables after 60,000 steps, recorded when each loop was still written out on its own: Q-learning, SARSA.
RECORDED = [
    ("cliff_walking", 1, {"alpha": 0.5, "discount": 1.0}, "115f74869a097fa3", "0f67d59e8b5d1ef7"),
    (
        "cliff_walking",
        2,
        {"alpha": 1.0, "alpha_power": 0.7, **FALLING, "discount": 0.99},
        "5a5d7ef15c777006",
        "7606d992195cf31d",
    ),
    (
        "gridworld:map=S.T/.../..G,slip=0.4,discount=0.9,max_steps=7",
        3,
        {"epsilon": 0.3, "initial": 1.0},
        "03b42be3eececd77",
        "7aac7e6837f772fe",
    ),
    ("gridworld:map=sutton_barto_5x5,max_steps=20", 4, {"discount": 0.9}, "c7ba214aace3a47a", "464f0197d5683030"),
    ("random_walk:states=5", 5, {"epsilon": 1.0, "discount": 1.0}, "d984e3c767a10646", "fa08184c9db39030"),
    ("tic_tac_toe", 6, {"discount": 1.0}, "6850f2287c16f432", "d5c61509187750ba"),
    ("prisoners_dilemma:rounds=3", 7, {"alpha": 0.05, "epsilon": 0.2}, "16fa053609ca9b38", "b5d79dc0e75ba9f4"),
    ("token_mdp", 8, {"discount": 1.0}, "998c3e3398d12ebe", "b3bb9368cd050264"),
]


@pytest.mark.parametrize(("world", "seed", "settings", "q_learning", "sarsa"), RECORDED)
def test_the_same_seed_gives_the_recorded_tables(
    world: str, seed: int, settings: dict[str, float], q_learning: str, sarsa: str
) -> None:
    for cls, digest in ((QLearning, q_learning), (Sarsa, sarsa)):
        learner = cls(Task(make_env(world), seed), TabularConfig(**{"alpha": 0.2, "epsilon": 0.1, **settings}))
        list(learner.learn(Budget(60_000)))
        q = np.where(learner.run.legal > 0, learner.run.q, 0.0)
        assert hashlib.blake2b(q.tobytes(), digest_size=8).hexdigest() == digest


def test_schedules() -> None:
    steady, line, curve = (
        Schedule(0.3, 0.0, 0.0, 0.0, 0.0),
        Schedule(0.5, 0.1, 8.0, 0.0, 0.0),
        Schedule(1.0, 0.01, 4.0, 1.0, 0.0),
    )
    assert [at_step(steady, t) for t in (0, 5)] == [0.3, 0.3]
    assert [at_step(line, t) for t in (0, 2, 8, 99)] == pytest.approx([0.5, 0.4, 0.1, 0.1])
    assert [at_step(curve, t) for t in (0, 2, 4, 99)] == pytest.approx([1.0, 0.1, 0.01, 0.01])


@pytest.mark.parametrize("cls", [QLearning, Sarsa])
def test_one_over_n_makes_a_value_the_mean_of_its_targets(cls: type[TabularLearner]) -> None:
    """Robbins-Monro with 1/n on a die: the value is exactly the mean of what was rolled."""
    world = make_env("gridworld:map=SG,slip=0.5,step_reward=-1,goal_reward=7,max_steps=1")
    learner = cls(Task(world, 1), TabularConfig(alpha=1.0, alpha_power=1.0, epsilon=1.0, discount=0.0))
    (progress,) = learner.learn(Budget(900))
    q, n = learner.run.q, learner.run.visits
    assert n.sum() == 900
    assert (q * n).sum() / 900 == pytest.approx(progress.metrics["return"])


def test_epsilon_falls_with_the_visits_of_a_state() -> None:
    """With epsilon = 1/n(s) the n-th visit explores with probability 1/n: as many as the harmonic sum."""
    world = make_env("gridworld:map=SG,step_reward=0,goal_reward=1,bump_reward=0,max_steps=2")
    settings = {"epsilon": 1.0, "epsilon_power": 1.0, "discount": 0.5}
    random = []
    for seed in range(60):
        learner = QLearning(Task(world, seed), TabularConfig(**settings))
        list(learner.learn(Budget(1000)))
        random.append(1000 - learner.run.visits[0, 1])  # all but the way to the goal
    # Three quarters of the explored actions, and those before the goal was found.
    assert 0.75 * 7.5 < np.mean(random) < 0.75 * 7.5 + 4


def test_a_run_may_be_cut_up_anyhow() -> None:
    world = make_env("tic_tac_toe")
    whole, parts = (Sarsa(Task(world, 3), TabularConfig(epsilon_power=0.1)) for _ in range(2))
    finished = np.zeros((10_000, 2))
    whole.advance(whole.states, whole.run, finished, 5000)
    while (left := 5000 - int(parts.run.clock[STEP])) > 0:
        parts.advance(parts.states, parts.run, finished[:3], min(left, 11))
    assert np.array_equal(whole.run.q, parts.run.q)


def test_a_schedule_that_falls_to_nothing_is_refused() -> None:
    with pytest.raises(UserError, match=r"epsilon cannot fall to 0 exponentially; give epsilon_end=0.01"):
        make_config("q_learning", QLearning, {"fall": "exponential", "epsilon_steps": 100})


def test_values_that_are_no_numbers_lead_to_no_index_outside_the_row() -> None:
    """The compiled walk trusts its indices; who measures the values stops the learning later."""
    words = streams(4, 64)
    for row in ([np.nan, np.nan], [np.nan, 1.0, -np.inf], [-np.inf, np.nan, np.nan]):
        q = np.array(row)
        for word in words:
            assert 0 <= walk.epsilon_greedy(q, word, 0.0) < q.size
