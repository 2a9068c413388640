"""The loss of supervised fine-tuning by hand."""

import math

import pytest
import torch

from elodrome.agents.ops.sft import sft_loss


def test_by_hand() -> None:
    log_prob = torch.tensor([[0.5, 0.25, 0.9], [0.1, 0.7, 0.7]]).log()
    spoken = torch.tensor([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    assert sft_loss(log_prob, spoken).item() == pytest.approx(-(math.log(0.5 * 0.25) + math.log(0.1)) / 2)


def test_its_least_value_is_the_entropy_of_the_data() -> None:
    share = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    theta = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    data = torch.tensor([0] * 5 + [1] * 3 + [2] * 2)
    for _ in range(2000):
        loss = sft_loss(torch.log_softmax(theta, 0)[data][:, None], torch.ones(10, 1))
        (gradient,) = torch.autograd.grad(loss, theta)
        theta.data -= 0.5 * gradient
    assert loss.item() == pytest.approx(-(share * share.log()).sum().item(), abs=1e-9)
