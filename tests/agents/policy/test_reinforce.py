"""REINFORCE's baselines against their definitions; what it estimates with them: ``test_exact_gradients.py``."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from elodrome.agents.agent import Budget, Positions, Task
from elodrome.agents.parts.vector import SeatEnv
from elodrome.agents.policy.reinforce import Reinforce, ReinforceConfig, mean_of_others
from elodrome.agents.policy.visits import Visits
from elodrome.agents.registry import make_learner
from elodrome.envs.registry import make_env
from elodrome.seeding import streams


def test_the_constant_is_the_mean_of_the_others():
    returns, episode = np.array([1.0, 2.0, 4.0, 8.0, 16.0]), np.array([0, 1, 0, 2, 1])
    assert mean_of_others(returns, episode).tolist() == [26 / 3, 13 / 3, 26 / 3, 23 / 4, 13 / 3]
    assert mean_of_others(returns[:2], np.zeros(2, np.int64)).tolist() == [0.0, 0.0]


def test_the_optimal_baseline_is_what_its_equation_says():
    """Two actions, of probability 0.8 and 0.2 and returns 1 and 3, from one state: |grad log pi|^2 with respect to the
    logits is 2 (1 - pi(a))^2, so that b* = (0.8 0.04 1 + 0.2 0.64 3) / (0.8 0.04 + 0.2 0.64) = 2.6, where V = 1.4."""
    settings = {"baseline": "optimal", "hidden": (8,), "standardise": False, "weights": "none"}
    learner = Reinforce(Task(make_env("random_walk"), 0), ReinforceConfig(**settings))
    count, shape = 1000, learner.world.observation_shape
    with torch.no_grad():
        learner.net.actor[-1].weight.zero_()
        learner.net.actor[-1].bias.copy_(torch.tensor([0.8, 0.2]).log())
    action = torch.from_numpy((np.arange(count) >= 0.8 * count).astype(np.int64))
    batch = {
        "observation": torch.zeros(count, *shape),
        "legal": torch.ones(count, 2, dtype=torch.bool),
        "action": action,
        "return": 1.0 + 2.0 * action,
        "log_prob": torch.zeros(count),
        "episode": torch.zeros(count, dtype=torch.int64),
    }
    for group in learner.critic.param_groups:
        group["lr"] = 0.05
    for _ in range(400):
        learner.critic.zero_grad()
        learner._baseline_loss(batch).backward()
        learner.critic.step()
    best = learner.net.value(batch["observation"])[0].item()
    assert best == pytest.approx(2.6, abs=0.01)
    learner.played = 1

    def square(baseline):
        """E|g|^2 of one decision's gradient with respect to the logits (the biases); its mean is the same for all."""
        total = 0.0
        for a, share in ((0, 0.8), (count - 1, 0.2)):
            one = {name: tensor[a : a + 1] for name, tensor in batch.items()}
            loss, _ = learner.policy_loss({**one, "baseline": torch.tensor([baseline])})
            (gradient,) = torch.autograd.grad(loss, [learner.net.actor[-1].bias])
            total += share * gradient.square().sum().item()
        return total

    assert square(best) < square(2.4) < square(1.4) < square(0.0)  # 1.4 is V
    assert square(best) < square(2.8)


def test_short_episodes_are_played_until_there_is_enough_to_learn_from(monkeypatch):
    """Two at a time on a way of three steps (at random of some more): the batch is of whole episodes, each numbered."""
    world = make_env("gridworld:map=S..G,max_steps=30")
    learner = Reinforce(Task(world, 0), ReinforceConfig(episodes=2, decisions=100, hidden=(8,)))
    seen, loss = [], learner.policy_loss
    monkeypatch.setattr(learner, "policy_loss", lambda batch: (seen.append(batch), loss(batch))[1])
    report = next(iter(learner.learn(Budget(1))))
    episode, begins = seen[0]["episode"].numpy(), seen[0]["observation"].argmax(1).numpy() == 0
    counts = np.bincount(episode)
    assert learner.played == len(counts) > 2
    assert len(counts) % 2 == 0
    assert (counts >= 3).all()  # none is cut off
    assert all(begins[np.flatnonzero(episode == k)[0]] for k in range(len(counts)))
    assert report.step == len(episode) >= 100 > len(episode) - counts[-2:].sum()


def test_where_places_look_alike_the_agent_draws_its_actions() -> None:
    """On the short corridor who is always sure never arrives (notes 3.1.2)."""
    world = make_env("corridor")
    learner = make_learner("reinforce", Task(world, 3), {})
    list(learner.learn(Budget(20_000)))
    table, rows = world.table(200), np.arange(200)
    table.reset(rows, streams(1, 200))
    total = 0.0
    while len(rows := rows[table.seats[rows] >= 0]):
        total += table.step(rows, np.asarray(learner.agent.act(Positions.at(table, rows, streams(2, 200)[rows])))).sum()
    assert not table.truncated.any()
    assert total / 200 == pytest.approx(-11.657, abs=2.5)  # three standard errors, and what training leaves


def test_states_are_met_as_often_as_episodes_come_there_before_they_are_cut_off():
    """On a map where a random walk takes far longer to the goal than the seven steps that it has."""
    world, episodes = make_env("gridworld:map=S..../...../....G,slip=0.2,max_steps=7"), 4000
    visits = Visits(world, 0.9)
    policy = visits.legal / visits.legal.sum(axis=1, keepdims=True)
    env, rng, counts = SeatEnv(world, episodes, 3, restart=False), np.random.default_rng(0), np.zeros(len(policy))
    while len(env.live):
        counts += np.bincount(visits.find(env.observation[env.live], env.legal[env.live]), minlength=len(counts))
        env.step(rng.integers(world.actions, size=episodes))
    met = visits.met(policy)
    assert met.sum() == pytest.approx(counts.sum() / episodes, abs=0.01)  # hardly any reaches the goal
    assert np.abs(met - counts / episodes).max() < 4 * (7 / 4 / episodes) ** 0.5
    longer = Visits(make_env("gridworld:map=S..../...../....G,slip=0.2,max_steps=5000"), 0.9)
    whole = replace(longer._process, discount=1.0).visits(longer._whole(policy))[longer._live]
    assert np.allclose(longer.met(policy), whole)
