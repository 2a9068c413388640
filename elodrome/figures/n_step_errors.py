"""Bias and variance: n-step TD on the 19-state walk, by step size and n (notes 2.4.4, figure 2.7).

Root mean square error of the values over the first 10 episodes, averaged over episodes and runs, as in Sutton & Barto
(2018), figure 7.2: few steps need few rewards to trust, many carry the noise of a whole episode.
"""

from __future__ import annotations

import numpy as np

from elodrome.agents.tabular.n_step_td import NStepTD, NStepTDConfig
from elodrome.figures._walks import error_curves
from elodrome.figures.figure import Figure, Tick


def compute(quick: bool, seed: int, tick: Tick) -> Figure:
    """100 runs (quick: 20) of 10 episodes a point."""
    spans = (1, 2, 4, 8, 16, 64) if quick else (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
    runs, alphas = 20 if quick else 100, np.linspace(0.1, 1.0, 10)
    settings = {f"n = {n}": [NStepTDConfig.model_validate({"n": n, "alpha": alpha}) for alpha in alphas] for n in spans}
    curves, remarks = error_curves(NStepTD, settings, alphas, runs, seed, tick)
    title = f"n-step TD on the 19-state random walk, first 10 episodes, {runs} runs"
    return Figure(title, "step size α", "root mean square error", curves, {}, remarks, low=0.2, high=0.6)
