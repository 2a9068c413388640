"""TRPO's step against the Fisher matrix written out, and its promises: a bounded divergence, a better surrogate."""

import numpy as np
import pytest
import torch

from elodrome.agents.agent import Task
from elodrome.agents.ops import trust_region
from elodrome.agents.parts.collecting import collect
from elodrome.agents.policy.trpo import TRPO, TRPOConfig
from elodrome.envs.registry import make_env


def test_conjugate_gradient_solves_what_linear_algebra_solves():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(8, 8))
    matrix, b = torch.from_numpy(root @ root.T + 0.1 * np.eye(8)), torch.from_numpy(rng.normal(size=8))
    wanted = torch.linalg.solve(matrix, b)
    got = [trust_region.conjugate_gradient(lambda x: matrix @ x, b, steps) for steps in (1, 3, 8, 30)]
    errors = [float((x - wanted) @ matrix @ (x - wanted)) for x in got]
    assert errors[0] > errors[1] > errors[2]
    assert torch.allclose(got[2], wanted, rtol=1e-5)
    assert torch.allclose(got[3], wanted, rtol=1e-8)  # done early, it stays
    assert torch.equal(trust_region.conjugate_gradient(lambda x: matrix @ x, 0 * b, 3), 0 * b)


def test_the_largest_step_is_as_long_as_the_model_allows():
    matrix, x = torch.tensor([[2.0, 0.5], [0.5, 1.0]]), torch.tensor([0.3, -2.0])
    step = trust_region.largest_step(x, matrix @ x, 0.02)
    assert (step @ matrix @ step / 2).item() == pytest.approx(0.02)
    assert torch.allclose(step / step.norm(), x / x.norm())


def learner_and_batch(**settings):
    learner = TRPO(Task(make_env("tic_tac_toe"), 1), TRPOConfig(hidden=(6,), envs=16, horizon=16, **settings))
    with torch.no_grad():
        learner.net.actor[-1].weight.mul_(100.0)
    return learner, learner.judged(collect(learner.env, learner.sample, learner.rng, 16), 0.95)


def probabilities(learner, batch):
    return torch.softmax(learner.net.outputs(batch["observation"]).masked_fill(~batch["legal"], -torch.inf), -1)


def test_the_step_is_the_natural_gradient():
    """The Fisher matrix as the mean of products of scores, over all actions of each state; the step solves with it."""
    learner, batch = learner_and_batch(cg_steps=200, damping=1e-3, delta=1e-6, search=1)
    actor = list(learner.net.actor.parameters())
    probs = probabilities(learner, batch)
    advantage = (batch["advantage"] - batch["advantage"].mean()) / batch["advantage"].std(correction=0)
    size = sum(p.numel() for p in actor)
    fisher, gradient = torch.zeros(size, size, dtype=torch.float64), torch.zeros(size, dtype=torch.float64)
    for row in range(len(probs)):
        for a in np.flatnonzero(batch["legal"][row]):
            score = torch.autograd.grad(probs[row, a].log(), actor, retain_graph=True)
            score = torch.cat([s.flatten() for s in score]).double()
            fisher += probs[row, a].item() * torch.outer(score, score) / len(probs)
            gradient += (a == batch["action"][row]) * advantage[row] * score / len(probs)
    start = torch.nn.utils.parameters_to_vector(actor).detach().double()
    learner.improve(batch)
    step = torch.nn.utils.parameters_to_vector(actor).detach().double() - start
    damped = fisher + 1e-3 * torch.eye(size)
    wanted = torch.linalg.solve(damped, gradient)
    assert torch.nn.functional.cosine_similarity(step, wanted, 0) > 0.999
    assert (step @ damped @ step / 2).item() == pytest.approx(1e-6, rel=0.1)


@pytest.mark.parametrize("delta", [0.001, 0.01, 0.5])
def test_every_step_keeps_its_bound_and_improves(delta):
    learner, batch = learner_and_batch(delta=delta, damping=1e-4, cg_steps=20)
    for _ in range(4):
        old = probabilities(learner, batch).detach()
        told = learner.improve(batch)
        new = probabilities(learner, batch).detach()
        kl = torch.special.xlogy(old, old / new.clamp_min(1e-30)).sum(1).mean().item()
        ratio = (new / old).gather(1, batch["action"][:, None])[:, 0]
        advantage = batch["advantage"] - batch["advantage"].mean()
        assert 0.1 * delta < kl <= delta * 1.001
        assert told["kl"] == pytest.approx(kl, rel=1e-3)
        assert (ratio * advantage).mean() > advantage.mean() + 1e-6
        assert told["loss/policy"] < 0


def test_where_no_step_is_good_none_is_taken(monkeypatch):
    learner, batch = learner_and_batch()
    before = {name: array.clone() for name, array in learner.net.state_dict().items()}
    monkeypatch.setattr("elodrome.agents.policy.trpo.largest_step", lambda direction, image, delta: -0.1 * direction)
    told = learner.improve(batch)
    assert told["kl"] == told["loss/policy"] == 0.0
    assert all(torch.equal(array, before[name]) for name, array in learner.net.state_dict().items())
