"""A text policy as a table of all that it can say, for token worlds small enough (``envs.tokens.exact``)."""

from __future__ import annotations

import numpy as np

from elodrome.agents.agent import Agent, Positions
from elodrome.envs.game import Reals
from elodrome.envs.tokens.exact import Answers
from elodrome.errors import UserError


def policy_table(answers: Answers, agent: Agent) -> Reals:
    """log pi [X, N, V] of every token behind every prefix, as the acting agent evaluates it. Raises UserError where it
    has no probabilities to tell."""
    world, prompts = answers.world, answers.tokens.prompts
    observations = np.concatenate([answers.observations(prompt) for prompt in range(prompts)])
    count = len(observations)
    rows = np.arange(count)
    legal = np.ones((count, world.actions), np.uint8)
    seats = np.zeros(count, np.int64)
    given = Positions(world, observations, legal, seats, None, rows.astype(np.uint64), rows, seats)
    evaluation = agent.evaluate(given)
    if evaluation is None:
        raise UserError("an agent that tells no probabilities has no table of them")
    return np.log(evaluation.policy).reshape(prompts, -1, world.actions)
