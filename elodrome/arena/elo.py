"""The Elo scale: 400 points are odds of ten to one (notes, the arena; Elo 1978)."""

from __future__ import annotations

import math
from dataclasses import dataclass

SCALE = 400.0 / math.log(10.0)  # Elo points per unit of log-odds


@dataclass(frozen=True)
class EloDifference:
    """An Elo lead with its 95 % interval. All three are None without a game."""

    value: float | None
    low: float | None
    high: float | None


def expected_score(difference: float) -> float:
    """The expected score of the one who is ``difference`` Elo points ahead."""
    return 1.0 / (1.0 + math.exp(-difference / SCALE))


def from_score(score: float) -> float:
    """The Elo lead at which ``score``, strictly between 0 and 1, is expected."""
    return SCALE * math.log(score / (1.0 - score))


def elo_difference(wins: int, draws: int, losses: int, distinct: int | None = None) -> EloDifference:
    """The Elo lead from a match, draws as halves, with a 95 % Wilson interval on the score.

    Half a win and half a loss are added, so that a clean sweep stays finite. ``distinct`` is the number of games that
    are not repeats: the interval is that of so many games. The draws' smaller variance is used where there are any.
    """
    games = wins + draws + losses
    if not games:
        return EloDifference(None, None, None)
    score = (wins + 0.5 * draws + 0.5) / (games + 1)
    share = draws / games
    n = max(1.0, float(games if distinct is None else min(distinct, games)))
    # Wilson's interval takes the binomial variance s (1 - s); draws shrink it by share / 4, kept positive.
    spread = max(score * (1 - score) - share / 4, 1 / (4 * (n + 1))) / (score * (1 - score))
    z2 = 1.96**2 * spread
    centre = (score + z2 / (2 * n)) / (1 + z2 / n)
    half = math.sqrt(z2) * math.sqrt(score * (1 - score) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    low, high = max(centre - half, 1 / (2 * n + 2)), min(centre + half, 1 - 1 / (2 * n + 2))
    value = from_score(score)
    return EloDifference(value, min(value, from_score(low)), max(value, from_score(high)))
