"""Where noise in the weights belongs: into what is done, other in every game, and not into what is bootstrapped."""

import copy

import numpy as np
import pytest
import torch

from elodrome.agents.agent import Budget, Task
from elodrome.agents.registry import make_learner
from elodrome.envs.registry import make_env

SMALL = {"envs": 8, "batch": 32, "hidden": [16], "noisy": 2.0}


@pytest.mark.parametrize("kind", ["noisy_dqn", "rainbow"])
def test_games_that_begin_alike_do_not_stay_alike(kind):
    """In a world without chance nothing but the noise tells one game from another."""
    learner = make_learner(kind, Task(make_env("cliff_walking"), 0), {**SMALL, "warmup": 10_000})
    list(learner.learn(Budget(800)))
    assert len(np.unique(learner.env.observation.argmax(1))) > 2


@pytest.mark.parametrize("kind", ["noisy_dqn", "rainbow"])
def test_what_is_bootstrapped_has_no_noise(kind):
    """The greatest of several values with noise is above the greatest value: a step later by once as much again."""
    learner = make_learner(kind, Task(make_env("cliff_walking"), 0), {**SMALL, "warmup": 64})
    list(learner.learn(Budget(800)))
    seen, plain = torch.eye(48), copy.deepcopy(learner.target).eval()
    assert torch.equal(learner.target(seen), plain(seen))
    assert not torch.allclose(learner.net(seen), copy.deepcopy(learner.net).eval()(seen), atol=1e-3)
