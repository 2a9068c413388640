"""Networks of action values and their losses, by hand and by slow loops."""

import numpy as np
import pytest
import torch

from elodrome.agents.parts.networks import seeded
from elodrome.agents.value.heads import NoisyLinear, QNet, categorical_loss, reach, scalar_loss
from elodrome.envs.registry import make_env


def test_a_noisy_layer_has_the_mean_and_the_spread_that_its_parameters_say():
    """Output j is off by f_j (sum_i sigma_ij f_i x_i + sigma_j): variance
    m (m sum sigma^2 x^2 + sigma_j^2) with m = E|x|."""
    layer = seeded(0, NoisyLinear, 6, 3, 0.5)
    with torch.no_grad():
        layer.weight_sigma.mul_(torch.linspace(0.5, 2.0, 6))
    inputs, rng = torch.linspace(-1, 1, 6)[None], np.random.default_rng(0)
    plain = torch.nn.functional.linear(inputs, layer.weight, layer.bias)
    assert torch.equal(layer(inputs), plain)  # nothing drawn yet
    outputs = []
    for _ in range(20_000):
        layer.renew(rng)
        outputs.append(layer(inputs).detach()[0])
    outputs = torch.stack(outputs).double()
    m = (2 / np.pi) ** 0.5
    wanted = m * (m * (layer.weight_sigma.double() * inputs).square().sum(1) + layer.bias_sigma.double() ** 2)
    assert torch.allclose(outputs.var(0), wanted.detach(), rtol=0.06)
    assert (outputs.mean(0) - plain[0]).abs().max() < 4.5 * (wanted.max() / 20_000) ** 0.5
    layer.eval()
    assert torch.equal(layer(inputs), plain)
    assert {"ahead", "behind"}.isdisjoint(layer.state_dict())


def test_rows_have_noise_of_their_own_where_asked_for():
    """Each row is what a plain layer with that row's weights and biases gives; equal inputs part."""
    layer = seeded(0, NoisyLinear, 4, 3, 0.5)
    layer.renew(np.random.default_rng(0), rows=5)
    inputs = torch.linspace(-1, 1, 4).expand(4, -1)  # fewer rows than there is noise for
    outputs = layer(inputs).detach()
    for row in range(4):
        behind, ahead = layer.behind[row], layer.ahead[row]
        weight = layer.weight + layer.weight_sigma * torch.outer(behind, ahead)
        assert torch.allclose(outputs[row], weight @ inputs[row] + layer.bias + layer.bias_sigma * behind, atol=1e-6)
        assert (outputs[row] - outputs[row - 1]).abs().max() > 1e-3


def test_noise_is_learned():
    layer = seeded(0, NoisyLinear, 4, 2, 0.5)
    layer.renew(np.random.default_rng(0))
    layer(torch.ones(3, 4)).square().sum().backward()
    for parameter in layer.parameters():
        assert parameter.grad.abs().sum() > 0


@pytest.mark.parametrize("duel", [False, True])
@pytest.mark.parametrize("sigma", [0.0, 0.5])
@pytest.mark.parametrize("atoms", [1, 11])
def test_values_are_the_means_of_their_distributions(duel, sigma, atoms):
    world = make_env("tic_tac_toe")
    net = seeded(0, QNet, world, (16,), 4, "mlp", duel, sigma, atoms)
    net.renew(np.random.default_rng(0))
    seen = torch.randn(5, *world.observation_shape, generator=torch.Generator().manual_seed(0))
    logits = net.logits(seen)
    assert logits.shape == (5, 9, atoms)
    if atoms == 1:
        assert torch.equal(net(seen), logits[..., 0])
        return
    net.spread(-2.0, 6.0)
    wanted = sum(torch.softmax(logits, -1)[..., i] * (-2.0 + 0.8 * i) for i in range(11))
    assert torch.allclose(net(seen), wanted, atol=1e-5)


class Fixed:
    """A network that answers the same to everything: logits [A, Z] or values [A]."""

    def __init__(self, answer, atoms=None):
        self.answer, self.atoms = torch.tensor(answer), atoms

    def logits(self, observations):
        return self.answer.expand(len(observations), *self.answer.shape)

    def __call__(self, observations):
        logits = self.logits(observations)
        return logits if self.atoms is None else torch.softmax(logits, -1) @ self.atoms


def batch(actions, rewards, discounts, legal):
    seen = torch.zeros(len(actions), 1)
    return {
        "observation": seen,
        "next_observation": seen,
        "action": torch.tensor(actions),
        "reward": torch.tensor(rewards),
        "discount": torch.tensor(discounts),
        "next_legal": torch.tensor(legal),
    }


