"""Losses on hand-made arrays, and the gradient estimate against the exact gradient of a small MDP."""

import numpy as np
import pytest
import torch

from elodrome.agents.ops import policy_gradient as pg
from elodrome.agents.ops.returns import discounted_returns
from elodrome.agents.parts.vector import SeatEnv
from elodrome.envs.enumeration import enumerate_world
from elodrome.envs.registry import make_env


def test_masked_log_probs_and_entropy():
    logits = torch.tensor([[0.0, 50.0, 0.0], [1.0, 2.0, 3.0]], requires_grad=True)
    legal = torch.tensor([[True, False, True], [False, False, True]])
    log_probs = pg.masked_log_probs(logits, legal)
    assert torch.allclose(log_probs.exp(), torch.tensor([[0.5, 0.0, 0.5], [0.0, 0.0, 1.0]]))
    entropy = pg.entropy(log_probs)
    assert torch.allclose(entropy, torch.tensor([np.log(2), 0.0], dtype=torch.float32))
    entropy.sum().backward()
    assert torch.isfinite(logits.grad).all()
    assert pg.taken(log_probs, torch.tensor([0, 2])).tolist() == pytest.approx([-np.log(2), 0.0])


def test_clipped_surrogate_on_its_four_corners():
    """Theorem 3.9: the gain is cut off only on the side where the step would go further."""
    ratio = torch.tensor([1.5, 0.5, 1.5, 0.5], requires_grad=True)
    advantage = torch.tensor([1.0, 1.0, -1.0, -1.0])
    loss = pg.clipped_surrogate_loss(ratio, advantage, 0.2)
    assert loss.item() == pytest.approx(-(1.2 + 0.5 - 1.5 - 0.8) / 4)
    loss.backward()
    assert ratio.grad.tolist() == [0.0, -0.25, 0.25, 0.0]


def test_small_losses_by_hand():
    assert pg.importance_ratio(torch.tensor([0.0]), torch.tensor([np.log(2.0)])).item() == pytest.approx(0.5)
    assert pg.value_loss(torch.tensor([1.0, 2.0]), torch.tensor([0.0, 4.0])).item() == pytest.approx(2.5)
    assert pg.policy_gradient_loss(torch.tensor([-1.0, -2.0]), torch.tensor([3.0, 1.0])).item() == pytest.approx(2.5)
    assert pg.standardised(torch.tensor([1.0, 3.0])).tolist() == pytest.approx([-1.0, 1.0])


MAP = "gridworld:map=S./TG,slip=0.2,step_reward=-0.5,goal_reward=1,trap_reward=-1,max_steps=500"
DISCOUNT = 0.9


def exact(world, theta):
    """J(theta), its gradient and V, by a linear solve: theta [S, A] are logits of a tabular softmax policy."""
    tables = enumerate_world(world)
    transition, reward = (torch.from_numpy(array) for array in tables.dense())
    theta = theta.clone().requires_grad_(True)
    policy = torch.softmax(theta, -1) * torch.from_numpy(tables.legal.astype(np.float64))
    p_pi = torch.einsum("sa,sat->st", policy, transition)
    value = torch.linalg.solve(torch.eye(len(p_pi)) - DISCOUNT * p_pi, (policy * reward).sum(-1))
    start = value[tables.starts[0]]
    start.backward()
    return tables, theta.grad, value.detach()


