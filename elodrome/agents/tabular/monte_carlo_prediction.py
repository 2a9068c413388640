"""Monte Carlo prediction (notes 2.4.2, eq. 2.51): means of first or all returns. Its loop is that of control."""

from __future__ import annotations

from typing import ClassVar

from elodrome.agents.tabular.monte_carlo_control import MonteCarloControl
from elodrome.agents.tabular.prediction import Prediction, PredictionConfig

ABOUT = {
    "cls": "MonteCarloPrediction",
    "chapter": "2",
    "summary": "Monte Carlo: what a given policy is worth, the mean of returns; acts by that policy",
    "needs": ("few",),
}


class MonteCarloPredictionConfig(PredictionConfig):
    """first: whether only the first visit of an episode counts. alpha: None is 1 / n, so that values are means. The
    rest: ``PredictionConfig``."""

    usual_power: ClassVar[float] = 1.0

    first: bool = True


class MonteCarloPrediction(Prediction):
    """Monte Carlo prediction; settings: ``MonteCarloPredictionConfig``."""

    control = MonteCarloControl
    config_class = MonteCarloPredictionConfig
