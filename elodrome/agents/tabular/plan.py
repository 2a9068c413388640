"""What the planners share: a policy on the states of a world, its values, and the agent that acts by it."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np
from pydantic import Field

from elodrome.agents.agent import Agent, Config, Evaluation, Ints, Positions
from elodrome.envs.game import Reals, World
from elodrome.envs.index import RowIndex
from elodrome.envs.information import InformationStates, keys_of
from elodrome.errors import UserError
from elodrome.seeding import mix64, units


class PlanConfig(Config):
    """discount: None is the world's own."""

    discount: float | None = Field(None, ge=0.0, le=1.0)


class Plan(Agent):
    """Acts by a policy float64 [L, S, A] with values [L, S], the rows being 1 .. L plies left before the world's limit;
    one row stands for any number of them."""

    config_class: ClassVar[type[Config]] = PlanConfig

    def __init__(self, world: World, config: Config | None = None) -> None:
        super().__init__(world, config)
        self.states = InformationStates.of(world)
        given: float | None = getattr(self.config, "discount", None)
        self.policy, self.value = self.plan(world.discount if given is None else given)
        self._by_state = RowIndex(self.states.tables.states)
        self._by_sight = RowIndex(keys_of(self.states.seats, self.states.observations, self.states.legal))

    @abstractmethod
    def plan(self, discount: float) -> tuple[Reals, Reals]:
        """The policy and its values."""

    def _find(self, positions: Positions) -> tuple[Ints, Ints]:
        """The row of the plan [B] and the state [B]. Foreign worlds show no states: what is seen tells which."""
        if positions.states is not None:
            found = self._by_state.find(positions.states)
        else:
            number = self._by_sight.find(keys_of(positions.seats, positions.observations, positions.legal))
            found = np.where(number >= 0, self.states.first[number], -1)
        if (found < 0).any():
            raise UserError(f"{type(self).__name__}: no play of {self.world.id} leads to the state it was shown")
        left = np.clip(self.world.max_steps - positions.plies, 1, len(self.policy))
        return left - 1, found

    def act(self, positions: Positions) -> Ints:
        sums = np.cumsum(self.policy[self._find(positions)], axis=1)
        u = units(mix64(positions.seeds))
        actions: Ints = (u[:, None] * sums[:, -1:] >= sums).sum(axis=1)
        return actions

    def evaluate(self, positions: Positions) -> Evaluation:
        found = self._find(positions)
        return Evaluation(self.policy[found], self.value[found])
