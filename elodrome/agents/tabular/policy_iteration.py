"""Policy iteration (notes 2.3.3, algorithm 2): evaluate the policy, improve it, until nothing improves; then play it.

It knows the rules and learns nothing. With ``epsilon`` it finds the best of the policies that explore that much.
"""

from __future__ import annotations

from pydantic import Field

from elodrome.agents.tabular.arriving import best_policy
from elodrome.agents.tabular.dynamic_programming import action_values, policy_iteration
from elodrome.agents.tabular.plan import Plan, PlanConfig
from elodrome.envs.game import Reals

ABOUT = {
    "cls": "PolicyIteration",
    "chapter": "2",
    "summary": "dynamic programming: evaluates and improves a policy in turn, exactly",
    "players": (1, 1),
    "needs": ("perfect", "enumerable"),
}


class PolicyIterationConfig(PlanConfig):
    """epsilon: every legal action keeps its share of that much probability. discount: None is the world's own."""

    epsilon: float = Field(0.0, ge=0.0, le=1.0)


class PolicyIteration(Plan):
    """Plays the policy that no change of an action improves; equally good actions with equal probability, without
    discount those that end the episode soonest."""

    config_class = PolicyIterationConfig
    config: PolicyIterationConfig

    def plan(self, discount: float) -> tuple[Reals, Reals]:
        tables = self.states.tables
        policy, value, _ = policy_iteration(tables, discount, self.config.epsilon)
        if self.config.epsilon == 0.0:
            policy = best_policy(tables, action_values(tables, value, discount), discount)
        return policy[None], value[None]
