"""GRPO's equations by hand, and its first gradient against the exact policy gradient, summed over all groups."""

import math
from itertools import product

import pytest
import torch

from elodrome.agents.ops.grpo import (
    clipped_objective,
    clipped_share,
    group_advantages,
    grpo_loss,
    leave_one_out,
    length_penalised,
    off_policy_mask,
    score_objective,
    sequence_objective,
    weighted_objective,
)


def test_advantages_by_hand() -> None:
    rewards = torch.tensor([[1.0, 0.0, 0.0, 1.0], [3.0, 1.0, 1.0, 1.0], [0.5, 0.5, 0.5, 0.5]])
    got = group_advantages(rewards, epsilon=0.0 + 1e-12)
    root = 3**0.5
    want = torch.tensor([[1.0, -1.0, -1.0, 1.0], [root, -1 / root, -1 / root, -1 / root], [0.0] * 4])
    torch.testing.assert_close(got, want, atol=1e-5, rtol=0)
    torch.testing.assert_close(
        group_advantages(rewards, normalise=False)[1], torch.tensor([1.5, -0.5, -0.5, -0.5]), atol=1e-6, rtol=0
    )


def test_length_is_charged_per_token_spoken() -> None:
    spoken = torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0]])
    assert length_penalised(torch.tensor([1.0, 1.0]), spoken, 0.1).tolist() == pytest.approx([0.8, 0.7])


@pytest.mark.parametrize(
    ("ratio", "advantage", "high", "value", "slope"),
    [
        (1.1, 1.0, None, 1.1, 1.1),  # inside
        (1.25, 1.0, None, 1.2, 0.0),  # clipped above
        (1.25, 1.0, 0.28, 1.25, 1.25),  # Clip-Higher lets it through
        (1.5, -1.0, None, -1.5, -1.5),  # what got worse and likelier is pulled back from any distance
        (0.7, 1.0, None, 0.7, 0.7),
        (0.7, -1.0, None, -0.8, 0.0),  # clipped below
    ],
)
def test_clipping_by_hand(ratio: float, advantage: float, high: float | None, value: float, slope: float) -> None:
    log_prob = torch.tensor([[ratio, 5.0]]).log().double().requires_grad_()
    given = (log_prob, torch.zeros(1, 2).double(), torch.tensor([advantage]).double(), torch.tensor([[1.0, 0.0]]))
    objective = clipped_objective(*given, clip_high=high)
    assert objective.item() == pytest.approx(value)
    (gradient,) = torch.autograd.grad(objective, log_prob)
    assert gradient[0].tolist() == pytest.approx([slope, 0.0])
    assert clipped_share(*given, clip_high=high).item() == float(slope == 0.0)


def test_objective_sums_tokens_and_averages_answers() -> None:
    spoken = torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0]])
    zero = torch.zeros(2, 3)
    assert clipped_objective(zero, zero, torch.tensor([2.0, -1.0]), spoken).item() == pytest.approx((6 - 1) / 2)
    assert grpo_loss(torch.tensor(2.5), torch.tensor(3.0), 0.5).item() == pytest.approx(-1.0)


ANSWERS = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (2,)]  # two tokens, or the end (2) at once
REWARDS = torch.tensor([1.0, 0.0, 0.3, -0.5, 2.0, 0.1, 0.7], dtype=torch.float64)
THETA = torch.tensor([[0.2, -0.4, 0.5], [1.0, 0.3, -0.2], [-0.6, 0.4, 0.0]], dtype=torch.float64)


