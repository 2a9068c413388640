"""Uniformly random legal moves: the zero of every rating."""

from __future__ import annotations

import numpy as np

from elodrome.agents.agent import Agent, Evaluation, Positions
from elodrome.envs import engine
from elodrome.envs.actions import Actions, uniform
from elodrome.seeding import mix64

ABOUT = {
    "cls": "Random",
    "chapter": "1",
    "summary": "uniformly random legal moves",
    "actions": ("discrete", "continuous"),
}


class Random(Agent):
    """Every legal action with equal probability (density, of real numbers), from each position's own seed."""

    def act(self, positions: Positions) -> Actions:
        if positions.world.continuous:
            return uniform(positions.world, positions.seeds)
        actions = np.zeros(len(positions), np.int64)
        engine.batch_sample(np.ascontiguousarray(positions.legal), mix64(positions.seeds), actions)
        return actions

    def evaluate(self, positions: Positions) -> Evaluation:
        legal = positions.legal.astype(np.float64)
        return Evaluation(legal / np.maximum(legal.sum(axis=1, keepdims=True), 1.0))
