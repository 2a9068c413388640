"""The recipe of k1.5: its fixed point in closed form, its gradients over all groups, lengths and loops by hand."""

from itertools import product

import pytest
import torch

from elodrome.agents.ops.mirror_descent import length_rewards, looping, mirror_objective, soft_advantages
from tests.agents.ops.test_grpo import ANSWERS, REWARDS, THETA, log_probs


def near(one: torch.Tensor, other: torch.Tensor) -> None:
    torch.testing.assert_close(one, other, atol=1e-12, rtol=0)


def test_the_closed_form_optimum_leaves_nothing_over() -> None:
    """pi* = old exp(r / tau) / Z, whoever spoke: every square is 0, and so is the gradient."""
    tau = 0.7
    old, spoken = log_probs(THETA)
    z = (old.sum(1).exp() * (REWARDS / tau).exp()).sum()
    best = old.sum(1).exp() * (REWARDS / tau).exp() / z
    first = torch.stack([best[:3].sum(), best[3:6].sum(), best[6]])
    theta = torch.stack([first, best[:3], best[3:6]]).log().requires_grad_()
    log, _ = log_probs(theta)
    near(log.sum(1).exp(), best)
    advantage = REWARDS - tau * z.log()
    each = [mirror_objective(log[[y]], old[[y]], advantage[[y]], spoken[[y]], tau) for y in range(len(ANSWERS))]
    near(torch.stack(each), torch.zeros(len(ANSWERS), dtype=torch.float64))
    (slope,) = torch.autograd.grad(torch.stack(each).sum(), theta)
    near(slope, torch.zeros_like(slope))
    other, _ = log_probs(THETA + 0.1 * torch.eye(3))
    assert mirror_objective(other, old, advantage, spoken, tau) < -1e-4


def test_log_z_is_right_where_the_group_is_the_policy() -> None:
    """Six answers, as often in the group as the policy says them."""
    rewards = torch.tensor([[0.0, 0.0, 0.0, 1.0, 1.0, 4.0]], dtype=torch.float64)
    exact = 0.5 * torch.log((3 + 2 * torch.tensor(2.0).exp() + torch.tensor(8.0).exp()).double() / 6)
    torch.testing.assert_close(soft_advantages(rewards, 0.5), rewards - exact, atol=1e-6, rtol=0)
    mild = soft_advantages(rewards, 1e4)
    torch.testing.assert_close(mild, rewards - rewards.mean(), atol=1e-3, rtol=0)


@pytest.mark.parametrize("group", [2, 3])
def test_the_first_gradient_is_that_of_the_reward(group: int) -> None:
    """Over all 7^G groups, with the mean in place of tau log Z: (G - 1) / G of it, as GRPO's without deviations."""
    theta = THETA.clone().requires_grad_()
    log, mask = log_probs(theta)
    chance = log.sum(1).exp()
    (exact,) = torch.autograd.grad((chance * REWARDS).sum(), theta, retain_graph=True)
    total = theta.new_zeros(())
    for rows in product(range(len(ANSWERS)), repeat=group):
        y = torch.tensor(rows)
        advantage = REWARDS[y] - REWARDS[y].mean()
        total = total + chance[y].detach().prod() * mirror_objective(log[y], log[y].detach(), advantage, mask[y], 0.3)
    near(torch.autograd.grad(total, theta)[0], exact * (group - 1) / group)


def test_what_was_taken_in_already_is_taken_off() -> None:
    """Two tokens, 1.5 and 1.2 times as likely as they were; the third is behind the end."""
    log = torch.tensor([[1.5, 1.2, 9.0]]).log().double().requires_grad_()
    given = (torch.zeros(1, 3).double(), torch.tensor([0.4]).double(), torch.tensor([[1.0, 1.0, 0.0]]).double())
    objective = mirror_objective(log, *given, 0.5)
    left = 0.4 - 0.5 * torch.tensor(1.8).double().log().item()
    assert objective.item() == pytest.approx(-(left**2))
    (slope,) = torch.autograd.grad(objective, log)
    assert slope[0].tolist() == pytest.approx([left, left, 0.0])


def test_lengths_by_hand() -> None:
    spoken = torch.tensor([1, 2, 3, 3, 2, 2, 2, 2])[:, None] > torch.arange(4)
    right = torch.tensor([1.0, 1.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0])
    assert length_rewards(spoken.float(), right, 4).tolist() == [0.5, 0.0, -0.5, -0.5, 0.0, 0.0, 0.0, 0.0]
    assert length_rewards(spoken.float(), 1 - right, 4).tolist() == [0.0, 0.0, -0.5, -0.5, 0.0, 0.0, 0.0, 0.0]


def test_loops_beside_a_slow_search() -> None:
    generator = torch.Generator().manual_seed(0)
    answers = torch.randint(3, (60, 9), generator=generator)
    spoken = (torch.randint(4, 10, (60, 1), generator=generator) > torch.arange(9)).float()
    for copies in (2, 3):
        got = looping(answers, spoken, copies)
        assert 0 < got.sum() < got.numel()
        for said, length, row in zip(answers.tolist(), spoken.sum(1).int().tolist(), got.tolist(), strict=True):
            for t in range(9):
                begun = said[: t + 1]
                loops = any(
                    begun[-piece * copies :] == begun[-piece:] * copies for piece in range(1, len(begun) // copies + 1)
                )
                assert row[t] == float(loops and t < length), (said, length, t, copies)
