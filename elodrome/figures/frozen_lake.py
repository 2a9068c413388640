"""Slippery lakes, crossed within a limit of steps: planned for what is left, planned without it, learned (notes 2.3.4).

FrozenLake's two maps. All are exact: of each learned table the share of games that its greedy policy brings to the goal
within 100 steps (8 x 8: 200), by the distribution of states going forwards.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from elodrome.agents.agent import Budget, Task
from elodrome.agents.registry import make_agent, make_learner
from elodrome.agents.tabular import dynamic_programming as dp
from elodrome.envs.enumeration import Tables
from elodrome.envs.game import Game, Reals
from elodrome.envs.information import InformationStates
from elodrome.figures.figure import Curve, Figure, Tick, game
from elodrome.seeding import derive

LAKES = {"4 x 4": "gridworld:map=lake", "8 x 8": "gridworld:map=lake_8x8"}
PLANS = {"planned for the steps left": "value_iteration:limit=true", "planned without a limit": "value_iteration"}
LEARNERS = {"Q-learning": "q_learning", "double Q-learning": "double_q_learning", "expected SARSA": "expected_sarsa"}


def compute(quick: bool, seed: int, tick: Tick) -> Figure:
    """Learners with their defaults, 16 seeds (quick: 2)."""
    worlds = {name: game(spec) for name, spec in LAKES.items()}
    states = {name: InformationStates.of(world) for name, world in worlds.items()}
    curves, at, seeds = [], np.arange(float(len(LAKES))), 2 if quick else 16
    for label, spec in PLANS.items():
        found = np.zeros((1, len(LAKES)))
        for k, (name, world) in enumerate(worlds.items()):
            plan: Any = make_agent(spec, world)
            found[0, k] = arrived(states[name].tables, plan.policy, world.max_steps)
        curves.append(Curve.of(label, at, found))
    for done, (label, kind) in enumerate(LEARNERS.items(), 1):
        shares = np.zeros((seeds, len(LAKES)))
        for k, (name, world) in enumerate(worlds.items()):
            for run in range(seeds):
                policy = learned(kind, world, states[name], derive(seed, kind, name, run))
                shares[run, k] = arrived(states[name].tables, policy[None], world.max_steps)
        curves.append(Curve.of(label, at, shares))
        tick(done, len(LEARNERS))
    remarks = [
        f"{curve.label}: " + ", ".join(
            f"{name} {mean:.4f}" + (f" +- {error:.4f}" if error else "")
            for name, mean, error in zip(LAKES, curve.mean, curve.error, strict=True)
        )
        for curve in curves
    ]  # fmt: skip
    title = f"Slippery lakes: games that reach the goal in time, learners with their defaults, {seeds} seeds"
    return Figure(title, "lake", "share of games", curves, {}, remarks, names=tuple(LAKES))


def learned(kind: str, world: Game, states: InformationStates, seed: int) -> Reals:
    """The greedy policy [S, A] of a learner with its default settings and budget."""
    learner: Any = make_learner(kind, Task(world, seed), {})
    for _ in learner.learn(Budget(learner.default_steps)):
        pass
    return dp.evenly(states.on_states(dp.best_actions(learner.weights()["q"])))


def arrived(tables: Tables, policy: Reals, plies: int) -> float:
    """The exact return within ``plies`` of a policy [L, S, A], its rows being 1 .. L plies left."""
    transition, reward = tables.dense()
    reach = np.zeros(tables.size)
    np.add.at(reach, tables.starts, tables.start_probability)
    total = 0.0
    for ply in range(plies):
        chosen = reach[:, None] * policy[min(plies - ply, len(policy)) - 1]
        total += float((chosen * reward).sum())
        reach = np.einsum("sa,sat->t", chosen, transition)
    return total