def estimates(world, tables, theta, baseline, episodes, rng):
    """One gradient estimate (3.25) per episode [N, S, A]: sampled through SeatEnv, differentiated by torch.

    The discount stands in front too, since J is discounted: grad J = E[sum gamma^t grad log pi G_t]."""
    env = SeatEnv(world, episodes, 0, restart=False)
    numbers = tables.index()
    words = world.state_words
    policy = torch.softmax(theta, -1).numpy()
    log = []
    while len(env.live):
        live = env.live
        s = np.array([numbers[row[:words].tobytes()] for row in env.table.states(live)])
        a = (policy[s].cumsum(1) < rng.random(len(live))[:, None]).sum(1)
        actions = np.zeros(episodes, np.int64)
        actions[live] = a
        env.step(actions)
        assert not env.truncated.any()
        log.append((live, s, a, env.reward, env.terminated))
    rewards, ended = np.stack([x[3] for x in log]), np.stack([x[4] for x in log])
    returns = discounted_returns(rewards, DISCOUNT * ~ended, 0 * rewards, ~ended)
    out = np.zeros((episodes, *theta.shape))
    for t, (live, s, a, _, _) in enumerate(log):
        weight = DISCOUNT**t * (returns[t, live] - baseline[s])
        logits = theta[s].clone().requires_grad_(True)
        log_prob = pg.taken(
            pg.masked_log_probs(logits, torch.ones(logits.shape, dtype=torch.bool)), torch.from_numpy(a)
        )
        (pg.policy_gradient_loss(log_prob, torch.from_numpy(weight)) * len(live)).backward()
        np.add.at(out, (live, s), -logits.grad.numpy())
    return out


def test_the_estimate_is_unbiased_and_the_baseline_lowers_its_variance():
    world = make_env(MAP)
    rng = np.random.default_rng(0)
    size = enumerate_world(world).size
    theta = torch.from_numpy(rng.normal(size=(size, world.actions)))
    tables, gradient, value = exact(world, theta)
    episodes = 20_000
    variance = {}
    for name, baseline in (("none", np.zeros(size)), ("value", value.numpy()), ("constant", np.full(size, 5.0))):
        sampled = estimates(world, tables, theta, baseline, episodes, rng)
        error = sampled.mean(0) - gradient.numpy()
        standard_error = sampled.std(0) / episodes**0.5
        assert (np.abs(error) <= 4.5 * standard_error + 1e-12).all(), name
        variance[name] = sampled.var(0).sum()
        if name == "value":  # 0.0041 where the gradient's largest entry is 0.18: a bias of some percent would show
            assert standard_error.max() < 0.03 * float(gradient.abs().max())
    assert variance["value"] < 0.8 * variance["none"] < variance["constant"]


def test_weights_of_the_variance_optimal_baseline():
    """|grad log pi|^2 by automatic differentiation; a weighted regression ends at the weighted mean."""
    logits = torch.tensor([[0.5, -1.0, 2.0, 0.0]], dtype=torch.float64, requires_grad=True)
    legal = torch.tensor([[True, True, True, False]])
    for action in range(3):
        log_probs = pg.masked_log_probs(logits, legal)
        chosen = torch.tensor([action])
        (gradient,) = torch.autograd.grad(pg.taken(log_probs, chosen).sum(), logits, retain_graph=True)
        assert pg.score_square(log_probs, chosen).item() == pytest.approx(gradient.square().sum().item())
    weight, target = torch.tensor([1.0, 3.0]), torch.tensor([2.0, 6.0])
    value = torch.tensor(5.0, requires_grad=True)  # (1 * 2 + 3 * 6) / 4
    pg.value_loss(value, target, weight).backward()
    assert value.grad.item() == 0.0


def test_a_first_pass_of_ppo_goes_where_a2c_goes():
    logits = torch.tensor([[0.5, -1.0], [0.2, 0.3]], requires_grad=True)
    advantage = torch.tensor([2.0, -3.0])
    log_prob = pg.taken(torch.log_softmax(logits, -1), torch.tensor([0, 1]))
    ratio = pg.importance_ratio(log_prob, log_prob.detach())
    (one,) = torch.autograd.grad(pg.policy_gradient_loss(log_prob, advantage), logits, retain_graph=True)
    (other,) = torch.autograd.grad(pg.clipped_surrogate_loss(ratio, advantage, 0.2), logits)
    assert torch.allclose(one, other)
