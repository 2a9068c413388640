"""Uniformly random legal moves: the zero of every rating."""

from __future__ import annotations

import numpy as np

from elodrome.agents.agent import Agent, Evaluation, Ints, Positions
from elodrome.envs import engine
from elodrome.seeding import mix64

ABOUT = {"cls": "Random", "chapter": "1", "summary": "uniformly random legal moves"}


class Random(Agent):
    """Every legal action with equal probability, drawn from each position's own seed."""

    def act(self, positions: Positions) -> Ints:
        actions = np.zeros(len(positions), np.int64)
        engine.batch_sample(np.ascontiguousarray(positions.legal), mix64(positions.seeds), actions)
        return actions

    def evaluate(self, positions: Positions) -> Evaluation:
        legal = positions.legal.astype(np.float64)
        return Evaluation(legal / legal.sum(axis=1, keepdims=True))
