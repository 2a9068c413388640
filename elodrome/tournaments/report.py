"""The report: one self-contained HTML file, with its pictures as PNG and its numbers as JSON beside it.

Nothing in the page is fetched from anywhere: styles, scripts, pictures and the replayed games are all inside.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from elodrome import __version__
from elodrome.agents.parts.saved import replace_file, world_slug
from elodrome.arena.record import GameRecord, replay
from elodrome.arena.training import read_curve
from elodrome.envs.game import Game, World
from elodrome.tournaments.ratings import Leaderboard

INK, SOFT, ACCENT = "#1f2933", "#9aa5b1", "#2f6f8f"
PALETTE = ("#2f6f8f", "#c8553d", "#588b4a", "#8a5a9e", "#c99a2e", "#4b5a75", "#3f8f83", "#a24b6f")
# Which measurement of a learning curve is shown, the first that a curve has.
CURVE_METRICS = ("return", "episode_return", "score", "reward", "rollout/return", "rollout/score", "loss")


@dataclass(frozen=True)
class Section:
    """One world of a report: its leaderboard, its games, and (agent, learning.jsonl) of those that were trained."""

    world: World
    board: Leaderboard
    records: Sequence[GameRecord]
    curves: Sequence[tuple[str, Path]] = field(default_factory=list)


def build_report(sections: Sequence[Section], out: Path) -> Path:
    """Write report.html, report.json and the pictures into ``out``; returns the page's path.

    Raises UserError when ``out`` cannot be written.
    """
    environment = Environment(
        loader=PackageLoader("elodrome.tournaments"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["number"] = _number
    views = []
    for section in sections:
        slug = world_slug(section.world.id)
        pictures = {"ratings": rating_plot(section.board)}
        curves = learning_plot(section.curves)
        if curves is not None:
            pictures["learning"] = curves
        encoded = {}
        for name, figure in pictures.items():
            content = _png(figure)
            replace_file(out / f"{slug}-{name}.png", content)
            encoded[name] = base64.b64encode(content).decode()
        game = pick_game(section)
        views.append(
            {
                "slug": slug,
                "world": section.world,
                "board": section.board,
                "scale": _scale(section.board),
                "cross": _cross(section.board),
                "pictures": encoded,
                "replay": replay_document(game, section) if game else None,
            }
        )
    page = environment.get_template("report.html.jinja").render(sections=views, version=__version__)
    replace_file(out / "report.html", page.encode())
    document = {"version": __version__, "ladders": [section.board.document() for section in sections]}
    replace_file(out / "report.json", json.dumps(document, indent=2, allow_nan=False).encode())
    return out / "report.html"


def rating_plot(board: Leaderboard) -> Figure:
    """Ratings with their 95 % intervals, best on top; the online ratings as small marks."""
    rows = [row for row in board.rows if row.elo is not None][::-1]
    figure = Figure(figsize=(7.2, 0.9 + 0.36 * max(len(rows), 2)), layout="constrained")
    axes = figure.add_subplot()
    for y, row in enumerate(rows):
        low, high = row.low or 0.0, row.high or 0.0
        axes.plot([low, high], [y, y], color=ACCENT, linewidth=2.2, solid_capstyle="round", alpha=0.55)
        axes.plot([row.elo or 0.0], [y], "o", color=ACCENT, markersize=7)
        axes.plot([row.online or 0.0], [y], "|", color="#c8553d", markersize=9, markeredgewidth=1.6)
    axes.set_yticks(range(len(rows)), [row.agent for row in rows])
    axes.set_xlabel("Elo: Bradley-Terry with 95 % interval (dot and bar), online (tick)")
    _plain(axes)
    return figure


def learning_plot(curves: Sequence[tuple[str, Path]]) -> Figure | None:
    """Learning curves against seconds of training, one panel per measurement; None where there are no curves."""
    panels: dict[str, list[tuple[str, list[float], list[float]]]] = {}
    for agent, file in curves:
        lines = read_curve(file)
        metric = next((m for m in CURVE_METRICS if any(m in line for line in lines)), None)
        if metric is None:
            continue
        points = [(line["seconds"], line[metric]) for line in lines if metric in line]
        panels.setdefault(metric, []).append((agent, [p[0] for p in points], [p[1] for p in points]))
    if not panels:
        return None
    figure = Figure(figsize=(7.2, 2.8 * len(panels)), layout="constrained")
    for index, (metric, drawn) in enumerate(panels.items()):
        axes = figure.add_subplot(len(panels), 1, index + 1)
        for color, (agent, seconds, values) in zip(PALETTE * len(drawn), drawn, strict=False):
            axes.plot(seconds, values, color=color, linewidth=0.8, alpha=0.3)
            axes.plot(seconds, _smooth(values), color=color, linewidth=1.9, label=agent)
        axes.set_ylabel(metric)
        axes.set_xlabel("seconds of training")
        axes.legend(frameon=False, fontsize=8, ncols=min(len(drawn), 4))
        _plain(axes)
    return figure


def _smooth(values: Sequence[float]) -> list[float]:
    """An exponential average over about a tenth of the curve."""
    keep = 1 - 1 / max(1.0, len(values) / 10)
    smooth, total, weight = [], 0.0, 0.0
    for value in values:
        total, weight = keep * total + value, keep * weight + 1
        smooth.append(total / weight)
    return smooth


def _plain(axes: Axes) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.grid(True, color="#e4e7eb", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, labelsize=9)


def _png(figure: Figure) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=150, metadata={"Software": None})
    return stream.getvalue()


def _number(value: float | None, digits: int = 0) -> str:
    return "" if value is None else f"{value:.{digits}f}".replace("-", "\N{MINUS SIGN}")


def _scale(board: Leaderboard) -> list[dict[str, float] | None]:
    """Where each row's interval lies on the page's own little scale, in percent."""
    ends = [x for row in board.rows if row.elo is not None for x in (row.low or 0.0, row.high or 0.0)]
    low, high = (min(ends), max(ends)) if ends else (0.0, 1.0)
    span = max(high - low, 1.0)

    def percent(value: float | None) -> float:
        return 100 * ((value or 0.0) - low) / span

    return [
        None
        if row.elo is None
        else {"left": percent(row.low), "width": percent(row.high) - percent(row.low), "dot": percent(row.elo)}
        for row in board.rows
    ]


def _cross(board: Leaderboard) -> list[list[dict[str, Any] | None]]:
    """The crosstable as cells: the share of points, how many games, and a background from red to green."""
    table = []
    for row in board.rows:
        cells: list[dict[str, Any] | None] = []
        for column in board.rows:
            points, games, _ = board.crosstable.get(row.agent, {}).get(column.agent, (0.0, 0.0, 0.0))
            if not games or row.agent == column.agent:
                cells.append(None)
                continue
            share = points / games
            hue, strength = (145, share - 0.5) if share >= 0.5 else (8, 0.5 - share)
            cells.append(
                {
                    "share": f"{100 * share:.0f}",
                    "title": f"{row.agent} against {column.agent}: {points:g} of {games:g}",
                    "color": f"hsl({hue} 45% {97 - 60 * strength:.0f}%)",
                }
            )
        table.append(cells)
    return table


def pick_game(section: Section) -> GameRecord | None:
    """The game to show: the longest between the two best that was decided on the board, else the longest at all."""
    best = [row.agent for row in section.board.rows][:2]
    played = [r for r in section.records if r.termination in ("win", "draw", "length") and r.plies]
    between = [r for r in played if set(r.agents) == set(best)]
    decided = [r for r in between if r.termination == "win"]
    pool = decided or between or played
    if section.world.players == 1:  # the shortest walk of the best agent says most
        pool = [r for r in played if best[:1] and best[0] in r.agents] or played
        return min(pool, key=lambda r: (len(r.moves[_stream(r, best)]), r.id), default=None)
    return max(pool, key=lambda r: (r.plies, r.id), default=None)


def _stream(record: GameRecord, best: Sequence[str]) -> int:
    return record.agents.index(best[0]) if len(record.moves) > 1 and best[0] in record.agents else 0


def replay_document(record: GameRecord, section: Section) -> dict[str, Any]:
    """A game as frames for the page: the board where the world has a look, else its text, and what was played."""
    world = section.world
    stream = _stream(record, [row.agent for row in section.board.rows]) if len(record.moves) > 1 else 0
    look = world.look if isinstance(world, Game) else None
    frames: list[dict[str, Any]] = []
    caption, mark = "start", None
    for table, action in replay(record, world, stream):
        states = table.states(np.zeros(1, np.int64))
        frame: dict[str, Any] = {"caption": caption, "mark": mark}
        if look is not None and states is not None:
            frame["cells"] = look.cells(states[0]).tolist()
            frame["marker"] = list(look.marker(states[0])) if look.marker else None
        else:
            frame["text"] = table.draw(0)
        frames.append(frame)
        if action is None:
            break
        seat = int(table.seats[0])
        who = record.agents[stream if len(record.moves) > 1 else seat]
        chosen = "random opening" if len(frames) <= record.opening else who
        caption = f"{len(frames)}. {world.seat_name(seat)} {world.action_name(action)} ({chosen})"
        cell = look.cell_of(states[0], action) if look is not None and states is not None else None
        mark = list(cell) if cell is not None else None
    result = ", ".join(f"{a} {r:g}" for a, r in zip(record.agents, record.returns, strict=True))
    return {
        "title": " against ".join(record.agents) if len(record.moves) == 1 else record.agents[stream],
        "result": f"{record.termination}; returns: {result}",
        "style": look.style if look else "text",
        "frames": frames,
    }
