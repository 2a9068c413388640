"""Importance weights of trajectories: their variance grows with distance and with length (notes 3.7.5, figure 3.8).

Data of the uniform policy, weighed for a softmax policy of strength beta. E[w] is 1 whatever the policies; the second
moment follows exactly from a recursion over the steps, ``W_t(s) = sum_a pi^2 / b sum_s' P W_{t-1}(s')``.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from elodrome.agents.parts.exact import Decisions, softmax
from elodrome.agents.tabular import dynamic_programming as dp
from elodrome.envs.enumeration import enumerate_world
from elodrome.envs.game import Reals
from elodrome.figures.figure import Curve, Figure, Tick, game

LENGTHS = (1, 2, 4, 8, 16)
BETAS = np.linspace(0.0, 2.0, 21)


def compute(quick: bool, seed: int, tick: Tick) -> Figure:
    """Exact; nothing is drawn."""
    world = game("gridworld")
    tables = enumerate_world(world)
    process, q = Decisions.of(tables), dp.value_iteration(tables, 0.95)[0]
    behaviour, found, distance = dp.uniform_policy(tables), np.zeros((len(LENGTHS), len(BETAS))), np.zeros(len(BETAS))
    for at, beta in enumerate(BETAS):
        policy = softmax(beta * np.where(q > -np.inf, q, 0.0), process.legal)
        found[:, at] = weight_variance(process.transition, policy, behaviour, tables.seats >= 0)[:, tables.starts[0]]
        with np.errstate(divide="ignore", invalid="ignore"):
            kl = np.where(policy > 0, policy * np.log(policy / behaviour), 0.0).sum(axis=1)
        distance[at] = kl[tables.seats >= 0].mean()
        tick(at + 1, len(BETAS))
    curves = [
        Curve(f"{n} steps" if n > 1 else "1 step", distance[1:], found[i, 1:], 0 * distance[1:])
        for i, n in enumerate(LENGTHS)
    ]
    remarks = [f"{curve.label}: variance {curve.mean[-1]:.3g} at KL = {distance[-1]:.2f}" for curve in curves]
    title = "Variance of importance weights of trajectories, by divergence (4 x 4 grid; exact)"
    return Figure(title, "mean KL(π ‖ b) per decision, nats", "variance of the product of ρ", curves, {}, remarks, "xy")


def weight_variance(p: Reals, policy: Reals, behaviour: Reals, live: npt.NDArray[np.bool_]) -> Reals:
    """Var of ``prod_t pi / b`` [lengths, S] over the first steps from each state, behaviour drawing the actions."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(behaviour > 0, policy**2 / behaviour, 0.0)
    moment, found = np.ones(len(p)), []
    for step in range(1, max(LENGTHS) + 1):
        moment = np.where(live, (ratio * (p @ moment)).sum(axis=1), 1.0)
        if step in LENGTHS:
            found.append(moment - 1.0)
    return np.array(found)
