"""Networks of the deep agents, and their arrays on the way to and from a file.

Pictures go through the convolutions of Mnih et al. (2015), any other observation through a multilayer perceptron; one
of shape [C, H, W] through small convolutions where asked for (at Connect Four both learned as much per decision seen,
and on a CPU the perceptron was four times faster). Weights come from a seed of their own; torch's global generators are
left as they were.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.optim.adam import adam as functional_adam

from elodrome.agents.parts.heads import Head, head_of
from elodrome.agents.parts.kept import kept, put_back
from elodrome.agents.parts.saved import expect
from elodrome.envs.game import World
from elodrome.errors import BrokenAgent, UserError

Arrays = dict[str, npt.NDArray[Any]]
Torso = Literal["auto", "mlp", "conv", "nature"]
NATURE = ((32, 8, 4), (64, 4, 2), (64, 3, 1))  # filters, their size, stride (Mnih et al. 2015)
SMALLEST = 36  # rows and columns for which they leave anything
START = -0.5  # log std of a fresh policy over real numbers, in units of their bounds


def linear(inputs: int, outputs: int, gain: float = 2.0**0.5) -> nn.Linear:
    """A layer whose weights are orthogonal times ``gain``, its biases 0."""
    layer = nn.Linear(inputs, outputs)
    nn.init.orthogonal_(layer.weight, gain)
    nn.init.zeros_(layer.bias)
    return layer


class Chain(nn.Sequential):
    """Layers one after the other, without what a call of a module does for hooks: on a small network that is as much
    as the layer's own time."""

    def forward(self, inputs: Tensor) -> Tensor:
        for layer in self._modules.values():
            inputs = layer.forward(inputs)
        return inputs


class Brightness(nn.Module):
    """Pixels, whole numbers from 0 to 255, as numbers from 0 to 1."""

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs / 255


