"""What the deep agents share: settings, and what stops a learning that has gone astray."""

from __future__ import annotations

import math

import torch
from pydantic import Field
from torch import nn

from elodrome.agents.agent import Task
from elodrome.agents.ops.td import linear_schedule
from elodrome.agents.parts.networks import Torso
from elodrome.agents.parts.opponents import OpponentConfig, Play, opponents_of
from elodrome.agents.parts.vector import SeatEnv
from elodrome.envs.game import World
from elodrome.errors import Diverged

SOLO_DISCOUNT = 0.99


class DeepConfig(OpponentConfig):
    """torso: how observations are read, "auto" as ``networks.make_torso`` says; channels: of convolutions over a
    board; hidden: widths of the layers behind. rate: Adam's step size. discount: None is the world's own, at most
    0.99 in solo worlds, where episodes may be long and nothing else bounds the values. clip_rewards: learn from the
    signs of rewards alone; what is reported stays in the world's own units. The rest as ``OpponentConfig`` says."""

    hidden: tuple[int, ...] = Field((128, 128), min_length=1)
    channels: int = Field(16, ge=1)
    torso: Torso = "auto"
    rate: float = Field(1e-3, gt=0.0)
    discount: float | None = Field(None, ge=0.0, le=1.0)
    clip_rewards: bool = False


def discount_of(world: World, given: float | None) -> float:
    """The discount that is learned with; ``given`` is that of the settings."""
    if given is not None:
        return given
    return min(world.discount, SOLO_DISCOUNT) if world.players == 1 else world.discount


def seats_of(task: Task, config: DeepConfig, size: int, play: Play, net: nn.Module, *, restart: bool = True) -> SeatEnv:
    """``size`` games in which a deep learner is trained, against the opponents of its settings; ``play`` and ``net`` as
    for ``opponents_of``."""
    rivals = opponents_of(task.world, config, play, net)
    return SeatEnv(task.world, size, task.seed, rivals, restart=restart, clip_rewards=config.clip_rewards)


def annealed(optimiser: torch.optim.Optimizer, rate: float, step: float, total: float) -> None:
    """Let the step size fall in a straight line to 0 at the end of the budget."""
    for group in optimiser.param_groups:
        group["lr"] = linear_schedule(rate, 0.0, total, step)


def require_finite(step: int, metrics: dict[str, float]) -> None:
    """Raises Diverged, with the step and the names, when a measurement is no finite number."""
    bad = [f"{name} is {value}" for name, value in metrics.items() if not math.isfinite(value)]
    if bad:
        raise Diverged(f"training diverged at step {step}: {', '.join(bad)}; a smaller rate may help")
