"""The network of boards: what folding, chunks and bf16 may not change."""

import numpy as np
import pytest
import torch

from elodrome import make_env
from elodrome.agents.parts.boardnet import BoardNet, NetEvaluator
from elodrome.agents.parts.networks import seeded
from elodrome.errors import UserError
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
