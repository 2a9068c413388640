"""Deep Q-network (notes 2.6, algorithm 6; Mnih et al. 2015) and its extensions (2.6.6), as switches that combine.

As it stands it is algorithm 6: uniform replay, a target network that is copied every so many steps, squared errors.
(Adam takes the step, and the gradient's norm is bounded.) ``rainbow`` turns on all that Hessel et al. (2018) combine.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from elodrome.agents.agent import Agent, Budget, Ints, Positions, Progress, Task
from elodrome.agents.ops.td import linear_schedule
from elodrome.agents.parts.collecting import episode_metrics
from elodrome.agents.parts.deep import annealed, discount_of, require_finite, seats_of
from elodrome.agents.parts.heads import greedy_legal, pick, quantiles_of
from elodrome.agents.parts.kept import KeptLearner
from elodrome.agents.parts.networks import Arrays, adam, descend, module_arrays, seeded, to_tensor
from elodrome.agents.parts.replay import NStep, Replay, transition_fields
from elodrome.agents.value.config import DQNConfig
from elodrome.agents.value.heads import GreedyQ, QNet, categorical_loss, make_net, reach, scalar_loss
from elodrome.envs.game import Floats, Mask, World
from elodrome.seeding import derive, generator

ABOUT = {
    "cls": "DQN",
    "chapter": "2",
    "summary": "deep Q-network",
    "presets": {
        "soft_dqn": {"tau": 0.02},
        "double_dqn": {"double": True},
        "dueling_dqn": {"dueling": True},
        "per_dqn": {"priority": 0.6},
        "n_step_dqn": {"n_step": 3},
        "c51": {"atoms": 51},
        "noisy_dqn": {"noisy": 0.5, "epsilon": 0.0, "epsilon_end": 0.0},
        "rainbow": {
            "double": True,
            "dueling": True,
            "priority": 0.6,
            "n_step": 3,
            "atoms": 51,
            "noisy": 0.5,
            "epsilon": 0.0,
            "epsilon_end": 0.0,
        },
    },
}

REPORT_EVERY = 100  # vector steps


class DQN(KeptLearner):
    """Learns Q* from replayed transitions; a step is one decision of the learner."""

    KEEPS = ("net", "target", "optimiser", "replay", "pending", "env", "rng", "scale", "steps", "updates")
    config_class = DQNConfig
    default_steps = 200_000
    unsteady = True
    config: DQNConfig

    def __init__(self, task: Task, config: DQNConfig | None = None) -> None:
        super().__init__(task, config)
        c = self.config
        net: QNet = seeded(derive(task.seed, "net"), make_net, self.world, c)
        self.net = net.to(task.device)
        self.target = copy.deepcopy(self.net).requires_grad_(False).eval()  # without noise: a maximum of it is above 0
        self.optimiser = adam(self.net, c.rate)
        fields = transition_fields(self.world, in_bytes=c.in_bytes or self.world.pixels)
        self.replay = Replay(self.world, fields, c.capacity, c.priority)
        self.discount = discount_of(self.world, c.discount)
        self.pending = NStep(c.n_step, self.discount, fields)
        self.rng = generator(task.seed, "dqn")
        self.epsilon, self.beta, self.scale = c.epsilon, c.beta, 1.0
        self.steps = self.updates = 0
        self.env = seats_of(task, c, c.envs, self.play, self.net)

    def learn(self, budget: Budget) -> Iterator[Progress]:
        c, env = self.config, self.env
        while self.steps < budget.steps:
            episodes, losses = [np.zeros((2, 0))], []
            for _ in range(REPORT_EVERY):
                self.epsilon = linear_schedule(c.epsilon, c.epsilon_end, c.exploration * budget.steps, self.steps)
                self.beta = linear_schedule(c.beta, 1.0, budget.steps, self.steps)
                self.net.renew(self.rng, c.envs)  # for each game its own, lest games that are alike stay alike
                observation = env.observation
                action = self._explore(self.net, observation, env.legal, self.rng.random((2, c.envs)))
                env.step(action)
                for transitions in self.pending.add(observation, action, env):
                    self.replay.add(transitions)
                if len(env.returns):
                    episodes.append(np.stack([env.returns, env.lengths]))
                self.steps += c.envs
                if self.replay.count >= c.warmup:
                    if c.anneal:
                        annealed(self.optimiser, c.rate, self.steps, budget.steps)
                    losses += [self._update(at, batch) for at, batch in self._batches()]
                if self.steps >= budget.steps:
                    break
            metrics = {"epsilon": self.epsilon, **episode_metrics(*np.concatenate(episodes, axis=1))}
            if losses:
                means = [torch.stack(column).mean() for column in zip(*losses, strict=True)]
                loss, value = torch.stack(means).tolist()
                metrics |= {"loss/value": loss, "q": value * self.scale}
            require_finite(self.steps, metrics)
            yield Progress(self.steps, metrics)

    def _batches(self) -> Iterator[tuple[Ints, dict[str, torch.Tensor]]]:
        """``updates`` replayed minibatches and where they stand: drawn together where no update changes what the next
        one draws."""
        c = self.config
        together = 1 if c.priority else c.updates
        for _ in range(c.updates // together):
            at, drawn = self.replay.sample(c.batch * together, self.rng)
            next_legal = drawn.pop("next_legal") > 0
            if not next_legal.all():
                drawn["next_legal"] = next_legal
            tensors = {name: to_tensor(array, self.task.device) for name, array in drawn.items()}
            for part in (slice(i * c.batch, (i + 1) * c.batch) for i in range(together)):
                yield at[part], {name: tensor[part] for name, tensor in tensors.items()}

    def _update(self, at: Ints, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """One gradient step on a replayed minibatch, and the target network behind it; the loss and Q(s, a) [B]."""
        c = self.config
        if self.updates % c.target_every == 0:
            self._measure()
            if c.tau == 0.0:
                self.target.load_state_dict(self.net.state_dict())
        batch["reward"] = batch["reward"] / self.scale
        self.net.renew(self.rng)
        if c.atoms > 1:
            losses, priorities, q = categorical_loss(self.net, self.target, batch, c.double)
        else:
            losses, priorities, q = scalar_loss(self.net, self.target, batch, c.double, c.huber)
        if c.priority:
            losses = losses * to_tensor(self.replay.weights(at, self.beta), self.task.device)
            self.replay.tell(at, priorities.cpu().numpy().astype(np.float64) + 1e-6)
        loss = losses.mean()
        descend(self.optimiser, loss, c.max_norm)
        if c.tau > 0.0:
            with torch.no_grad():
                for old, new in zip(self.target.parameters(), self.net.parameters(), strict=True):
                    old.lerp_(new, c.tau)
        self.updates += 1
        return loss.detach(), q

    def _measure(self) -> None:
        """Take the scale of rewards from the replay and, at the first update, the reach of the atoms. These are in
        units of the scale, which must then stay."""
        c = self.config
        if c.atoms == 1 or self.updates == 0:
            self.scale = self.replay.reward_scale()
        if c.atoms > 1 and self.updates == 0:
            ends = self.replay["discount"] == 0.0
            each = np.where(ends, self.replay["reward"], self.replay["reward"] / c.n_step)
            low, high = reach(self.world, each, ends, self.discount)
            for net in (self.net, self.target):
                net.spread((c.v_min or low) / self.scale, (c.v_max or high) / self.scale)

    def _explore(self, net: QNet, observations: Floats, legal: Mask, quantiles: Any) -> Ints:
        """Epsilon-greedy actions [B]; quantiles [2, B] decide whether to explore and where to."""
        with torch.inference_mode():
            q = net(to_tensor(observations, self.task.device)).cpu().numpy()
        greedy, explores = greedy_legal(q, legal), quantiles[0] < self.epsilon
        if not explores.any():
            return greedy
        return np.where(explores, pick(legal / legal.sum(axis=1, keepdims=True), quantiles[1]), greedy)

    def play(self, net: QNet, positions: Positions) -> Ints:
        """The policy of a network as of now or before, exploration included: the opponent in self-play."""
        first = quantiles_of(positions)  # the second: the lower bits of the same word
        return self._explore(net, positions.observations, positions.legal, np.stack([first, first * 2.0**26 % 1.0]))

    def weights(self) -> Arrays:
        return {**module_arrays(self.net), "scale": np.array(self.scale)}

    @classmethod
    def restore(cls, world: World, config: Any, weights: Arrays) -> Agent:
        return GreedyQ(world, config, weights)
