"""TD(lambda) with eligibility traces, accumulating or replacing (notes 2.4.5.2, eq. 2.57-2.58; Sutton & Barto 12.2).

SARSA(lambda) with a given policy. Values move at every step; ``lambda_return`` is the offline sibling.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from elodrome.agents.parts.tabular import Details
from elodrome.agents.tabular.prediction import Prediction, PredictionConfig
from elodrome.agents.tabular.sarsa_lambda import sarsa_lambda

ABOUT = {
    "cls": "TDLambda",
    "chapter": "2",
    "summary": "TD(lambda): what a given policy is worth, by eligibility traces; acts by that policy",
    "needs": ("few",),
}


class TDLambdaConfig(PredictionConfig):
    """lam: lambda; 0 is TD(0), 1 Monte Carlo. replacing: whether a visit sets a trace to 1 or adds 1 to it. The rest:
    ``PredictionConfig``."""

    lam: float = Field(0.8, ge=0.0, le=1.0)
    replacing: bool = False


class TDLambda(Prediction):
    """TD(lambda) prediction; settings: ``TDLambdaConfig``."""

    loop = staticmethod(sarsa_lambda)
    config_class = TDLambdaConfig

    @classmethod
    def details(cls, config: Any) -> Details:
        return Details(lambda_=config.lam, once=config.replacing, second="marks", trail=-1)
