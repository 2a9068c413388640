"""The optimiser over one vector takes the steps of torch's own, and the network is that vector."""

import copy

import pytest
import torch

from elodrome.agents.parts.kept import kept, put_back
from elodrome.agents.parts.networks import adam, descend, load_module, module_arrays, seeded
from elodrome.agents.parts.networks import make_torso as make
from elodrome.errors import UserError


@pytest.mark.parametrize("way", ["descend", "backward"])
def test_steps_are_those_of_adam_and_of_clipping(way):
    net, _ = seeded(1, make, (3,), (5, 4), 0, "mlp")
    other = copy.deepcopy(net)
    ours, theirs = adam(net, 0.05), torch.optim.Adam(other.parameters(), lr=0.05, eps=1e-5)
    given = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
    bound = 0.3 if way == "descend" else float("inf")
    for step in range(6):
        for optimiser in (ours, theirs):
            optimiser.param_groups[0]["lr"] = 0.05 / (step + 1)
        if way == "descend":
            norm = descend(ours, (net(given) - 1).square().sum(), bound)
        else:
            ours.zero_grad()
            (net(given) - 1).square().sum().backward()
            ours.step()
        theirs.zero_grad()
        (other(given) - 1).square().sum().backward()
        wanted = torch.nn.utils.clip_grad_norm_(other.parameters(), bound)
        theirs.step()
        assert way == "backward" or norm.item() == pytest.approx(wanted.item(), rel=1e-5)
        for name, tensor in net.state_dict().items():
            assert torch.allclose(tensor, other.state_dict()[name], atol=1e-5), (step, name)


def test_what_a_loss_does_not_reach_stays():
    net, _ = seeded(1, make, (3,), (5, 4), 0, "mlp")
    before = module_arrays(net)
    descend(adam(net, 0.1), net[1](torch.ones(1, 3)).sum(), 1.0)
    changed = [name for name, array in module_arrays(net).items() if (array != before[name]).any()]
    assert changed == ["1.weight", "1.bias"]


def test_weights_that_are_loaded_are_learned_on():
    net, _ = seeded(1, make, (3,), (5,), 0, "mlp")
    source, _ = seeded(2, make, (3,), (5,), 0, "mlp")
    optimiser = adam(net, 0.1)
    load_module(net, module_arrays(source))
    descend(optimiser, net(torch.ones(2, 3)).sum(), 1e9)
    for name, array in module_arrays(source).items():
        assert abs(module_arrays(net)[name] - array).max() <= 0.1 + 1e-6, name


def subnormal(optimiser):
    """Whether a moment is a number that processors are slow with."""
    moments = [slot[name] for slot in optimiser.state.values() for name in ("exp_avg", "exp_avg_sq")]
    return any(bool(((m != 0) & (m.abs() < torch.finfo(m.dtype).tiny)).any()) for m in moments)


def test_moments_of_what_has_no_gradient_any_more_end_at_zero_and_steps_stay_those_of_adam():
    net, other = torch.nn.Linear(2, 1, bias=False), torch.nn.Linear(2, 1, bias=False)
    load_module(other, module_arrays(net))
    ours, theirs = adam(net, 0.01), torch.optim.Adam(other.parameters(), lr=0.01, eps=1e-5)
    slow = {"ours": 0, "theirs": 0}
    for step in range(1200):
        given = torch.tensor([[1.0, 1.0 if step < 3 else 0.0]])
        descend(ours, (net(given) - 2).square().sum())
        descend(theirs, (other(given) - 2).square().sum())
        slow["ours"] += subnormal(ours)
        slow["theirs"] += subnormal(theirs)
    assert slow["ours"] == 0 < slow["theirs"]
    assert torch.allclose(net.weight, other.weight, atol=1e-6)


def test_an_optimiser_that_is_taken_up_goes_on_as_if_it_had_not_been_left():
    def run(optimiser, net, steps):
        for _ in range(steps):
            descend(optimiser, (net(torch.ones(1, 2)) - 2).square().sum())

    nets = [seeded(1, torch.nn.Linear, 2, 1) for _ in range(2)]
    whole, first = (adam(net, 0.01) for net in nets)
    run(whole, nets[0], 100)
    run(first, nets[1], 40)
    second = put_back(adam(nets[1], 0.01), kept(first))
    run(second, nets[1], 60)
    assert second.moves == whole.moves == 100
    assert torch.equal(nets[0].weight, nets[1].weight)


def test_pictures_go_through_the_convolutions_of_the_paper():
    """Of 84 x 84: 20 x 20 x 32, 9 x 9 x 64, 7 x 7 x 64 = 3136 features, as Mnih et al. (2015) have it."""
    net, features = seeded(1, make, (4, 84, 84), (512,), 16, "auto", True)
    assert features == 512
    shapes = [tuple(tensor.shape) for tensor in net.parameters() if tensor.dim() > 1]
    assert shapes == [(32, 4, 8, 8), (64, 32, 4, 4), (64, 64, 3, 3), (512, 3136)]
    given = torch.randint(0, 256, (2, 4, 84, 84), generator=torch.Generator().manual_seed(0)).float()
    plain, _ = seeded(1, make, (4, 84, 84), (512,), 16, "nature")
    assert torch.equal(net(given), plain(given / 255))
    for given, where in (((4, 84, 84), False), ((3, 4), False), ((3, 20, 84), True)):
        assert not any(isinstance(layer, torch.nn.Conv2d) for layer in make(given, (8,), 16, "auto", where)[0])
    for shape in ((4, 35, 84), (84, 84)):
        with pytest.raises(UserError, match=r"nature needs observations of shape \[C, 36, 36\] at least"):
            make(shape, (8,), 16, "nature", True)
    assert make((1, 36, 36), (8,), 16, "auto", True)[0](torch.ones(1, 1, 36, 36)).shape == (1, 8)
