"""REINFORCE with a learned baseline (notes 3.3 and 3.4, algorithm 7; Williams 1992)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from pydantic import Field

from elodrome.agents.agent import Agent, Budget, Ints, Progress, Task
from elodrome.agents.ops import policy_gradient as pg
from elodrome.agents.ops.returns import discounted_returns
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

ABOUT = {"cls": "Reinforce", "chapter": "3", "summary": "Monte Carlo policy gradient with a learned baseline"}


class ReinforceConfig(DeepConfig):
    """episodes: whole episodes per update. baseline: subtract V(s) (3.32), fitted by ``value_epochs`` gradient steps
    per batch, or nothing. standardise: divide advantages by their standard deviation (a bias that vanishes with the
    batch; False gives the unbiased estimate 3.25). entropy, max_norm, anneal, greedy: as in PPO."""

    episodes: int = Field(64, ge=1)
    baseline: bool = True
    value_epochs: int = Field(4, ge=1)
    standardise: bool = True
    entropy: float = Field(0.1, ge=0.0)
    max_norm: float = Field(0.5, gt=0.0)
    rate: float = Field(1e-3, gt=0.0)
    anneal: bool = True
    greedy: bool | None = None


class Reinforce(KeptLearner):
    """Learns a policy from returns of whole episodes; a step is one decision of the learner."""

    KEEPS = ("net", "actor", "critic", "env", "rng", "scale", "steps")
    config_class = ReinforceConfig
    default_steps = 200_000
    config: ReinforceConfig

    def __init__(self, task: Task, config: ReinforceConfig | None = None) -> None:
        super().__init__(task, config)
        self.steps = 0
        c = self.config
        net = seeded(derive(task.seed, "net"), PolicyValueNet, self.world, c.hidden, c.channels, c.torso)
        self.net: PolicyValueNet = net.to(task.device)
        self.actor, self.critic = adam(self.net.actor, c.rate), adam(self.net.critic, c.rate)
        self.policy = LivePolicy(self.net, task.device, lambda: self.steps)
        rivals = opponents_of(self.world, c, self.policy.act)
        self.env = SeatEnv(self.world, c.episodes, task.seed, rivals, restart=False)
        self.rng = generator(task.seed, "reinforce")
        self.scale = RewardScale()
        self.discount = discount_of(self.world, c.discount)

    def learn(self, budget: Budget) -> Iterator[Progress]:
        c = self.config
        while self.steps < budget.steps:
            if c.anneal:
                annealed(self.actor, c.rate, self.steps, budget.steps)
            batch, metrics = self._play_episodes()
            advantage = batch["return"]
            if c.baseline:
                with torch.no_grad():
                    advantage = advantage - self.net.value(batch["observation"])
            if c.standardise:
                advantage = pg.standardised(advantage)
            log_probs = pg.masked_log_probs(self.net.logits(batch["observation"]), batch["legal"])
            policy_loss = pg.policy_gradient_loss(pg.taken(log_probs, batch["action"]), advantage)
            entropy = pg.entropy(log_probs).mean()
            self._descend(self.actor, policy_loss - c.entropy * entropy)
            metrics |= {"loss/policy": policy_loss.item(), "entropy": entropy.item()}
            for _ in range(c.value_epochs if c.baseline else 0):
                value_loss = pg.value_loss(self.net.value(batch["observation"]), batch["return"])
                self._descend(self.critic, value_loss)
                metrics["loss/value"] = value_loss.item()
            self.steps += len(batch["action"])
            require_finite(self.steps, metrics)
            yield Progress(self.steps, metrics)

    def _descend(self, optimiser: torch.optim.Adam, loss: torch.Tensor) -> None:
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(optimiser.param_groups[0]["params"], self.config.max_norm)
        optimiser.step()

    def _play_episodes(self) -> tuple[dict[str, torch.Tensor], dict[str, float]]:
        """Play one episode in every game: the batch of all decisions [N] with their returns, measurements."""
        env, size = self.env, self.config.episodes
        env.reset()
        seen, legal, actions, rewards, cuts, ends, lives = [], [], [], [], [], [], []
        while len(env.live):
            live = env.live
            action: Ints = np.zeros(size, np.int64)
            probs = self.policy.probabilities(env.observation[live], env.legal[live])
            action[live] = pick(probs, self.rng.random(len(live)))
            seen.append(env.observation[live])
            legal.append(env.legal[live] > 0)
            actions.append(action[live])
            env.step(action)
            rewards.append(env.reward)
            cuts.append(self._cut_off())
            ends.append(np.stack([env.terminated, env.truncated]))
            lives.append(np.isin(np.arange(size), live))
        reward, taken = np.stack(rewards), np.stack(lives)
        terminated, truncated = np.stack(ends, axis=1)
        scaled = reward / self.scale.update(reward[taken])
        returns = discounted_returns(scaled, self.discount * ~terminated, np.stack(cuts), ~(terminated | truncated))
        device = self.task.device
        batch = {
            "observation": torch.from_numpy(np.concatenate(seen)).to(device),
            "legal": torch.from_numpy(np.concatenate(legal)).to(device),
            "action": torch.from_numpy(np.concatenate(actions)).to(device),
            "return": torch.from_numpy(returns[taken]).float().to(device),
        }
        total = float(reward.sum() / size)
        return batch, {"return": total, "length": float(taken.sum() / size)}

    def _cut_off(self) -> Any:
        """What the critic expects after truncation [B], 0 elsewhere (and everywhere without a baseline)."""
        rest = np.zeros(self.config.episodes)
        if self.config.baseline and self.env.truncated.any():
            final = torch.from_numpy(self.env.final_observation[self.env.truncated]).to(self.task.device)
            with torch.no_grad():
                rest[self.env.truncated] = self.net.value(final).cpu().numpy()
        return rest

    def weights(self) -> Arrays:
        return {**module_arrays(self.net), "scale": np.array(self.scale.value)}

    @classmethod
    def restore(cls, world: World, config: Any, weights: Arrays) -> Agent:
        return NetworkPolicy(world, config, weights)
