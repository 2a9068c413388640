"""Value iteration (notes 2.3.4, algorithm 3): solves a solo world exactly, then plays a best action.

It knows the rules and learns nothing. With ``limit`` it plans for the plies that are left before the world's max_steps,
by going back from the last (exact where matches are cut off); without, running out of time is no part of the plan.
"""

from __future__ import annotations

from pydantic import Field

from elodrome.agents.tabular.arriving import best_policy
from elodrome.agents.tabular.dynamic_programming import THETA, backward_induction, evenly, value_iteration
from elodrome.agents.tabular.plan import Plan, PlanConfig
from elodrome.envs.game import Reals

ABOUT = {
    "cls": "ValueIteration",
    "chapter": "2",
    "summary": "dynamic programming: exact values, best actions",
    "players": (1, 1),
    "needs": ("perfect", "enumerable"),
}


class ValueIterationConfig(PlanConfig):
    """theta: sweeps end when no value changes by more, relative to the largest. limit: whether the plan takes in the
    plies that are left before the world's limit. discount: None is the world's own."""

    theta: float = Field(THETA, gt=0.0)
    limit: bool = False


class ValueIteration(Plan):
    """Plays by Q*, equally good actions with equal probability; without discount those that end soonest."""

    config_class = ValueIterationConfig
    config: ValueIterationConfig

    def plan(self, discount: float) -> tuple[Reals, Reals]:
        tables = self.states.tables
        if self.config.limit:
            values, best = backward_induction(tables, discount, self.world.max_steps)
            return evenly(best[1:]), values[1:]
        q, value, _ = value_iteration(tables, discount, self.config.theta)
        return best_policy(tables, q, discount)[None], value[None]
