import numpy as np
import pytest
import torch

from elodrome.agents.ops import dqn

Q = torch.tensor([[1.0, 9.0, 3.0], [5.0, 4.0, 2.0]])
LEGAL = torch.tensor([[True, False, True], [True, True, True]])
REWARD, DISCOUNT = torch.tensor([10.0, 20.0]), torch.tensor([0.5, 0.0])


def test_targets_look_at_legal_actions_only_and_stop_at_termination():
    assert dqn.q_target(REWARD, DISCOUNT, Q, LEGAL).tolist() == [11.5, 20.0]


def test_double_target_chooses_with_one_and_judges_with_the_other():
    selector = torch.tensor([[7.0, 99.0, 6.0], [0.0, 0.0, 1.0]])
    assert dqn.double_q_target(REWARD, torch.tensor([0.5, 0.5]), Q, selector, LEGAL).tolist() == [10.5, 21.0]


def test_dueling_and_huber_by_hand():
    assert dqn.dueling(torch.tensor([[2.0]]), torch.tensor([[1.0, 3.0]])).tolist() == [[1.0, 3.0]]
    error = torch.tensor([0.5, -3.0], requires_grad=True)
    assert dqn.huber(error).tolist() == pytest.approx([0.125, 2.5])
    dqn.huber(error).sum().backward()
    assert error.grad.tolist() == [0.5, -1.0]


@pytest.mark.parametrize("actions", [2, 10])
def test_double_has_less_maximisation_bias(actions):
    """One step of an MDP whose Q* is 0 everywhere, known through independent unit noise: the plain target is off by
    the expected maximum of that many normals (0.5642 for 2, 1.5388 for 10), the double one by nothing."""
    rng = np.random.default_rng(4)
    noise = torch.from_numpy(rng.normal(size=(2, 40_000, actions)))
    zero, one = torch.zeros(40_000), torch.ones(40_000)
    legal = torch.ones(40_000, actions, dtype=torch.bool)
    plain = dqn.q_target(zero, one, noise[0], legal)
    double = dqn.double_q_target(zero, one, noise[0], noise[1], legal)
    error = 4 * float(plain.std()) / 200
    assert float(plain.mean()) == pytest.approx({2: 0.5641896, 10: 1.5387527}[actions], abs=error)
    assert float(double.mean()) == pytest.approx(0.0, abs=4 / 200)


def slow_projection(atoms, probs, reward, discount):
    """Algorithm 1 of Bellemare et al. (2017), atom by atom."""
    count = len(atoms)
    low, high = atoms[0], atoms[-1]
    step = (high - low) / (count - 1)
    out = np.zeros_like(probs)
    for row in range(len(probs)):
        for j in range(count):
            at = (min(max(reward[row] + discount[row] * atoms[j], low), high) - low) / step
            below, above = int(np.floor(at)), int(np.ceil(at))
            if below == above:
                out[row, below] += probs[row, j]
            else:
                out[row, below] += probs[row, j] * (above - at)
                out[row, above] += probs[row, j] * (at - below)
    return out


def test_projection_on_the_atoms_against_a_slow_loop():
    rng = np.random.default_rng(0)
    atoms = np.linspace(-3.0, 7.0, 21)
    probs = rng.dirichlet(np.ones(21), 300)
    reward = np.where(rng.random(300) < 0.3, rng.integers(-5, 9, 300), rng.normal(0, 4, 300))
    discount = np.where(rng.random(300) < 0.2, 0.0, rng.random(300))
    got = dqn.categorical_projection(*map(torch.from_numpy, (atoms, probs, reward, discount))).numpy()
    assert np.allclose(got, slow_projection(atoms, probs, reward, discount), atol=1e-12)
    assert np.allclose(got.sum(1), 1.0)


def test_projection_keeps_the_mean_of_what_lies_within():
    rng = np.random.default_rng(1)
    atoms, probs = torch.linspace(-10, 10, 11, dtype=torch.float64), torch.from_numpy(rng.dirichlet(np.ones(11), 50))
    reward, discount = torch.from_numpy(rng.uniform(-1, 1, 50)), torch.from_numpy(rng.uniform(0, 0.9, 50))
    got = dqn.categorical_projection(atoms, probs, reward, discount)
    assert torch.allclose(got @ atoms, reward + discount * (probs @ atoms))


def test_divergence_of_distributions_by_torch():
    rng = np.random.default_rng(2)
    target, probs = (torch.from_numpy(rng.dirichlet(np.ones(7), 20)) for _ in range(2))
    target[0] = torch.eye(7)[3]  # zeros are no trouble
    kl = torch.nn.functional.kl_div(probs.log(), target, reduction="none").sum(-1)
    assert torch.allclose(dqn.categorical_divergence(target, probs.log()), kl)
    assert dqn.categorical_divergence(probs, probs.log()).abs().max() < 1e-12


def test_dueling_identity():
    """The mean over actions is the value, differences are those of the advantages; also for each atom alone."""
    rng = np.random.default_rng(3)
    value, advantages = torch.from_numpy(rng.normal(size=(5, 1, 7))), torch.from_numpy(rng.normal(size=(5, 4, 7)))
    q = dqn.dueling(value, advantages)
    assert torch.allclose(q.mean(1), value[:, 0])
    assert torch.allclose(q[:, 1] - q[:, 3], advantages[:, 1] - advantages[:, 3])
    assert torch.equal(q[..., 2], dqn.dueling(value[..., 2], advantages[..., 2]))


def test_factored_noise_is_centred_with_variance_of_the_mean_size():
    """E f(x) = 0 and E f(x)^2 = E|x| = sqrt(2 / pi), so that a product of two has variance 2 / pi."""
    normal = torch.from_numpy(np.random.default_rng(4).normal(size=(2, 200_000)))
    noise = dqn.factored_noise(normal)
    assert noise.mean().abs().item() < 4 * 0.9 / 400_000**0.5
    assert noise.square().mean().item() == pytest.approx((2 / np.pi) ** 0.5, abs=0.005)
    assert (noise[0] * noise[1]).var().item() == pytest.approx(2 / np.pi, abs=0.01)
    assert torch.equal(noise.sign(), normal.sign())
