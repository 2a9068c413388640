"""Deep Q-network (notes 2.6, algorithm 6; Mnih et al. 2015), with Double and Dueling variants (2.6.6).

``preset`` in the settings names the variants: "dqn" is algorithm 6 as it stands, "double" chooses the next action by
the online network (2.67), "dueling" splits the last layer (2.68), "double_dueling" does both.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field

from elodrome.agents.agent import Agent, Budget, Evaluation, Ints, Positions, Progress, Task
from elodrome.agents.ops.dqn import double_q_target, huber, q_target
from elodrome.agents.ops.td import linear_schedule
from elodrome.agents.parts.deep import (
    DeepConfig,
    annealed,
    discount_of,
    opponents_of,
    require_finite,
)
from elodrome.agents.parts.heads import greedy_legal, pick, probabilities, quantiles_of
from elodrome.agents.parts.kept import KeptLearner
from elodrome.agents.parts.networks import (
    Arrays,
    QNet,
    adam,
    frozen,
    load_module,
    module_arrays,
    seeded,
)
from elodrome.agents.parts.replay import Replay, Transitions
from elodrome.agents.parts.saved import expect
from elodrome.agents.parts.vector import SeatEnv
from elodrome.envs.game import Floats, Mask, World
from elodrome.seeding import derive, generator

ABOUT = {"cls": "DQN", "chapter": "2", "summary": "deep Q-network; presets double, dueling, double_dueling"}

REPORT_EVERY = 100  # vector steps


class DQNConfig(DeepConfig):
    """discount is below 1 even in games: of two ways to win the shorter one is better, and errors of bootstrapped
    maxima die out. envs games are stepped together, then ``updates`` gradient steps on ``batch`` transitions follow.
    capacity: of the replay buffer; warmup: transitions before learning starts. The target network moves by tau at
    each gradient step (2.65), or, where tau is 0, is copied every target_every steps (2.6.4). Exploration falls in a
    straight line from epsilon to epsilon_end over the first ``exploration`` of the budget. huber: where the loss
    becomes linear.
    temperature: of the softmax over Q (in units of the reward scale) that ``evaluate`` shows as a policy; the agent
    itself acts greedily."""

    preset: Literal["dqn", "double", "dueling", "double_dueling"] = "double"
    discount: float | None = Field(0.97, ge=0.0, le=1.0)
    envs: int = Field(32, ge=1)
    updates: int = Field(1, ge=1)
    batch: int = Field(256, ge=1)
    capacity: int = Field(100_000, ge=1)
    warmup: int = Field(1_000, ge=1)
    target_every: int = Field(200, ge=1)
    tau: float = Field(0.02, ge=0.0, le=1.0)
    epsilon: float = Field(1.0, ge=0.0, le=1.0)
    epsilon_end: float = Field(0.05, ge=0.0, le=1.0)
    exploration: float = Field(0.3, gt=0.0, le=1.0)
    huber: float = Field(1.0, gt=0.0)
    max_norm: float = Field(10.0, gt=0.0)
    anneal: bool = True
    temperature: float = Field(0.1, gt=0.0)

    @property
    def double(self) -> bool:
        """Whether the online network chooses the next action."""
        return self.preset.startswith("double")

    @property
    def duel(self) -> bool:
        """Whether the network splits into value and advantages."""
        return self.preset.endswith("dueling")


def make_net(world: World, config: DQNConfig) -> QNet:
    """The network that the settings ask for."""
    return QNet(world, config.hidden, config.channels, config.torso, config.duel)


class GreedyQ(Agent):
    """A frozen Q-network, played greedily. Value: max Q in the world's own units."""

    config: DQNConfig

    def __init__(self, world: World, config: DQNConfig, weights: Arrays) -> None:
        super().__init__(world, config)
        net = seeded(0, make_net, world, config)
        load_module(net, weights)
        self._net: Any = frozen(net)
        self._scale = float(expect(weights, "scale", ())[()])

    def _q(self, positions: Positions) -> Any:
        return self._net(torch.from_numpy(positions.observations.astype(np.float64))).numpy()

    def act(self, positions: Positions) -> Ints:
        return greedy_legal(self._q(positions), positions.legal)

    def evaluate(self, positions: Positions) -> Evaluation:
        q = self._q(positions)
        value = np.where(positions.legal > 0, q, -np.inf).max(axis=1) * self._scale
        return Evaluation(probabilities(q / self.config.temperature, positions.legal), value)


