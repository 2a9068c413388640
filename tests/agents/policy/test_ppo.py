"""PPO with a penalty on the divergence instead of the clip."""

import numpy as np
import pytest
import torch

from elodrome.agents.agent import Budget, Task
from elodrome.agents.ops import policy_gradient as pg
from elodrome.agents.registry import make_learner
from elodrome.envs.registry import make_env


def test_the_penalised_surrogate_by_hand():
    ratio, advantage = torch.tensor([1.5, 0.5]), torch.tensor([2.0, -4.0])
    loss = pg.penalised_surrogate_loss(ratio, advantage, torch.tensor([0.1, 0.3]), 5.0)
    assert loss.item() == pytest.approx(-(3.0 - 2.0) / 2 + 5.0 * 0.2)
    old, new = torch.tensor([[0.5, 0.25, 0.25]]).log(), torch.tensor([[0.25, 0.25, 0.5]]).log()
    assert pg.categorical_kl(old, new).item() == pytest.approx(0.25 * np.log(2))


@pytest.mark.parametrize(("kl", "after"), [(0.0151, 8.0), (0.0149, 4.0), (0.0067, 4.0), (0.0066, 2.0)])
def test_the_coefficient_follows_the_divergence(kl, after):
    assert pg.adapted_penalty(4.0, kl, 0.01) == after


@pytest.mark.parametrize("beta", [1e-3, 100.0])
def test_the_divergence_comes_to_its_target(beta):
    """Whatever the coefficient is at first."""
    settings = {"beta": beta, "target_kl": 0.02, "anneal": False, "hidden": [16], "envs": 16, "minibatch": 128}
    learner = make_learner("ppo_kl", Task(make_env("tic_tac_toe"), 0), settings)
    reports = [report.metrics for report in learner.learn(Budget(20_000))]
    assert reports[0]["beta"] == beta
    assert 0.01 < np.median([report["kl"] for report in reports[-16:]]) < 0.04
    assert learner.beta != beta
