"""Tree search for many games at once with any evaluator: what AlphaGo, AlphaZero and MuZero stand on (notes 4.5).

The games are cut into shards. Each shard grows its trees in compiled code (``tree.py``) and asks the evaluator once
for all its leaves; shards run on threads of their own, so that trees of one and network of another overlap, on the
cores or on a GPU. What a shard answers depends on its games alone, not on the number of threads.

Every tree asks for one leaf at a time, so there is no virtual loss: batches are made of games. A game alone pays for it
with network calls of one position: 400 simulations with the nets that ship take 0.1 to 0.25 s of one core.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field

from elodrome.agents.agent import Config, Ints
from elodrome.agents.search import records, roots, tree
from elodrome.envs.game import Floats, Game, Mask, Reals, Words, compiled
from elodrome.envs.intrinsics import address_of
from elodrome.envs.table import thread_pool
from elodrome.errors import UserError
from elodrome.seeding import U64, branches, mix64

INFINITE = 1e30


class SearchConfig(Config):
    """simulations: per move; 0 plays by the network's policy alone. c: exploration in PUCT, on returns scaled to
    [0, 1]. fpu: how much less than its parent an untried action is expected to return. solver: whether proofs are
    backed up. endgame: a leaf is solved by alpha-beta, and not judged, where at most so many plies can follow before
    the world's longest game ends (two seats, with ``solver``). gumbel: Gumbel root selection with sequential halving
    over ``considered`` actions, instead of PUCT, with sigma(q) = (c_visit + max N) c_scale q. alpha, noise: Dirichlet
    noise at the root in self-play (PUCT only)."""

    simulations: int = Field(64, ge=0, le=1_000_000)
    c: float = Field(1.25, ge=0.0)
    fpu: float = Field(0.2, ge=0.0)
    solver: bool = True
    endgame: int = Field(0, ge=0, le=100)
    gumbel: bool = False
    considered: int = Field(16, ge=1)
    c_visit: float = Field(50.0, ge=0.0)
    c_scale: float = Field(1.0, ge=0.0)
    alpha: float = Field(0.5, gt=0.0)
    noise: float = Field(0.25, ge=0.0, le=1.0)


class Leaves(NamedTuple):
    """Positions that wait for the evaluator: observations float32 [k, *shape], legal uint8 [k, A], seats int64 [k],
    states int64 [k, W] (borrowed: valid only during the call)."""

    observations: Floats
    legal: Mask
    seats: Ints
    states: Words


# (logits [k, A], values [k] for the seat to act), float32.
Evaluator = Callable[[Leaves], tuple[Floats, Floats]]


class CompiledEvaluator:
    """Makes an evaluator of a module's function (k, observations, legal, seats, states, logits, values) that writes k
    rows of the last two (``records.EVALUATE``), in compiled code: a search with it does not come back to Python."""

    def __init__(self, function: Callable[..., None]) -> None:
        self.compiled: Any = compiled(records.EVALUATE, _nrt=False)(function)
        self.address = address_of(self.compiled)

    def __call__(self, leaves: Leaves) -> tuple[Floats, Floats]:
        count = len(leaves.legal)
        logits, values = np.zeros(leaves.legal.shape, np.float32), np.zeros(count, np.float32)
        observations = leaves.observations.reshape(count, -1)
        self.compiled(count, observations, leaves.legal, leaves.seats, leaves.states, logits, values)
        return logits, values


class Found(NamedTuple):
    """policy float64 [B, A] (rows sum to 1), values float64 [B] of the seat to act, choices int64 [B]."""

    policy: Reals
    values: Reals
    choices: Ints


@lru_cache(maxsize=32)
def halving(considered: int, simulations: int) -> npt.NDArray[np.int32]:
    """The number of visits [considered, simulations] that the action tried at each simulation should have so far, when
    1, 2, ... ``considered`` actions compete: sequential halving (Karnin et al. 2013) as mctx unrolls it."""
    table = np.zeros((considered, simulations), np.int32)
    for m in range(1, considered + 1):
        rounds = max(1, int(np.ceil(np.log2(m))))
        sequence: list[int] = []
        visits = [0] * m
        rest = m
        while len(sequence) < simulations:
            for _ in range(max(1, simulations // (rounds * rest))):
                sequence += visits[:rest]
                visits[:rest] = [v + 1 for v in visits[:rest]]
            rest = max(2, rest // 2) if m > 1 else 1
        table[m - 1] = sequence[:simulations]
    return table


class Forest:
    """The trees of up to ``games`` games, and one search after another in them. One thread at a time."""

    def __init__(self, world: Game, games: int, config: SearchConfig, *, latent: bool = False) -> None:
        self.world, self.games, self.config, self.latent = world, games, config, latent
        actions, simulations = world.actions, config.simulations
        if actions > records.MOST_ACTIONS:
            raise UserError(f"{world.id} has {actions} actions; a search tells at most {records.MOST_ACTIONS} apart")
        nodes, edges = simulations + 2, (simulations + 2) * actions
        depth = (simulations if latent else min(simulations, world.max_steps)) + 2

        words, seen = (0, 0) if latent else (world.row_words, world.observation_size)
        self.gumbels = np.zeros((games, actions), np.float32)
        self.summaries = np.zeros(games, records.GAME)
        self.tree: tuple[Any, ...] = (
            *(np.zeros((games, nodes), records.NODE), np.zeros((games, edges), records.EDGE)),
            *(np.zeros((games, depth), records.STEP), self.summaries, np.zeros((games, actions)), self.gumbels),
        )
        self.leaves: tuple[Any, ...] = (
            *(np.zeros(games, records.LEAF), np.zeros(games, np.int64), np.zeros((games, words), np.int64)),
            *(np.ones((games, actions), np.uint8), np.zeros((games, seen), np.float32)),
        )
        low, high = world.return_range
        bounded = world.players > 1
        self._span = (low, high) if bounded else (np.inf, -np.inf)
        top = float(np.float32(high)) if bounded else INFINITE
        solver = config.solver and not latent and world.discount == 1.0
        endgame = config.endgame if solver and world.players == 2 else -1
        self.numbers = np.array(
            [
                *(simulations, config.c, config.fpu, world.discount, solver, top),
                *(config.c_visit, config.c_scale, config.alpha, 0.0, endgame),
            ],
            np.float64,
        )
        self.share = (1.0 / (1.0 + np.arange(simulations + 3))).astype(np.float32)
        self.schedule = np.zeros((0, 0), np.int32)
        if config.gumbel and simulations:
            self.schedule = halving(min(config.considered, actions), simulations)
        self.scores = np.zeros(actions)
        self.scratch: tuple[Any, ...] = (
            *(np.zeros(world.players), np.zeros((config.endgame + 1, words), np.int64)),
            *(np.zeros((config.endgame + 1, actions), np.uint8), np.zeros(1, np.int64)),
        )
        self.places = np.zeros(nodes, np.int64)
        self.restart()

    def restart(self) -> None:
        """Forget all trees."""
        self.summaries[:] = 0
        self.summaries["low"], self.summaries["high"] = self._span

    def advance(self, actions: Ints, seeds: U64) -> None:
        """Keep what was found below the actions [games] that were played; -1 forgets the whole tree."""
        roots.advance(self.tree, actions, self.places, self.numbers, mix64(seeds))

    def search(
        self, roots: Words, plies: Ints, seeds: U64, evaluate: Evaluator, *, explore: bool = False, keep: bool = False
    ) -> Found:
        """Search the positions: roots [B, W], plies [B], seeds [B], at most ``games`` of them.

        explore: with Dirichlet or Gumbel noise. keep: go on in the trees that ``advance`` left.
        """
        size = len(roots)
        if not keep:
            self.restart()
        streams = self._prepare(size, seeds, explore)
        grown: Any = tuple(a[:size] for a in self.tree)
        leaves: Any = tuple(a[:size] for a in self.leaves)
        _waiting, seats, states, masks, seen = leaves
        constants = (self.numbers, self.share, self.schedule, self.scratch)
        found, nothing = 0, np.zeros(0, np.float32)
        if isinstance(evaluate, CompiledEvaluator):
            logits, values = np.zeros((size, self.world.actions), np.float32), np.zeros(size, np.float32)
            tree.run(
                *(evaluate.address, self.world.compiled, grown, leaves, logits, values, nothing, streams, roots, plies),
                *constants,
            )
            return self._conclude(size, grown, streams)
        logits, values = nothing.reshape(0, 0), nothing
        while True:
            found = tree.grow(
                *(self.world.compiled, grown, leaves, found, logits, values, nothing, streams, roots, plies),
                *(*constants, 0),
            )
            if not found:
                return self._conclude(size, grown, streams)
            shape = (found, *self.world.observation_shape)
            asked = Leaves(seen[:found].reshape(shape), masks[:found], seats[:found], states[:found])
            logits, values = self._checked(found, *evaluate(asked))

    def _checked(self, found: int, logits: Any, values: Any) -> tuple[Floats, Floats]:
        """The evaluator's answers as compiled code reads them. Raises ValueError where they have another shape, or are
        no numbers: a search would walk by these for ever."""
        if logits.shape != (found, self.world.actions) or values.shape != (found,):
            raise ValueError(
                f"the evaluator answered with logits {logits.shape} and values {values.shape}, "
                f"not ({found}, {self.world.actions}) and ({found},)"
            )
        if np.isnan(logits).any() or not np.isfinite(values).all():
            raise ValueError("the evaluator answered with NaN or infinite values")
        return np.ascontiguousarray(logits, np.float32), np.ascontiguousarray(values, np.float32)

    def _prepare(self, size: int, seeds: U64, explore: bool) -> U64:
        """The noise of this search; the streams [B] that go on from it."""
        if size > self.games:  # the compiled loops would write past the end of the arrays
            raise ValueError(f"{size} positions in a forest of {self.games} trees")
        self.numbers[records.NOISE] = self.config.noise if explore and not self.config.gumbel else 0.0
        self.gumbels[:] = 0.0
        if explore and self.config.gumbel:
            words = branches(mix64(seeds), self.world.actions)
            unit: Reals = ((words >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
            self.gumbels[:size] = -np.log(-np.log(unit))
        return mix64(seeds + np.uint64(1))

    def _conclude(self, size: int, grown: Any, streams: U64) -> Found:
        found = Found(np.zeros((size, self.world.actions)), np.zeros(size), np.zeros(size, np.int64))
        roots.conclude(grown, self.numbers, len(self.schedule), streams, self.scores, *found)
        return found


class Searcher:
    """Searches batches of any size: shards of at most ``shard`` games, on ``threads`` threads."""

    def __init__(self, world: Game, config: SearchConfig, evaluate: Evaluator, *, shard: int = 64, threads: int = 2):
        self.world, self.config, self.evaluate = world, config, evaluate
        self.shard, self.threads = shard, threads
        self._forests: list[Forest] = []

    def search(self, roots: Words, plies: Ints, seeds: U64, *, explore: bool = False) -> Found:
        """As ``Forest.search``, for any number of positions."""
        count = len(roots)
        shards = max(1, -(-count // self.shard), min(self.threads, count // 8))
        edges = [count * i // shards for i in range(shards + 1)]
        workers = min(self.threads, shards)
        width = max(hi - lo for lo, hi in pairwise(edges))
        if len(self._forests) < workers or any(forest.games < width for forest in self._forests[:workers]):
            self._forests = [Forest(self.world, width, self.config) for _ in range(workers)]
        results: list[Found | None] = [None] * shards

        def work(worker: int) -> None:
            for i in range(worker, shards, workers):
                part = slice(edges[i], edges[i + 1])
                results[i] = self._forests[worker].search(
                    roots[part], plies[part], seeds[part], self.evaluate, explore=explore
                )

        others = [thread_pool().submit(work, w) for w in range(1, workers)]
        work(0)
        for done in others:
            done.result()
        parts = [r for r in results if r is not None]
        return Found(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))
