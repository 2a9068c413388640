"""Cliff walking while learning: Q-learning walks the edge, SARSA the safe way (notes 2.5.5, figure 2.11).

Step size 0.5, epsilon 0.1. The levels are exact: the best path, epsilon-greedy play on Q*, the best epsilon-soft
policy.
"""

from __future__ import annotations

import numpy as np

from elodrome.agents.parts.tabular import TabularConfig
from elodrome.agents.tabular import dynamic_programming as dp
from elodrome.agents.tabular.expected_sarsa import ExpectedSarsa
from elodrome.agents.tabular.q_learning import QLearning
from elodrome.agents.tabular.sarsa import Sarsa
from elodrome.envs.enumeration import enumerate_world
from elodrome.figures.figure import Curve, Figure, Tick, game
from elodrome.seeding import derive

LAST, SMOOTH = 100, 10
KINDS = {"Q-learning": QLearning, "expected SARSA": ExpectedSarsa, "SARSA": Sarsa}


def compute(quick: bool, seed: int, tick: Tick) -> Figure:
    """50 runs (quick: 10) of 500 episodes."""
    world = game("cliff_walking")
    config, runs, episodes = TabularConfig.model_validate({"alpha": 0.5, "epsilon": 0.1}), 10 if quick else 50, 500
    seeds = [derive(seed, "cliff", k) for k in range(runs)]
    curves, remarks = [], []
    for done, (name, cls) in enumerate(KINDS.items(), 1):
        returns = cls.run_control(world, config, seeds, episodes).returns[:, :, 0]
        smooth = np.apply_along_axis(np.convolve, 1, returns, np.full(SMOOTH, 1 / SMOOTH), "valid")
        curves.append(Curve.of(name, np.arange(SMOOTH, episodes + 1), smooth))
        last = returns[:, -LAST:].mean(axis=1)
        remarks.append(f"{name}: {last.mean():.1f} +- {last.std(ddof=1) / np.sqrt(runs):.1f} in the last {LAST}")
        tick(done, len(KINDS))
    tables = enumerate_world(world)
    q, value, _ = dp.value_iteration(tables, 1.0)
    greedy = dp.evenly(dp.best_actions(q))
    bold = dp.policy_evaluation(tables, 0.9 * greedy + 0.1 * dp.uniform_policy(tables), 1.0)
    _, soft, _ = dp.policy_iteration(tables, 1.0, epsilon=0.1)
    start = tables.starts[0]
    levels = {"best path": value[start], "ε-greedy on Q*": bold[start], "best ε-soft policy": soft[start]}
    title = f"Cliff walking while learning: α = 0.5, ε = 0.1, {runs} runs, means of {SMOOTH} episodes"
    return Figure(title, "episode", "return of the episode", curves, levels, remarks, low=-100.0, high=-5.0)
