"""The acting half of what is trained for tree search: the search, or a network alone."""

from __future__ import annotations

import os

import numpy as np

from elodrome.agents.agent import Agent, Evaluation, Ints, Positions
from elodrome.agents.parts.heads import greedy_legal, probabilities
from elodrome.agents.parts.threads import single_threaded
from elodrome.agents.search.boardnet import NetEvaluator, Sides
from elodrome.agents.search.forest import Evaluator, Found, SearchConfig, Searcher
from elodrome.envs.game import Game
from elodrome.errors import UserError


class SearchAgent(Agent):
    """Searches every position, with leaves judged by ``evaluate``; with 0 simulations plays the most probable action of
    the network ``reflex``."""

    config: SearchConfig
    world: Game

    def __init__(self, world: Game, config: SearchConfig, reflex: NetEvaluator | Sides, evaluate: Evaluator) -> None:
        super().__init__(world, config)
        self.reflex = reflex
        self.searcher = Searcher(world, config, evaluate, threads=os.cpu_count() or 1)

    def search(self, positions: Positions) -> Found:
        """Policy [B, A], value [B] of the seat to act, and choice [B]."""
        if not self.config.simulations:
            logits, values = self.reflex.answer(positions.observations)
            policy = probabilities(logits, positions.legal)
            return Found(policy, values.astype(np.float64), greedy_legal(logits, positions.legal))
        if positions.states is None:
            raise UserError(f"a tree search needs the state of the game, and {self.world.id} hides it")
        with single_threaded():
            return self.searcher.search(
                np.ascontiguousarray(positions.states), np.ascontiguousarray(positions.plies), positions.seeds
            )

    def act(self, positions: Positions) -> Ints:
        return self.search(positions).choices

    def evaluate(self, positions: Positions) -> Evaluation:
        found = self.search(positions)
        return Evaluation(found.policy, found.values)
