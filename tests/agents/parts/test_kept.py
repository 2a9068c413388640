"""What a learner declares is kept whole, taken back in place, and refused where it does not fit."""

import json

import numpy as np
import pytest
import torch

from elodrome.agents.agent import Budget, Task
from elodrome.agents.parts.kept import KeptLearner
from elodrome.agents.parts.networks import adam, seeded
from elodrome.envs.registry import make_env
from elodrome.errors import BrokenAgent


class Counter:
    """Keeps itself."""

    def __init__(self):
        self.seen = np.zeros(2)

    def snapshot(self):
        return {"seen": self.seen.copy()}

    def resume(self, snapshot):
        self.seen[...] = snapshot["seen"]


class Toy(KeptLearner):
    KEEPS = ("net", "optimiser", "rng", "counter", "steps", "scale", "warm")

    def __init__(self, seed):
        super().__init__(Task(make_env("random_walk"), seed))
        self.net = seeded(seed, torch.nn.Linear, 3, 2)
        self.optimiser = adam(self.net, 0.1)
        self.rng = np.random.default_rng(seed)
        self.counter, self.steps, self.scale, self.warm = Counter(), 0, 1.0, False

    def learn(self, budget: Budget):
        while self.steps < budget.steps:
            self.optimiser.zero_grad()
            self.net(torch.from_numpy(self.rng.normal(size=(4, 3))).float()).square().mean().backward()
            self.optimiser.step()
            self.counter.seen += self.steps
            self.steps, self.scale, self.warm = self.steps + 1, self.scale * 1.5, True
            yield self.steps

    def weights(self):
        return {"weight": self.net.weight.detach().numpy().copy(), "seen": self.counter.seen, "scale": self.scale}

    @classmethod
    def restore(cls, world, config, weights):
        return weights


def test_a_learner_goes_on_from_what_it_declares():
    unbroken, first, second = Toy(0), Toy(0), Toy(1)
    list(unbroken.learn(Budget(9)))
    list(first.learn(Budget(4)))
    kept = first.snapshot()
    list(first.learn(Budget(6)))  # a snapshot is a copy
    places = second.net, second.optimiser, second.rng, second.counter
    second.resume({**kept, "best/x": np.zeros(1)})  # others may keep things beside it
    assert places == (second.net, second.optimiser, second.rng, second.counter)
    assert (second.steps, second.scale, second.warm) == (4, 1.5**4, True)
    list(second.learn(Budget(9)))
    for name, array in unbroken.weights().items():
        assert np.array_equal(array, second.agent[name]), name


def test_what_is_no_array_is_json():
    rest = {name: value for name, value in Toy(0).snapshot().items() if not isinstance(value, np.ndarray)}
    assert json.loads(json.dumps(rest)) == rest


@pytest.mark.parametrize("gone", ["net/weight", "optimiser/slots", "rng", "counter/seen", "steps", "optimiser/0/step"])
def test_what_is_missing_is_never_passed_over(gone):
    learner = Toy(0)
    list(learner.learn(Budget(2)))
    kept = {name: value for name, value in learner.snapshot().items() if not name.startswith(gone)}
    if gone == "optimiser/0/step":
        kept = {name: value for name, value in kept.items() if not name.startswith("optimiser/0/")}
    with pytest.raises((BrokenAgent, KeyError)):
        Toy(0).resume(kept)
