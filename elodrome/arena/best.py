"""The best of the agents met on the way: where learning is unsteady, the last one may be worse by chance alone."""

from __future__ import annotations

from typing import Any

import numpy as np

from elodrome.agents.agent import Agent, Learner
from elodrome.agents.parts.saved import under
from elodrome.agents.parts.vector import SeatEnv
from elodrome.envs.actions import blank
from elodrome.envs.game import Reals, World
from elodrome.seeding import derive

LOOKS = 20  # at most, evenly over the budget
EPISODES = 10  # of each, from starts that are the same at every look
ROUNDS = 10  # of so many episodes, at most, where chance has a say


def solo_returns(world: World, agent: Agent, episodes: int, seed: int) -> tuple[Reals, int]:
    """The returns [n] of ``episodes`` in a world of one seat, as the agent acts when it is played, and the decisions
    that they took."""
    env, returns, decisions = SeatEnv(world, episodes, seed, restart=False), np.zeros(episodes), 0
    while len(env.live):
        actions = blank(world, episodes)
        actions[env.live] = agent.act(env.positions(env.live))
        decisions += len(env.live)
        env.step(actions)
        returns += env.reward
    return returns, decisions


class Best:
    """Keeps the weights whose agent earned the greatest mean return in a world of one seat; of equals the later.

    ``step`` and ``score`` are of these. Looks are left out as long as they have taken more decisions than learning has,
    but for the last. What is looked at depends on the seed alone. Where the returns of ten episodes differ, a look goes
    on until it has taken as many decisions as learning takes from look to look: of twenty agents that cross a slippery
    lake alike, the one that is lucky in ten episodes is no better for it, and a worse one is lucky now and then.
    """

    def __init__(self, learner: Learner, total: int) -> None:
        self.learner, self.total = learner, total
        self.score, self.step, self.spent = -np.inf, 0, 0
        self.weights: dict[str, Any] | None = None

    def due(self, before: int, step: int) -> bool:
        """Whether to look at ``step``, the report before it having been at ``before``."""
        return step >= self.total or (step * LOOKS // self.total > before * LOOKS // self.total and self.spent <= step)

    def look(self, step: int) -> dict[str, float]:
        """Play, and keep the agent where it is the best so far; the measurements."""
        learner = self.learner
        agent, returns, decisions = learner.agent, np.zeros(0), 0
        for number in range(ROUNDS):
            seed = derive(learner.task.seed, "best", *([number] if number else []))
            fresh, taken = solo_returns(learner.world, agent, EPISODES, seed)
            returns, decisions = np.append(returns, fresh), decisions + taken
            if np.ptp(returns) == 0.0 or decisions * LOOKS >= self.total:
                break
        self.spent += decisions
        if returns.mean() >= self.score:
            self.score, self.step, self.weights = float(returns.mean()), step, learner.weights()
        return {"return/agent": float(returns.mean()), "return/best": self.score}

    @property
    def notes(self) -> dict[str, Any]:
        """What the card of the agent says of it."""
        return {} if self.weights is None else {"best": {"step": self.step, "return": round(self.score, 3)}}

    def snapshot(self) -> dict[str, Any]:
        """What resuming needs."""
        if self.weights is None:
            return {}
        numbers = {"kept/score": self.score, "kept/step": self.step, "kept/spent": self.spent}
        return numbers | {f"kept/weights/{name}": np.asarray(array) for name, array in self.weights.items()}

    def resume(self, snapshot: dict[str, Any]) -> None:
        """Go back to a snapshot of a checkpoint. Raises BrokenAgent where its weights make no agent."""
        kept = under(snapshot, "kept/")
        if kept:
            self.score, self.step, self.spent = float(kept["score"]), int(kept["step"]), int(kept["spent"])
            self.weights = under(kept, "weights/")
            self.learner.restore(self.learner.world, self.learner.config, self.weights)
