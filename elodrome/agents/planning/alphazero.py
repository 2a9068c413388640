"""AlphaZero: a network that learns from its own tree search (notes 4.5.3 and 4.5.4, algorithm 12; Silver et al. 2018).

``gumbel=true`` is its Gumbel variant (Danihelka et al. 2022): actions at the root are chosen by sequential halving
under Gumbel noise, and the network learns the improved policy, which a handful of simulations suffice for.

Self-play and training run side by side, each on threads of its own: while games are played with the network as of the
last iteration, the network is trained on all games before. What comes out depends on the seed, not on their timing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from pydantic import Field

from elodrome.agents.agent import Agent, Budget, Progress, Task
from elodrome.agents.ops import policy_gradient as pg
from elodrome.agents.ops import search as ops
from elodrome.agents.parts.deep import annealed, require_finite
from elodrome.agents.parts.kept import KeptLearner
from elodrome.agents.parts.networks import Arrays, descend, load_module, module_arrays, seeded
from elodrome.agents.parts.opponents import Past, stranger
from elodrome.agents.search.agent import SearchAgent
from elodrome.agents.search.boardnet import BoardNet, NetEvaluator, Precision, Sides, begin_with_saved
from elodrome.agents.search.forest import SearchConfig
from elodrome.agents.search.selfplay import PlayConfig, SelfPlay, Window, joined
from elodrome.envs.game import Game, World
from elodrome.envs.table import thread_pool
from elodrome.seeding import derive, generator

ABOUT = {
    "cls": "AlphaZero",
    "chapter": "4",
    "summary": "self-play with tree search and one network, from nothing",
    "players": (2, 2),
    "needs": ("state", "perfect", "zero_sum", "deterministic"),
}


class AlphaZeroConfig(SearchConfig):
    """simulations: when the trained agent acts; self_play: in self-play. The rest of the search's settings hold in
    both, but the agent acts without noise. channels, blocks, hidden: see ``BoardNet``. games, shards: played side by
    side, in so many groups. moves: of every game in one iteration. reuse: how often a position is learned from.
    window: positions kept. blend: how much of the search's own value is in the value target. sample, opening: see
    ``PlayConfig``. precision: of the network in self-play; acting is in float32. sides: of the board that the network
    is asked about when the agent acts (see ``Sides``). start: a saved agent, by folder or name, whose network, as large
    or smaller, to begin with instead of nothing (see ``begin_with``). pool: share of games against
    ``opponent``: its own past ("past", or "prioritised": above all those of whom it wins little), of which the last
    ``past`` are remembered, one every ``past_every`` iterations, or any agent's spec."""

    simulations: int = Field(100, ge=0, le=1_000_000)
    self_play: int = Field(32, ge=1, le=100_000)
    channels: int = Field(32, ge=1)
    blocks: int = Field(0, ge=0)
    hidden: tuple[int, ...] = Field((128, 128), min_length=1)
    games: int = Field(64, ge=1)
    shards: int = Field(1, ge=1)
    moves: int = Field(16, ge=1)
    batch: int = Field(256, ge=2)
    reuse: float = Field(4.0, gt=0.0)
    window: int = Field(50_000, ge=1)
    rate: float = Field(2e-3, gt=0.0)
    decay: float = Field(1e-4, ge=0.0)
    value_weight: float = Field(1.0, gt=0.0)
    blend: float = Field(0.25, ge=0.0, le=1.0)
    sample: int = Field(8, ge=0)
    opening: int = Field(0, ge=0)
    precision: Precision = "auto"
    sides: int = Field(1, ge=1)
    start: str = ""
    pool: float = Field(0.0, ge=0.0, le=1.0)
    opponent: str = "past"
    past: int = Field(16, ge=1)
    past_every: int = Field(20, ge=1)


class AlphaZeroAgent(SearchAgent):
    """Searches every position with its network; with 0 simulations plays the network's most probable action."""

    def __init__(self, world: Game, config: AlphaZeroConfig, net: BoardNet, device: str = "cpu") -> None:
        network = NetEvaluator(net, device)
        evaluator = Sides(world, network, config.sides) if config.sides > 1 else network
        super().__init__(world, config, evaluator, evaluator)


