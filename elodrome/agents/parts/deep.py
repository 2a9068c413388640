"""What the deep agents share: settings, the pool of opponents, sampling from logits, and the frozen acting policy."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field

from elodrome.agents.agent import Agent, Config, Evaluation, Ints, Positions
from elodrome.agents.ops.td import linear_schedule
from elodrome.agents.parts.networks import Arrays, PolicyValueNet, Torso, frozen, load_module, seeded
from elodrome.agents.parts.saved import expect
from elodrome.agents.parts.vector import Opponent
from elodrome.agents.random import Random
from elodrome.envs.game import Floats, Mask, Reals, World
from elodrome.errors import Diverged
from elodrome.seeding import mix64

SOLO_DISCOUNT = 0.99


class DeepConfig(Config):
    """torso: how observations are read; channels: of its convolutions; hidden: widths of the layers behind. rate:
    Adam's step size. discount: None is the world's own, at most 0.99 in solo worlds, where episodes may be long and
    nothing else bounds the values. opponent, in worlds of several seats: "self" (the current policy in every other
    seat), "random", or "mixed" (each game one of the two, ``self_share`` of them against itself)."""

    hidden: tuple[int, ...] = Field((128, 128), min_length=1)
    channels: int = Field(16, ge=1)
    torso: Torso = "mlp"
    rate: float = Field(1e-3, gt=0.0)
    discount: float | None = Field(None, ge=0.0, le=1.0)
    opponent: Literal["self", "random", "mixed"] = "mixed"
    self_share: float = Field(0.8, gt=0.0, lt=1.0)


def discount_of(world: World, given: float | None) -> float:
    """The discount that is learned with; ``given`` is that of the settings."""
    if given is not None:
        return given
    return min(world.discount, SOLO_DISCOUNT) if world.players == 1 else world.discount


def opponents_of(world: World, config: DeepConfig, play: Opponent) -> list[tuple[float, Opponent]]:
    """The pool that the learner meets; ``play`` is its own policy. Empty in solo worlds."""
    if world.players == 1:
        return []
    rivals: dict[str, list[tuple[float, Opponent]]] = {
        "self": [(1.0, play)],
        "random": [(1.0, Random(world).act)],
        "mixed": [(config.self_share, play), (1.0 - config.self_share, Random(world).act)],
    }
    return rivals[config.opponent]


def annealed(optimiser: torch.optim.Optimizer, rate: float, step: int, total: int) -> None:
    """Let the step size fall in a straight line to 0 at the end of the budget."""
    for group in optimiser.param_groups:
        group["lr"] = linear_schedule(rate, 0.0, total, step)


def require_finite(step: int, metrics: dict[str, float]) -> None:
    """Raises Diverged, with the step and the names, when a measurement is no finite number."""
    bad = [f"{name} is {value}" for name, value in metrics.items() if not math.isfinite(value)]
    if bad:
        raise Diverged(f"training diverged at step {step}: {', '.join(bad)}; a smaller rate may help")


def probabilities(logits: npt.NDArray[Any], legal: Mask) -> Reals:
    """Softmax [B, A] over the legal actions; rows without any are uniform over all."""
    masked: Reals = np.where(legal > 0, logits, -1e9).astype(np.float64)
    weights: Reals = np.exp(masked - masked.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def pick(probs: Reals, quantiles: Reals) -> Ints:
    """The action [B] at each row's quantile in [0, 1): actions of probability 0 are never picked."""
    sums = probs.cumsum(axis=1)
    total = sums[:, -1]
    at = np.minimum(quantiles * total, np.nextafter(total, 0.0))
    return (sums <= at[:, None]).sum(axis=1)


def quantiles_of(positions: Positions) -> Reals:
    """One number in [0, 1) per position, from its seed alone."""
    quantiles: Reals = (mix64(positions.seeds) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return quantiles


def greedy_legal(values: npt.NDArray[Any], legal: Mask) -> Ints:
    """The legal action of the greatest value [B], the first of equals."""
    return np.where(legal > 0, values, -np.inf).argmax(axis=1)


def samples_by_default(world: World) -> bool:
    """Whether acting needs chance: where moves are simultaneous or information is hidden from other seats."""
    return world.players > 1 and (world.simultaneous or world.information == "imperfect")


class NetworkPolicy(Agent):
    """A frozen policy network: samples from its softmax, or plays the most probable action.

    ``config.greedy`` decides; None means greedy, but sampling where information is imperfect or moves simultaneous.
    """

    def __init__(self, world: World, config: Any, weights: Arrays) -> None:
        super().__init__(world, config)
        net = seeded(0, PolicyValueNet, world, config.hidden, config.channels, config.torso)
        load_module(net, weights)
        self._net: Any = frozen(net)
        self._scale = float(expect(weights, "scale", ())[()])
        self.greedy = not samples_by_default(world) if config.greedy is None else config.greedy

    def act(self, positions: Positions) -> Ints:
        logits = self._net.logits(torch.from_numpy(positions.observations.astype(np.float64))).numpy()
        if self.greedy:
            return greedy_legal(logits, positions.legal)
        return pick(probabilities(logits, positions.legal), quantiles_of(positions))

    def evaluate(self, positions: Positions) -> Evaluation:
        seen = torch.from_numpy(positions.observations.astype(np.float64))
        policy = probabilities(self._net.logits(seen).numpy(), positions.legal)
        return Evaluation(policy, self._net.value(seen).numpy() * self._scale)


class LivePolicy:
    """A policy network as it learns: what collects experience, and the opponent in self-play.

    ``step`` tells how far learning is: Diverged, raised when the network answers with NaN, says so.
    """

    def __init__(self, net: PolicyValueNet, device: str, step: Callable[[], int]) -> None:
        self.net, self.device, self.step = net, device, step

    def probabilities(self, observations: Floats, legal: Mask) -> Reals:
        """pi(. | s) [B, A]."""
        with torch.inference_mode():
            logits = self.net.logits(torch.from_numpy(observations).to(self.device)).cpu().numpy()
        require_finite(self.step(), {"logits": float(logits.sum())})
        return probabilities(logits, legal)

    def act(self, positions: Positions) -> Ints:
        """One sampled action for each position."""
        return pick(self.probabilities(positions.observations, positions.legal), quantiles_of(positions))


class RewardScale:
    """The root mean square of rewards, in exponential average over batches: what returns are divided by before a
    network learns them, so that one step size fits every world. It changes no optimal policy."""

    MEMORY = 0.9

    def __init__(self) -> None:
        self.square = 0.0

    def update(self, rewards: Reals) -> float:
        """Take a batch in; the scale, 1 as long as every reward was 0."""
        fresh = float(np.square(rewards).mean())
        self.square = self.MEMORY * self.square + (1 - self.MEMORY) * fresh if self.square > 0 else fresh
        return self.value

    @property
    def value(self) -> float:
        """The scale as of now."""
        return self.square**0.5 if self.square > 0 else 1.0

    def snapshot(self) -> dict[str, Any]:
        """What it remembers."""
        return {"square": self.square}

    def resume(self, snapshot: dict[str, Any]) -> None:
        """Go back to a snapshot."""
        self.square = float(snapshot["square"])
