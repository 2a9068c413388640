"""How large rewards are, as far as a learner has seen them."""

from __future__ import annotations

from typing import Any

import numpy as np

from elodrome.envs.game import Reals


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
