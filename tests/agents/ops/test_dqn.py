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
