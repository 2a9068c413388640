"""What came of a match: its records, counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from elodrome.arena.elo import EloDifference, elo_difference
from elodrome.arena.record import GameRecord
from elodrome.envs.game import World


@dataclass(frozen=True)
class MatchResult:
    """A match between two agents: records, and the summary that ``elodrome match --json`` prints."""

    world: World
    agents: tuple[str, str]
    records: list[GameRecord]
    seconds: float
    unrepeatable: tuple[str, ...] = ()  # of agents that do not play a game again as they did

    @property
    def env(self) -> str:
        """The world's id."""
        return self.world.id

    def tally(self, seat: int | None = None) -> dict[str, int]:
        """Wins, draws and losses of the first agent, in all or in one seat."""
        counts = {"wins": 0, "draws": 0, "losses": 0}
        for index, record in enumerate(self.records):
            at = self._seat(index)
            if record.scores and (seat is None or at == seat):
                score = record.scores[at]
                counts["wins" if score > 0.5 else "losses" if score < 0.5 else "draws"] += 1
        return counts

    def _seat(self, index: int) -> int:
        """Which seat of its record the first agent sits in."""
        record = self.records[index]
        return 0 if len(record.moves) > 1 or index % 2 == 0 else 1

    @property
    def duplicates(self) -> int:
        """Games that repeat an earlier one move for move."""
        return len(self.records) - len({record.key() for record in self.records})

    def elo(self) -> EloDifference:
        """The first agent's Elo lead with its interval; repeated games do not narrow it."""
        t = self.tally()
        return elo_difference(t["wins"], t["draws"], t["losses"], distinct=len(self.records) - self.duplicates)

    def summary(self) -> dict[str, Any]:
        """The match as one JSON document."""
        returns = [[], []]  # type: list[list[float]]
        for index, record in enumerate(self.records):
            first = self._seat(index)
            returns[0].append(record.returns[first])
            returns[1].append(record.returns[1 - first])
        elo = self.elo()
        failures: dict[str, Counter[str]] = {label: Counter() for label in self.agents}
        for index, record in enumerate(self.records):
            if record.culprit is not None:
                failures[self.agents[0 if record.culprit == self._seat(index) else 1]][record.reason] += 1
        games = len(self.records)
        ended_well = ("win", "draw")
        remarks = Counter(r.reason for r in self.records if r.reason and r.termination in ended_well)
        document: dict[str, Any] = {
            "env": self.env,
            "agents": list(self.agents),
            "games": games,
            **self.tally(),
            "by_seat": [self.tally(seat) for seat in (0, 1)] if self.world.players == 2 else [],
            "mean_return": [float(np.mean(r)) if r else None for r in returns],
            "terminations": dict(sorted(Counter(r.termination for r in self.records).items())),
            "failures": {label: dict(c.most_common(5)) for label, c in failures.items() if c},
            **({"remarks": dict(remarks.most_common(5))} if remarks else {}),
            "elo_difference": elo.value,
            "elo_interval": [elo.low, elo.high],
            "duplicate_games": self.duplicates,
            "seconds": round(self.seconds, 3),
        }
        if self.unrepeatable:
            document["unrepeatable"] = list(self.unrepeatable)
        if games % 2 and self.records and len(self.records[0].moves) == 1:
            document["note"] = f"odd number of games: {self.agents[0]} has the first seat once more"
        return document


def hopeless(records: Iterable[GameRecord]) -> list[str]:
    """One line for each agent that crashed or was too slow in every game of its own: no result tells how it plays."""
    games: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    for record in records:
        for seat, label in enumerate(record.agents):
            games[label] += 1
            lost = record.termination in ("crash", "time-out") and record.culprit == seat
            failed[label] += lost or record.termination == "void"
    return [
        f"{label} crashed or ran out of time in all of its {count} games"
        for label, count in games.items()
        if failed[label] == count
    ]
