"""What the deep learners have in common: they solve a trivial world, conform, and leave no trace. Resuming and broken
files: ``test_every_learner.py``."""

import numpy as np
import pytest
import torch

from elodrome.agents.agent import Budget, Task
from elodrome.agents.check import check_learning, sample_positions
from elodrome.agents.parts.heads import greedy_legal, pick, probabilities
from elodrome.agents.parts.vector import SeatEnv
from elodrome.agents.random import Random
from elodrome.agents.registry import make_learner
from elodrome.agents.specs import builtin
from elodrome.envs.registry import make_env
from elodrome.errors import Diverged

SMALL = {
    "dqn": {"envs": 8, "batch": 32, "warmup": 64, "hidden": [16], "target_every": 10},
    "rainbow": {"envs": 8, "batch": 32, "warmup": 64, "hidden": [16], "target_every": 10},
    "reinforce": {"episodes": 8, "hidden": [16]},
    "a2c": {"envs": 8, "horizon": 4, "hidden": [16]},
    "trpo": {"envs": 8, "horizon": 8, "minibatch": 32, "hidden": [16]},
    "ppo": {"envs": 8, "horizon": 8, "minibatch": 32, "hidden": [16]},
}
SOLVING = {
    "dqn": {"envs": 8, "batch": 64, "hidden": [32], "target_every": 50, "warmup": 200, "rate": 3e-3},
    "rainbow": {"envs": 8, "batch": 64, "hidden": [32], "target_every": 50, "warmup": 200, "rate": 3e-3},
    "reinforce": {"episodes": 16, "hidden": [32]},
    "a2c": {"hidden": [32]},
    "trpo": {"envs": 16, "horizon": 16, "hidden": [32]},
    "ppo": {"envs": 16, "horizon": 16, "minibatch": 128, "hidden": [32]},
    "ppo_kl": {"envs": 16, "horizon": 16, "minibatch": 128, "hidden": [32]},
    "off_policy_pg": {"episodes": 16, "hidden": [32]},
}
KINDS = list(SMALL)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def score(world, agent, games, seed=9):
    """Returns of ``agent`` against random play, seats in turn."""
    env = SeatEnv(world, games, seed, [(1.0, Random(world).act)] if world.players > 1 else [], restart=False)
    total = np.zeros(games)
    while len(env.live):
        actions = np.zeros(games, np.int64)
        actions[env.live] = agent.act(env.positions(env.live))
        env.step(actions)
        total += env.reward
    return total


@pytest.mark.parametrize("kind", SOLVING)
def test_solves_a_trivial_world(kind):
    """The shortest way on the 3 x 3 map is four moves: -1 for three of them, 0 for the goal."""
    world = make_env("gridworld:map=S../.#./..G,max_steps=100")
    learner = make_learner(kind, Task(world, 1), SOLVING[kind])
    reports = list(learner.learn(Budget(8_000)))
    assert score(world, learner.agent, 2).tolist() == [-3.0, -3.0]
    assert reports[-1].step >= 8_000
    assert all(np.isfinite(list(report.metrics.values())).all() for report in reports)


@pytest.mark.parametrize("preset", ["dqn", *builtin()["dqn"].about.presets])
def test_every_preset_of_dqn_knows_the_values_of_a_chain(preset):
    """S..G with -1 a step and 0 at the goal: V(S) = -1 - 0.9, one step before it -1, then 0. Sums over n steps are of
    what was done, exploration included: they know these values where the replay has forgotten what that brought."""
    world = make_env("gridworld:map=S..G,max_steps=50")
    forgetting = {"capacity": 400, "epsilon_end": 0.0} if preset in ("n_step_dqn", "rainbow") else {}
    learner = make_learner(preset, Task(world, 0), {**SOLVING["dqn"], "discount": 0.9, **forgetting})
    list(learner.learn(Budget(4_000)))
    env = SeatEnv(world, 1, 0)
    values = []
    for _ in range(3):
        values.append(float(learner.agent.evaluate(env.positions(np.array([0]))).value[0]))
        env.step(np.array([1]))
    assert values == pytest.approx([-1.9, -1.0, 0.0], abs=0.06)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["tic_tac_toe", "connect_four", "rock_paper_scissors:rounds=2", "random_walk"])
