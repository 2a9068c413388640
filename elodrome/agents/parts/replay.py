"""Experience replay (notes 2.6.3, definition 2.14): a ring of transitions, sampled uniformly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from elodrome.agents.agent import Ints
from elodrome.envs.game import Floats, Mask, Reals, World


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


class Replay:
    """The last ``capacity`` transitions; older ones are overwritten first."""

    def __init__(self, world: World, capacity: int) -> None:
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
