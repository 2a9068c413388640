"""What predictions share: a policy that is given, its table of state values, and the agent that acts by that policy.

A prediction runs the loop of its sibling in control, with the policy in place of the table's own choices; it learns
what that policy is worth to the seat that acts. The agent acts by the policy, and tells the values that were learned.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from elodrome.agents.agent import Agent, Config, Evaluation, Ints, Positions
from elodrome.agents.parts.met import Met
from elodrome.agents.parts.saved import expect
from elodrome.agents.parts.tabular import Details, Policy, RateConfig, Run, Seen, TabularLearner, restored
from elodrome.agents.registry import make_agent
from elodrome.envs.game import Floats, Game, Mask, Reals, Words, World
from elodrome.envs.index import RowIndex
from elodrome.envs.information import InformationStates, keys_of
from elodrome.errors import BrokenAgent, UserError
from elodrome.seeding import mix64, units


class PredictionConfig(RateConfig):
    """policy: spec of the agent whose policy is evaluated, random or value_iteration for instance; of every action's
    probability epsilon is spread evenly over the legal ones. The rest: ``RateConfig``."""

    policy: str = "random"
    epsilon: float = Field(0.0, ge=0.0, le=1.0)


def policy_of(spec: str, epsilon: float, world: World) -> Policy:
    """The policy of the agent that ``spec`` names, softened by epsilon.

    Asked for probabilities, it raises UserError where the agent does not tell them.
    """
    agent = make_agent(spec, world)

    def policy(observations: Floats, legal: Mask, seats: Ints, states: Words | None) -> Reals:
        count = len(seats)
        told = agent.evaluate(
            Positions(
                world=world,
                observations=observations.reshape(count, *world.observation_shape),
                legal=legal,
                seats=seats,
                states=states,
                seeds=np.zeros(count, np.uint64),
                games=np.arange(count),
                plies=np.zeros(count, np.int64),
            )
        )
        if told is None:
            raise UserError(
                f"policy={spec}: this agent does not tell its probabilities; name one that does, such as random"
            )
        probabilities = np.where(legal > 0, told.policy, 0.0)
        uniform = legal / legal.sum(axis=1, keepdims=True)
        return (1.0 - epsilon) * probabilities / probabilities.sum(axis=1, keepdims=True) + epsilon * uniform

    return policy


class FixedPolicy(Agent):
    """Acts by a policy that was given; what it never met, uniformly at random, worth 0.

    Arrays: policy float64 [I, A], value float64 [I], and of each row what it stands for.
    """

    def __init__(self, world: World, config: Config, policy: Reals, value: Reals, seen: Seen) -> None:
        super().__init__(world, config)
        self.policy, self.value = policy, value
        self._index = RowIndex(keys_of(*seen))

    def act(self, positions: Positions) -> Ints:
        sums = np.cumsum(self.evaluate(positions).policy, axis=1)
        u = units(mix64(positions.seeds))
        actions: Ints = (u[:, None] * sums[:, -1:] >= sums).sum(axis=1)
        return actions

    def evaluate(self, positions: Positions) -> Evaluation:
        found = self._index.find(keys_of(positions.seats, positions.observations, positions.legal))
        policy = np.where(found[:, None] >= 0, self.policy[found], 1.0) * (positions.legal > 0)
        return Evaluation(policy / policy.sum(axis=1, keepdims=True), np.where(found >= 0, self.value[found], 0.0))


class Prediction(TabularLearner):
    """A learner of what a policy is worth, by the loop of ``control``. Settings: ``PredictionConfig``."""

    config_class: ClassVar[type[Config]] = PredictionConfig
    control: ClassVar[type[TabularLearner]]

    @classmethod
    def loop(cls, model: Any, walk: Any, steps: int) -> None:
        """That of the sibling in control."""
        cls.control.loop(model, walk, steps)

    @classmethod
    def details(cls, config: Any) -> Details:
        return cls.control.details(config)

    @classmethod
    def fresh(cls, states: InformationStates | Met, config: Any, seed: int) -> Run:
        policy = policy_of(config.policy, config.epsilon, states.world)
        return Run(states, config, seed, cls.details(config), policy)

    def weights(self) -> dict[str, npt.NDArray[Any]]:
        return {
            "policy": np.diff(self.run.policy, axis=1, prepend=0.0)[: len(self.states.seats)],
            "value": self.values(self.run)[: len(self.states.seats), 0].copy(),
            **self.seen(),
        }

    @classmethod
    def restore(cls, world: World, config: Any, weights: dict[str, npt.NDArray[Any]]) -> Agent:
        policy, seen = restored(world, weights, "policy", (world.actions,))
        if (policy < -1e-9).any() or (policy.sum(axis=1) <= 0).any():
            raise BrokenAgent("policy holds rows that are no probabilities")
        value = expect(weights, "value", (len(policy),)).astype(np.float64)
        return FixedPolicy(world, config, np.maximum(policy, 0.0), value, seen)


def value_errors(
    cls: type[Prediction], world: Game, config: PredictionConfig, seeds: Sequence[int], episodes: int, exact: Reals
) -> Reals:
    """The root mean square error [K, episodes] of the learned values against ``exact`` [I] after every episode, from
    scratch for every seed."""
    states = InformationStates.of(world)
    errors = np.zeros((len(seeds), episodes))
    for k, seed in enumerate(seeds):
        run = cls.fresh(states, config, seed)
        for episode in range(episodes):
            cls.advance(states, run, np.zeros((1, world.players)), world.max_steps)
            errors[k, episode] = np.sqrt(np.mean((cls.values(run)[:, 0] - exact) ** 2))
    return errors
