"""TD(0) (notes 2.4.3, eq. 2.52): the value of a state moves towards ``r + gamma V(S')``. SARSA with a given policy."""

from __future__ import annotations

from elodrome.agents.tabular.prediction import Prediction
from elodrome.agents.tabular.sarsa import Sarsa

ABOUT = {
    "cls": "TD",
    "chapter": "2",
    "summary": "TD(0): what a given policy is worth, step by step; acts by that policy",
    "needs": ("few",),
}


class TD(Prediction):
    """TD(0) prediction; settings: ``PredictionConfig``."""

    control = Sarsa
