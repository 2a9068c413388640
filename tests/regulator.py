"""A world whose actions are real numbers and whose best return is known: the scalar linear-quadratic regulator.

``x' = x + b u``, reward ``-(x^2 + r u^2)``, from x uniform in [-1, 1]. Riccati's recursion gives the best return of a
start, ``-P_0 x^2``; the best actions stay within the bounds.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from elodrome.envs.actions import as_plain
from elodrome.envs.game import World
from elodrome.envs.table import Table
from elodrome.seeding import units

B, R, STEPS = 0.5, 0.1, 20


@dataclass(frozen=True, kw_only=True)
class Regulator(World):
    id: str = "regulator"
    players: int = 1
    action_shape: tuple[int, ...] = (1,)
    low: tuple[float, ...] = (-2.0,)
    high: tuple[float, ...] = (2.0,)
    observation_shape: tuple[int, ...] = (1,)
    max_steps: int = STEPS
    real_valued: bool = True
    return_range: tuple[float, float] = (-1e4, 0.0)

    def table(self, games: int) -> "RegulatorTable":
        return RegulatorTable(self, games)


class RegulatorTable(Table):
    def __init__(self, world: World, games: int) -> None:
        super().__init__(world, games)
        self.x = np.zeros(games)

    def reset(self, rows: Any, seeds: Any) -> None:
        self.x[rows] = 2 * units(seeds) - 1
        self.seats[rows], self.plies[rows], self.truncated[rows] = 0, 0, False

    def legal(self, rows: Any) -> Any:
        return np.zeros((len(rows), 0), np.uint8)

    def observe(self, rows: Any, seats: Any = None) -> Any:
        return self.x[rows, None].astype(np.float32)

    def step(self, rows: Any, actions: Any) -> Any:
        for row, action in zip(rows, as_plain(self.world, actions), strict=True):
            if self.seats[row] < 0 or self.world.refusal(action, np.zeros(0, np.uint8)):
                raise self._refusal(int(row), action)
        u = actions[:, 0].astype(float)
        rewards = -(self.x[rows] ** 2 + R * u**2)
        self.x[rows] += B * u
        self.plies[rows] += 1
        late = rows[self.plies[rows] >= STEPS]
        self.truncated[late], self.seats[late] = True, -1
        return rewards[:, None]


def best_weight() -> float:
    """P_0: the best return from x is ``-P_0 x^2``."""
    weight = 0.0
    for _ in range(STEPS):
        weight = 1 + weight - (B * weight) ** 2 / (R + B**2 * weight)
    return weight