class DQN(KeptLearner):
    """Learns Q* from replayed transitions; a step is one decision of the learner."""

    KEEPS = ("net", "target", "optimiser", "replay", "env", "rng", "scale", "steps", "updates")
    config_class = DQNConfig
    default_steps = 200_000
    config: DQNConfig

    def __init__(self, task: Task, config: DQNConfig | None = None) -> None:
        super().__init__(task, config)
        c = self.config
        net = seeded(derive(task.seed, "net"), make_net, self.world, c)
        self.net: QNet = net.to(task.device)
        self.target: QNet = copy.deepcopy(self.net).requires_grad_(False)
        self.optimiser = adam(self.net, c.rate)
        self.replay = Replay(self.world, c.capacity)
        self.rng = generator(task.seed, "dqn")
        self.epsilon = c.epsilon
        self.discount = discount_of(self.world, c.discount)
        self.scale = 1.0
        self.steps = self.updates = 0
        self.env = SeatEnv(self.world, c.envs, task.seed, opponents_of(self.world, c, self.play))

    def learn(self, budget: Budget) -> Iterator[Progress]:
        c, env = self.config, self.env
        while self.steps < budget.steps:
            episodes, losses = [np.zeros((2, 0))], []
            for _ in range(REPORT_EVERY):
                self.epsilon = linear_schedule(c.epsilon, c.epsilon_end, c.exploration * budget.steps, self.steps)
                observation = env.observation
                action = self._explore(observation, env.legal, self.rng.random((2, c.envs)))
                env.step(action)
                seen_next, legal_next = env.final_observation, env.final_legal
                self.replay.add(Transitions(observation, action, env.reward, seen_next, legal_next, env.terminated))
                episodes.append(np.stack([env.returns, env.lengths]))
                self.steps += c.envs
                if self.replay.count >= c.warmup:
                    if c.anneal:
                        annealed(self.optimiser, c.rate, self.steps, budget.steps)
                    losses += [self._update() for _ in range(c.updates)]
                if self.steps >= budget.steps:
                    break
            metrics = {"epsilon": self.epsilon}
            returns, lengths = np.concatenate(episodes, axis=1)
            if len(returns):
                metrics |= {"return": float(returns.mean()), "length": float(lengths.mean())}
            if losses:
                loss, value = torch.stack(losses).mean(0).tolist()
                metrics |= {"loss/value": loss, "q": value * self.scale}
            require_finite(self.steps, metrics)
            yield Progress(self.steps, metrics)

    def _update(self) -> torch.Tensor:
        """One gradient step on a replayed minibatch, and the target network behind it; the measurements."""
        c = self.config
        if self.updates % c.target_every == 0:
            self.scale = self.replay.reward_scale()
            if c.tau == 0.0:
                self.target.load_state_dict(self.net.state_dict())
        drawn = self.replay.sample(c.batch, self.rng)
        seen, seen_next, action, legal_next = (
            torch.from_numpy(array).to(self.task.device)
            for array in (drawn.observation, drawn.next_observation, drawn.action, drawn.next_legal > 0)
        )
        reward = torch.from_numpy(drawn.reward / self.scale).float().to(self.task.device)
        discount = torch.from_numpy(self.discount * ~drawn.terminated).float().to(self.task.device)
        with torch.no_grad():
            q_next = self.target(seen_next)
            if c.double:
                target = double_q_target(reward, discount, q_next, self.net(seen_next), legal_next)
            else:
                target = q_target(reward, discount, q_next, legal_next)
        q = self.net(seen).gather(1, action[:, None]).squeeze(1)
        loss = huber(q - target, c.huber).mean()
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), c.max_norm)
        self.optimiser.step()
        if c.tau > 0.0:
            with torch.no_grad():
                for old, new in zip(self.target.parameters(), self.net.parameters(), strict=True):
                    old.lerp_(new, c.tau)
        self.updates += 1
        return torch.stack([loss, q.mean()]).detach()

    def _explore(self, observations: Floats, legal: Mask, quantiles: Any) -> Ints:
        """Epsilon-greedy actions [B]; quantiles [2, B] decide whether to explore and where to."""
        with torch.inference_mode():
            q = self.net(torch.from_numpy(observations).to(self.task.device)).cpu().numpy()
        anywhere = pick(legal / legal.sum(axis=1, keepdims=True), quantiles[1])
        return np.where(quantiles[0] < self.epsilon, anywhere, greedy_legal(q, legal))

    def play(self, positions: Positions) -> Ints:
        """The policy as it learns, exploration included: the opponent in self-play."""
        first = quantiles_of(positions)
        second = first * 2.0**26 % 1.0  # the lower bits of the same word
        return self._explore(positions.observations, positions.legal, np.stack([first, second]))

    def weights(self) -> Arrays:
        return {**module_arrays(self.net), "scale": np.array(self.scale)}

    @classmethod
    def restore(cls, world: World, config: Any, weights: Arrays) -> Agent:
        return GreedyQ(world, config, weights)
