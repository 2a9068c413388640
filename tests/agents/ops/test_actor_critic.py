"""Equations of SAC and TD3 by hand, and each minimum where theory has it."""

import numpy as np
import pytest
import torch

from elodrome.agents.ops import actor_critic as ops
from elodrome.agents.ops import gaussian

REWARD, DISCOUNT = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0.9, 0.9, 0.0])  # the last ended its episode
Q_NEXT = torch.tensor([[4.0, -1.0, 7.0], [3.0, 5.0, 8.0]])


def test_targets_by_hand():
    assert ops.twin_target(REWARD, DISCOUNT, Q_NEXT).tolist() == pytest.approx([1 + 0.9 * 3, 2 - 0.9, 3.0])
    assert ops.twin_target(REWARD, DISCOUNT, Q_NEXT[:1]).tolist() == pytest.approx([1 + 0.9 * 4, 2 - 0.9, 3.0])
    log_prob, alpha = torch.tensor([-2.0, 0.5, 9.0]), torch.tensor(0.1)
    soft = ops.soft_target(REWARD, DISCOUNT, Q_NEXT, log_prob, alpha)
    assert soft.tolist() == pytest.approx([1 + 0.9 * 3.2, 2 + 0.9 * -1.05, 3.0])


def test_smoothing_is_cut_off_twice():
    action, noise = torch.tensor([[0.0], [0.9], [-0.9], [0.3]]), torch.tensor([[3.0], [0.4], [-9.0], [-0.2]])
    assert ops.smoothed(action, noise, 0.5).flatten().tolist() == pytest.approx([0.5, 1.0, -1.0, 0.1])


def test_the_actors_minimum_is_the_boltzmann_policy():
    """``E[alpha log pi - Q]`` with Q = -(a - 1)^2 / 2 is least at the normal of mean 1 and variance alpha, of which
    exp(Q / alpha) is the density; the smaller critic is the one that counts."""
    alpha, rng = torch.tensor(0.25), np.random.default_rng(0)
    noise = torch.from_numpy(rng.standard_normal((4000, 1)))
    noise = (noise - noise.mean()) / noise.std(correction=0)  # so that the moments are exact
    mean, log_std = (torch.zeros(1, dtype=torch.float64, requires_grad=True) for _ in range(2))
    optimiser = torch.optim.Adam([mean, log_std], 0.05)
    for _ in range(400):
        action = mean + log_std.exp() * noise
        log_prob = gaussian.log_density(mean, log_std, action).sum(-1)
        lower = -0.5 * (action[:, 0] - 1).square()
        loss = ops.soft_actor_loss(torch.stack([lower + 1 + action[:, 0].square(), lower]), log_prob, alpha)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert mean.item() == pytest.approx(1.0, abs=1e-3)
    assert log_std.exp().square().item() == pytest.approx(0.25, abs=1e-3)
    # There the loss is minus the soft value: alpha times the log of what exp(Q / alpha) sums up to.
    assert loss.item() == pytest.approx(-0.25 * np.log(np.sqrt(2 * np.pi * 0.25)), abs=1e-4)


@pytest.mark.parametrize("wanted", [1.5, 1.0, 0.5])
def test_the_temperature_holds_the_entropy(wanted):
    """It rises where the policy's entropy (here 1) is below what is wanted, and falls above."""
    log_alpha = torch.tensor(-1.0, requires_grad=True)
    log_prob = torch.tensor([-0.5, -1.5], requires_grad=True)
    ops.temperature_loss(log_alpha, log_prob, wanted).backward()
    assert -log_alpha.grad.item() == pytest.approx(wanted - 1.0)
    assert log_prob.grad is None  # the policy is not moved by it
