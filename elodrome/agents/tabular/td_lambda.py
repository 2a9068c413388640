"""TD(lambda) with eligibility traces, accumulating or replacing (notes 2.4.5.2, eq. 2.57-2.58; Sutton & Barto 12.2).

SARSA(lambda) with a given policy. Values move at every step; ``lambda_return`` is the offline sibling.
"""

from __future__ import annotations

from pydantic import Field

from elodrome.agents.tabular.prediction import Prediction, PredictionConfig
from elodrome.agents.tabular.sarsa_lambda import SarsaLambda

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

    control = SarsaLambda
    config_class = TDLambdaConfig
