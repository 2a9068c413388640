"""Maximisation bias: Q-learning is drawn into a room that loses, double Q-learning less (notes 2.6.6, definition 2.16).

Sutton & Barto (2018), example 6.7: the room behind the left door costs 0.1 in the mean, but the best of ten noisy
values is above 0 for long. The share of episodes that go left, with epsilon 0.1: 5 % are the price of exploring.
"""

from __future__ import annotations

import numpy as np

from elodrome.agents.parts.tabular import TabularConfig, TabularLearner
from elodrome.agents.tabular.double_q_learning import DoubleQLearning
from elodrome.agents.tabular.expected_sarsa import ExpectedSarsa
from elodrome.agents.tabular.q_learning import QLearning
from elodrome.figures.figure import Curve, Figure, Tick, game
from elodrome.seeding import derive

EPISODES = 300
KINDS: dict[str, type[TabularLearner]] = {
    "Q-learning": QLearning,
    "expected SARSA": ExpectedSarsa,
    "double Q-learning": DoubleQLearning,
}


def compute(quick: bool, seed: int, tick: Tick) -> Figure:
    """10,000 runs (quick: 500) of 300 episodes."""
    world = game("doors")
    config = TabularConfig.model_validate({"alpha": 0.1, "epsilon": 0.1})
    runs, curves, remarks = 500 if quick else 10_000, [], []
    for done, (name, cls) in enumerate(KINDS.items(), 1):
        seeds = [derive(seed, name, k) for k in range(runs)]
        returns = cls.run_control(world, config, seeds, EPISODES).returns[:, :, 0]
        left = 100.0 * (returns != 0.0)  # nothing happens on the right
        curve = Curve.of(name, np.arange(1, EPISODES + 1), left)
        curves.append(curve)
        remarks.append(
            f"{name}: left in {curve.mean.max():.0f} % at worst, {curve.mean[-50:].mean():.1f} % of the last 50"
        )
        tick(done, len(KINDS))
    title = f"Two doors, the left one to a noisy loss: α = 0.1, ε = 0.1, {runs} runs"
    return Figure(
        title, "episode", "% of runs that go left", curves, {"right but for ε": 5.0}, remarks, low=0.0, high=100.0
    )