def log_probs(theta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Token log-probabilities [7, 2] and the mask of what was spoken; theta [prefix (none, 0, 1), token]."""
    log = torch.log_softmax(theta, 1)
    rows = [[log[0, y[0]], log[1 + y[0], y[1]] if len(y) > 1 else log.new_zeros(())] for y in ANSWERS]
    mask = torch.tensor([[1.0, float(len(y) > 1)] for y in ANSWERS], dtype=torch.float64)
    return torch.stack([torch.stack(row) for row in rows]), mask


@pytest.mark.parametrize("group", [2, 3])
def test_the_first_gradient_is_the_policy_gradient_in_expectation(group: int) -> None:
    """Over all 7^G groups: (G - 1) / G times the gradient of E[R] without normalisation; no multiple of it with."""
    theta = THETA.clone().requires_grad_()
    log, mask = log_probs(theta)
    chance = log.sum(1).exp()
    assert chance.sum().item() == pytest.approx(1.0)
    (exact,) = torch.autograd.grad((chance * REWARDS).sum(), theta, retain_graph=True)
    expected = {}
    for normalise in (False, True):
        groups = torch.tensor(list(product(range(len(ANSWERS)), repeat=group)))
        weight = chance.detach()[groups].prod(1)
        advantages = group_advantages(REWARDS[groups], normalise=normalise)
        objectives = [
            clipped_objective(log[y], log[y].detach(), a, mask[y]) for y, a in zip(groups, advantages, strict=True)
        ]
        (expected[normalise],) = torch.autograd.grad((weight * torch.stack(objectives)).sum(), theta, retain_graph=True)
    torch.testing.assert_close(expected[False], exact * (group - 1) / group, atol=1e-12, rtol=0)
    cosine = torch.nn.functional.cosine_similarity(expected[True].flatten(), exact.flatten(), dim=0)
    assert 0.5 < cosine < 0.999


def objectives(log: torch.Tensor, old: torch.Tensor, advantage: torch.Tensor, spoken: torch.Tensor, **bounds: float):
    return {
        "token": clipped_objective(log, old, advantage, spoken, **bounds),
        "sequence": sequence_objective(log, old, advantage, spoken, **bounds),
        "weight": weighted_objective(log, old, advantage, spoken, **bounds),
        "score": score_objective(log, advantage, spoken),
    }


@pytest.mark.parametrize("group", [2, 3])
def test_left_out_baselines_are_unbiased_with_every_objective(group: int) -> None:
    """Over all 7^G groups: the gradient of E[R] itself, at the policy that spoke."""
    theta = THETA.clone().requires_grad_()
    log, mask = log_probs(theta)
    chance = log.sum(1).exp()
    (exact,) = torch.autograd.grad((chance * REWARDS).sum(), theta, retain_graph=True)
    groups = torch.tensor(list(product(range(len(ANSWERS)), repeat=group)))
    weight = chance.detach()[groups].prod(1)
    advantages = leave_one_out(REWARDS[groups])
    each = [objectives(log[y], log[y].detach(), a, mask[y], clip=0.2) for y, a in zip(groups, advantages, strict=True)]
    for name in each[0]:
        mean = (weight * torch.stack([one[name] for one in each])).sum()
        (got,) = torch.autograd.grad(mean, theta, retain_graph=True)
        torch.testing.assert_close(got, exact, atol=1e-12, rtol=0)


def test_what_they_do_with_an_answer_of_an_older_policy_by_hand() -> None:
    """Two tokens, 1.5 and 1.0 times as likely as when they were spoken; the bounds are 1 +- 0.2."""
    log = torch.tensor([[1.5, 1.0, 9.0]]).log().double().requires_grad_()
    spoken = torch.tensor([[1.0, 1.0, 0.0]]).double()
    given = (log, torch.zeros(1, 3).double(), torch.tensor([2.0]).double(), spoken)
    root = 1.5**0.5
    wanted = {
        # value, slopes by log-probability of each token
        ("token", 0.2): (2 * (1.2 + 1.0), [0.0, 2.0, 0.0]),
        ("sequence", 0.2): (2 * 2 * 1.2, [0.0, 0.0, 0.0]),
        ("sequence", 0.3): (2 * 2 * root, [2 * root, 2 * root, 0.0]),
        ("weight", 0.2): (2 * 1.2 * math.log(1.5), [2 * 1.2, 2.0, 0.0]),
        ("score", 0.2): (2 * math.log(1.5), [2.0, 2.0, 0.0]),
    }
    for (name, clip), (value, slopes) in wanted.items():
        objective = objectives(*given, clip=clip)[name]
        assert objective.item() == pytest.approx(value), name
        (gradient,) = torch.autograd.grad(objective, log, retain_graph=True)
        assert gradient[0].tolist() == pytest.approx(slopes), (name, clip)


def test_answers_that_are_bad_and_left_behind_are_masked() -> None:
    drift = torch.tensor([0.3, 0.1, 0.3, -0.9])
    log = -drift[:, None] * torch.tensor([2.0, 0.0, 7.0])  # on average over two tokens that were spoken
    spoken = torch.tensor([1.0, 1.0, 0.0]).expand(4, 3)
    mask = off_policy_mask(log, torch.zeros(4, 3), torch.tensor([-1.0, -1.0, 1.0, -1.0]), spoken, 0.2)
    assert mask.tolist() == [0.0, 1.0, 1.0, 1.0]
