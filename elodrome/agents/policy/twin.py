"""The network of SAC and TD3: an actor, and two critics side by side."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from elodrome.agents.parts.networks import Chain, linear, make_torso
from elodrome.envs.game import World


class TwinLinear(nn.Module):
    """Two linear layers side by side: [2, B, inputs] to [2, B, outputs]."""

    def __init__(self, inputs: int, outputs: int, gain: float = 2.0**0.5) -> None:
        super().__init__()
        pair = [linear(inputs, outputs, gain) for _ in range(2)]
        self.weight = nn.Parameter(torch.stack([layer.weight.detach().T.contiguous() for layer in pair]))
        self.bias = nn.Parameter(torch.zeros(2, 1, outputs))

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.baddbmm(self.bias, inputs, self.weight)


class ActorTwin(nn.Module):
    """An actor with ``outputs`` numbers for each entry of an action, and two critics Q(s, a)."""

    def __init__(self, world: World, hidden: Sequence[int], outputs: int) -> None:
        super().__init__()
        entries, self.pixels = len(world.low), world.pixels
        torso, features = make_torso(world.observation_shape, hidden, 1, "mlp", world.pixels)
        self.actor = Chain(torso, linear(features, outputs * entries, 0.01))
        size, layers = world.observation_size + entries, list[nn.Module]()
        for width in hidden:
            layers += [TwinLinear(size, width), nn.ReLU()]
            size = width
        self.critics = Chain(*layers, TwinLinear(size, 1, 1.0))

    def q(self, observations: Tensor, actions: Tensor) -> Tensor:
        """Q_1 and Q_2 [2, B] of actions [B, ...] in units of the bounds."""
        if self.pixels:
            observations = observations / 255
        given = torch.cat([observations.flatten(1), actions.flatten(1)], -1)
        values: Tensor = self.critics(given.expand(2, *given.shape))
        return values.squeeze(-1)
