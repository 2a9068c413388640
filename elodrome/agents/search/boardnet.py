"""One network with two heads for boards (notes 4.5.3): residual convolutions, or a plain perceptron; and its
evaluator for tree search: batch normalisation folded away, channels last, bf16 where it is fast."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from elodrome.agents.parts.networks import Arrays, load_module, module_arrays
from elodrome.agents.parts.saved import WEIGHTS, find_saved, read_arrays, read_card
from elodrome.agents.parts.threads import keep_memory, settle_worker
from elodrome.agents.search.forest import Leaves
from elodrome.envs.game import Floats, Game, World
from elodrome.errors import BrokenAgent, UserError

Precision = Literal["float32", "bfloat16", "auto"]
CHUNK = 256  # positions per pass on a CPU: activations stay in the caches


class _Normed(nn.Sequential):
    """A convolution without bias and the normalisation of its channels."""

    def __init__(self, inputs: int, outputs: int, width: int) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, width, padding=width // 2, bias=False),
            nn.BatchNorm2d(outputs),
        )


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.one, self.two = _Normed(channels, channels, 3), _Normed(channels, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        # In place: what a normalisation puts out is not needed for its gradient.
        y: Tensor = self.two(self.one(x).relu_())
        return y.add_(x).relu_()


class BoardNet(nn.Module):
    """Logits [B, A] of the policy and values [B] in (-1, 1) from observations [B, C, H, W].

    channels and blocks: of the residual tower; with no blocks a perceptron of the widths ``hidden`` is in its
    place.
    Where the actions are the cells (and perhaps a pass), the policy head stays on the board, with what the whole board
    looks like added at every cell (global pooling, as in KataGo); elsewhere it is one linear layer.
    Raises UserError when convolutions are asked for where observations are no planes.
    """

    def __init__(self, world: World, channels: int, blocks: int, hidden: Sequence[int]) -> None:
        super().__init__()
        shape, actions = world.observation_shape, world.actions
        if blocks and len(shape) != 3:
            raise UserError(
                f"blocks={blocks} needs observations of shape [C, H, W], not {list(shape)}; choose blocks=0"
            )
        self.blocks, self.reach = blocks, reach_of(world)
        if not blocks:
            layers: list[nn.Module] = [nn.Flatten()]
            size = world.observation_size
            for width in hidden:
                layers += [nn.Linear(size, width), nn.ReLU()]
                size = width
            self.tower = nn.Sequential(*layers)
            self.policy: nn.Module = nn.Linear(size, actions)
            self.value: nn.Module = nn.Linear(size, 1)
            return
        cells = shape[1] * shape[2]
        self.extra = actions - cells  # 0: cells alone, 1: and a pass
        self.tower = nn.Sequential(
            _Normed(shape[0], channels, 3), nn.ReLU(inplace=True), *(_Residual(channels) for _ in range(blocks))
        )
        self.look = _Normed(channels, channels if self.on_board else 4, 1)
        if self.on_board:
            self.whole = nn.Linear(channels, channels + self.extra)
            self.policy = nn.Conv2d(channels, 1, 1)
        else:
            self.policy = nn.Linear(4 * cells, actions)
        self.judge = _Normed(channels, 4, 1)
        self.value = nn.Sequential(nn.Linear(4 * cells, 2 * channels), nn.ReLU(), nn.Linear(2 * channels, 1))

    @property
    def on_board(self) -> bool:
        """Whether the policy head stays on the board."""
        return self.extra in (0, 1)

    def forward(self, observations: Tensor) -> tuple[Tensor, Tensor]:
        x = self.tower(observations)
        if not self.blocks:
            return self.policy(x), torch.tanh(self.value(x)).squeeze(-1)
        value = torch.tanh(self.value(torch.relu(self.judge(x)).flatten(1))).squeeze(-1)
        if not self.on_board:
            return self.policy(torch.relu(self.look(x)).flatten(1)), value
        whole = self.whole(x.mean((2, 3)))
        channels = x.shape[1]
        look = torch.relu(self.look(x) + whole[:, :channels, None, None])
        return torch.cat([self.policy(look).flatten(1), whole[:, channels:]], dim=1), value


def reach_of(world: World) -> float:
    """The largest return that a network's values can stand for: at 1 or -1 of what it answers, and 1 at least.

    Raises UserError where returns have no bound: what is trained for tree search needs one.
    """
    reach = max(1.0, *(abs(bound) for bound in world.return_range))
    if not math.isfinite(reach):
        raise UserError(
            f"{world.id} has returns without bound {list(world.return_range)}, and this agent's network needs one; "
            "give the world a return_range, or choose muzero or ppo"
        )
    return reach


def begin_with(net: BoardNet, saved: Arrays) -> None:
    """Fill a network with the weights of a saved one of the same kind, perhaps a smaller one.

    With convolutions the saved one may have fewer channels and blocks; the network then answers as the saved one does,
    whatever more it can learn (Net2Net, Chen et al. 2016): nothing of what was there sees the new channels, and new
    blocks add nothing yet. Where the policy head stays on the board, the saved one may also have been trained on a
    board of another size: the value head's layer over the squares is then new. Raises BrokenAgent where anything else
    differs.
    """
    if net.blocks:
        own = module_arrays(net)
        for name in sorted(set(saved) - set(own)):
            raise BrokenAgent(f"array {name!r} has no place in a network of {net.blocks} blocks for this board")
        old = {name.split(".")[1] for name in saved if name.startswith("tower.")}
        new = {name: own[name] for name in own if name.startswith("tower.") and name.split(".")[1] not in old}
        idle = {name: np.zeros_like(array) for name, array in new.items() if name.endswith("two.1.weight")}
        saved = {name: _grown(net, name, own, saved) for name in saved} | new | idle
    load_module(net, saved)


def begin_with_saved(net: BoardNet, start: str, world: World) -> None:
    """``begin_with`` the network of a saved agent, by folder or name. Raises UserError where there is none, BrokenAgent
    with its settings where it does not fit."""
    saved = find_saved(start, world)
    if saved is None:
        raise UserError(f"start={start}: no folder of a saved agent, nor the name of one for {world.id}")
    card = read_card(saved[0])
    try:
        begin_with(net, read_arrays(saved[0] / WEIGHTS))
    except BrokenAgent as error:
        sizes = " ".join(f"{key}={card.config.get(key)}" for key in ("channels", "blocks", "hidden"))
        raise BrokenAgent(f"start={start}: {card.kind} for {card.world}, {sizes}, does not fit: {error}") from error


def _grown(net: BoardNet, name: str, own: Arrays, saved: Arrays) -> npt.NDArray[Any]:
    """A saved array; where it has fewer channels, the network's own with the saved one in its corner and nothing beside
    it."""
    array, mine, stem = saved[name], own[name].copy(), "tower.0.1.weight"
    wide, narrow = len(own[stem]), len(saved.get(stem, own[stem]))
    extra = net.extra if net.on_board else 0
    widths = {(wide, narrow), (2 * wide, 2 * narrow), (wide + extra, narrow + extra)}
    if net.on_board and name == "value.0.weight" and array.shape[1:] != mine.shape[1:]:
        return mine
    pairs = list(zip(mine.shape, array.shape, strict=False))
    if not array.ndim == mine.ndim > 0 or wide <= narrow or any(m != n and (m, n) not in widths for m, n in pairs):
        return array
    rows = np.arange(len(array))
    if name.startswith("whole."):  # the last rows are the pass's
        rows[narrow:] += wide - narrow
    mine[rows] = 0
    mine[(rows, slice(array.shape[1])) if array.ndim > 1 else rows] = array
    return mine


def _fold(module: nn.Module) -> None:
    """Fold every normalisation into the convolution before it, in place."""
    for name, child in module.named_children():
        if isinstance(child, _Normed):
            conv, norm = cast(nn.Conv2d, child[0]), cast(nn.BatchNorm2d, child[1])
            setattr(module, name, fuse_conv_bn_eval(conv, norm))
        else:
            _fold(child)


class _OneHead(nn.Module):
    """The folded heads of a network whose actions are no cells, in half as many steps: one convolution makes what both
    look at, and one layer reads it with the channels last, as it lies in memory, for the policy and the value."""

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.tower, self.judge = net.tower, net.value[2]
        parts, layers = (net.look, net.judge), (net.policy, net.value[0])
        self.look = nn.Conv2d(net.look.in_channels, 8, 1)
        self.look.weight.data = torch.cat([part.weight for part in parts])
        self.look.bias = nn.Parameter(torch.cat([part.bias for part in parts]))
        self.actions, cells = net.policy.out_features, net.policy.in_features // 4
        reads = [layer.weight.unflatten(1, (4, cells)).transpose(1, 2) for layer in layers]  # [., cells, 4] of 8
        own = [nn.functional.pad(weight, (4 * i, 4 - 4 * i)).flatten(1) for i, weight in enumerate(reads)]
        self.read = nn.Linear(8 * cells, sum(len(weight) for weight in own))
        self.read.weight.data = torch.cat(own)
        self.read.bias.data = torch.cat([layer.bias for layer in layers])

    def forward(self, observations: Tensor) -> tuple[Tensor, Tensor]:
        seen = self.look(self.tower(observations)).relu_()
        read = self.read(seen.permute(0, 2, 3, 1).flatten(1))
        return read[:, : self.actions], torch.tanh(self.judge(read[:, self.actions :].relu())).squeeze(-1)


def fast_bfloat16(device: str) -> bool:
    """Whether bf16 is computed in hardware there."""
    if device == "cuda":
        return torch.cuda.is_bf16_supported()
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()) and "avx512_bf16" in _flags()


def _flags() -> str:
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="ignore") as file:
            return next((line for line in file if line.startswith("flags")), "")
    except OSError:
        return ""


class NetEvaluator:
    """A frozen copy of a network that answers the leaves of a search; safe to call from several threads."""

    def __init__(self, net: BoardNet, device: str = "cpu", precision: Precision = "float32") -> None:
        self.device = device
        keep_memory()
        half = precision == "bfloat16" or (precision == "auto" and bool(net.blocks) and fast_bfloat16(device))
        self.dtype = torch.bfloat16 if half else torch.float32
        frozen: Any = copy.deepcopy(net).eval().requires_grad_(False)
        _fold(frozen)
        if net.blocks and not net.on_board:
            frozen = _OneHead(frozen).requires_grad_(False)
        self.layout = torch.channels_last if net.blocks else torch.contiguous_format
        self.net = frozen.to(device=device, dtype=self.dtype, memory_format=self.layout)
        self.reach = np.float32(net.reach)
        self.chunk = CHUNK if device == "cpu" and net.blocks else 1 << 30

    def __call__(self, leaves: Leaves) -> tuple[Floats, Floats]:
        return self.answer(leaves.observations)

    def answer(self, observations: Floats) -> tuple[Floats, Floats]:
        """Logits [k, A] and values [k] of observations [k, C, H, W], as float32."""
        settle_worker()
        logits, values = [], []
        with torch.inference_mode():
            for start in range(0, len(observations), self.chunk):
                seen = torch.from_numpy(observations[start : start + self.chunk])
                planes = seen.to(self.device, self.dtype).contiguous(memory_format=self.layout)
                policy, value = self.net(planes)
                logits.append(policy.float().cpu().numpy())
                values.append(value.float().cpu().numpy() * self.reach)
        if len(logits) == 1:
            return logits[0], values[0]
        return np.concatenate(logits), np.concatenate(values)


class Sides:
    """A network that is asked about ``count`` symmetries of every board at once, with its answers averaged: it errs
    less often, for that many times the work. Raises UserError where the world has fewer symmetries."""

    def __init__(self, world: Game, network: NetEvaluator, count: int) -> None:
        sides = world.symmetries
        there = len(sides.cells) if sides else 1
        if sides is None or count > there:
            raise UserError(f"sides={count}: the board of {world.id} has {there}; choose sides={there}")
        self.network, self.shape = network, world.observation_shape
        self.cells, self.back = sides.cells[:count], np.argsort(sides.actions[:count], axis=1)

    def __call__(self, leaves: Leaves) -> tuple[Floats, Floats]:
        return self.answer(leaves.observations)

    def answer(self, observations: Floats) -> tuple[Floats, Floats]:
        """As the network's."""
        size = len(observations)
        planes = observations.reshape(size, self.shape[0], -1)
        seen = np.concatenate([planes[:, :, cells] for cells in self.cells]).reshape(-1, *self.shape)
        logits, values = self.network.answer(np.ascontiguousarray(seen))
        parts = logits.reshape(len(self.back), size, -1)
        turned = np.stack([part[:, back] for part, back in zip(parts, self.back, strict=True)])
        return turned.mean(axis=0), values.reshape(-1, size).mean(axis=0)
