"""MuZero's equations against hand values and slow sums."""

import numpy as np
import pytest
import torch

from elodrome.agents.ops import muzero as ops


def test_squashed_numbers_are_those_of_the_formula_and_come_back() -> None:
    assert ops.squash(np.array([0.0, 3.0, -8.0])) == pytest.approx([0.0, 1.003, -2.008])
    x = np.linspace(-500, 500, 101)
    back = ops.unsquash(torch.from_numpy(ops.squash(x))).numpy()
    np.testing.assert_allclose(back, x, rtol=1e-9, atol=1e-9)


def test_two_hot_lies_on_the_neighbours_and_keeps_the_mean() -> None:
    atoms = np.array([-1.0, -0.5, 0.0, 0.5, 1.0], np.float32)
    expected = [[0, 0, 0, 0.5, 0.5], [0, 0, 1, 0, 0], [1, 0, 0, 0, 0], [0, 0, 0, 0, 1], [0, 0.8, 0.2, 0, 0]]
    got = ops.two_hot(np.array([0.75, 0.0, -3.0, 1.0, -0.4]), atoms)
    np.testing.assert_allclose(got, expected, atol=1e-6)


def test_latents_are_stretched_and_gradients_halved() -> None:
    np.testing.assert_allclose(ops.scaled(torch.tensor([[2.0, 4.0, 3.0], [-1.0, -1.0, 1.0]])), [[0, 1, 0.5], [0, 0, 1]])
    assert torch.isfinite(ops.scaled(torch.ones(1, 3))).all()
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = ops.half_gradient(x)
    assert torch.equal(y, x)
    (3 * y).sum().backward()
    assert torch.equal(x.grad, torch.tensor([1.5, 1.5]))


def test_returns_by_hand() -> None:
    """Two games in one lane: the first ends at t = 1 with a win of the mover, the other is still going on."""
    rewards = np.array([[0.0], [1.0], [0.0], [0.0]])
    values = np.array([[0.3], [0.9], [0.2], [0.5]])
    goes_on = np.array([[1.0], [0.0], [1.0], [1.0]])
    boards = ops.n_step_values(rewards, values, goes_on, 0 * rewards, -1.0, 1.0, 9)
    np.testing.assert_allclose(boards[:, 0], [-1.0, 1.0, -0.5, 0.5])
    one = ops.n_step_values(rewards, values, goes_on, 0 * rewards, -1.0, 1.0, 1)
    np.testing.assert_allclose(one[:, 0], [-0.9, 1.0, -0.5, 0.5])


@pytest.mark.parametrize("n", [1, 3, 50])
@pytest.mark.parametrize("turn", [1.0, -1.0])
def test_returns_are_those_of_slow_sums(n: int, turn: float) -> None:
    rng = np.random.default_rng(n)
    shape, gamma = (12, 5), 0.9
    rewards, values, tails = rng.normal(size=(3, *shape))
    goes_on = (rng.random(shape) < 0.7).astype(float)
    tails *= rng.random(shape) < 0.5
    got = ops.n_step_values(rewards, values, goes_on, tails, turn, gamma, n)
    for b in range(shape[1]):
        for t in range(shape[0]):
            z, k = 0.0, 0
            while True:
                weight = turn**k * gamma ** (k if turn > 0 else k // 2)  # decisions of one's own since
                if k == n or t + k == shape[0] - 1:
                    z += weight * values[t + k, b]
                    break
                z += weight * rewards[t + k, b]
                if not goes_on[t + k, b]:
                    z += weight * gamma * tails[t + k, b]
                    break
                k += 1
            assert got[t, b] == pytest.approx(z)
