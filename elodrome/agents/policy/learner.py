"""What the agents of chapter 3 share: a network of policy and value that plays, judges what it played, and is kept."""

from __future__ import annotations

from typing import Any, ClassVar, cast

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from elodrome.agents.agent import Agent, Evaluation, Positions, Task
from elodrome.agents.ops.returns import gae
from elodrome.agents.parts.collecting import Experience, collect
from elodrome.agents.parts.deep import DeepConfig, discount_of, require_finite, seats_of
from elodrome.agents.parts.heads import normal_at, onto, probabilities, quantiles_of
from elodrome.agents.parts.kept import KeptLearner
from elodrome.agents.parts.networks import (
    Arrays,
    PolicyValueNet,
    SmoothActor,
    frozen,
    load_module,
    module_arrays,
    seeded,
    to_tensor,
)
from elodrome.agents.parts.saved import expect
from elodrome.agents.parts.vector import SeatEnv
from elodrome.agents.policy.scale import RewardScale
from elodrome.envs.actions import Actions
from elodrome.envs.game import Floats, Mask, Reals, World
from elodrome.seeding import derive, generator


class PolicyConfig(DeepConfig):
    """entropy: weight of the bonus (3.74). max_norm: bound on the gradient's norm. anneal: let the step size fall to 0
    over the budget. greedy: how the trained agent acts (None: greedily, but by sampling where information is imperfect
    or moves are simultaneous). state_noise: above 0, what is tried of real numbers departs from the mean by a function
    of what is seen, ``networks.SmoothActor``, drawn for each game at the start of a batch and after so many decisions:
    nearby states get nearby noise, where otherwise it trembles. Decisions that share a draw depend on each other; each
    counts by its own density all the same."""

    entropy: float = Field(0.02, ge=0.0)
    max_norm: float = Field(0.5, gt=0.0)
    anneal: bool = True
    greedy: bool | None = None
    state_noise: int = Field(0, ge=0)


class ActorCriticConfig(PolicyConfig):
    """envs games of horizon decisions make one batch. gae_lambda: of (3.59). value_weight: of the critic's loss."""

    envs: int = Field(64, ge=1)
    horizon: int = Field(32, ge=1)
    gae_lambda: float = Field(0.95, ge=0.0, le=1.0)
    value_weight: float = Field(0.5, ge=0.0)


def samples_by_default(world: World) -> bool:
    """Whether acting needs chance: where moves are simultaneous, or something is hidden."""
    return world.simultaneous or world.information == "imperfect"


def make_net(world: World, config: PolicyConfig) -> PolicyValueNet:
    """The network that the settings ask for."""
    return PolicyValueNet(world, config.hidden, config.channels, config.torso, config.state_noise > 0)


class NetworkPolicy(Agent):
    """A frozen policy network: samples from its policy, or plays its most probable action (of real numbers: the means),
    as ``config.greedy`` says. Value: the critic's, in the world's own units."""

    def __init__(self, world: World, config: PolicyConfig, weights: Arrays) -> None:
        super().__init__(world, config)
        net = seeded(0, make_net, world, config)
        load_module(net, weights)
        self._net: Any = frozen(net)
        self._scale = float(expect(weights, "scale", ())[()])
        self.greedy = not samples_by_default(world) if config.greedy is None else config.greedy

    def act(self, positions: Positions) -> Actions:
        outputs = self._net.outputs(torch.from_numpy(positions.observations.astype(np.float64))).numpy()
        if self.greedy:
            return onto(self.world, self._net.head.mode(outputs, positions.legal))
        return onto(self.world, self._net.head.draw(outputs, positions.legal, quantiles_of(positions)))

    def evaluate(self, positions: Positions) -> Evaluation:
        seen = torch.from_numpy(positions.observations.astype(np.float64))
        policy = np.zeros((len(seen), 0))
        if not self.world.continuous:
            policy = probabilities(self._net.outputs(seen).numpy(), positions.legal)
        return Evaluation(policy, self._net.value(seen).numpy() * self._scale)


