"""The acting half of what is trained for tree search: the search, or a network alone."""

from __future__ import annotations

import os

import numpy as np

from elodrome.agents.agent import Agent, Evaluation, Ints, Positions
from elodrome.agents.parts.heads import greedy_legal, pick, probabilities, quantiles_of
from elodrome.agents.parts.threads import single_threaded
from elodrome.agents.search.boardnet import NetEvaluator, Sides
from elodrome.agents.search.forest import Evaluator, Found, SearchConfig, Searcher
from elodrome.agents.search.latent import LatentForest, LatentModel
from elodrome.envs.game import Game, World
from elodrome.errors import UserError


class Searching(Agent):
    """Acts by what a search finds."""

    def search(self, positions: Positions) -> Found:
        """Policy [B, A], value [B] of the seat to act, and choice [B]."""
        raise NotImplementedError

    def act(self, positions: Positions) -> Ints:
        return self.search(positions).choices

    def evaluate(self, positions: Positions) -> Evaluation:
        found = self.search(positions)
        return Evaluation(found.policy, found.values)


class SearchAgent(Searching):
    """Searches every position, with leaves judged by ``evaluate``; with 0 simulations plays the most probable action of
    the network ``reflex`` or, where it ``draws``, one by its probability."""

    config: SearchConfig
    world: Game

    def __init__(
        self,
        world: Game,
        config: SearchConfig,
        reflex: NetEvaluator | Sides,
        evaluate: Evaluator,
        *,
        draws: bool = False,
    ) -> None:
        super().__init__(world, config)
        self.reflex, self.draws = reflex, draws
        self.searcher = Searcher(world, config, evaluate, threads=os.cpu_count() or 1)

    def search(self, positions: Positions) -> Found:
        if not self.config.simulations:
            logits, values = self.reflex.answer(positions.observations)
            policy = probabilities(logits, positions.legal)
            drawn = pick(policy, quantiles_of(positions)) if self.draws else greedy_legal(logits, positions.legal)
            return Found(policy, values.astype(np.float64), drawn)
        if positions.states is None:
            raise UserError(f"a tree search needs the state of the game, and {self.world.id} hides it")
        with single_threaded():
            return self.searcher.search(
                np.ascontiguousarray(positions.states), np.ascontiguousarray(positions.plies), positions.seeds
            )


class LatentAgent(Searching):
    """Searches every position in a learned model; with 0 simulations plays that one's most probable action."""

    SHARD = 64
    config: SearchConfig

    def __init__(self, world: World, config: SearchConfig, model: LatentModel, discount: float) -> None:
        super().__init__(world, config)
        self.model, self.discount = model, discount
        self._forest: LatentForest | None = None

    def search(self, positions: Positions) -> Found:
        if not self.config.simulations:
            _, logits, values = self.model.root(positions.observations)
            return Found(probabilities(logits, positions.legal), values, greedy_legal(logits, positions.legal))
        if self._forest is None or self._forest.games < min(len(positions), self.SHARD):
            self._forest = LatentForest(self.world, min(len(positions), self.SHARD), self.config, self.discount)
        parts = []
        for start in range(0, len(positions), self._forest.games):
            part = positions[start : start + self._forest.games]
            parts.append(self._forest.dream(part.observations, part.legal, part.seeds, self.model))
        return Found(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))
