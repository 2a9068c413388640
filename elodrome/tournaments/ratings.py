"""Leaderboards: the games of one world counted, rated (Bradley-Terry, online Elo beside it), and put in order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import combinations
from typing import Any

import numpy as np

from elodrome.arena.elo import SCALE, expected_score
from elodrome.arena.record import GameRecord, Unplayed
from elodrome.tournaments.bradley_terry import Z95, Counts, Fit, find_cycles, find_groups, fit_bradley_terry

ONLINE_K = 16.0
ANCHOR = "random"
REASONS = 5  # of an agent's failures are kept, the most frequent


@dataclass(frozen=True)
class Row:
    """One agent of a leaderboard. elo, low, high (95 %) and online are None for an agent without rated games.
    games, wins, draws and losses leave void games out; mean_return does not. reasons: of its failures, how often."""

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
    reasons: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Leaderboard:
    """The standing in one world. crosstable[a][b]: [points of a against b, games, games that repeat no other].
    first_move_advantage and the half-width of its 95 % interval in Elo, or None where there are no seats to swap.
    cycles: triples of which each beats the next beyond doubt. unplayed: games that could not be played. left_out: why
    agents could not be seated. The notes say both in words."""

    env: str
    rows: list[Row]
    crosstable: dict[str, dict[str, list[float]]]
    first_move_advantage: float | None
    first_move_error: float | None
    games: int
    duplicate_games: int
    terminations: dict[str, int]
    cycles: list[list[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    unplayed: list[Unplayed] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """The leaderboard as one JSON document."""
        return asdict(self)


class _Count:
    """One pass over the games: everything that a leaderboard needs, counted."""

    def __init__(self, records: Sequence[GameRecord], agents: Iterable[str]) -> None:
        self.names = list(dict.fromkeys([*agents, *(label for r in records for label in r.agents)]))
        self.place = {name: i for i, name in enumerate(self.names)}
        n = len(self.names)
        self.score, self.games, self.draws, self.distinct = (np.zeros((n, n)) for _ in range(4))
        self.returns: list[list[float]] = [[] for _ in range(n)]
        self.outcomes: list[Counter[str]] = [Counter() for _ in range(n)]
        self.reasons: list[Counter[str]] = [Counter() for _ in range(n)]
        self.online = [0.0] * n
        self.terminations: Counter[str] = Counter()
        self.seen: set[object] = set()
        self.seats = False  # whether seats are swapped in this world
        for record in records:
            self._add(record)

    def _add(self, record: GameRecord) -> None:
        here = [self.place[label] for label in record.agents]
        for i, value in zip(here, record.returns, strict=True):
            self.returns[i].append(value)
        self.terminations[record.termination] += 1
        if record.culprit is not None:
            self.reasons[here[record.culprit]][record.reason] += 1
        key = record.key()
        fresh = key not in self.seen
        self.seen.add(key)
        if not record.scores or len(here) < 2:
            return  # a void game is rated for nobody, and who plays alone scores against nobody
        self.seats = self.seats or (len(record.moves) == 1 and len(here) == 2)
        for i, points in zip(here, record.scores, strict=True):
            self.outcomes[i]["win" if points > 0.5 else "loss" if points < 0.5 else "draw"] += 1
        weight = 2.0 / len(here)  # P seats make P (P - 1) / 2 pairs out of P - 1 independent comparisons
        for a, b in combinations(range(len(here)), 2):
            i, j = here[a], here[b]
            if i == j:
                continue
            points = 0.5 + 0.5 * float(np.sign(record.scores[a] - record.scores[b]))
            self.score[i, j] += weight * points
            self.games[i, j] += weight
            self.draws[i, j] += weight * (points == 0.5)
            self.distinct[i, j] += weight * fresh
            change = ONLINE_K * weight * (points - expected_score(self.online[i] - self.online[j]))
            self.online[i] += change
            self.online[j] -= change

    def counts(self) -> Counts:
        return Counts(self.score, self.games, self.draws, self.distinct)


def leaderboard(
    records: Sequence[GameRecord],
    env: str,
    agents: Iterable[str] = (),
    unplayed: Sequence[Unplayed] = (),
    left_out: Mapping[str, str] | None = None,
) -> Leaderboard:
    """The leaderboard of one world's games; ``agents`` are listed even without a game. ``unplayed`` games and agents
    that were ``left_out``, with the reason, are told beside it.

    The scale is anchored at ``random`` = 0 where it plays, else at a mean of 0. The interval of a rating is that of its
    distance from the mean of all. Worlds of more than two seats are rated by pairs.
    """
    count = _Count(sorted(records, key=_order), agents)
    met = count.games.sum(0) + count.games.sum(1)
    rated = np.flatnonzero(met > 0).tolist()
    counts = count.counts().only(rated)
    fit = fit_bradley_terry(counts, seats=count.seats) if rated else None
    rows = [_row(count, i, fit, rated) for i in range(len(count.names))]
    points, games = count.score + (count.games - count.score).T, count.games + count.games.T
    distinct = count.distinct + count.distinct.T
    crosstable = {
        a: {
            b: [float(points[i, j]), float(games[i, j]), float(distinct[i, j])]
            for j, b in enumerate(count.names)
            if games[i, j]
        }
        for i, a in enumerate(count.names)
    }
    names = [count.names[i] for i in rated]
    groups = [", ".join(names[i] for i in group) for group in find_groups(counts.games)]
    notes = [f"groups that never met, compared by the prior alone: {' | '.join(groups)}"] if len(groups) > 1 else []
    left = dict(left_out or {})
    notes += [f"{agent} could not be seated: {reason}" for agent, reason in left.items()]
    notes += [str(games) for games in unplayed]
    return Leaderboard(
        env=env,
        rows=sorted(rows, key=lambda row: (row.elo is None, -(row.elo or 0.0), row.agent)),
        crosstable=crosstable,
        first_move_advantage=SCALE * fit.first if fit and count.seats else None,
        first_move_error=SCALE * Z95 * fit.first_deviation if fit and count.seats else None,
        games=len(records),
        duplicate_games=len(records) - len(count.seen),
        terminations=dict(sorted(count.terminations.items())),
        cycles=find_cycles(names, counts),
        notes=notes,
        unplayed=list(unplayed),
        left_out=left,
    )


def _row(count: _Count, i: int, fit: Fit | None, rated: list[int]) -> Row:
    elo: float | None = None
    low: float | None = None
    high: float | None = None
    online: float | None = None
    if fit is not None and i in rated:
        zero = count.place.get(ANCHOR, -1)
        at, anchor = rated.index(i), rated.index(zero) if zero in rated else None
        elo = SCALE * float(fit.theta[at] - (0.0 if anchor is None else fit.theta[anchor]))
        spread = SCALE * Z95 * float(fit.deviation[at])
        low, high = elo - spread, elo + spread
        online = count.online[i] - (0.0 if anchor is None else count.online[zero])
    outcomes, reasons = count.outcomes[i], count.reasons[i]
    played = outcomes.total()
    return Row(
        agent=count.names[i],
        elo=elo,
        low=low,
        high=high,
        games=played,
        wins=outcomes["win"],
        draws=outcomes["draw"],
        losses=outcomes["loss"],
        score=(outcomes["win"] + 0.5 * outcomes["draw"]) / played if played else None,
        mean_return=float(np.mean(count.returns[i])) if count.returns[i] else None,
        online=online,
        failures=reasons.total(),
        reasons=dict(reasons.most_common(REASONS)),
    )


def _order(record: GameRecord) -> tuple[int, str]:
    """Game k of every pairing before game k + 1 of any, so that online ratings move evenly."""
    return record.number, record.id