def make_torso(
    shape: Sequence[int], hidden: Sequence[int], channels: int, kind: Torso, pixels: bool = False
) -> tuple[nn.Module, int]:
    """From observations [B, *shape] to features [B, hidden[-1]]; returns the module and the number of features.

    pixels: observations are pictures; "auto" is then "nature", where they are large enough, and else "mlp". Raises
    UserError when convolutions are asked for where observations are no planes, or planes too small.
    """
    layers: list[nn.Module] = [Brightness()] if pixels else []
    large = len(shape) == 3 and min(shape[1:]) >= SMALLEST
    if kind == "auto":
        kind = "nature" if pixels and large else "mlp"
    if kind == "conv" and len(shape) != 3:
        raise UserError(f"torso conv needs observations of shape [C, H, W], not {list(shape)}; choose mlp")
    if kind == "nature" and not large:
        least = f"[C, {SMALLEST}, {SMALLEST}] at least"
        raise UserError(f"torso nature needs observations of shape {least}, not {list(shape)}; choose mlp")
    size = int(np.prod(shape))
    if kind == "conv":
        planes = shape[0]
        for _ in range(2):
            layers += [nn.Conv2d(planes, channels, 3, padding=1), nn.ReLU()]
            planes = channels
        size = planes * shape[1] * shape[2]
    if kind == "nature":
        planes, *sides = shape
        for filters, width, stride in NATURE:
            layer = nn.Conv2d(planes, filters, width, stride)
            nn.init.orthogonal_(layer.weight, 2.0**0.5)
            nn.init.zeros_(cast(Tensor, layer.bias))
            layers += [layer, nn.ReLU()]
            planes, sides = filters, [(side - width) // stride + 1 for side in sides]
        size = planes * sides[0] * sides[1]
    layers.append(nn.Flatten())
    for width in hidden:
        layers += [linear(size, width), nn.ReLU()]
        size = width
    return Chain(*layers), size


class Actor(Chain):
    """From observations to what a policy's head is made of: logits [B, A]; or, where actions are D real numbers, means
    and logarithms of standard deviations [B, 2 D], the latter the same for all observations."""

    def __init__(self, world: World, torso: nn.Module, features: int) -> None:
        super().__init__(torso, linear(features, len(world.low) or world.actions, 0.01))
        self.log_std = nn.Parameter(torch.full((len(world.low),), START)) if world.continuous else None

    def forward(self, observations: Tensor) -> Tensor:
        outputs = super().forward(observations)
        return outputs if self.log_std is None else torch.cat([outputs, self.log_std.expand_as(outputs)], -1)


class SmoothActor(Chain):
    """An actor over D real numbers whose noise is a function of what is seen (Raffin et al. 2020): the features [F] of
    an observation times a matrix [F, D] of normal variables, the entries of which have standard deviations of their
    own. Given the observation an action is normal, and its variance is that of the sum (their equation 7); the features
    learn nothing from that."""

    LEAST = 1e-6  # variance, also where all features are 0

    def __init__(self, world: World, torso: nn.Module, features: int) -> None:
        if not world.continuous:
            raise UserError(f"state_noise needs actions that are real numbers; {world.id} numbers its actions")
        super().__init__(torso, linear(features, len(world.low), 0.01))
        self.log_std = nn.Parameter(torch.full((features, len(world.low)), START))

    def forward(self, observations: Tensor) -> Tensor:
        """Means and logarithms of standard deviations [B, 2 D]."""
        torso, mean = self._modules.values()
        features = torso.forward(observations)
        variance = features.detach().square() @ (2 * self.log_std).exp() + self.LEAST
        return torch.cat([mean.forward(features), 0.5 * variance.log()], -1)

    def disturbed(self, observations: Tensor, noise: Tensor) -> Tensor:
        """Actions [B, D] under standard normal noise [B, F, D]."""
        torso, mean = self._modules.values()
        features = torso.forward(observations)
        return mean.forward(features) + (features[:, None] @ (self.log_std.exp() * noise)).squeeze(1)


class PolicyValueNet(nn.Module):
    """An actor and a critic with torsos of their own: a policy and values [B]."""

    def __init__(
        self,
        world: World,
        hidden: Sequence[int],
        channels: int = 32,
        torso: Torso = "auto",
        state_noise: bool = False,
    ) -> None:
        super().__init__()
        read = (world.observation_shape, hidden, channels, torso, world.pixels)
        actor, features = make_torso(*read)
        critic, _ = make_torso(*read)
        self.head = head_of(world)
        self.actor = (SmoothActor if state_noise else Actor)(world, actor, features)
        self.critic = Chain(critic, linear(features, 1, 1.0))

    def outputs(self, observations: Tensor) -> Tensor:
        """What the head is made of: logits [B, A] of all actions, legal or not, or means and spreads [B, 2 D]."""
        return self.actor.forward(observations)

    def policy(self, observations: Tensor, legal: Tensor | None) -> Head:
        """pi(. | s) for each of B decisions."""
        return self.head.of(self.outputs(observations), legal)

    def value(self, observations: Tensor) -> Tensor:
        """Values [B]."""
        return self.critic.forward(observations).squeeze(-1)


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
    """Put back what ``adam_arrays`` took, laid out in memory as the parameters are: the fused step trusts in that.
    Raises BrokenAgent for moments of another shape."""
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, array in arrays.items():
        if key.startswith(prefix):
            index, name = key[len(prefix) :].split("/")
            tensor, parameter = torch.from_numpy(np.array(array)), parameters[int(index)]
            expect(arrays, key, () if name == "step" else tuple(parameter.shape))
            if name != "step":
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
    places = {name.partition("/")[0] for name in slots}
    moments = {name.partition("/")[2] for name in slots} | {name for slot in value.state.values() for name in slot}
    if len(places) != entries["slots"] or len(slots) != len(places) * len(moments):
        raise BrokenAgent(f"an optimiser of {entries['slots']} slots with the moments of fewer or more")
    load_adam(value, slots, "")
    return value


class FlatAdam(torch.optim.Adam):
    """Adam over all parameters of a module as one vector, into which they become views. A small network is as costly as
    the number of calls it takes, and here gradient, norm and step are a few calls in all, not a few per layer.

    The moments of a unit that has no gradient any more fall towards zero through numbers that processors are slow with
    (subnormal ones: a step took ten times as long). They are set to zero long before, where they move nothing."""

    SWEEP_EVERY, TINY = 64, 1e-30  # steps; above 1e-38 by more than a mean falls in so many of them

    def __init__(self, module: nn.Module, rate: float) -> None:
        self.parameters = list(module.parameters())
        flat = torch.cat([parameter.detach().reshape(-1) for parameter in self.parameters])
        start = 0
        for parameter in self.parameters:
            parameter.data = flat[start : start + parameter.numel()].view_as(parameter)
            start += parameter.numel()
        self.flat = flat.requires_grad_()
        super().__init__([self.flat], lr=rate, eps=1e-5, fused=True)
        self.state[self.flat] = {
            "step": torch.zeros((), device=flat.device),
            "exp_avg": torch.zeros_like(flat, requires_grad=False),
            "exp_avg_sq": torch.zeros_like(flat, requires_grad=False),
        }
        self.moves = 0  # the steps taken; to read "step" would wait for the device

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self.moves = int(self.state[self.flat]["step"])

    def zero_grad(self, set_to_none: bool = True) -> None:
        for parameter in self.parameters:
            parameter.grad = None

    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step down the gradients that ``backward`` has left."""
        self._move([torch.zeros_like(p) if p.grad is None else p.grad for p in self.parameters], float("inf"))

    def descend(self, loss: Tensor, max_norm: float) -> Tensor:
        """As the function ``descend``, past the hooks of ``step``, which cost as much as the step itself."""
        return self._move(torch.autograd.grad(loss, self.parameters, materialize_grads=True), max_norm)

    @torch.no_grad()
    def _move(self, gradients: Sequence[Tensor], max_norm: float) -> Tensor:
        gradient = torch.cat([piece.reshape(-1) for piece in gradients])
        norm = torch.linalg.vector_norm(gradient)
        gradient *= (max_norm / (norm + 1e-6)).clamp_(max=1.0)
        group, state = self.param_groups[0], self.state[self.flat]
        functional_adam(
            *([self.flat], [gradient], [state["exp_avg"]], [state["exp_avg_sq"]], [], [state["step"]]),
            fused=True,
            amsgrad=False,
            maximize=False,
            **{name: group[name] for name in ("lr", "eps", "weight_decay")},
            beta1=group["betas"][0],
            beta2=group["betas"][1],
        )
        self.moves += 1
        if self.moves % self.SWEEP_EVERY == 0:
            for moment in (state["exp_avg"], state["exp_avg_sq"]):
                moment.mul_(moment.abs() > self.TINY)
        return norm


def adam(module: nn.Module, rate: float) -> FlatAdam:
    """Adam for a module that stays on its device; ``descend`` takes its steps."""
    return FlatAdam(module, rate)


def to_tensor(array: npt.NDArray[Any], device: str | torch.device) -> Tensor:
    """An array on the device; reals, and observations kept in bytes, as float32 (bytes once they are there)."""
    tensor = torch.from_numpy(array)
    if tensor.dtype == torch.uint8:
        return tensor.to(device).float()
    return tensor.to(device, torch.float32) if tensor.is_floating_point() else tensor.to(device)


def descend(optimiser: torch.optim.Optimizer, loss: Tensor, max_norm: float = math.inf) -> Any:
    """One step down the gradient with respect to the optimiser's parameters, its norm cut to ``max_norm`` where that is
    given; the norm before that, else None."""
    if isinstance(optimiser, FlatAdam):
        return optimiser.descend(loss, max_norm)
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
