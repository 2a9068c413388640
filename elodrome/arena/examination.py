"""Matches on the way of training: the agent of now against fixed yardsticks, and against the best of its own past."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

import numpy as np

from elodrome.agents.agent import Agent, Learner
from elodrome.agents.isolation.isolated import seat_agent
from elodrome.agents.parts.saved import under
from elodrome.arena.match import play_match
from elodrome.seeding import derive

PROMOTION = 0.55  # the share of points against the best so far that makes the agent of now the best (AlphaGo Zero)
OPENING = 4  # random plies before each pair of games: two deterministic agents would repeat themselves


class Examiner:
    """Every ``every`` steps plays ``games`` games against each of ``rivals`` (specs) and against the best so far.

    Measurements are shares of points in [0, 1]: "score/SPEC", "score/best", and "promoted" (1 where the agent became
    the best). Solo worlds are compared by return on the same seeds.
    """

    def __init__(self, learner: Learner, every: int, rivals: Sequence[str], games: int = 40) -> None:
        self.learner, self.every, self.games = learner, every, games
        self.rivals = {spec: seat_agent(spec, learner.world) for spec in rivals}
        self.best: dict[str, Any] | None = None

    @property
    def options(self) -> str:
        """The options of ``elodrome train`` that ask for the same."""
        return f"--examine {self.every} --rivals {shlex.quote(','.join(self.rivals))}"

    def examine(self, step: int) -> dict[str, float]:
        """The measurements at ``step``; which games they are depends on the seed and the step alone."""
        agent, weights = self.learner.agent, self.learner.weights()
        scores = {f"score/{spec}": self._score(agent, rival, step) for spec, rival in self.rivals.items()}
        if self.best is None:
            self.best = weights
            return scores
        best = self.learner.restore(self.learner.world, self.learner.config, self.best)
        score = self._score(agent, best, step)
        if score >= PROMOTION:
            self.best = weights
        return {**scores, "score/best": score, "promoted": float(score >= PROMOTION)}

    def _score(self, agent: Agent, rival: Agent, step: int) -> float:
        world = self.learner.world
        opening = min(OPENING, world.max_steps // 2)  # of short games the half
        opening = opening - opening % world.players if world.players > 1 else 0
        seed = derive(self.learner.task.seed, "examination", step)
        tally = play_match(world, agent, rival, self.games, seed=seed, opening=opening).tally()
        return (tally["wins"] + 0.5 * tally["draws"]) / max(1, sum(tally.values()))

    def snapshot(self) -> dict[str, Any]:
        """The best so far, as arrays."""
        return {f"best/{name}": np.asarray(array) for name, array in (self.best or {}).items()}

    def resume(self, snapshot: dict[str, Any]) -> None:
        """Go back to a snapshot that a checkpoint holds."""
        self.best = under(snapshot, "best/") or None
