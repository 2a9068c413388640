"""n-step TD on the 19-state walk with the best steps, beside another program (notes 2.4.4; Sutton & Barto, figure 7.2).

Root mean square error of the values over the first 10 episodes, averaged over episodes and runs.
"""

from __future__ import annotations

import numpy as np

from elodrome.agents.tabular.n_step_td import NStepTD, NStepTDConfig
from elodrome.agents.tabular.prediction import value_errors
from elodrome.figures._walks import EPISODES, exact_values
from elodrome.figures.figure import Curve, Figure, Tick, game
from elodrome.seeding import derive

# n, alpha: the error of another program over 100 runs, and its standard error (they lie between 0.002 and 0.006).
TABLE = {
    (1, 0.8): (0.348, 0.004),
    (2, 0.6): (0.280, 0.004),
    (4, 0.4): (0.268, 0.004),
    (8, 0.2): (0.283, 0.004),
    (16, 0.1): (0.324, 0.004),
}


def compute(quick: bool, seed: int, tick: Tick) -> Figure:
    """1,000 runs (quick: 100) of 10 episodes a point."""
    world, runs = game("random_walk"), 100 if quick else 1000
    exact, errors = exact_values(world), np.zeros((runs, len(TABLE)))
    for at, (n, alpha) in enumerate(TABLE):
        config = NStepTDConfig.model_validate({"n": n, "alpha": alpha})
        seeds = [derive(seed, "table", at, k) for k in range(runs)]
        errors[:, at] = value_errors(NStepTD, world, config, seeds, EPISODES, exact).mean(axis=1)
        tick(at + 1, len(TABLE))
    x = np.arange(float(len(TABLE)))
    theirs, spread = np.array(list(TABLE.values())).T
    ours, other = Curve.of("ours", x, errors), Curve("another program", x, theirs, spread)
    names = tuple(f"n = {n}, α = {alpha:g}" for n, alpha in TABLE)
    remarks = [
        f"{names[k]}: {ours.mean[k]:.3f} +- {ours.error[k]:.3f}, another program {theirs[k]:.3f}"
        for k in range(len(names))
    ]
    title = f"n-step TD on the 19-state random walk, first 10 episodes, {runs} runs"
    return Figure(title, "steps and step size", "root mean square error", [ours, other], {}, remarks, names=names)
