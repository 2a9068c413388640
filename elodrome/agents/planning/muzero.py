"""MuZero: tree search in a model that it learns itself (Schrittwieser et al. 2020; notes 4.2.2, 4.2.3 and 4.5.4).

It is told observations, legal actions and rewards, never the rules. A representation h makes a latent state of what is
seen, dynamics g carry it on by an action, a prediction f says policy and value there; the tree grows in latent states.
All three learn together, unrolled K steps along the games that were played: what f and g say must agree with the
search's policies, the returns and the rewards; no observation is ever predicted.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from pydantic import Field

from elodrome.agents.agent import Agent, Budget, Progress, Task
from elodrome.agents.ops import muzero as ops
from elodrome.agents.ops.search import cross_entropy
from elodrome.agents.parts.deep import annealed, discount_of, require_finite
from elodrome.agents.parts.heads import pick
from elodrome.agents.parts.kept import KeptLearner
from elodrome.agents.parts.networks import Arrays, descend, frozen, load_module, module_arrays, seeded
from elodrome.agents.search.agent import LatentAgent
from elodrome.agents.search.forest import SearchConfig
from elodrome.agents.search.lanes import Lanes
from elodrome.agents.search.latent import LatentForest
from elodrome.agents.search.latentnet import LatentNet, NetModel
from elodrome.agents.search.unrolled import Trajectories
from elodrome.envs.game import World
from elodrome.errors import UserError
from elodrome.seeding import derive

ABOUT = {
    "cls": "MuZero",
    "chapter": "4",
    "summary": "self-play with tree search in a latent model that it learns, without the rules",
    "players": (1, 2),
    "needs": ("perfect",),
}


class MuZeroConfig(SearchConfig):
    """simulations: when the trained agent acts; self_play: in self-play. The rest of the search's settings hold in
    both, but the agent acts without noise. discount: None is the world's own, at most 0.99 in solo worlds. latent,
    width: of the latent state and of hidden layers. games: played side by side; moves: of each in one iteration.
    batch, reuse: of gradient descent; how often a decision is learned from. window: decisions kept. unroll: K, steps
    of the model that are trained. ahead: n of the n-step returns; None is to the end on boards, 5 in solo worlds.
    sample: plies of each game, from its start, whose actions are drawn from the search's policy. opening: each game
    begins with 0 to ``opening`` uniformly random plies that nothing is learned from (an exploring start)."""

    simulations: int = Field(50, ge=0, le=1_000_000)
    solver: bool = False  # what a learned model says is no proof
    gumbel: bool = True
    c_scale: float = Field(0.2, ge=0.0)
    self_play: int = Field(16, ge=1, le=100_000)
    discount: float | None = Field(None, ge=0.0, le=1.0)
    latent: int = Field(64, ge=2)
    width: int = Field(128, ge=1)
    games: int = Field(64, ge=1)
    moves: int = Field(16, ge=1)
    batch: int = Field(128, ge=2)
    reuse: float = Field(8.0, gt=0.0)
    window: int = Field(50_000, ge=1)
    unroll: int = Field(5, ge=1)
    ahead: int | None = Field(None, ge=1)
    rate: float = Field(5e-3, gt=0.0)
    decay: float = Field(1e-4, ge=0.0)
    value_weight: float = Field(0.5, gt=0.0)
    sample: int = Field(4, ge=0)
    opening: int = Field(5, ge=0)


class MuZero(KeptLearner):
    """Learns from self-play; a position is one decision that was searched."""

    KEEPS = ("net", "optimiser", "memory", "games", "rng", "steps")
    config_class = MuZeroConfig
    unit = "positions"
    default_steps = 120_000
    config: MuZeroConfig

    def __init__(self, task: Task, config: MuZeroConfig | None = None) -> None:
        super().__init__(task, config)
        c, world = self.config, self.world
        self.steps = 0
        net: LatentNet = seeded(derive(task.seed, "net"), LatentNet, world, c.latent, c.width)
        self.net: LatentNet = net.to(task.device)
        self.optimiser = torch.optim.AdamW(self.net.parameters(), lr=c.rate, weight_decay=c.decay, fused=True)
        if world.players == 2 and not world.zero_sum:
            raise UserError(f"muzero plays worlds of two seats only where they are zero-sum, and {world.id} is not")
        discount = discount_of(world, c.discount)
        self.forest = LatentForest(world, c.games, c.model_copy(update={"simulations": c.self_play}), discount)
        ahead = c.ahead or (world.max_steps if world.players == 2 else 5)
        length = max(c.window // c.games, c.moves)
        self.memory = Trajectories(world, c.games, length, discount, ahead)
        self.games = Lanes(world, c.games, c.opening, derive(task.seed, "games"))
        self.rng = np.random.Generator(np.random.PCG64(derive(task.seed, "memory")))

    def learn(self, budget: Budget) -> Iterator[Progress]:
        c = self.config
        while self.steps < budget.steps:
            metrics = self._play()
            self.memory.aim(c.moves)
            annealed(self.optimiser, c.rate, self.steps, budget.steps)
            metrics |= self._train()
            self.steps += c.moves * c.games
            require_finite(self.steps, metrics)
            yield Progress(self.steps, metrics)

    def _play(self) -> dict[str, float]:
        """``moves`` decisions in every game, noted in the memory; the mean return of the first seat and length of the
        games that ended."""
        c, games, model = self.config, self.games, NetModel(self.net, self.task.device)
        over: list[tuple[float, int]] = []
        for _ in range(c.moves):
            seen, legal = games.look()
            found = self.forest.dream(seen, legal, games.draw(), model, explore=True)
            early = games.table.plies < c.sample
            actions = np.where(early, pick(found.policy, games.quantiles()), found.choices)
            rewards, end = games.step(actions)
            cut = np.flatnonzero(end == 2)
            tail = np.zeros(c.games)
            if len(cut):  # truncation is no end: what would have come is worth what the network says
                tail[cut] = model.root(games.table.observe(cut, np.zeros(len(cut), np.int64)))[2]
            self.memory.add(
                observation=seen.reshape(c.games, -1),
                action=actions,
                reward=rewards,
                policy=found.policy,
                value=found.values,
                end=end,
                tail=tail,
            )
            over += games.restart()
        if not over:
            return {}
        returns, lengths = zip(*over, strict=True)
        return {"games": len(over), "return": float(np.mean(returns)), "length": float(np.mean(lengths))}

    def _train(self) -> dict[str, float]:
        """One iteration's share of gradient descent; the mean losses."""
        c = self.config
        updates = max(1, round(c.moves * c.games * c.reuse / c.batch))
        losses = torch.stack([self._update() for _ in range(updates)]).mean(0).tolist()
        return dict(zip(("loss/policy", "loss/value", "loss/reward"), losses, strict=True))

    def _update(self) -> torch.Tensor:
        """One step down the gradient of (1): the sum over k = 0 ... K of the three losses."""
        c, device = self.config, self.task.device
        sampled = self.memory.sample(c.batch, c.unroll, self.rng)
        seen, actions, _, policies, _, reward_known, policy_known, value_known = (
            torch.from_numpy(array).to(device) for array in sampled
        )
        atoms = self.net.atoms.cpu().numpy()
        values, rewards = (
            torch.from_numpy(ops.two_hot(ops.squash(x), atoms)).to(device) for x in (sampled.values, sampled.rewards)
        )
        latents = self.net.h(seen)
        losses = torch.zeros(3, device=device)
        for k in range(c.unroll + 1):
            logits, expected = self.net.f(latents)
            share = 1.0 if k == 0 else 1.0 / c.unroll
            losses[0] += share * (cross_entropy(logits, policies[:, k]) * policy_known[:, k]).mean()
            losses[1] += share * (cross_entropy(expected, values[:, k]) * value_known[:, k]).mean()
            if k < c.unroll:
                latents, gained = self.net.g(ops.half_gradient(latents), actions[:, k])
                losses[2] += (cross_entropy(gained, rewards[:, k]) * reward_known[:, k]).mean() / c.unroll
        descend(self.optimiser, losses[0] + c.value_weight * losses[1] + losses[2])
        return losses.detach()

    def weights(self) -> Arrays:
        return module_arrays(self.net)

    @classmethod
    def restore(cls, world: World, config: Any, weights: Arrays) -> Agent:
        net = seeded(0, LatentNet, world, config.latent, config.width)
        load_module(net, weights)
        return LatentAgent(world, config, NetModel(frozen(net)), discount_of(world, config.discount))  # type: ignore[arg-type]
