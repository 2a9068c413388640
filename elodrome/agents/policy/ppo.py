"""Proximal policy optimisation with clipping (notes 3.8.3 to 3.8.5, algorithm 9; Schulman et al. 2017)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from pydantic import Field

from elodrome.agents.agent import Agent, Budget, Progress, Task
from elodrome.agents.ops import policy_gradient as pg
from elodrome.agents.ops.returns import gae
from elodrome.agents.parts.deep import (
    DeepConfig,
    LivePolicy,
    NetworkPolicy,
    RewardScale,
    annealed,
    discount_of,
    opponents_of,
    pick,
    require_finite,
)
from elodrome.agents.parts.kept import KeptLearner
from elodrome.agents.parts.networks import (
    Arrays,
    PolicyValueNet,
    adam,
    module_arrays,
    seeded,
)
from elodrome.agents.parts.vector import SeatEnv
from elodrome.envs.game import World
from elodrome.seeding import derive, generator

ABOUT = {"cls": "PPO", "chapter": "3", "summary": "PPO-Clip with GAE; self-play where there are opponents"}


class PPOConfig(DeepConfig):
    """envs games of horizon decisions make one batch; epochs passes over it in minibatches. clip is epsilon of (3.72),
    gae_lambda of (3.59), entropy c_1 of (3.74), value_weight the weight of the critic's loss, max_norm a bound on
    the gradient's norm. anneal lets the step size fall to 0 over the budget. greedy: how the trained agent acts (None:
    greedily, but by sampling where information is imperfect or moves are simultaneous)."""

    rate: float = Field(3e-3, gt=0.0)
    envs: int = Field(64, ge=1)
    horizon: int = Field(32, ge=1)
    epochs: int = Field(4, ge=1)
    minibatch: int = Field(512, ge=2)
    clip: float = Field(0.2, gt=0.0)
    gae_lambda: float = Field(0.95, ge=0.0, le=1.0)
    entropy: float = Field(0.02, ge=0.0)
    value_weight: float = Field(0.5, ge=0.0)
    max_norm: float = Field(0.5, gt=0.0)
    anneal: bool = True
    greedy: bool | None = None


class PPO(KeptLearner):
    """Learns a policy and its value by PPO-Clip; a step is one decision of the learner."""

    KEEPS = ("net", "optimiser", "env", "rng", "scale", "steps")
    config_class = PPOConfig
    default_steps = 200_000
    config: PPOConfig

    def __init__(self, task: Task, config: PPOConfig | None = None) -> None:
        super().__init__(task, config)
        self.steps = 0
        c = self.config
        net = seeded(derive(task.seed, "net"), PolicyValueNet, self.world, c.hidden, c.channels, c.torso)
        self.net: PolicyValueNet = net.to(task.device)
        self.optimiser = adam(self.net, c.rate)
        self.policy = LivePolicy(self.net, task.device, lambda: self.steps)
        self.env = SeatEnv(self.world, c.envs, task.seed, opponents_of(self.world, c, self.policy.act))
        self.rng = generator(task.seed, "ppo")
        self.scale = RewardScale()
        self.discount = discount_of(self.world, c.discount)

    def learn(self, budget: Budget) -> Iterator[Progress]:
        c = self.config
        while self.steps < budget.steps:
            if c.anneal:
                annealed(self.optimiser, c.rate, self.steps, budget.steps)
            batch, metrics = self._collect()
            count = len(batch["action"])
            losses = []
            for _ in range(c.epochs):
                order = torch.from_numpy(self.rng.permutation(count)).to(self.task.device)
                for start in range(0, count, c.minibatch):
                    chosen = order[start : start + c.minibatch]
                    losses += [self._update({name: tensor[chosen] for name, tensor in batch.items()})]
            self.steps += count
            names = ("loss/policy", "loss/value", "entropy", "kl")
            metrics |= dict(zip(names, torch.stack(losses).mean(0).tolist(), strict=True))
            require_finite(self.steps, metrics)
            yield Progress(self.steps, metrics)

    def _update(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """One step of gradient descent on a minibatch; the measurements."""
        c = self.config
        log_probs = pg.masked_log_probs(self.net.logits(batch["observation"]), batch["legal"])
        log_prob = pg.taken(log_probs, batch["action"])
        ratio = pg.importance_ratio(log_prob, batch["log_prob"])
        policy_loss = pg.clipped_surrogate_loss(ratio, pg.standardised(batch["advantage"]), c.clip)
        value_loss = pg.value_loss(self.net.value(batch["observation"]), batch["target"])
        entropy = pg.entropy(log_probs).mean()
        self.optimiser.zero_grad()
        (policy_loss + c.value_weight * value_loss - c.entropy * entropy).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), c.max_norm)
        self.optimiser.step()
        kl = (batch["log_prob"] - log_prob).mean()
        return torch.stack([policy_loss, value_loss, entropy, kl]).detach()

    def _collect(self) -> tuple[dict[str, torch.Tensor], dict[str, float]]:
        """Play ``horizon`` decisions in every game: the batch [T * B] with advantages and targets, measurements."""
        env, shape = self.env, (self.config.horizon, self.config.envs)
        seen = np.zeros((shape[0] + 1, shape[1], *self.world.observation_shape), np.float32)
        legal = np.zeros((*shape, self.world.actions), np.bool_)
        action = np.zeros(shape, np.int64)
        reward = np.zeros(shape)
        terminated, truncated = np.zeros(shape, np.bool_), np.zeros(shape, np.bool_)
        cut, episodes = [], []
        for t in range(shape[0]):
            seen[t], legal[t] = env.observation, env.legal
            action[t] = pick(self.policy.probabilities(env.observation, env.legal), self.rng.random(shape[1]))
            env.step(action[t])
            reward[t], terminated[t], truncated[t] = env.reward, env.terminated, env.truncated
            cut.append(env.final_observation[env.truncated])
            episodes.append(np.stack([env.returns, env.lengths]))
        seen[-1] = env.observation
        device = self.task.device
        observation = torch.from_numpy(seen).to(device)
        value = self._values(observation.flatten(0, 1)).reshape(shape[0] + 1, shape[1])
        following = value[1:].copy()
        following[truncated] = self._values(torch.from_numpy(np.concatenate(cut)).to(device))
        scaled = reward / self.scale.update(reward)
        discount = self.discount * ~terminated
        continues = ~(terminated | truncated)
        advantage = gae(scaled, discount, value[:-1], following, continues, self.config.gae_lambda)

        def flat(array: Any) -> torch.Tensor:
            tensor = torch.from_numpy(array).to(device).flatten(0, 1)
            return tensor.float() if tensor.is_floating_point() else tensor

        batch = {
            "observation": observation[:-1].flatten(0, 1),
            "legal": flat(legal),
            "action": flat(action),
            "advantage": flat(advantage),
            "target": flat(advantage + value[:-1]),
        }
        with torch.no_grad():
            log_probs = pg.masked_log_probs(self.net.logits(batch["observation"]), batch["legal"])
            batch["log_prob"] = pg.taken(log_probs, batch["action"])
        returns, lengths = np.concatenate(episodes, axis=1)
        return batch, {"return": float(returns.mean()), "length": float(lengths.mean())} if len(returns) else {}

    def _values(self, observations: torch.Tensor) -> Any:
        with torch.no_grad():
            return self.net.value(observations).cpu().numpy().astype(np.float64)

    def weights(self) -> Arrays:
        return {**module_arrays(self.net), "scale": np.array(self.scale.value)}

    @classmethod
    def restore(cls, world: World, config: Any, weights: Arrays) -> Agent:
        return NetworkPolicy(world, config, weights)
