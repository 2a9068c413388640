"""Networks of the deep agents, and their arrays on the way to and from a file.

Any observation goes through a multilayer perceptron; one of shape [C, H, W] through convolutions where asked for (at
Connect Four both learned as much per decision seen, and on a CPU the perceptron was four times faster). Weights come
from a seed of their own; torch's global generators are left as they were.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from elodrome.agents.parts.heads import Head, head_of
from elodrome.agents.parts.kept import kept, put_back
from elodrome.agents.parts.saved import expect
from elodrome.envs.game import World
from elodrome.errors import BrokenAgent, UserError

Arrays = dict[str, npt.NDArray[Any]]
Torso = Literal["mlp", "conv"]
START = -0.5  # log std of a fresh policy over real numbers, in units of their bounds


def linear(inputs: int, outputs: int, gain: float = 2.0**0.5) -> nn.Linear:
    """A layer whose weights are orthogonal times ``gain``, its biases 0."""
    layer = nn.Linear(inputs, outputs)
    nn.init.orthogonal_(layer.weight, gain)
    nn.init.zeros_(layer.bias)
    return layer


def make_torso(shape: Sequence[int], hidden: Sequence[int], channels: int, kind: Torso) -> tuple[nn.Module, int]:
    """From observations [B, *shape] to features [B, hidden[-1]]; returns the module and the number of features.

    Raises UserError when convolutions are asked for where observations are no planes.
    """
    layers: list[nn.Module] = []
    if kind == "conv" and len(shape) != 3:
        raise UserError(f"torso conv needs observations of shape [C, H, W], not {list(shape)}; choose mlp")
    size = int(np.prod(shape))
    if kind == "conv":
        planes = shape[0]
        for _ in range(2):
            layers += [nn.Conv2d(planes, channels, 3, padding=1), nn.ReLU()]
            planes = channels
        size = planes * shape[1] * shape[2]
    layers.append(nn.Flatten())
    for width in hidden:
        layers += [linear(size, width), nn.ReLU()]
        size = width
    return nn.Sequential(*layers), size


class Actor(nn.Sequential):
    """From observations to what a policy's head is made of: logits [B, A]; or, where actions are D real numbers, means
    and logarithms of standard deviations [B, 2 D], the latter the same for all observations."""

    def __init__(self, world: World, torso: nn.Module, features: int) -> None:
        super().__init__(torso, linear(features, len(world.low) or world.actions, 0.01))
        self.log_std = nn.Parameter(torch.full((len(world.low),), START)) if world.continuous else None

    def forward(self, observations: Tensor) -> Tensor:
        outputs: Tensor = super().forward(observations)  # type: ignore[no-untyped-call]
        return outputs if self.log_std is None else torch.cat([outputs, self.log_std.expand_as(outputs)], -1)


class PolicyValueNet(nn.Module):
    """An actor and a critic with torsos of their own: a policy and values [B]."""

    def __init__(self, world: World, hidden: Sequence[int], channels: int = 32, torso: Torso = "mlp") -> None:
        super().__init__()
        actor, features = make_torso(world.observation_shape, hidden, channels, torso)
        critic, _ = make_torso(world.observation_shape, hidden, channels, torso)
        self.head = head_of(world)
        self.actor = Actor(world, actor, features)
        self.critic = nn.Sequential(critic, linear(features, 1, 1.0))

    def outputs(self, observations: Tensor) -> Tensor:
        """What the head is made of: logits [B, A] of all actions, legal or not, or means and spreads [B, 2 D]."""
        outputs: Tensor = self.actor(observations)
        return outputs

    def policy(self, observations: Tensor, legal: Tensor) -> Head:
        """pi(. | s) for each of B decisions."""
        return self.head.of(self.outputs(observations), legal)

    def value(self, observations: Tensor) -> Tensor:
        """Values [B]."""
        value: Tensor = self.critic(observations)
        return value.squeeze(-1)


def seeded(seed: int, make: Any, *args: Any, **options: Any) -> Any:
    """``make(*args)`` with weights drawn from ``seed``; the global generator is as before afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return make(*args, **options)


def module_arrays(module: nn.Module, prefix: str = "") -> Arrays:
    """The parameters of a module as NumPy arrays, copies."""
    return {f"{prefix}{name}": tensor.detach().cpu().numpy().copy() for name, tensor in module.state_dict().items()}


def load_module(module: nn.Module, arrays: dict[str, Any], prefix: str = "") -> None:
    """Fill a module. Raises BrokenAgent when an array is missing or of another shape."""
    state = {
        name: torch.from_numpy(np.array(expect(arrays, prefix + name, tuple(tensor.shape))))
        for name, tensor in module.state_dict().items()
    }
    module.load_state_dict(state)


def adam_arrays(optimiser: torch.optim.Optimizer, prefix: str = "adam/") -> Arrays:
    """The moments and step counts of Adam as NumPy arrays; empty before the first step."""
    return {
        f"{prefix}{index}/{name}": tensor.detach().cpu().numpy().copy()
        for index, slot in optimiser.state_dict()["state"].items()
        for name, tensor in slot.items()
    }


def load_adam(optimiser: torch.optim.Optimizer, arrays: dict[str, Any], prefix: str = "adam/") -> None:
    """Put back what ``adam_arrays`` took, laid out in memory as the parameters are: the fused step trusts in that."""
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, array in arrays.items():
        if key.startswith(prefix):
            index, name = key[len(prefix) :].split("/")
            tensor, parameter = torch.from_numpy(np.array(array)), parameters[int(index)]
            if tensor.shape == parameter.shape:
                tensor = torch.empty_like(parameter, requires_grad=False).copy_(tensor)
            state.setdefault(int(index), {})[name] = tensor
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})


@kept.register
def _(value: nn.Module) -> dict[str, Any]:
    return module_arrays(value)


@put_back.register
def _(value: nn.Module, entries: dict[str, Any]) -> nn.Module:
    load_module(value, entries)
    return value


@kept.register
def _(value: torch.optim.Optimizer) -> dict[str, Any]:
    return {"slots": len(value.state), **adam_arrays(value, "")}


@put_back.register
def _(value: torch.optim.Optimizer, entries: dict[str, Any]) -> torch.optim.Optimizer:
    slots = {name: array for name, array in entries.items() if name != "slots"}
    if len({name.partition("/")[0] for name in slots}) != entries["slots"]:
        raise BrokenAgent(f"an optimiser of {entries['slots']} slots with the moments of fewer or more")
    load_adam(value, slots, "")
    return value


def adam(module: nn.Module, rate: float) -> torch.optim.Adam:
    """Adam in its fused form: several times faster on small networks."""
    return torch.optim.Adam(module.parameters(), lr=rate, eps=1e-5, fused=True)


def to_tensor(array: npt.NDArray[Any], device: str | torch.device) -> Tensor:
    """An array on the device; reals as float32."""
    tensor = torch.from_numpy(array).to(device)
    return tensor.float() if tensor.is_floating_point() else tensor


def descend(optimiser: torch.optim.Optimizer, loss: Tensor, max_norm: float = math.inf) -> Any:
    """One step down the gradient, its norm cut to ``max_norm`` where that is given; the norm before that, else None."""
    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    norm = None
    if max_norm < math.inf:
        parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
        norm = torch.nn.utils.clip_grad_norm_(parameters, max_norm)
    optimiser.step()
    return norm


def frozen(module: nn.Module) -> nn.Module:
    """A module for acting: on the CPU, in double precision, without gradients. In double precision an answer
    practically never depends on what else stands in the batch."""
    return module.cpu().double().eval().requires_grad_(False)
