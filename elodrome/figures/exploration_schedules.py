"""How much to explore, and when to stop: schedules of epsilon for Q-learning on the cliff (notes 2.5.4, eq. 2.62).

The returns are those while learning, exploration included: what it costs, and how soon it is over.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from elodrome.agents.parts.tabular import TabularConfig
from elodrome.agents.tabular.q_learning import QLearning
from elodrome.figures.figure import Curve, Figure, Tick, game
from elodrome.seeding import derive

EPISODES, SMOOTH = 500, 10
SCHEDULES: dict[str, dict[str, Any]] = {
    "ε = 0.3": {"epsilon": 0.3},
    "ε = 0.1": {"epsilon": 0.1},
    "ε = 0.01": {"epsilon": 0.01},
    "1 to 0, linear": {"epsilon": 1.0, "epsilon_steps": 10_000},
    "1 to 0.01, exponential": {"epsilon": 1.0, "epsilon_end": 0.01, "epsilon_steps": 10_000, "fall": "exponential"},
    "1/n of the state's visits": {"epsilon": 1.0, "epsilon_power": 1.0},
}


def compute(quick: bool, seed: int, tick: Tick) -> Figure:
    """50 runs (quick: 10) of 500 episodes."""
    world = game("cliff_walking")
    runs, curves, remarks = 10 if quick else 50, [], []
    for done, (name, settings) in enumerate(SCHEDULES.items(), 1):
        seeds = [derive(seed, name, k) for k in range(runs)]
        found = QLearning.run_control(world, TabularConfig.model_validate({"alpha": 0.5, **settings}), seeds, EPISODES)
        returns = found.returns[:, :, 0]
        smooth = np.apply_along_axis(np.convolve, 1, returns, np.full(SMOOTH, 1 / SMOOTH), "valid")
        curves.append(Curve.of(name, np.arange(SMOOTH, EPISODES + 1), smooth))
        total = returns.sum(axis=1)
        spread = total.std(ddof=1) / np.sqrt(runs)
        remarks.append(f"{name}: {total.mean():.0f} +- {spread:.0f} in all {EPISODES} episodes")
        tick(done, len(SCHEDULES))
    title = f"Q-learning on the cliff by schedule of ε (α = 0.5, {runs} runs, means of {SMOOTH} episodes)"
    return Figure(title, "episode", "return of the episode", curves, {}, remarks, low=-250.0, high=0.0)
