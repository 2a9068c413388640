"""The three functions of MuZero as perceptrons: representation h, dynamics g, prediction f."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from elodrome.agents.ops import muzero as ops
from elodrome.envs.game import Floats, World

Array = npt.NDArray[Any]
LARGEST = 30.0  # of squashed returns: about 900
FEWEST = 10  # atoms on each side of 0
STRESS = 3.0  # the action is one input among many that are about 1 in size


def atoms_of(world: World) -> Array:
    """The atoms [Z] of squashed values and rewards: evenly spaced, from as bad to as good as a return can be."""
    reach = min(float(ops.squash(max(1e-3, *np.abs(np.nan_to_num(world.return_range))))), LARGEST)
    half = max(FEWEST, int(np.ceil(reach)))
    return np.linspace(-reach, reach, 2 * half + 1).astype(np.float32)


def _layers(inputs: int, width: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, width), nn.LayerNorm(width), nn.ReLU(), nn.Linear(width, outputs))


class LatentNet(nn.Module):
    """h: observations [B, *shape] -> latents [B, H]; g: latents and actions [B] -> latents, reward logits [B, Z];
    f: latents -> policy logits [B, A], value logits [B, Z]. Latents lie in [0, 1]."""

    atoms: Tensor

    def __init__(self, world: World, latent: int, width: int) -> None:
        super().__init__()
        atoms = torch.from_numpy(atoms_of(world))
        self.register_buffer("atoms", atoms, persistent=False)
        self.actions = world.actions
        self.represent = _layers(world.observation_size, width, latent)
        self.onto = nn.Sequential(_layers(latent + world.actions, width, width), nn.ReLU())
        self.onward, self.reward = nn.Linear(width, latent), nn.Linear(width, len(atoms))
        self.predict = _layers(latent, width, world.actions + len(atoms))
        for parameter in (*self.reward.parameters(), *self.predict[-1].parameters()):
            nn.init.zeros_(parameter)  # every value and reward is 0 to begin with

    def h(self, observations: Tensor) -> Tensor:
        """Latents of observations."""
        return ops.scaled(self.represent(observations.flatten(1)))

    def g(self, latents: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Next latents and reward logits."""
        taken = nn.functional.one_hot(actions, self.actions).to(latents.dtype)
        inside = self.onto(torch.cat([2.0 * latents - 1.0, STRESS * taken], 1))
        return ops.scaled(latents + self.onward(inside)), self.reward(inside)

    def f(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """Policy logits and value logits."""
        out: Tensor = self.predict(latents)
        return out[:, : self.actions], out[:, self.actions :]

    def mean(self, logits: Tensor) -> Tensor:
        """The number that logits [B, Z] stand for, [B]."""
        return ops.unsquash(logits.softmax(-1) @ self.atoms)


class NetModel:
    """A ``LatentModel`` made of the network as it is: float32 while it learns, float64 when frozen."""

    def __init__(self, net: LatentNet, device: str = "cpu") -> None:
        self.net, self.device, self.dtype = net, device, net.reward.weight.dtype

    def root(self, observations: Floats) -> tuple[Array, Array, Array]:
        """See ``LatentModel``."""
        with torch.inference_mode():
            latents = self.net.h(torch.from_numpy(observations).to(self.device, self.dtype))
            logits, values = self.net.f(latents)
            return latents.cpu().numpy(), logits.cpu().numpy(), self.net.mean(values).cpu().numpy()

    def step(self, latents: Array, actions: Array) -> tuple[Array, Array, Array, Array]:
        """See ``LatentModel``."""
        with torch.inference_mode():
            following, rewards = self.net.g(
                torch.from_numpy(latents).to(self.device), torch.from_numpy(actions).to(self.device)
            )
            logits, values = self.net.f(following)
            numbers = self.net.mean(torch.cat([rewards, values])).cpu().numpy()
            return following.cpu().numpy(), numbers[: len(actions)], logits.cpu().numpy(), numbers[len(actions) :]
