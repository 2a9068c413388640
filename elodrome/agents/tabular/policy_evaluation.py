"""Policy evaluation (notes 2.3.1, algorithm 1): what a given policy is worth, exactly. It acts by that policy.

In games of several seats all seats play by it, and a state is worth what it is to the seat that acts.
"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from elodrome.agents.tabular.dynamic_programming import joint_evaluation, policy_evaluation
from elodrome.agents.tabular.plan import Plan, PlanConfig
from elodrome.agents.tabular.prediction import policy_of
from elodrome.envs.game import Reals

ABOUT = {
    "cls": "PolicyEvaluation",
    "chapter": "2",
    "summary": "dynamic programming: what a given policy is worth, exactly; acts by that policy",
    "needs": ("perfect", "enumerable"),
}


class PolicyEvaluationConfig(PlanConfig):
    """policy: spec of the agent whose policy is evaluated; of every action's probability epsilon is spread evenly over
    the legal ones. discount: None is the world's own."""

    policy: str = "random"
    epsilon: float = Field(0.0, ge=0.0, le=1.0)


class PolicyEvaluation(Plan):
    """Acts by the policy that is evaluated, and tells its exact values."""

    config_class = PolicyEvaluationConfig
    config: PolicyEvaluationConfig

    def plan(self, discount: float) -> tuple[Reals, Reals]:
        tables = self.states.tables
        states = self.states
        told = policy_of(self.config.policy, self.config.epsilon, self.world)
        policy = states.on_states(told(states.observations, states.legal, states.seats, states.rows()))
        if self.world.players == 1:
            return policy[None], policy_evaluation(tables, policy, discount)[None]
        value = joint_evaluation(tables, policy, discount)
        return policy[None], value[np.arange(len(value)), np.maximum(tables.seats, 0)][None]
