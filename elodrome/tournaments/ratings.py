"""Ratings: Bradley-Terry by maximum likelihood on the Elo scale, with draws, first-move advantage and error bars.

The model (Bradley & Terry 1952): agent i in the first seat scores sigma(theta_i + h - theta_j) against j on average;
h is the advantage of the first seat. A draw counts as half a win and half a loss (left out, draws stretch the
scale). A weak normal prior, 1000 Elo wide, keeps clean sweeps and unconnected groups finite with wide error bars.
Games that repeat an earlier one move for move count for the estimate but not for its precision.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import combinations, permutations
from typing import Any

import numpy as np
import numpy.typing as npt

from elodrome.arena.elo import SCALE, expected_score
from elodrome.arena.record import GameRecord

Reals = npt.NDArray[np.float64]
PRIOR = 1000.0 / SCALE  # standard deviation of the prior on a rating, in log-odds
PRIOR_FIRST = 200.0 / SCALE  # and on the first-move advantage
Z95 = 1.959964
ONLINE_K = 16.0
ANCHOR = "random"


@dataclass(frozen=True)
class Fit:
    """theta float64 [N] in log-odds with mean 0, first (log-odds, 0 without seats), deviation [N] of theta."""

    theta: Reals
    first: float
    deviation: Reals


def fit_bradley_terry(score: Reals, games: Reals, information: Reals, *, seats: bool) -> Fit:
    """Fit ratings by Newton's method.

    score [N, N]: points of i, sitting first, against j; games [N, N]: how many of those games; information [N, N]:
    how many of them count for the error bars. With ``seats`` the first-move advantage is fitted too.
    """
    n = len(games)
    precision = np.full(n + 1, PRIOR**-2)
    precision[n] = PRIOR_FIRST**-2 if seats else 1e12
    theta = np.zeros(n + 1)

    def curvature(weight: Reals, p: Reals) -> Reals:
        w = weight * p * (1 - p)
        hessian = np.zeros((n + 1, n + 1))
        hessian[:n, :n] = -(w + w.T)
        hessian[np.arange(n), np.arange(n)] += w.sum(1) + w.sum(0)
        hessian[:n, n] = hessian[n, :n] = w.sum(1) - w.sum(0)
        hessian[n, n] = w.sum()
        return hessian + np.diag(precision)

    def expectation(at: Reals) -> Reals:
        lead: Reals = at[:n, None] - at[None, :n] + at[n]
        return 0.5 * (1 + np.tanh(lead / 2))

    def posterior(at: Reals) -> float:
        lead = at[:n, None] - at[None, :n] + at[n]
        likelihood = -score * np.logaddexp(0, -lead) - (games - score) * np.logaddexp(0, lead)
        return float(likelihood.sum() - 0.5 * (precision * at**2).sum())

    for _ in range(200):
        p = expectation(theta)
        error = score - games * p
        gradient = np.append(error.sum(1) - error.sum(0), error.sum()) - precision * theta
        step = np.linalg.solve(curvature(games, p), gradient)
        size, here = 1.0, posterior(theta)
        while posterior(theta + size * step) < here - 1e-12 and size > 1e-6:
            size /= 2
        theta = theta + size * step
        if np.abs(size * step).max() < 1e-10:
            break
    covariance = np.linalg.inv(curvature(information, expectation(theta)))[:n, :n]
    centre = np.eye(n) - 1 / n
    deviation = np.sqrt(np.maximum(np.diag(centre @ covariance @ centre), 0))
    return Fit(theta[:n] - theta[:n].mean(), float(theta[n]) if seats else 0.0, deviation)


@dataclass(frozen=True)
class Row:
    """One agent of a leaderboard. elo, low, high (95 %) and online are None for an agent without rated games."""

    agent: str
    elo: float | None
    low: float | None
    high: float | None
    games: int
    wins: int
    draws: int
    losses: int
    score: float | None
    mean_return: float | None
    online: float | None
    failures: int


@dataclass(frozen=True)
class Leaderboard:
    """The standing in one world. crosstable[a][b]: [points of a against b, games]. first_move_advantage in Elo, or None
    where there are no seats to swap. cycles: triples of which each beats the next beyond doubt."""

    env: str
    rows: list[Row]
    crosstable: dict[str, dict[str, list[float]]]
    first_move_advantage: float | None
    games: int
    duplicate_games: int
    terminations: dict[str, int]
    cycles: list[list[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """The leaderboard as one JSON document."""
        return asdict(self)


def leaderboard(records: Sequence[GameRecord], env: str, agents: Iterable[str] = ()) -> Leaderboard:
    """The leaderboard of one world's games; ``agents`` are listed even without a game.

    The scale is anchored at ``random`` = 0 where it plays, else at a mean of 0. Error bars are against the mean of all.
    """
    ordered = sorted(records, key=_order)
    names = list(dict.fromkeys([*agents, *(label for r in ordered for label in r.agents)]))
    place = {name: i for i, name in enumerate(names)}
    n = len(names)
    score, games = np.zeros((n, n)), np.zeros((n, n))
    returns: defaultdict[str, list[float]] = defaultdict(list)
    tally: defaultdict[str, Counter[str]] = defaultdict(Counter)
    distinct: defaultdict[tuple[int, int], set[object]] = defaultdict(set)
    seen: set[object] = set()
    online = dict.fromkeys(names, 0.0)
    seats = False
    for r in ordered:
        for label, value in zip(r.agents, r.returns, strict=True):
            returns[label].append(value)
        seen.add(r.key())
        if r.culprit is not None:
            tally[r.agents[r.culprit]]["failures"] += 1
        if not r.scores:
            continue
        seats = seats or (len(r.moves) == 1 and len(r.agents) == 2)
        for label, points in zip(r.agents, r.scores, strict=True):
            tally[label]["wins" if points > 0.5 else "losses" if points < 0.5 else "draws"] += 1
        share = 1.0 / (len(r.agents) - 1)
        for a, b in combinations(range(len(r.agents)), 2):
            i, j = place[r.agents[a]], place[r.agents[b]]
            if i == j:
                continue
            points = 0.5 + 0.5 * float(np.sign(r.scores[a] - r.scores[b]))
            score[i, j] += share * points
            games[i, j] += share
            distinct[i, j].add(r.key())
            change = ONLINE_K * share * (points - expected_score(online[names[i]] - online[names[j]]))
            online[names[i]] += change
            online[names[j]] -= change
    information = np.zeros((n, n))
    for (i, j), kinds in distinct.items():
        information[i, j] = min(games[i, j], float(len(kinds)))
    rated = [name for name in names if games[place[name]].sum() + games[:, place[name]].sum() > 0]
    elos: dict[str, tuple[float, float, float]] = {}
    first = None
    if len(rated) > 1:
        keep = np.array([place[name] for name in rated])
        part = np.ix_(keep, keep)
        fit = fit_bradley_terry(score[part], games[part], information[part], seats=seats)
        anchor = fit.theta[rated.index(ANCHOR)] if ANCHOR in rated else 0.0
        for k, name in enumerate(rated):
            value, spread = SCALE * (fit.theta[k] - anchor), SCALE * Z95 * fit.deviation[k]
            elos[name] = (float(value), float(value - spread), float(value + spread))
        first = SCALE * fit.first if seats else None
    zero = online[ANCHOR] if ANCHOR in rated else 0.0
    rows = []
    for name in names:
        elo = elos.get(name)
        counts = tally[name]
        played = counts["wins"] + counts["draws"] + counts["losses"]
        rows.append(
            Row(
                agent=name,
                elo=elo[0] if elo else None,
                low=elo[1] if elo else None,
                high=elo[2] if elo else None,
                games=played,
                wins=counts["wins"],
                draws=counts["draws"],
                losses=counts["losses"],
                score=(counts["wins"] + 0.5 * counts["draws"]) / played if played else None,
                mean_return=float(np.mean(returns[name])) if returns[name] else None,
                online=online[name] - zero if elo else None,
                failures=counts["failures"],
            )
        )
    rows.sort(key=lambda row: (row.elo is None, -(row.elo or 0.0), row.agent))
    both, count = score + (games - score).T, games + games.T
    crosstable = {
        a: {
            b: [float(both[place[a], place[b]]), float(count[place[a], place[b]])]
            for b in names
            if count[place[a], place[b]]
        }
        for a in names
    }
    return Leaderboard(
        env=env,
        rows=rows,
        crosstable=crosstable,
        first_move_advantage=first,
        games=len(ordered),
        duplicate_games=len(ordered) - len(seen),
        terminations=dict(sorted(Counter(r.termination for r in ordered).items())),
        cycles=find_cycles(names, both, count),
        notes=_notes(rated, count[np.ix_([place[a] for a in rated], [place[a] for a in rated])]),
    )


def find_cycles(names: Sequence[str], score: Reals, games: Reals) -> list[list[str]]:
    """Triples a, b, c in which a beats b, b beats c and c beats a, each by more than two standard errors.

    score [N, N]: points of i against j over all games [N, N] of the pair.
    """
    share = np.divide(score, games, out=np.full(score.shape, 0.5), where=games > 0)
    beats = (games > 0) & (share - 0.5 > 2 * 0.5 / np.sqrt(np.maximum(games, 1)))
    return [
        [names[i], names[j], names[k]]
        for i, j, k in permutations(range(len(names)), 3)
        if i < j and i < k and beats[i, j] and beats[j, k] and beats[k, i]
    ]


def _notes(rated: Sequence[str], games: Reals) -> list[str]:
    """What a reader must know of the table: groups that never met cannot be compared."""
    if not rated:
        return []
    reach = np.linalg.matrix_power(np.eye(len(rated)) + (games > 0), max(len(rated) - 1, 1)) > 0
    groups = {tuple(np.flatnonzero(line)) for line in reach}
    if len(groups) < 2:
        return []
    named = " | ".join(", ".join(rated[int(i)] for i in group) for group in sorted(groups))
    return [f"groups that never met are compared by the prior alone: {named}"]


def _order(record: GameRecord) -> tuple[int, str]:
    """Game k of every pairing before game k + 1 of any, so that online ratings move evenly."""
    number = re.search(r"(\d+)\Z", record.id)
    return int(number[1]) if number else 0, record.id
