"""REINFORCE's own estimate against the exact gradient of a small MDP, and its baselines against their definitions."""

import numpy as np
import pytest
import torch

from elodrome.agents.agent import Task
from elodrome.agents.parts.collecting import collect
from elodrome.agents.policy.reinforce import Reinforce, ReinforceConfig, mean_of_others
from elodrome.envs.enumeration import enumerate_world
from elodrome.envs.registry import make_env

MAP = "gridworld:map=S./TG,slip=0.2,step_reward=-0.5,goal_reward=1,trap_reward=-1,max_steps=500"
BASELINES = ("none", "constant", "value", "optimal")


def flat(gradients):
    return torch.cat([g.flatten() for g in gradients]).double().numpy()


def exact_gradient(learner):
    """Of J, by a linear solve over all states, with respect to the actor's parameters."""
    tables = enumerate_world(learner.world)
    transition, reward = (torch.from_numpy(array) for array in tables.dense())
    seen = np.zeros((tables.size, *learner.world.observation_shape), np.float32)
    for s in range(tables.size):
        learner.world.observe(tables.states[s], 0, seen[s])
    legal = torch.from_numpy(tables.legal > 0)
    policy = torch.softmax(learner.net.logits(torch.from_numpy(seen)).double().masked_fill(~legal, -1e9), -1)
    p_pi = torch.einsum("sa,sat->st", policy, transition)
    value = torch.linalg.solve(torch.eye(len(p_pi)) - p_pi, (policy * reward).sum(-1))
    return flat(torch.autograd.grad(value[tables.starts[0]], list(learner.net.actor.parameters())))


def test_the_estimate_is_the_gradient_and_baselines_lower_its_variance():
    world, variance = make_env(MAP), {}
    for baseline in BASELINES:
        settings = {"baseline": baseline, "standardise": False, "episodes": 64, "hidden": (8,), "discount": 1.0}
        learner = Reinforce(Task(world, 3), ReinforceConfig(**settings))
        learner.scale.update = lambda rewards: 1.0
        with torch.no_grad():
            learner.net.actor[-1].weight.mul_(100.0)  # a policy with opinions
        wanted = exact_gradient(learner)
        sampled = []
        for number in range(450):
            batch = learner.batch(collect(learner.env, learner.sample, learner.rng))
            if number < 150:  # the baseline learns what this policy earns
                for group in learner.critic.param_groups:
                    group["lr"] = 1e-2
                for _ in range(8 * learner.learns_baseline):
                    learner.critic.zero_grad()
                    learner._baseline_loss(batch).backward()
                    learner.critic.step()
                continue
            loss, _ = learner.policy_loss(batch)
            sampled.append(-flat(torch.autograd.grad(loss, list(learner.net.actor.parameters()))))
        sampled = np.stack(sampled)
        error, standard_error = sampled.mean(0) - wanted, sampled.std(0) / len(sampled) ** 0.5
        assert (np.abs(error) <= 4.5 * standard_error + 1e-6).all(), baseline
        assert standard_error.max() < 0.05 * np.abs(wanted).max()
        variance[baseline] = sampled.var(0).sum()
    assert max(variance[name] for name in BASELINES[1:]) < 0.7 * variance["none"]


def test_importance_weights_of_episodes_leave_no_bias_and_of_decisions_some():
    """Episodes of one policy, the gradient of another (3.62, 3.64 and 3.66)."""
    world, error = make_env(MAP), {}
    for weights in ("none", "decision", "episode"):
        settings = {"baseline": "constant", "standardise": False, "hidden": (8,), "discount": 1.0, "weights": weights}
        learner = Reinforce(Task(world, 3), ReinforceConfig(**settings))
        learner.scale.update = lambda rewards: 1.0
        with torch.no_grad():
            learner.net.actor[-1].weight.mul_(100.0)
        before = {name: array.clone() for name, array in learner.net.state_dict().items()}
        with torch.no_grad():
            learner.net.actor[-1].bias.add_(torch.tensor([0.0, 0.5, 0.2, -0.3]))
        after = {name: array.clone() for name, array in learner.net.state_dict().items()}
        wanted = exact_gradient(learner)
        sampled = []
        for _ in range(400):
            learner.net.load_state_dict(before)
            batch = learner.batch(collect(learner.env, learner.sample, learner.rng))
            learner.net.load_state_dict(after)
            loss, _ = learner.policy_loss(batch)
            sampled.append(-flat(torch.autograd.grad(loss, list(learner.net.actor.parameters()))))
        sampled = np.stack(sampled)
        used = np.abs(wanted) > 1e-3
        error[weights] = (np.abs(sampled.mean(0) - wanted) / (sampled.std(0) / 400**0.5 + 1e-9))[used].max()
    assert error["episode"] < 4.5
    assert min(error["decision"], error["none"]) > 6


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
    learner.config = learner.config.model_copy(update={"episodes": 1})

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
