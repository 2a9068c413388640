"""Value iteration (notes 2.3.4, algorithm 3): solves a solo world exactly, then plays a best action.

It knows the rules and learns nothing. Running out of time (max_steps) is no part of the state and left out of the plan.
"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from elodrome.agents.agent import Agent, Config, Evaluation, Ints, Positions
from elodrome.agents.tabular.dynamic_programming import THETA, best_actions, value_iteration
from elodrome.envs import engine
from elodrome.envs.enumeration import enumerate_world
from elodrome.envs.game import Game, World
from elodrome.envs.index import RowIndex
from elodrome.errors import UserError
from elodrome.seeding import mix64

ABOUT = {
    "cls": "ValueIteration",
    "chapter": "2",
    "summary": "dynamic programming: exact values, best actions",
    "players": (1, 1),
    "needs": ("state", "perfect", "enumerable"),
}


class ValueIterationConfig(Config):
    """theta: sweeps end when no value changes by more, relative to the largest. discount: None is the world's own."""

    theta: float = Field(THETA, gt=0.0)
    discount: float | None = Field(None, ge=0.0, le=1.0)


class ValueIteration(Agent):
    """Plays by Q*, equally good actions with equal probability. q float64 [S, A] (-inf where illegal), value [S]."""

    config_class = ValueIterationConfig
    config: ValueIterationConfig
    world: Game

    def __init__(self, world: World, config: Config | None = None) -> None:
        super().__init__(world, config)
        tables = enumerate_world(self.world)
        discount = world.discount if self.config.discount is None else self.config.discount
        self.q, self.value, self.sweeps = value_iteration(tables, discount, self.config.theta)
        self._best = best_actions(self.q)
        self._index = RowIndex(tables.states)

    def _find(self, positions: Positions) -> Ints:
        if positions.states is None:
            raise UserError(f"value_iteration needs the state of the world, and {self.world.id} hides it")
        found = self._index.find(positions.states)
        if (found < 0).any():
            raise UserError(f"value_iteration: no play of {self.world.id} leads to the state it was shown")
        return found

    def act(self, positions: Positions) -> Ints:
        actions = np.zeros(len(positions), np.int64)
        engine.batch_sample(self._best[self._find(positions)].astype(np.uint8), mix64(positions.seeds), actions)
        return actions

    def evaluate(self, positions: Positions) -> Evaluation:
        found = self._find(positions)
        best = self._best[found]
        return Evaluation(best / best.sum(axis=1, keepdims=True), self.value[found])
