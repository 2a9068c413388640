"""GAE's lambda: bias from a value function that is wrong, variance from rewards far away (notes 3.6.3, figure 3.7).

The error of the advantage of the first decision, against the exact one, when the critic is wrong by noise of a given
size in every state: with lambda 0 only the critic's error counts, with 1 only the noise of the episode.
"""

from __future__ import annotations

import numpy as np

from elodrome.agents.ops.returns import gae
from elodrome.agents.parts.exact import Decisions
from elodrome.agents.tabular import dynamic_programming as dp
from elodrome.envs.enumeration import enumerate_world
from elodrome.figures._episodes import play
from elodrome.figures.figure import Curve, Figure, Tick, game
from elodrome.seeding import derive, generator

DISCOUNT, STEPS = 0.99, 200
LAMBDAS = np.array([0.0, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.98, 1.0])
WRONG = (0.0, 0.05, 0.1, 0.2)


def compute(quick: bool, seed: int, tick: Tick) -> Figure:
    """50 critics (quick: 10) and 200 episodes with each, a curve."""
    world = game("random_walk")
    tables, critics = enumerate_world(world), 10 if quick else 50
    policy = dp.uniform_policy(tables)
    process = Decisions.of(tables, DISCOUNT)
    value = process.value(policy)
    q = process.action_value(value)
    curves, remarks = [], []
    for done, wrong in enumerate(WRONG, 1):
        errors = np.zeros((critics, len(LAMBDAS)))
        for k in range(critics):
            rng = generator(derive(seed, "critic", done, k), "episodes")
            live = tables.seats >= 0
            critic = np.where(live, value + wrong * rng.normal(size=len(value)), 0.0)
            played = play(process, policy, 200, STEPS, rng)
            continues = played.continues
            after = np.concatenate([critic[played.state[1:]], np.zeros((1, 200))]) * continues
            before = critic[played.state] * played.live
            exact = q[played.state[0], played.action[0]] - value[played.state[0]]
            for at, lambda_ in enumerate(LAMBDAS):
                told = gae(played.reward, DISCOUNT * continues, before, after, continues, lambda_)[0]
                errors[k, at] = np.sqrt(np.mean((told - exact) ** 2))
        curves.append(Curve.of(f"critic wrong by {wrong:g}", LAMBDAS, errors))
        remarks.append(f"critic wrong by {wrong:g}: least error at λ = {LAMBDAS[curves[-1].mean.argmin()]:g}")
        tick(done, len(WRONG))
    title = "Error of generalised advantage estimates, by λ and by how wrong the critic is (19-state walk)"
    return Figure(title, "λ", "root mean square error of A(s, a)", curves, {}, remarks)
