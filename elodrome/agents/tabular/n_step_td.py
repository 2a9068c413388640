"""n-step TD (notes 2.4.5, eq. 2.55): n rewards as they come, then the value. n-step SARSA with a given policy."""

from __future__ import annotations

from pydantic import Field

from elodrome.agents.tabular.n_step_sarsa import NStepSarsa
from elodrome.agents.tabular.prediction import Prediction, PredictionConfig

ABOUT = {
    "cls": "NStepTD",
    "chapter": "2",
    "summary": "n-step TD: what a given policy is worth, from n rewards; acts by that policy",
    "needs": ("few",),
}


class NStepTDConfig(PredictionConfig):
    """n: how many rewards are taken as they come. The rest: ``PredictionConfig``."""

    n: int = Field(4, ge=1, le=10_000)


class NStepTD(Prediction):
    """n-step TD prediction; settings: ``NStepTDConfig``."""

    control = NStepSarsa
    config_class = NStepTDConfig
