"""What the deep agents share: settings, the pool of opponents, and what stops a learning that has gone astray."""

from __future__ import annotations

import math
from typing import Literal

import torch
from pydantic import Field

from elodrome.agents.agent import Config
from elodrome.agents.ops.td import linear_schedule
from elodrome.agents.parts.networks import Torso
from elodrome.agents.parts.vector import Opponent
from elodrome.agents.random import Random
from elodrome.envs.game import World
from elodrome.errors import Diverged

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
