"""The table of usual settings: every row is one that its agent takes, and a run that names nothing is a good one."""

import numpy as np
import pytest
import torch

from elodrome.agents.agent import Budget, Learner, Task
from elodrome.agents.defaults import ALONE, BOARDS, CONTROL, FEW, PIXELS, REAL, defaults_for
from elodrome.agents.parts.vector import SeatEnv
from elodrome.agents.registry import make_learner
from elodrome.agents.specs import builtin
from elodrome.arena.best import solo_returns
from elodrome.envs.registry import make_env

CARTPOLE = "gymnasium:CartPole-v1"


@pytest.mark.parametrize(
    ("table", "kind"), [(table, kind) for table in (CONTROL, FEW, ALONE, BOARDS, REAL, PIXELS) for kind in table]
)
def test_every_row_is_of_a_learner_and_differs_from_its_own_settings(table, kind):
    cls, settings = builtin()[kind].load(), builtin()[kind].settings
    assert issubclass(cls, Learner)
    own = cls.config_class(**settings).model_dump()
    usual = cls.config_class(**{**settings, **table[kind]}).model_dump()
    assert {name for name in own if own[name] != usual[name]} == set(table[kind])


def test_they_hold_where_nothing_is_said_and_only_there():
    world = make_env(CARTPOLE)
    assert make_learner("ppo", Task(world), {}).config.model_dump().items() >= CONTROL["ppo"].items()
    assert make_learner("ppo_kl", Task(world), {}).config.objective == "kl"
    assert make_learner("ppo_kl", Task(world), {}).config.horizon == CONTROL["ppo"]["horizon"]
    assert make_learner("ppo:horizon=16", Task(world), {"envs": 3}).config.horizon == 16
    assert make_learner("ppo:horizon=16", Task(world), {"envs": 3}).config.envs == 3
    for name in ("gymnasium:FrozenLake-v1", "gymnasium:Taxi-v4", "gymnasium:Blackjack-v1", "gymnasium:CliffWalking-v1"):
        assert make_learner("ppo_kl", Task(make_env(name)), {}).config.model_dump().items() >= FEW["ppo"].items()
        assert make_learner("ppo", Task(make_env(name)), {}).config.epochs != CONTROL["ppo"]["epochs"]
    for name in ("tic_tac_toe", "token_mdp"):
        assert defaults_for("ppo", make_env(name)) == {}
    assert make_learner("double_dqn", Task(make_env("cliff_walking")), {}).config.exploration == 0.7
    assert defaults_for("random", world) == {}
    assert defaults_for("reinforce", make_env("connect_four")) == BOARDS["reinforce"]
    assert make_learner("off_policy_pg", Task(make_env("tic_tac_toe")), {}).config.rate == BOARDS["reinforce"]["rate"]
    assert defaults_for("reinforce", make_env("cliff_walking")) == ALONE["reinforce"]
    assert make_learner("off_policy_pg", Task(make_env("cliff_walking")), {}).config.passes == 4
    for world, epsilon in (("cliff_walking", 1.0), ("doors", 0.0), ("tic_tac_toe", 0.0), (CARTPOLE, 0.0)):
        own = make_learner("rainbow", Task(make_env(world)), {}).config
        assert (own.epsilon, own.epsilon_end > 0) == (epsilon, epsilon > 0)
    noisy = make_learner("noisy_dqn", Task(make_env("tic_tac_toe")), {}).config.noisy
    assert noisy == BOARDS["noisy_dqn"]["noisy"] != builtin()["noisy_dqn"].settings["noisy"]
    assert make_learner("noisy_dqn:noisy=0.3", Task(make_env("tic_tac_toe")), {}).config.noisy == 0.3
    assert make_learner("double_dqn", Task(make_env("tic_tac_toe")), {}).config.noisy == 0.0


@pytest.mark.parametrize("kind", ["ppo", "trpo"])
def test_a_pole_is_balanced_by_an_agent_that_was_told_nothing(kind):
    world = make_env(CARTPOLE)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    learner = make_learner(kind, Task(world, 0), {})
    list(learner.learn(Budget(50_000)))
    torch.set_num_threads(threads)
    env, agent, total = SeatEnv(world, 10, 1, restart=False), learner.agent, np.zeros(10)
    while len(env.live):
        actions = np.zeros(10, np.int64)
        actions[env.live] = agent.act(env.positions(env.live))
        env.step(actions)
        total += env.reward
    assert total.mean() >= 475  # of 500; chance brings 22


@pytest.mark.parametrize("kind", ["ppo", "dqn", "noisy_dqn", "trpo", "reinforce"])
def test_the_cliff_is_walked_by_an_agent_that_was_told_nothing(kind):
    """With their own settings all stand still for good with seed 0, which costs 1000."""
    world = make_env("cliff_walking")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    learner = make_learner(kind, Task(world, 0), {})
    list(learner.learn(Budget(100_000)))
    torch.set_num_threads(threads)
    returns, _ = solo_returns(world, learner.agent, 1, 0)
    assert returns[0] >= -17  # -13 along the edge, -17 along the wall


@pytest.mark.parametrize("kind", ["ppo", "a2c"])
def test_a_slippery_lake_is_crossed_by_an_agent_that_was_told_nothing(kind):
    """0.74 at best; chance brings 0.01."""
    world = make_env("gymnasium:FrozenLake-v1")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    learner = make_learner(kind, Task(world, 0), {})
    list(learner.learn(Budget(100_000)))
    torch.set_num_threads(threads)
    returns, _ = solo_returns(world, learner.agent, 200, 0)
    assert returns.mean() >= 0.6
