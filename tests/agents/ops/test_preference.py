"""Bradley-Terry and DPO by hand, and where their least value lies when all pairs are weighed exactly."""

import math

import pytest
import torch

from elodrome.agents.ops.preference import bradley_terry_loss, cautious, implicit_reward, preferred

REWARD = torch.tensor([0.2, 1.3, -0.7, 0.4], dtype=torch.float64)
REFERENCE = torch.log_softmax(torch.tensor([0.1, -0.5, 0.8, 0.3], dtype=torch.float64), 0)
FIRST, SECOND = (pairs.flatten() for pairs in torch.meshgrid(torch.arange(4), torch.arange(4), indexing="ij"))


def test_by_hand() -> None:
    one, two = torch.tensor([1.0]), torch.tensor([0.0])
    assert preferred(one, two).item() == pytest.approx(1 / (1 + math.e**-1))
    assert bradley_terry_loss(one, two).item() == pytest.approx(math.log(1 + math.e**-1))
    shared = 0.75 * math.log(1 + math.e**-1) + 0.25 * math.log(1 + math.e)
    assert bradley_terry_loss(one, two, torch.tensor([0.75])).item() == pytest.approx(shared)
    assert implicit_reward(torch.tensor([-1.0]), torch.tensor([-3.0]), 0.5).item() == pytest.approx(1.0)


def test_an_ensemble_by_hand() -> None:
    rewards = torch.tensor([[1.0, 2.0], [3.0, 2.0]])
    assert cautious(rewards, 0.0).tolist() == [2.0, 2.0]
    assert cautious(rewards, 0.5).tolist() == [1.5, 2.0]
    assert cautious(rewards[:1], 3.0).tolist() == [1.0, 2.0]


def least(parameters: torch.Tensor, loss) -> float:
    """Down to where the gradient vanishes."""
    optimiser = torch.optim.LBFGS([parameters], lr=0.5, max_iter=2000, tolerance_grad=1e-13, tolerance_change=1e-16)

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        value = loss()
        value.backward()
        return value

    optimiser.step(closure)
    return loss().item()


def test_a_reward_model_finds_the_reward_up_to_a_constant_and_the_loss_is_the_entropy_left() -> None:
    found = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    share = preferred(REWARD[FIRST], REWARD[SECOND])
    reached = least(found, lambda: bradley_terry_loss(found[FIRST], found[SECOND], share))
    torch.testing.assert_close(found - found[0], REWARD - REWARD[0], atol=1e-6, rtol=0)
    assert reached == pytest.approx(-(share * share.log() + (1 - share) * (1 - share).log()).mean().item())


@pytest.mark.parametrize("beta", [0.3, 2.0])
def test_dpo_finds_the_closed_form_optimum(beta: float) -> None:
    """pi* of (5.11), and its implicit reward is the reward up to a constant (5.13)."""
    theta, share = REFERENCE.clone().requires_grad_(), preferred(REWARD[FIRST], REWARD[SECOND])

    def loss() -> torch.Tensor:
        reward = implicit_reward(torch.log_softmax(theta, 0), REFERENCE, beta)
        return bradley_terry_loss(reward[FIRST], reward[SECOND], share)

    least(theta, loss)
    log = torch.log_softmax(theta, 0).detach()
    torch.testing.assert_close(log, torch.log_softmax(REFERENCE + REWARD / beta, 0), atol=1e-6, rtol=0)
    reward = implicit_reward(log, REFERENCE, beta)
    torch.testing.assert_close(reward - reward[0], REWARD - REWARD[0], atol=1e-5, rtol=0)
