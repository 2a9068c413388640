"""Monte Carlo prediction (notes 2.4.2, eq. 2.51): means of first or all returns. Its loop is that of control."""

from __future__ import annotations

from typing import Any, ClassVar

from elodrome.agents.parts.tabular import Details
from elodrome.agents.tabular.monte_carlo_control import monte_carlo
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

    loop = staticmethod(monte_carlo)
    config_class = MonteCarloPredictionConfig

    @classmethod
    def details(cls, config: Any) -> Details:
        return Details(once=config.first, second="marks", trail=-1)
