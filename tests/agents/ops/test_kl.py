"""The KL estimators against exact sums over a small set of answers."""

import math

import pytest
import torch

from elodrome.agents.ops.kl import corrected, k1, k2, k3

LOGITS = [0.3, -1.1, 0.8, 0.1, -0.4]
REF_LOGITS = [-0.2, 0.5, 0.4, -0.9, 0.7]


def policies() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(parameters, log pi [Y], log ref [Y]) over five answers."""
    theta = torch.tensor(LOGITS, dtype=torch.float64, requires_grad=True)
    return theta, torch.log_softmax(theta, 0), torch.log_softmax(torch.tensor(REF_LOGITS, dtype=torch.float64), 0)


def divergence(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    """KL(p || q) by its definition (5.24), from log-probabilities."""
    return (p.exp() * (p - q)).sum()


def test_by_hand() -> None:
    log_prob, ref = torch.tensor([math.log(0.5)]), torch.tensor([math.log(0.25)])
    assert k1(log_prob, ref).item() == pytest.approx(math.log(2))
    assert k2(log_prob, ref).item() == pytest.approx(math.log(2) ** 2 / 2)
    assert k3(log_prob, ref).item() == pytest.approx(0.5 - 1 + math.log(2))


def test_means_are_the_kl_for_k1_and_k3_alone() -> None:
    _, log_pi, log_ref = policies()
    exact = divergence(log_pi, log_ref).item()
    means = [(log_pi.exp() * k(log_pi, log_ref)).sum().item() for k in (k1, k2, k3)]
    assert means[0] == pytest.approx(exact, abs=1e-12)
    assert means[2] == pytest.approx(exact, abs=1e-12)
    assert abs(means[1] - exact) > 0.01


def test_k3_is_never_negative_and_varies_less_than_k1() -> None:
    _, log_pi, log_ref = policies()
    assert (k3(log_pi, log_ref) >= 0).all()

    def variance(k: torch.Tensor) -> float:
        mean = (log_pi.exp() * k).sum()
        return (log_pi.exp() * (k - mean) ** 2).sum().item()

    assert variance(k3(log_pi, log_ref)) < variance(k1(log_pi, log_ref))


def test_gradients_as_a_loss_on_fresh_samples() -> None:
    theta, log_pi, log_ref = policies()
    chance = log_pi.exp().detach()  # samples carry no gradient
    as_loss = [
        torch.autograd.grad((chance * k(log_pi, log_ref)).sum(), theta, retain_graph=True)[0] for k in (k1, k2, k3)
    ]
    (wanted,) = torch.autograd.grad(divergence(log_pi, log_ref), theta, retain_graph=True)
    (other_way,) = torch.autograd.grad(divergence(log_ref, log_pi), theta)
    torch.testing.assert_close(as_loss[0], torch.zeros_like(wanted), atol=1e-12, rtol=0)
    torch.testing.assert_close(as_loss[1], wanted, atol=1e-12, rtol=0)
    torch.testing.assert_close(as_loss[2], other_way, atol=1e-12, rtol=0)
    assert (as_loss[2] - wanted).abs().max() > 0.01


def test_corrected_k3_is_right_in_value_and_gradient_on_samples_of_another_policy() -> None:
    theta, log_pi, log_ref = policies()
    old = torch.log_softmax(torch.tensor([0.9, 0.2, -0.6, 0.5, 0.0], dtype=torch.float64), 0)
    exact = divergence(log_pi, log_ref)
    (wanted,) = torch.autograd.grad(exact, theta, retain_graph=True)
    found = {}
    for name, k in (("k1", k1), ("k2", k2), ("k3", k3)):
        for weighed in (False, True):
            values = k(log_pi, log_ref)
            mean = (old.exp() * (corrected(values, log_pi, old) if weighed else values)).sum()
            found[name, weighed] = mean.item(), torch.autograd.grad(mean, theta, retain_graph=True)[0]
    for name in ("k1", "k3"):
        value, gradient = found[name, True]
        assert value == pytest.approx(exact.item(), abs=1e-12)
        torch.testing.assert_close(gradient, wanted, atol=1e-12, rtol=0)
    for biased in (("k1", False), ("k2", False), ("k2", True), ("k3", False)):
        assert (found[biased][1] - wanted).abs().max() > 0.01, biased


def test_k2_of_whole_answers_and_not_of_tokens_has_the_gradient_of_their_kl() -> None:
    """Two tokens of two kinds: the sum of token-wise k2 forgets what the first token makes of the second."""
    theta = torch.tensor([0.4, -0.3, 0.9], dtype=torch.float64, requires_grad=True)  # first; second after 0, after 1
    ref = torch.tensor([-0.5, 1.2, 0.1], dtype=torch.float64)

    def tokens(logit: torch.Tensor) -> torch.Tensor:
        """log-probabilities [4 answers, 2 tokens]."""
        log = torch.stack([torch.nn.functional.logsigmoid(logit), torch.nn.functional.logsigmoid(-logit)], 1)
        return torch.stack([torch.stack([log[0, a], log[1 + a, b]]) for a in (0, 1) for b in (0, 1)])

    log_pi, log_ref = tokens(theta), tokens(ref)
    whole, whole_ref = log_pi.sum(1), log_ref.sum(1)
    chance = whole.exp().detach()
    (wanted,) = torch.autograd.grad(divergence(whole, whole_ref), theta, retain_graph=True)
    (of_answers,) = torch.autograd.grad((chance * k2(whole, whole_ref)).sum(), theta, retain_graph=True)
    (of_tokens,) = torch.autograd.grad((chance * k2(log_pi, log_ref).sum(1)).sum(), theta)
    torch.testing.assert_close(of_answers, wanted, atol=1e-12, rtol=0)
    assert (of_tokens - wanted).abs().max() > 0.01