def test_conforms(kind, name):
    assert check_learning(kind, make_env(name), SMALL[kind]) == []


@pytest.mark.parametrize("kind", KINDS)
def test_the_agent_is_frozen_and_torchs_generator_untouched(kind):
    world = make_env("tic_tac_toe")
    before = torch.random.get_rng_state()
    learner = make_learner(kind, Task(world, 0), SMALL[kind])
    given = sample_positions(world, 32, 0)
    agent = learner.agent
    policy = agent.evaluate(given).policy.copy()
    other = make_learner(kind, Task(world, 1), SMALL[kind])
    assert not np.array_equal(other.agent.evaluate(given).policy, policy)  # another seed begins elsewhere
    list(learner.learn(Budget(500)))
    assert np.array_equal(agent.evaluate(given).policy, policy)
    assert not np.array_equal(learner.agent.evaluate(given).policy, policy)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("kind", KINDS)
def test_divergence_names_the_step(kind):
    learner = make_learner(kind, Task(make_env("tic_tac_toe"), 0), {**SMALL[kind], "rate": 1e30})
    with pytest.raises(Diverged, match=r"at step \d+: .* is (nan|-?inf)"):
        list(learner.learn(Budget(1_000)))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "rainbow"])  # atoms end where returns do
def test_repeated_rock_paper_scissors_stays_sane(kind):
    """Four rounds at 1 each, against itself: what is left to be won is near 0 by symmetry and 4 at most. Values that
    begin far off must come back to that: they would not if they were carried on beyond the end."""
    world = make_env("rock_paper_scissors:rounds=4")
    given = sample_positions(world, 64, 1)
    learner = make_learner(kind, Task(world, 0), {**SMALL[kind], "opponent": "self", "rate": 3e-3})
    biases = [p for name, p in learner.net.named_parameters() if name.endswith("bias") and p.shape == (1,)]
    biases = biases or [learner.net.advantages.bias]
    with torch.no_grad():
        for bias in biases:
            bias.fill_(20.0)
    if kind == "dqn":
        learner.target.load_state_dict(learner.net.state_dict())
    assert np.abs(learner.agent.evaluate(given).value).min() > 10.0
    list(learner.learn(Budget(12_000)))
    value = learner.agent.evaluate(given).value
    assert np.abs(value).max() < 4.0
    assert np.abs(value).mean() < 1.5


def test_picking_follows_the_probabilities():
    probs = np.array([[0.0, 0.25, 0.0, 0.75, 0.0]] * 5)
    assert pick(probs, np.array([0.0, 0.2499, 0.25, 0.9, 1 - 2.0**-53])).tolist() == [1, 1, 3, 3, 3]
    logits, legal = np.array([[5.0, 1.0, 1.0]]), np.array([[0, 1, 1]], np.uint8)
    assert probabilities(logits, legal).tolist() == [[0.0, 0.5, 0.5]]
    assert greedy_legal(logits, legal).tolist() == [1]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("kind", KINDS)
def test_learns_on_cuda(kind):
    world = make_env("gridworld:map=S../.#./..G,max_steps=100")
    learner = make_learner(kind, Task(world, 1, "cuda"), SOLVING[kind])
    list(learner.learn(Budget(8_000)))
    assert score(world, learner.agent, 2).tolist() == [-3.0, -3.0]


@pytest.mark.parametrize(("kind", "steps"), [("ppo", 120_000), ("dqn", 80_000)])
def test_beats_random_at_tic_tac_toe(kind, steps):
    """Random against random scores 0.5, the best possible is 0.97: 0.9948 as first, 0.9249 as second."""
    world = make_env("tic_tac_toe")
    learner = make_learner(kind, Task(world, 0), {})
    list(learner.learn(Budget(steps)))
    result = score(world, learner.agent, 1000)
    assert ((result > 0) + 0.5 * (result == 0)).mean() >= 0.9
