"""The report: one self-contained HTML file, with its pictures as PNG and its numbers as JSON beside it.

Nothing in the page is fetched from anywhere: styles, scripts, pictures and the replayed games are all inside.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from elodrome import __version__
from elodrome.agents.parts.saved import replace_file, world_slug
from elodrome.arena.record import GameRecord
from elodrome.envs.game import World
from elodrome.tournaments.ratings import Leaderboard
from elodrome.tournaments.replays import featured, replay_document
from elodrome.tournaments.standings import Standing

REPEATS = 8  # pairings listed of those that repeat games


@dataclass(frozen=True)
class Section:
    """One world of a report: its leaderboard, its games, (agent, learning.jsonl) of those that were trained, and the
    table of a full showdown, which takes the place of the leaderboard's."""

    world: World
    board: Leaderboard
    records: Sequence[GameRecord]
    curves: Sequence[tuple[str, Path]] = field(default_factory=list)
    table: Standing | None = None


def build_report(sections: Sequence[Section], out: Path) -> Path:
    """Write report.html, report.json and the pictures into ``out``; returns the page's path.

    Raises UserError when ``out`` cannot be written.
    """
    # Here, because matplotlib takes longer to import than all that a tournament needs before its first game.
    from elodrome.tournaments.plots import learning_curves, learning_plot, png, rating_plot, svg

    environment = Environment(
        loader=PackageLoader("elodrome.tournaments"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["number"] = _number
    views, documents = [], []
    for section in sections:
        slug, board = world_slug(section.world.id), section.board
        curves = learning_curves(section.curves)
        pictures = {}
        for name, figure in (("ratings", rating_plot(board)), ("learning", learning_plot(curves))):
            if figure is not None:
                replace_file(out / f"{slug}-{name}.png", png(figure))
                pictures[name] = svg(figure, f"{slug}-{name}")
        games = [
            replay_document(record, stream, section.world)
            for record, stream in featured(section.records, _ranking(section))
        ]
        views.append(
            {
                "slug": slug,
                "world": section.world,
                "solo": section.world.players == 1,
                "alone": all(len(record.agents) == 1 for record in section.records),
                "board": board,
                "table": section.table,
                "scale": _scale(board),
                "cross": _cross(board),
                "repeats": _repeats(board),
                "pictures": pictures,
                "panels": len(curves),
                "games": games,
            }
        )
        learning = [asdict(curve) for drawn in curves.values() for curve in drawn]
        table = {} if section.table is None else {"table": asdict(section.table)}
        documents.append({**board.document(), **table, "learning": learning})
    page = environment.get_template("report.html.jinja").render(sections=views, version=__version__)
    replace_file(out / "report.html", page.encode())
    document = {"version": __version__, "ladders": documents}
    replace_file(out / "report.json", json.dumps(document, indent=1, allow_nan=False).encode())
    return out / "report.html"


def _ranking(section: Section) -> list[str]:
    """The agents' labels, the best first."""
    rows = section.board.rows if section.table is None else section.table.rows
    return [row.agent for row in rows]


def _number(value: float | None, digits: int = 0) -> str:
    if value is None:
        return ""
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", "\N{MINUS SIGN}")


def _scale(board: Leaderboard) -> list[dict[str, float] | None]:
    """Where each row's interval lies on the page's own little scale, in percent."""
    ends = [x for row in board.rows if row.elo is not None for x in (row.low or 0.0, row.high or 0.0)]
    low, high = (min(ends), max(ends)) if ends else (0.0, 1.0)
    span = max(high - low, 1.0)

    def percent(value: float | None) -> float:
        return round(100 * ((value or 0.0) - low) / span, 2)

    return [
        None
        if row.elo is None
        else {
            "left": percent(row.low),
            "width": round(percent(row.high) - percent(row.low), 2),
            "dot": percent(row.elo),
        }
        for row in board.rows
    ]


def _cross(board: Leaderboard) -> list[list[dict[str, str] | None]]:
    """The crosstable as cells: the share of points, how many games, and a background from red to green."""
    table = []
    for row in board.rows:
        cells: list[dict[str, str] | None] = []
        for column in board.rows:
            points, games, distinct = board.crosstable[row.agent].get(column.agent, (0.0, 0.0, 0.0))
            if not games or row.agent == column.agent:
                cells.append(None)
                continue
            share = points / games
            color = "62, 142, 84" if share >= 0.5 else "200, 85, 61"
            repeats = f", {games - distinct:g} of them repeats" if distinct < games else ""
            cells.append(
                {
                    "share": f"{100 * share:.0f}",
                    "title": f"{row.agent} against {column.agent}: {points:g} of {games:g} points{repeats}",
                    "color": f"rgba({color}, {0.06 + 1.2 * abs(share - 0.5):.2f})",
                }
            )
        table.append(cells)
    return table


def _repeats(board: Leaderboard) -> list[tuple[str, str, float, float]]:
    """Pairings that repeat games: the two, their games, how many repeat another; the worst first."""
    names = [row.agent for row in board.rows]
    found = []
    for at, a in enumerate(names):
        for b in names[at + 1 :]:
            _, games, distinct = board.crosstable[a].get(b, (0.0, 0.0, 0.0))
            if distinct < games:
                found.append((a, b, games, games - distinct))
    return sorted(found, key=lambda line: (-line[3] / line[2], line[:2]))[:REPEATS]
