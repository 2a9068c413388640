"""The heads against torch's own distributions."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from elodrome.agents.parts.heads import (
    Categorical,
    Gaussian,
    SquashedGaussian,
    greedy_legal,
    onto,
    pick,
    probabilities,
)
from tests.regulator import Regulator


def test_it_is_torchs_categorical_over_what_is_legal():
    rng = np.random.default_rng(0)
    logits = torch.from_numpy(rng.normal(size=(50, 5)))
    legal = torch.from_numpy(rng.random((50, 5)) < 0.6)
    legal[:, 2] = True
    old = Categorical.of(torch.from_numpy(rng.normal(size=(50, 5))), legal)
    head = Categorical.of(logits, legal)
    oracle, before = (
        torch.distributions.Categorical(logits=x.masked_fill(~legal, -torch.inf)) for x in (logits, old.log_probs)
    )
    action = oracle.sample()
    assert torch.allclose(head.log_prob(action), oracle.log_prob(action))
    kl = torch.zeros(50, dtype=torch.float64)
    entropy = torch.zeros(50, dtype=torch.float64)
    for row in range(50):
        for a in range(5):
            if legal[row, a]:
                p, q = before.probs[row, a], oracle.probs[row, a]
                kl[row] += p * (p.log() - q.log())
                entropy[row] -= q * q.log()
    assert torch.allclose(head.entropy(), entropy)
    assert torch.allclose(head.kl_from(old), kl)
    assert np.allclose(probabilities(logits.numpy(), legal.numpy()), oracle.probs.numpy())
    assert greedy_legal(logits.numpy(), legal.numpy()).tolist() == oracle.probs.argmax(1).tolist()


def test_kl_is_zero_from_itself_and_its_gradient_too():
    logits = torch.tensor([[0.3, -1.0, 2.0], [0.0, 0.0, 0.0]], requires_grad=True)
    legal = torch.tensor([[True, True, True], [True, False, True]])
    head = Categorical.of(logits, legal)
    kl = head.kl_from(Categorical(head.log_probs.detach()))
    kl.sum().backward()
    assert kl.tolist() == [0.0, 0.0]
    assert logits.grad.abs().max().item() == pytest.approx(0.0, abs=1e-7)


def test_drawing_at_even_quantiles_gives_the_probabilities():
    probs = probabilities(np.array([[0.2, 1.0, -0.5, 3.0]]), np.array([[1, 1, 1, 0]], np.uint8))
    drawn = pick(np.repeat(probs, 10_000, 0), (np.arange(10_000) + 0.5) / 10_000)
    assert np.abs(np.bincount(drawn, minlength=4) / 10_000 - probs[0]).max() <= 1e-4
    assert probs[0, 3] == 0


def test_the_gaussian_is_torchs_normal_entry_by_entry():
    rng = np.random.default_rng(1)
    outputs, before = (torch.from_numpy(rng.normal(size=(40, 6))) for _ in range(2))
    head, old = Gaussian.of(outputs, None), Gaussian.of(before, None)
    oracle, past = (torch.distributions.Normal(x[:, :3], x[:, 3:].exp()) for x in (outputs, before))
    action = oracle.sample()
    assert torch.allclose(head.log_prob(action), oracle.log_prob(action).sum(-1))
    assert torch.allclose(head.entropy(), oracle.entropy().sum(-1))
    assert torch.allclose(head.kl_from(old), torch.distributions.kl_divergence(past, oracle).sum(-1))
    outputs.requires_grad_(True)
    (score,) = torch.autograd.grad(Gaussian.of(outputs, None).log_prob(action).sum(), outputs)
    assert torch.allclose(head.score_square(action), score.square().sum(-1))


def test_a_gaussian_draws_at_quantiles_on_the_host():
    outputs = np.array([[1.0, -2.0, 0.0, np.log(3.0)]])
    drawn = Gaussian.draw(outputs, np.zeros((1, 0), np.uint8), np.array([[0.5, 0.975]]))
    assert drawn[0] == pytest.approx([1.0, -2.0 + 3 * 1.959964], abs=1e-5)
    assert np.isfinite(Gaussian.draw(outputs, np.zeros((1, 0), np.uint8), np.array([[0.0, 1 - 2**-53]]))).all()


def test_the_squashed_gaussian_is_torchs_transformed_one():
    rng = np.random.default_rng(2)
    head = SquashedGaussian.of(torch.from_numpy(rng.normal(size=(200, 4))))
    assert head.log_std.min() >= SquashedGaussian.LEAST
    assert head.log_std.max() <= SquashedGaussian.MOST
    noise = torch.from_numpy(rng.normal(size=(200, 2)))
    action, log_prob = head.sample(noise)
    base = torch.distributions.Normal(head.mean, head.log_std.exp())
    before = head.mean + head.log_std.exp() * noise
    oracle = torch.distributions.TransformedDistribution(base, torch.distributions.TanhTransform(cache_size=1))
    near = before.abs().amax(-1) < 4  # where torch's own atanh loses nothing
    assert near.sum() > 100
    assert torch.allclose(log_prob[near], oracle.log_prob(action)[near].sum(-1), atol=1e-6)


def test_actions_go_onto_the_worlds_bounds():
    world = replace(Regulator(), action_shape=(2,), low=(-1.0, 0.0), high=(3.0, 0.5))
    drawn = onto(world, np.array([[-1.0, 1.0], [0.0, 0.0], [7.0, -9.0]]))
    assert drawn.tolist() == [[-1.0, 0.5], [1.0, 0.25], [3.0, 0.0]]
    assert drawn.dtype == np.float32
