"""One table a world of a full showdown: how well every agent does, how sure that is, and what it cost to train.

Where agents meet, ratings decide. Where each plays alone, the mean return does, over several trainings of one kind that
play the same games; its interval allows for both, other trainings and other games.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from elodrome.agents.parts.saved import find_saved, read_card
from elodrome.agents.specs import builtin
from elodrome.arena.record import GameRecord
from elodrome.envs.game import World
from elodrome.tournaments.bradley_terry import Z95
from elodrome.tournaments.ratings import Leaderboard

# Student's t at 97.5 % for 1, 2, .. degrees of freedom; beyond, the normal quantile is near enough.
STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
PLAIN_UNITS = ("steps", "positions")  # what one decision of the learner counts as


@dataclass(frozen=True)
class Row:
    """An agent's place. value: its rating in Elo, or its mean return; error: half the width of the 95 % interval, None
    where one game or training tells nothing of it. score: the share of points. steps, in unit, and seconds of the
    processor are those of one training, on average; None for what learns nothing."""

    agent: str
    chapter: str
    value: float | None
    error: float | None
    score: float | None
    mean_return: float | None
    trainings: int
    steps: int | None
    unit: str
    seconds: float | None


@dataclass(frozen=True)
class Standing:
    """The table of one world. rated: by Elo, else by return. games: of each agent."""

    world: str
    kind: str
    rated: bool
    games: int
    rows: list[Row]
    notes: list[str] = field(default_factory=list)

    @property
    def columns(self) -> tuple[str, ...]:
        """What the cells are."""
        by = ("Elo", "95 %", "score") if self.rated else ("return", "95 %")
        returns = ("return",) if self.rated and self.kind != "board" else ()
        return ("", "agent", "chapter", *by, *returns, *(() if self.rated else ("trainings",)), "decisions", "seconds")

    def cells(self) -> list[list[str]]:
        """The rows as text, in order."""
        table = []
        for rank, row in enumerate(self.rows, 1):
            digits = 0 if self.rated else _digits(row.value, row.error)
            value, error = _number(row.value, digits), "" if row.error is None else f"± {row.error:.{digits}f}"
            by = [value, error, *(["" if row.score is None else f"{100 * row.score:.1f} %"] if self.rated else [])]
            returns = [_number(row.mean_return, 2)] if self.rated and self.kind != "board" else []
            trainings = [] if self.rated else [str(row.trainings or "")]
            took = "" if row.seconds is None else f"{row.seconds:.0f}" if row.seconds >= 10 else f"{row.seconds:.1f}"
            table.append([str(rank), row.agent, row.chapter, *by, *returns, *trainings, _decisions(row), took])
        return table


def _decisions(row: Row) -> str:
    if row.steps is None:
        return ""
    return f"{row.steps:,}" if row.unit in PLAIN_UNITS else f"{row.steps:,} {row.unit}"


def _number(value: float | None, digits: int) -> str:
    text = "" if value is None else f"{value:.{digits}f}"
    return text.lstrip("-") if text and float(text) == 0 else text.replace("-", "\N{MINUS SIGN}")


def _digits(value: float | None, error: float | None) -> int:
    """As many decimals as an error, or a value that has none, makes sense of."""
    size = abs(error or value or 0.0)
    return 3 if size < 0.05 else 2 if size < 10 else 1 if size < 100 else 0


def standing(
    world: World,
    board: Leaderboard,
    records: Sequence[GameRecord],
    specs: Mapping[str, str],
    failed: Mapping[str, str],
) -> Standing:
    """The table of one world. specs: of every agent by its label, where ``dqn#2`` is the second training of ``dqn``.
    failed: why agents could not be trained, by label."""
    rated = any(row.elo is not None for row in board.rows)
    groups: dict[str, list[str]] = {}
    for label in specs:
        groups.setdefault(label.partition("#")[0], []).append(label)
    returns = returns_by_label(world, records)
    ranks = {row.agent: row for row in board.rows}
    rows = []
    for agent, labels in groups.items():
        runs = [returns.get(label, []) for label in labels]
        mean, error = mean_and_error(runs)
        rank = ranks[agent]
        half = None if rank.high is None or rank.low is None else (rank.high - rank.low) / 2
        rows.append(
            Row(
                agent=agent,
                value=rank.elo if rated else mean,
                error=half if rated else error,
                score=rank.score,
                mean_return=mean,
                **_training(world, [specs[label] for label in labels]),
            )
        )
    rows.sort(key=lambda row: (row.value is None, -(row.value or 0.0), row.agent))
    notes = [*board.notes, *(f"{label} could not be trained: {reason}" for label, reason in failed.items())]
    games = max((row.games for row in board.rows), default=0) if rated else max(map(len, returns.values()), default=0)
    return Standing(world.id, world.kind, rated, games, rows, notes)


def returns_by_label(world: World, records: Sequence[GameRecord]) -> dict[str, list[float]]:
    """What each agent was paid in its games. Where it failed alone, no less than the world's worst: giving up early
    must not pay."""
    found: dict[str, list[float]] = {}
    worst = world.return_range[0]
    for record in records:
        void = record.termination == "void" and math.isfinite(worst)
        for label, value in zip(record.agents, record.returns, strict=True):
            found.setdefault(label, []).append(worst if void else value)
    return found


def mean_and_error(runs: Sequence[Sequence[float]]) -> tuple[float | None, float | None]:
    """The mean of returns [K trainings, N games], and half the width of its 95 % interval.

    Trainings and games are crossed, as every training plays the same games: the variance of the mean is that of the
    trainings' means over K (Student's t) and that of the games' means over N. Where there is one training, its interval
    is that of its games; None where there is one game as well.
    """
    games = min(map(len, runs), default=0)
    if not games:
        return None, None
    returns = np.array([list(run)[:games] for run in runs])
    mean, widths = float(returns.mean()), []
    for axis, count in enumerate(returns.shape):
        if count > 1:
            quantile = STUDENT[count - 2] if count - 2 < len(STUDENT) else Z95
            widths.append(quantile * float(returns.mean(axis=1 - axis).std(ddof=1)) / math.sqrt(count))
    return mean, math.hypot(*widths) if widths else None


def _training(world: World, specs: Sequence[str]) -> dict[str, Any]:
    """Where an agent comes from and what its trainings took, by the cards of those that are saved."""
    found = [saved for spec in specs if (saved := find_saved(spec, world))]
    if not found:
        kind = builtin()[specs[0].partition(":")[0]]
        return {"chapter": kind.about.chapter, "trainings": 0, "steps": None, "unit": "", "seconds": None}
    cards = [read_card(folder) for folder, _ in found]
    kind = builtin()[cards[0].kind]
    told = [card.notes.get("cpu_seconds", card.notes.get("seconds")) for card in cards]
    seconds = [float(each) for each in told if each is not None]
    return {
        "chapter": kind.about.chapter,
        "trainings": len(cards),
        "steps": round(np.mean([card.steps for card in cards])),
        "unit": getattr(kind.load(), "unit", "steps"),
        "seconds": float(np.mean(seconds)) if seconds else None,
    }


def markdown(tables: Sequence[Standing]) -> str:
    """The tables as a page of Markdown, each between markers by which others may take it over."""
    return "\n\n".join(f"## {table.world}\n\n{marked(table)}" for table in tables) + "\n"


def marked(table: Standing) -> str:
    """A table as Markdown between its markers."""
    how = (
        f"{table.games} games of each agent at most; Elo with the 95 % interval over its games, random play at 0; one "
        "training each."
        if table.rated
        else f"{table.games} games of every training; 95 % intervals, of trainings and games."
    )
    lines = [" | ".join(cells) for cells in ([*table.columns], *([_escaped(c) for c in row] for row in table.cells()))]
    left = ("", "agent", "chapter")
    lines.insert(1, " | ".join("---" if column in left[1:] else "---:" for column in table.columns))
    body = "\n".join(f"| {line} |" for line in lines)
    notes = "".join(f"\n\n{note}." for note in table.notes)
    return f"<!-- showdown {table.world} -->\n{how}\n\n{body}{notes}\n<!-- end -->"


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|")