class AlphaZero(KeptLearner):
    """Learns from self-play; a position is one move of self-play that was searched and learned from."""

    KEEPS = ("net", "optimiser", "window", "shards", "past", "rng", "steps")
    config_class = AlphaZeroConfig
    unit = "positions"
    default_steps = 300_000
    config: AlphaZeroConfig
    world: Game

    def __init__(self, task: Task, config: AlphaZeroConfig | None = None) -> None:
        super().__init__(task, config)
        c = self.config
        self.steps = 0
        net: BoardNet = seeded(derive(task.seed, "net"), BoardNet, self.world, c.channels, c.blocks, c.hidden)
        layout: Any = torch.channels_last if c.blocks else torch.contiguous_format
        if c.start:
            begin_with_saved(net, c.start, self.world)
        self.net: BoardNet = net.to(task.device).to(memory_format=layout)  # type: ignore[call-overload]
        self.optimiser = torch.optim.AdamW(self.net.parameters(), lr=c.rate, weight_decay=c.decay, fused=True)
        self.window = Window(self.world, c.window)
        self.rng = generator(task.seed, "window")
        search = c.model_copy(update={"simulations": c.self_play})
        play = PlayConfig(c.sample, c.opening, c.pool)
        self.past = Past(self.net, c.past, prioritised=c.opponent == "prioritised")
        self.other = stranger(c.opponent, self.world, ("past", "prioritised")) if c.pool else None
        share = -(-c.games // c.shards)
        self.shards = [
            SelfPlay(self.world, share, search, play, derive(task.seed, "shard", i)) for i in range(c.shards)
        ]

    def learn(self, budget: Budget) -> Iterator[Progress]:
        c = self.config
        while self.steps < budget.steps:
            evaluate = NetEvaluator(self.net, self.task.device, c.precision)
            met = self._meet()
            playing = [
                thread_pool().submit(shard.play, evaluate, c.moves, rival, self.other)
                for shard, (_, rival) in zip(self.shards, met, strict=True)
            ]
            annealed(self.optimiser, c.rate, self.steps, budget.steps)
            metrics = self._train()
            played = [future.result() for future in playing]
            for (number, _), (_, sums) in zip(met, played, strict=True):
                ended = int(sums["rivals"]) * (number >= 0)
                self.past.tell(np.full(ended, number), np.full(ended, sums["against rivals"] / max(ended, 1)))
            examples = joined([part for part, _ in played], self.world)
            self.window.add(examples)
            self.steps += c.moves * sum(shard.games for shard in self.shards)
            games, plies, first = (sum(sums[key] for _, sums in played) for key in ("games", "plies", "first"))
            if games:
                metrics |= {"games": games, "length": plies / games, "first seat wins": first / games}
            require_finite(self.steps, metrics)
            yield Progress(self.steps, metrics)

    def _meet(self) -> list[tuple[int, NetEvaluator | None]]:
        """The number of a former self for each shard and its network, where the settings ask for one."""
        c = self.config
        if not c.pool or self.other:
            return [(-1, None)] * c.shards
        if self.iterations % c.past_every == 0:
            self.past.note()
        numbers = [self.past.draw(self.rng) for _ in range(c.shards)]
        return [(n, NetEvaluator(self.past.rival(n), self.task.device, c.precision)) for n in numbers]

    @property
    def iterations(self) -> int:
        """Iterations made so far."""
        return self.steps // (self.config.moves * sum(shard.games for shard in self.shards))

    def _train(self) -> dict[str, float]:
        """One iteration's share of gradient descent on the window; the mean losses."""
        c = self.config
        if len(self.window) < c.batch:
            return {}
        updates = max(1, round(c.moves * c.games * c.reuse / c.batch))
        losses = [self._update() for _ in range(updates)]
        names = ("loss/policy", "loss/value")
        return dict(zip(names, torch.stack(losses).mean(0).tolist(), strict=True))

    def _update(self) -> torch.Tensor:
        c, device = self.config, self.task.device
        seen, policy, outcome, value = (torch.from_numpy(a).to(device) for a in self.window.sample(c.batch, self.rng))
        if c.blocks:
            seen = seen.contiguous(memory_format=torch.channels_last)
        self.net.train()
        logits, expected = self.net(seen)
        policy_loss = ops.cross_entropy(logits, policy).mean()
        value_loss = pg.value_loss(expected, ops.mixed_target(outcome, value, c.blend) / self.net.reach)
        descend(self.optimiser, policy_loss + c.value_weight * value_loss)
        return torch.stack([policy_loss, value_loss]).detach()

    def weights(self) -> Arrays:
        return module_arrays(self.net)

    @classmethod
    def restore(cls, world: World, config: Any, weights: Arrays) -> Agent:
        net = seeded(0, BoardNet, world, config.channels, config.blocks, config.hidden)
        load_module(net, weights)
        return AlphaZeroAgent(world, config, net)  # type: ignore[arg-type]
