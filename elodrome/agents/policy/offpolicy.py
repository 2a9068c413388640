"""What SAC and TD3 share: an actor and twin critics that learn from replayed transitions, an update per decision.

Actions are learned in units in which the world's bounds are -1 and 1.
"""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from elodrome.agents.agent import Agent, Budget, Evaluation, Positions, Progress, Task
from elodrome.agents.parts.collecting import episode_metrics
from elodrome.agents.parts.deep import DeepConfig, discount_of, require_finite, seats_of
from elodrome.agents.parts.heads import onto, quantiles_of
from elodrome.agents.parts.kept import KeptLearner
from elodrome.agents.parts.networks import (
    Arrays,
    adam,
    frozen,
    load_module,
    module_arrays,
    seeded,
    to_tensor,
)
from elodrome.agents.parts.replay import NStep, Replay, transition_fields
from elodrome.agents.parts.saved import expect
from elodrome.agents.policy.twin import ActorTwin
from elodrome.envs.actions import Actions
from elodrome.envs.game import Floats, Reals, World
from elodrome.seeding import derive, generator

REPORT_EVERY = 200  # decisions, at least


class OffPolicyConfig(DeepConfig):
    """rate: Adam's step size, of actor and critics. envs games are stepped together, then ``updates`` gradient steps on
    ``batch`` transitions follow. capacity: of the replay buffer; warmup: uniformly random decisions before learning
    starts. tau: how far the target networks move at each step (2.65). n_step: rewards in a target."""

    hidden: tuple[int, ...] = Field((256, 256), min_length=1)
    torso: Literal["mlp"] = "mlp"
    envs: int = Field(1, ge=1)
    updates: int = Field(1, ge=1)
    batch: int = Field(256, ge=1)
    capacity: int = Field(200_000, ge=1)
    warmup: int = Field(1_000, ge=1)
    tau: float = Field(0.005, gt=0.0, le=1.0)
    n_step: int = Field(1, ge=1)


class Deterministic(Agent):
    """A frozen actor, played without noise: tanh of the first D outputs. Value: the smaller critic's, in the world's
    own units (SAC's counts the entropy that it earns in learning, too)."""

    config: OffPolicyConfig

    def __init__(self, world: World, config: OffPolicyConfig, weights: Arrays, outputs: int) -> None:
        super().__init__(world, config)
        net = seeded(0, ActorTwin, world, config.hidden, outputs)
        load_module(net, weights)
        self._net: Any = frozen(net)
        self._scale = float(expect(weights, "scale", ())[()])

    def _mode(self, positions: Positions) -> tuple[Tensor, Tensor]:
        seen = torch.from_numpy(positions.observations.astype(np.float64))
        return seen, torch.tanh(self._net.actor(seen)[:, : len(self.world.low)])

    def act(self, positions: Positions) -> Actions:
        return onto(self.world, self._mode(positions)[1].numpy())

    def evaluate(self, positions: Positions) -> Evaluation:
        value = self._net.q(*self._mode(positions)).amin(0).numpy() * self._scale
        return Evaluation(np.zeros((len(positions), 0)), value)


class OffPolicyLearner(KeptLearner):
    """Learns an actor and twin critics; a step is one decision. A subclass says how it explores and how it updates.
    MEASURED: the names of what an update measures. OUTPUTS: of the actor, for each entry of an action."""

    KEEPS: ClassVar[tuple[str, ...]] = (
        *("net", "target", "actor", "critic", "replay", "pending", "env", "rng", "scale", "steps", "updates"),
    )
    MEASURED: ClassVar[tuple[str, ...]]
    OUTPUTS: ClassVar[int]
    default_steps = 20_000
    unsteady = True
    config: OffPolicyConfig

    def __init__(self, task: Task, config: OffPolicyConfig | None = None) -> None:
        super().__init__(task, config)
        c = self.config
        net: ActorTwin = seeded(derive(task.seed, "net"), ActorTwin, self.world, c.hidden, self.OUTPUTS)
        self.net = net.to(task.device)
        self.target = copy.deepcopy(self.net).requires_grad_(False)
        self.actor, self.critic = adam(self.net.actor, c.rate), adam(self.net.critics, c.rate)
        fields = transition_fields(self.world)
        self.replay = Replay(self.world, fields, c.capacity)
        self.discount = discount_of(self.world, c.discount)
        self.pending = NStep(c.n_step, self.discount, fields)
        self.rng = generator(task.seed, type(self).__name__.lower())
        self.scale = 1.0  # what rewards are divided by: their root mean square in the warm-up
        self.steps = self.updates = 0
        self.env = seats_of(task, c, c.envs, self.play, self.net)

    def learn(self, budget: Budget) -> Iterator[Progress]:
        c, env, shape = self.config, self.env, self.world.action_shape
        while self.steps < budget.steps:
            episodes, losses, start = [], [], self.steps
            while self.steps < budget.steps and self.steps < start + REPORT_EVERY:
                observation, quantiles = env.observation, self.rng.random((c.envs, *shape))
                ready = self.replay.count >= c.warmup
                action = self.explore(self.net, observation, quantiles) if ready else 2 * quantiles - 1
                env.step(onto(self.world, action))
                for transitions in self.pending.add(observation, action, env):
                    self.replay.add(transitions)
                episodes.append(np.stack([env.returns, env.lengths]))
                self.steps += c.envs
                if ready:
                    self.scale = self.scale if self.updates else self.replay.reward_scale()
                    losses += [self._updated() for _ in range(c.updates)]
            metrics = episode_metrics(*np.concatenate(episodes, axis=1))
            if losses:
                metrics |= dict(zip(self.MEASURED, torch.stack(losses).mean(0).tolist(), strict=True))
            require_finite(self.steps, metrics)
            yield Progress(self.steps, metrics)

    def _updated(self) -> Tensor:
        """An update on a fresh minibatch; the measurements."""
        _, drawn = self.replay.sample(self.config.batch, self.rng)
        drawn["reward"] = drawn["reward"] / self.scale
        measured = self.update(
            {name: to_tensor(drawn[name], self.task.device) for name in drawn if name != "next_legal"}
        )
        self.updates += 1
        return measured

    @abstractmethod
    def explore(self, net: ActorTwin, observations: Floats, quantiles: Reals) -> Reals:
        """A network's actions [B, *action_shape] in units of the bounds, their noise at these quantiles."""

    @abstractmethod
    def update(self, batch: dict[str, Tensor]) -> Tensor:
        """One gradient step of the critics, and of the actor where it is due; the measurements."""

    def noise(self, *shape: int) -> Tensor:
        """Standard normal noise on the device."""
        return to_tensor(self.rng.standard_normal(shape, np.float32), self.task.device)

    def follow(self, target: nn.Module, net: nn.Module) -> None:
        """Move a target network towards the one that learns (2.65)."""
        with torch.no_grad():
            for old, new in zip(target.parameters(), net.parameters(), strict=True):
                old.lerp_(new, self.config.tau)

    def play(self, net: ActorTwin, positions: Positions) -> Actions:
        """The policy as of now or before, exploration included: the opponent in self-play."""
        return onto(self.world, self.explore(net, positions.observations, quantiles_of(positions)))

    def weights(self) -> Arrays:
        return {**module_arrays(self.net), "scale": np.array(self.scale)}

    @classmethod
    def restore(cls, world: World, config: Any, weights: Arrays) -> Agent:
        return Deterministic(world, config, weights, cls.OUTPUTS)