class PolicyLearner(KeptLearner):
    """A policy and its value that learn in one seat of many games; a step is one decision of the learner.

    A subclass makes ``env`` with ``seats``, its optimisers, and the update.
    """

    KEEPS: ClassVar[tuple[str, ...]] = ("net", "env", "rng", "scale", "steps")
    default_steps = 200_000
    unsteady = True
    config: PolicyConfig
    env: SeatEnv

    def __init__(self, task: Task, config: PolicyConfig | None = None) -> None:
        super().__init__(task, config)
        net: PolicyValueNet = seeded(derive(task.seed, "net"), make_net, self.world, self.config)
        self.net = net.to(task.device)
        self.rng = generator(task.seed, type(self).__name__.lower())
        self.scale = RewardScale()
        self.discount = discount_of(self.world, self.config.discount)
        self.steps = 0

    def seats(self, size: int, *, restart: bool = True) -> SeatEnv:
        """``size`` games against the opponents of the settings."""
        return seats_of(self.task, self.config, size, self.play, self.net, restart=restart)

    def collected(self, horizon: int | None = None) -> Experience:
        """What the policy plays in ``env`` from here on, ``horizon`` as for ``collect``."""
        actor = self.net.actor
        if not isinstance(actor, SmoothActor):
            return collect(self.env, self.sample, self.rng, horizon)
        return collect(self.env, self.smooth, self.rng, horizon, tuple(actor.log_std.shape), self.config.state_noise)

    def sample(self, observations: Floats, legal: Mask, quantiles: Reals) -> Actions:
        """Actions [B] at these quantiles of pi(. | s), as the head has them. Raises Diverged when the network answers
        with NaN."""
        return self._drawn(self.net, observations, legal, quantiles)

    def smooth(self, observations: Floats, legal: Mask, quantiles: Reals) -> Actions:
        """Actions [B, *action_shape] under noise that depends on the state, at quantiles [B, F, D]. Raises Diverged as
        ``sample`` does."""
        actor, noise = cast(SmoothActor, self.net.actor), normal_at(quantiles)
        with torch.inference_mode():
            drawn = actor.disturbed(self.tensor(observations), self.tensor(noise)).cpu().numpy()
        require_finite(self.steps, {"outputs": float(np.abs(drawn).max(initial=0.0))})
        return drawn.astype(np.float64).reshape(-1, *self.world.action_shape)

    def play(self, net: PolicyValueNet, positions: Positions) -> Actions:
        """One sampled action for each position by a network as of now or before: the opponent in self-play."""
        drawn = self._drawn(net, positions.observations, positions.legal, quantiles_of(positions))
        return onto(self.world, drawn)

    def _drawn(self, net: PolicyValueNet, observations: Floats, legal: Mask, quantiles: Reals) -> Actions:
        with torch.inference_mode():
            outputs = net.outputs(self.tensor(observations)).cpu().numpy()
        require_finite(self.steps, {"outputs": float(np.abs(outputs).max(initial=0.0))})
        return net.head.draw(outputs, legal, quantiles)

    def tensor(self, array: Any) -> Tensor:
        """An array on the device; reals as float32."""
        return to_tensor(array, self.task.device)

    def values(self, observations: Tensor) -> Reals:
        """What the critic expects of observations [B, *shape], on the host."""
        with torch.no_grad():
            values: Reals = self.net.value(observations).cpu().numpy().astype(np.float64)
        return values

    def judged(self, experience: Experience, lambda_: float) -> dict[str, Tensor]:
        """The decisions [T * B] with their advantages (3.59) and what the critic should have said (algorithm 9);
        "legal" only where not all actions are."""
        observation = self.tensor(experience.observation)
        value = self.values(observation.flatten(0, 1)).reshape(observation.shape[:2])
        following = value[1:].copy()
        if len(experience.final):
            following[experience.truncated] = self.values(self.tensor(experience.final))
        scaled = experience.reward / self.scale.update(experience.reward)
        discount = self.discount * ~experience.terminated
        advantage = gae(scaled, discount, value[:-1], following, experience.continues, lambda_)
        batch = {
            **({} if experience.legal.all() else {"legal": experience.legal}),
            "action": experience.action,
            "advantage": advantage,
            "target": advantage + value[:-1],
        }
        flat = {name: self.tensor(array).flatten(0, 1) for name, array in batch.items()}
        return {"observation": observation[:-1].flatten(0, 1), **flat}

    def weights(self) -> Arrays:
        return {**module_arrays(self.net), "scale": np.array(self.scale.value)}

    @classmethod
    def restore(cls, world: World, config: Any, weights: Arrays) -> Agent:
        return NetworkPolicy(world, config, weights)