def test_scalar_losses_by_hand():
    """Online Q = (1, 4, 9), target Q = (2, 3, 5); action 2 is not legal next."""
    net, target = Fixed([1.0, 4.0, 9.0]), Fixed([2.0, 3.0, 5.0])
    given = batch([0, 2], [1.0, 1.0], [0.5, 0.0], [[True, True, False]] * 2)
    loss, priority, q = scalar_loss(net, target, given, False, None)  # y = 1 + 3 / 2 and 1
    assert q.tolist() == [1.0, 9.0]
    assert priority.tolist() == [1.5, 8.0]
    assert loss.tolist() == [2.25, 64.0]
    assert scalar_loss(net, target, given, False, 1.0)[0].tolist() == [1.0, 7.5]
    given["next_legal"] = torch.tensor([[True, True, True]] * 2)
    net = Fixed([1.0, 12.0, 9.0])  # chooses action 1, which the target judges by 3 where its own best is 5
    assert scalar_loss(net, target, given, True, None)[1].tolist() == [1.5, 8.0]
    assert scalar_loss(net, target, given, False, None)[1].tolist() == [2.5, 8.0]


@pytest.mark.parametrize("double", [False, True])
def test_the_distributional_loss_against_a_slow_loop(double):
    rng = np.random.default_rng(5)
    atoms = torch.linspace(-2, 2, 5, dtype=torch.float64)
    net, target = (Fixed(rng.normal(size=(6, 5)) * 2, atoms) for _ in range(2))
    legal = rng.random((20, 6)) < 0.5
    legal[:, 3] |= ~legal.any(1)
    given = batch(rng.integers(0, 6, 20), rng.normal(0, 3, 20), 0.9 * (rng.random(20) < 0.8), legal)
    loss, priority, q = categorical_loss(net, target, given, double)
    chooser = net if double else target
    for row in range(20):
        means = [float(torch.softmax(chooser.answer[a], -1) @ atoms) if legal[row][a] else -9e9 for a in range(6)]
        probs = torch.softmax(target.answer[int(np.argmax(means))], -1)
        wanted = np.zeros(5)
        for j in range(5):
            at = float((given["reward"][row] + given["discount"][row] * atoms[j]).clamp(-2, 2)) + 2
            wanted[int(at)] += float(probs[j]) * (1 - at % 1)
            wanted[min(int(at) + 1, 4)] += float(probs[j]) * (at % 1)
        own = torch.softmax(net.answer[given["action"][row]], -1).numpy()
        kl = sum(w * np.log(w / o) for w, o in zip(wanted, own, strict=True) if w > 0)
        assert loss[row].item() == pytest.approx(kl)
        assert q[row].item() == pytest.approx(float(own @ atoms.numpy()))
    assert torch.equal(loss, priority)


def test_atoms_reach_as_far_as_rewards_can_add_up():
    cart, on = make_env("gymnasium:CartPole-v1"), np.zeros(5, np.bool_)
    fell = np.array([False, False, False, False, True])
    assert reach(cart, np.ones(5), on, 0.99) == pytest.approx((-0.1, 100.0))
    assert reach(cart, np.ones(5), fell, 0.99) == pytest.approx((-0.1, 100.0))
    assert reach(cart, np.array([-1.0, 0.0]), on[:2], 0.9) == pytest.approx((-6.0, 0.006))
    assert reach(make_env("tic_tac_toe"), np.array([-1.0, 0.0, 1.0]), on[:3], 0.97) == (-1.0, 1.0)
    falls = np.array([-100.0, -1.0, -1.0, -1.0, -1.0])  # one, and then -20.8 a step for 10 steps; not -100 a step
    assert reach(make_env("cliff_walking"), falls, on, 0.9) == pytest.approx((-308.0, 0.308))
    tic, cart_high = (reach(world, np.zeros(3), on[:3], 0.97) for world in (make_env("tic_tac_toe"), cart))
    assert tic[0] < 0 < cart_high[1]


def test_atoms_reach_to_what_ends_an_episode_once():
    world = make_env("gymnasium:CartPole-v1")  # stands for any world that tells no range
    arrived = np.array([False, False, False, True])
    assert reach(world, np.array([0.0, 0.0, 0.0, 1.0]), arrived, 0.99) == pytest.approx((-1e-3, 1.0))
    assert reach(world, np.array([1.0, -1.0]), np.array([True, True]), 0.99) == pytest.approx((-1.0, 1.0))
    # a taxi: -10 once and then -4 a step for 100 steps; 20 where it arrives, and never less than nothing
    assert reach(world, np.array([-1.0, -10.0, -1.0, 20.0]), arrived, 0.99) == pytest.approx((-410.0, 20.0))
    # 2 a step for 9 steps, and 5 at the end
    assert reach(world, np.array([2.0, 0.0, 1.0, 5.0]), arrived, 0.9) == pytest.approx((-0.023, 23.0))
