"""The masked categorical head against torch's own distribution."""

import numpy as np
import pytest
import torch

from elodrome.agents.parts.heads import Categorical, greedy_legal, pick, probabilities


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
