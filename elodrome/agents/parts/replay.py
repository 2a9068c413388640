"""Experience replay (notes 2.6.3, definition 2.14): a ring of transitions, sampled uniformly."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from elodrome.agents.agent import Ints
from elodrome.envs.game import Floats, Mask, Reals, World
from elodrome.errors import UserError


@dataclass(frozen=True)
class Transitions:
    """B transitions: observation and next_observation float32 [B, *shape], action int64 [B], reward float64 [B],
    terminated bool [B] (the only thing that cuts the bootstrap), next_legal uint8 [B, A]."""

    observation: Floats
    action: Ints
    reward: Reals
    next_observation: Floats
    next_legal: Mask
    terminated: npt.NDArray[np.bool_]


USED = 0.8  # of the memory that is free; the rest is for networks, batches and everybody else


def free_memory() -> int:
    """Bytes of memory that this process can still use: what the machine has free, within its control group's limit."""
    try:
        meminfo = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
        free = int(meminfo["MemAvailable"].split()[0]) << 10
    except (OSError, KeyError, ValueError):  # elsewhere than on Linux: all that there is
        free = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    group = Path("/sys/fs/cgroup")
    try:
        return min(free, int((group / "memory.max").read_text()) - int((group / "memory.current").read_text()))
    except (OSError, ValueError):  # no control group, or one without a limit ("max")
        return free


def _must_fit(world: World, capacity: int) -> None:
    """Raises UserError, before anything is allocated, where the ring would not fit into memory."""
    each = 2 * 4 * world.observation_size + world.actions + 17
    room = int(USED * free_memory())
    if capacity * each > room:
        raise UserError(
            f"a replay of capacity={capacity} takes {capacity * each / 2**30:.1f} GiB on {world.id} "
            f"({each:,} bytes a transition), and {room / 2**30:.1f} GiB can be used; "
            + (f"capacity={_round(room // each)} would fit" if room >= each else "not even one transition would fit")
        )


def _round(count: int) -> int:
    """A number with its first two digits kept, rounded down: one that people can type."""
    unit = 10 ** max(0, len(str(count)) - 2)
    return count // unit * unit


class Replay:
    """The last ``capacity`` transitions; older ones are overwritten first. Raises UserError where they do not fit."""

    def __init__(self, world: World, capacity: int) -> None:
        _must_fit(world, capacity)
        shape = (capacity, *world.observation_shape)
        self.capacity = capacity
        self.count = 0  # transitions ever added
        self._ring: dict[str, npt.NDArray[Any]] = {
            "observation": np.zeros(shape, np.float32),
            "action": np.zeros(capacity, np.int64),
            "reward": np.zeros(capacity),
            "next_observation": np.zeros(shape, np.float32),
            "next_legal": np.zeros((capacity, world.actions), np.uint8),
            "terminated": np.zeros(capacity, np.bool_),
        }

    def __len__(self) -> int:
        return min(self.count, self.capacity)

    def add(self, batch: Transitions) -> None:
        """Add transitions in order, overwriting the oldest."""
        kept = slice(max(0, len(batch.action) - self.capacity), None)
        size = len(batch.action)
        at = (self.count + np.arange(size)[kept]) % self.capacity
        for name, ring in self._ring.items():
            ring[at] = getattr(batch, name)[kept]
        self.count += size

    def sample(self, size: int, rng: np.random.Generator) -> Transitions:
        """``size`` transitions, each uniformly at random."""
        at = rng.integers(0, len(self), size)
        return Transitions(**{name: ring[at] for name, ring in self._ring.items()})

    def reward_scale(self) -> float:
        """The root mean square of the rewards kept, 1 where all are 0: what losses are measured in."""
        square = float(np.square(self._ring["reward"][: len(self)]).mean()) if self.count else 0.0
        return square**0.5 if square > 0 else 1.0

    def snapshot(self) -> dict[str, Any]:
        """What is kept, as arrays."""
        arrays: dict[str, Any] = {name: ring[: len(self)].copy() for name, ring in self._ring.items()}
        return {**arrays, "count": self.count}

    def resume(self, snapshot: dict[str, Any]) -> None:
        """Go back to a snapshot of a ring of the same capacity."""
        self.count = int(snapshot["count"])
        for name, ring in self._ring.items():
            ring[: len(self)] = snapshot[name]
