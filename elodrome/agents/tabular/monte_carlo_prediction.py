"""Monte Carlo prediction, first or every visit (notes 2.4.1): the mean of the returns. Its loop is that of control."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from elodrome.agents.parts.tabular import Details
from elodrome.agents.tabular.monte_carlo import monte_carlo
from elodrome.agents.tabular.prediction import Prediction, PredictionConfig

ABOUT = {
    "cls": "MonteCarloPrediction",
    "chapter": "2",
    "summary": "Monte Carlo: what a given policy is worth, the mean of returns; acts by that policy",
    "needs": ("few",),
}


class MonteCarloPredictionConfig(PredictionConfig):
    """first: whether only the first visit of an episode counts. The rest: ``PredictionConfig``."""

    alpha: float = Field(1.0, gt=0.0, le=1.0)
    alpha_power: float = Field(1.0, ge=0.0, le=1.0)
    first: bool = True


class MonteCarloPrediction(Prediction):
    """Monte Carlo prediction; settings: ``MonteCarloPredictionConfig``."""

    loop = staticmethod(monte_carlo)
    config_class = MonteCarloPredictionConfig

    @classmethod
    def details(cls, config: Any) -> Details:
        return Details(once=config.first, second="marks", trail=-1)
