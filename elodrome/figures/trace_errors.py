"""TD(lambda) with accumulating traces on the 19-state walk, by step size and lambda (notes 2.4.5, figure 2.9).

Root mean square error over the first 10 episodes; Sutton & Barto (2018), figure 12.6.
"""

from __future__ import annotations

import numpy as np

from elodrome.agents.tabular.td_lambda import TDLambda, TDLambdaConfig
from elodrome.figures._walks import error_curves
from elodrome.figures.figure import Figure, Tick


def compute(quick: bool, seed: int, tick: Tick) -> Figure:
    """100 runs (quick: 20) of 10 episodes a point."""
    lams = (0.0, 0.8, 0.95, 1.0) if quick else (0.0, 0.4, 0.8, 0.9, 0.95, 0.975, 0.99, 1.0)
    runs, alphas = 20 if quick else 100, np.linspace(0.05, 1.0, 20)
    settings = {
        f"λ = {lam:g}": [TDLambdaConfig.model_validate({"lam": lam, "alpha": alpha}) for alpha in alphas]
        for lam in lams
    }
    curves, remarks = error_curves(TDLambda, settings, alphas, runs, seed, tick)
    title = f"TD(λ) on the 19-state random walk, first 10 episodes, {runs} runs"
    return Figure(title, "step size α", "root mean square error", curves, {}, remarks, low=0.2, high=0.6)
