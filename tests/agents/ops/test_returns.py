import numpy as np
import pytest
import torch

from elodrome.agents.ops import returns as ops


def column(*values):
    return np.array(values, np.float64)[:, None]


def test_discounted_returns_by_hand():
    rewards, discount, goes_on = column(1, 2, 4), np.full((3, 1), 0.5), column(1, 1, 0)
    ended = ops.discounted_returns(rewards, discount * column(1, 1, 0), 0 * rewards, goes_on)
    assert ended.ravel().tolist() == [3.0, 4.0, 4.0]


@pytest.mark.parametrize("integers", [np.array, torch.tensor], ids=["numpy", "torch"])
def test_integer_rewards_are_not_cut_to_integers(integers):
    rewards, values = integers([[1], [2], [3]]), integers([[1], [0], [2]])
    discount, goes_on = 0.5 * integers([[1], [1], [0]]), integers([[1], [1], [0]])
    returns = ops.discounted_returns(rewards, discount, 0 * values, goes_on)
    assert returns.ravel().tolist() == [2.75, 3.5, 3.0]
    following = integers([[0], [2], [9]])
    assert ops.gae(rewards, discount, values, following, goes_on, 0.5).ravel().tolist() == [0.8125, 3.25, 1.0]
    assert ops.n_step_advantages(rewards, discount, values, following, goes_on, 2).ravel().tolist() == [1.5, 3.5, 1.0]
    whole = integers([[1], [1], [1]])  # deltas 0, 4, 10
    assert ops.gae(rewards, whole, values, following, whole, 0.5).ravel().tolist() == [4.5, 9.0, 10.0]


def test_truncation_bootstraps_and_termination_does_not():
    rewards, values = column(1, 1, 1, 1), column(10, 20, 30, 40)
    discount = 0.5 * column(1, 0, 1, 1)  # step 1 terminates
    goes_on = column(1, 0, 0, 1)  # step 2 is truncated, step 3 is the last one seen
    got = ops.discounted_returns(rewards, discount, values, goes_on)
    assert got.ravel().tolist() == [1.5, 1.0, 1 + 0.5 * 30, 1 + 0.5 * 40]


def episode(rng, length=12, envs=5):
    r, v = rng.normal(size=(length, envs)), rng.normal(size=(length + 1, envs))
    terminated = rng.random((length, envs)) < 0.15
    truncated = ~terminated & (rng.random((length, envs)) < 0.15)
    following = v[1:].copy()
    following[truncated] = rng.normal(size=truncated.sum())
    return r, 0.9 * ~terminated, v[:-1], following, ~(terminated | truncated)


def reference_gae(r, discount, v, following, goes_on, lam):
    """Equation (3.47) as it stands: a forward sum for every decision of its own."""
    out = np.zeros_like(r)
    for b in range(r.shape[1]):
        for t in range(len(r)):
            weight = 1.0
            for k in range(t, len(r)):
                out[t, b] += weight * (r[k, b] + discount[k, b] * following[k, b] - v[k, b])
                weight *= discount[k, b] * lam
                if not goes_on[k, b]:
                    break
    return out


@pytest.mark.parametrize("lam", [0.0, 0.5, 0.95, 1.0])
def test_gae_equals_the_forward_sum(lam):
    given = episode(np.random.default_rng(1))
    assert np.allclose(ops.gae(*given, lam), reference_gae(*given, lam), atol=1e-12)


def test_gae_at_lambda_one_is_the_return_minus_the_value():
    r, discount, v, following, goes_on = episode(np.random.default_rng(2))
    returns = ops.discounted_returns(r, discount, following, goes_on)
    assert np.allclose(ops.gae(r, discount, v, following, goes_on, 1.0), returns - v, atol=1e-12)


def test_gae_is_the_weighted_sum_of_n_step_advantages():
    """Identity (3.48); beyond the end of the episode all n-step advantages are the same, so that tail is summed."""
    rng, lam, length = np.random.default_rng(3), 0.8, 10
    r, v = rng.normal(size=(length, 3)), rng.normal(size=(length + 1, 3))
    goes_on = np.ones((length, 3), bool)
    goes_on[-1] = False
    discount = 0.9 * goes_on
    given = (r, discount, v[:-1], v[1:], goes_on)
    total = sum((1 - lam) * lam ** (n - 1) * ops.n_step_advantages(*given, n) for n in range(1, length))
    total = total + lam ** (length - 1) * ops.n_step_advantages(*given, length)
    assert np.allclose(ops.gae(*given, lam), total, atol=1e-12)


def test_n_step_advantage_by_hand():
    """r + 0.5 r' + 0.25 V(s'') - V(s), equation (3.52) with n = 2."""
    r, v, following = column(1, 2, 3), column(5, 6, 7), column(6, 7, 8)
    got = ops.n_step_advantages(r, np.full((3, 1), 0.5), v, following, column(1, 1, 1), 2)
    assert got[0, 0] == pytest.approx(1 + 0.5 * 2 + 0.25 * 7 - 5)
    assert got[2, 0] == pytest.approx(3 + 0.5 * 8 - 7)  # no more steps are known
