"""Windy gridworld: the way is learned while walking it (notes 2.5.2, algorithm 4; Sutton & Barto, example 6.5).

Step size 0.5, epsilon 0.1. The wind blows the agent upwards, the shortest path has 15 steps, and who goes on exploring
needs more. The levels are exact: the shortest path, and the best epsilon-soft policy.
"""

from __future__ import annotations

import numpy as np

from elodrome.agents.tabular import dynamic_programming as dp
from elodrome.agents.tabular.expected_sarsa import ExpectedSarsa
from elodrome.agents.tabular.q_learning import QLearning
from elodrome.agents.tabular.sarsa import Sarsa
from elodrome.envs.enumeration import enumerate_world
from elodrome.figures._paths import Kinds, learning_curves
from elodrome.figures.figure import Figure, Tick, game

SETTINGS = {"alpha": 0.5, "epsilon": 0.1, "discount": 1.0}
KINDS: Kinds = {
    "SARSA": (Sarsa, SETTINGS),
    "expected SARSA": (ExpectedSarsa, SETTINGS),
    "Q-learning": (QLearning, SETTINGS),
}
SMOOTH = 10
BOOK = 8000  # steps that the book's figure shows


def compute(quick: bool, seed: int, tick: Tick) -> Figure:
    """100 runs (quick: 10) of 300 episodes."""
    world, runs, episodes = game("gridworld:map=windy,max_steps=10000"), 10 if quick else 100, 300
    curves, lengths, paths = learning_curves(world, KINDS, runs, episodes, seed, tick, SMOOTH)
    tables = enumerate_world(world)
    _, value, _ = dp.value_iteration(tables, 1.0)
    _, soft, _ = dp.policy_iteration(tables, 1.0, epsilon=SETTINGS["epsilon"])
    start = tables.starts[0]
    levels = {"shortest path": -value[start], "best ε-soft policy": -soft[start]}
    remarks = []
    for label, steps in lengths.items():
        done = (steps.cumsum(axis=1) <= BOOK).sum(axis=1)
        last = steps[:, -100:].mean(axis=1)
        remarks.append(
            f"{label}: {done.mean():.0f} +- {done.std(ddof=1) / np.sqrt(runs):.1f} episodes in {BOOK} steps; the last "
            f"100 of {last.mean():.1f} +- {last.std(ddof=1) / np.sqrt(runs):.1f} steps; greedy path at best "
            f"{paths[label].min():.0f}, in the middle {np.median(paths[label]):.0f}"
        )
    title = f"Windy gridworld while learning: α = 0.5, ε = 0.1, {runs} runs, means of {SMOOTH} episodes"
    return Figure(title, "episode", "steps of the episode", curves, levels, remarks, "y", low=12.0)
