"""The network of boards: what folding, chunks and bf16 may not change."""

import numpy as np
import pytest
import torch

from elodrome import make_env
from elodrome.agents.parts.networks import module_arrays, seeded
from elodrome.agents.search.boardnet import BoardNet, NetEvaluator, Sides, begin_with
from elodrome.envs.game import Game
from elodrome.errors import BrokenAgent, UserError
from elodrome.seeding import generator

SHAPES = [("connect_four", 2), ("tic_tac_toe", 1), ("tic_tac_toe", 0)]


def trained(world_id: str, blocks: int) -> tuple[BoardNet, np.ndarray]:
    """A network whose normalisation has seen something, and observations."""
    world = make_env(world_id)
    net = seeded(1, BoardNet, world, 8, blocks, (16, 16))
    seen = (generator(2).random((150, *world.observation_shape)) < 0.3).astype(np.float32)
    optimiser = torch.optim.SGD(net.parameters(), 0.05)
    for _ in range(5):
        logits, values = net(torch.from_numpy(seen))
        optimiser.zero_grad()
        (logits.square().mean() + (values - 0.5).square().mean()).backward()
        optimiser.step()
    return net, seen


@pytest.mark.parametrize(("world_id", "blocks"), SHAPES)
def test_folding_and_chunks_change_nothing(world_id: str, blocks: int) -> None:
    net, seen = trained(world_id, blocks)
    with torch.no_grad():
        logits, values = net.eval()(torch.from_numpy(seen))
    answer = NetEvaluator(net).answer(seen)
    np.testing.assert_allclose(answer[0], logits.numpy(), atol=2e-5)
    np.testing.assert_allclose(answer[1], values.numpy(), atol=2e-5)


def test_the_evaluator_is_a_copy() -> None:
    net, seen = trained("connect_four", 1)
    evaluator = NetEvaluator(net)
    before = evaluator.answer(seen)[0]
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(1.0)
    np.testing.assert_array_equal(evaluator.answer(seen)[0], before)


def test_bf16_is_near() -> None:
    net, seen = trained("connect_four", 2)
    exact, near = NetEvaluator(net).answer(seen), NetEvaluator(net, precision="bfloat16").answer(seen)
    np.testing.assert_allclose(near[0], exact[0], atol=0.03)
    np.testing.assert_allclose(near[1], exact[1], atol=0.03)


def test_a_head_on_the_board_turns_with_it() -> None:
    """Where actions are cells, a network with symmetric weights answers a turned board with a turned policy."""
    net, seen = trained("tic_tac_toe", 1)
    for module in net.modules():
        if isinstance(module, torch.nn.Conv2d):
            weight = module.weight.data
            module.weight.data = torch.stack([torch.rot90(weight, k, (2, 3)) for k in range(4)]).mean(0)
    answer = NetEvaluator(net)
    turned = np.ascontiguousarray(np.rot90(seen, 1, (2, 3)))
    policy, other = (answer.answer(x)[0].reshape(-1, 3, 3) for x in (seen, turned))
    np.testing.assert_allclose(np.rot90(policy, 1, (1, 2)), other, atol=1e-5)


def test_convolutions_need_planes() -> None:
    with pytest.raises(UserError, match="blocks=2 needs observations of shape"):
        BoardNet(make_env("rock_paper_scissors"), 8, 2, (8,))


@pytest.mark.parametrize("world_id", ["connect_four", "tic_tac_toe", "go:size=5"])
@pytest.mark.parametrize(("channels", "blocks"), [(8, 3), (12, 1), (12, 2)])
def test_a_larger_network_begins_with_the_answers_of_a_smaller(world_id: str, channels: int, blocks: int) -> None:
    small, seen = trained(world_id, 1)
    world = make_env(world_id)
    large = seeded(2, BoardNet, world, channels, blocks, (8,))
    begin_with(large, module_arrays(small))
    for one, other in zip(NetEvaluator(small).answer(seen), NetEvaluator(large).answer(seen), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    before = module_arrays(large)
    large.train()
    optimiser = torch.optim.SGD(large.parameters(), 0.5)
    for _ in range(6):  # what is scaled by 0 moves first, what lies before it after that
        logits, values = large(torch.from_numpy(seen))
        optimiser.zero_grad()
        (logits.square().mean() + (values + 0.5).square().mean()).backward()
        optimiser.step()
    for name, array in module_arrays(large).items():
        if name.startswith("tower") and array.ndim == 4:
            assert (np.abs(array - before[name]).max(axis=(1, 2, 3)) > 0).all(), name


def test_a_smaller_network_does_not_begin_with_a_larger() -> None:
    world = make_env("connect_four")
    large = module_arrays(BoardNet(world, 8, 2, (8,)))
    with pytest.raises(BrokenAgent, match=r"shape \(8, 2, 3, 3\), not \(4, 2, 3, 3\)"):
        begin_with(BoardNet(world, 4, 2, (8,)), large)
    with pytest.raises(BrokenAgent, match=r"'tower\.3\.one\.0\.weight' has no place in a network of 1 blocks"):
        begin_with(BoardNet(world, 8, 1, (8,)), large)
    with pytest.raises(BrokenAgent, match=r"no array 'look\.0\.weight'"):
        begin_with(BoardNet(world, 8, 1, (8,)), {})


@pytest.mark.parametrize(("world_id", "count"), [("connect_four", 2), ("tic_tac_toe", 8), ("go:size=5", 8)])
def test_asked_about_all_sides_a_network_answers_alike_about_each(world_id: str, count: int) -> None:
    net, seen = trained(world_id, 1)
    world = make_env(world_id)
    assert isinstance(world, Game)
    sides = world.symmetries
    assert sides is not None
    network = NetEvaluator(net)
    both = Sides(world, network, count)
    policy, values = both.answer(seen)
    alone = []
    for cells, actions in zip(sides.cells, sides.actions, strict=True):
        turned = np.ascontiguousarray(seen.reshape(*seen.shape[:2], -1)[:, :, cells].reshape(seen.shape))
        other, worth = both.answer(turned)
        np.testing.assert_allclose(other, policy[:, actions], atol=1e-5)
        np.testing.assert_allclose(worth, values, atol=1e-5)
        alone.append(network.answer(turned)[1])
    assert np.ptp(alone, axis=0).max() > 1e-3  # which it does not when asked about one
    np.testing.assert_allclose(np.mean(alone, axis=0), values, atol=1e-5)


def test_a_board_has_only_so_many_sides() -> None:
    world = make_env("connect_four")
    assert isinstance(world, Game)
    with pytest.raises(UserError, match="sides=4: the board of connect_four has 2; choose sides=2"):
        Sides(world, NetEvaluator(BoardNet(world, 4, 1, (8,))), 4)
