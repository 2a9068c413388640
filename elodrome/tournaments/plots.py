"""The report's pictures: ratings and learning curves, as PNG files and as SVG that follows the page's colours."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from elodrome.arena.training import read_curve
from elodrome.errors import printable
from elodrome.tournaments.ratings import Leaderboard

# Colours of the light theme, each with the page's variable that takes its place in SVG.
INK, SOFT, LINE, ACCENT, SECOND = "#1f2933", "#616e7c", "#e4e7eb", "#2f6f8f", "#c8553d"
THEME = {INK: "--ink", SOFT: "--soft", LINE: "--line", ACCENT: "--accent", SECOND: "--second"}
PALETTE = ("#3a86a8", "#d0694f", "#5f9a50", "#9a6bb0", "#c99a2e", "#6b7a99", "#3f9a8c", "#b3587f")
NAME = 60  # characters of a name in a picture; longer ones are cut in the middle
GLYPHS = "Glyph .* missing from"  # a name in letters that the font has not: the browser has them
# Which measurement of a learning curve is shown: the first that it has.
MEASURES = ("return", "reward", "score", "return/0", "loss")
STYLE: dict[Any, Any] = {
    "text.color": INK,
    "axes.labelcolor": SOFT,
    "axes.edgecolor": LINE,
    "xtick.color": SOFT,
    "ytick.color": INK,
    "font.size": 10,
    "axes.labelsize": 9,
    "xtick.labelsize": 9,
    "svg.fonttype": "none",
    "text.parse_math": False,  # a name is no formula
}


def rating_plot(board: Leaderboard) -> Figure | None:
    """Ratings with their 95 % intervals, best on top, online ratings as ticks; None where nobody is rated."""
    rows = [row for row in board.rows if row.elo is not None][::-1]
    if not rows:
        return None
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.2, 0.75 + 0.32 * max(len(rows), 2)), layout="constrained")
        axes = figure.add_subplot()
        for y, row in enumerate(rows):
            axes.plot([row.low or 0, row.high or 0], [y, y], color=ACCENT, lw=5, solid_capstyle="round", alpha=0.35)
            axes.plot([row.elo or 0], [y], "o", color=ACCENT, markersize=7)
            axes.plot([row.online or 0], [y], "|", color=SECOND, markersize=11, markeredgewidth=2)
        axes.set_yticks(range(len(rows)), [printable(row.agent, NAME) for row in rows])
        axes.set_ylim(-0.6, max(len(rows), 2) - 0.4)
        axes.set_xlabel("Elo: maximum likelihood with 95 % interval (dot and bar), online (tick)")
        plain(axes)
    return figure


@dataclass(frozen=True)
class Curve:
    """One learning curve: a measurement by the learner's own steps and by seconds of training."""

    agent: str
    measure: str
    steps: list[int]
    seconds: list[float]
    values: list[float]

    @property
    def label(self) -> str:
        """The agent and what its training took."""
        took = self.seconds[-1]
        seconds = f"{took:.0f}" if took > 9 else f"{took:.2g}"
        return f"{printable(self.agent, NAME)} ({_short(self.steps[-1])} steps, {seconds} s)"


def _short(count: int) -> str:
    return f"{count / 1e6:g}M" if count >= 1e6 else f"{count / 1e3:g}k" if count >= 1e3 else str(count)


def learning_curves(curves: Sequence[tuple[str, Path]]) -> dict[str, list[Curve]]:
    """Curves of (agent, learning.jsonl) by the measurement that is shown of each."""
    found: dict[str, list[Curve]] = {}
    for agent, file in curves:
        lines = read_curve(file)
        keys = list(dict.fromkeys(key for line in lines for key in line))
        measure = next((key for m in MEASURES for key in keys if key == m or key.startswith(m + "/")), None)
        if measure is None:
            continue
        shown = [line for line in lines if measure in line]
        name = "return of the first seat" if measure == "return/0" else measure
        found.setdefault(name, []).append(
            Curve(
                agent,
                name,
                [int(line["step"]) for line in shown],
                [float(line["seconds"]) for line in shown],
                [float(line[measure]) for line in shown],
            )
        )
    return found


def learning_plot(panels: dict[str, list[Curve]]) -> Figure | None:
    """Learning curves against the share of the training, a panel for each measurement; None where there are none."""
    if not panels:
        return None
    columns = min(2, len(panels))
    lines = -(-len(panels) // columns)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.2 if columns == 1 else 10.4, 2.9 * lines), layout="constrained")
        agents = list(dict.fromkeys(curve.agent for drawn in panels.values() for curve in drawn))
        for index, (measure, drawn) in enumerate(panels.items()):
            axes = figure.add_subplot(lines, columns, index + 1)
            for curve in drawn:
                color = PALETTE[agents.index(curve.agent) % len(PALETTE)]
                share = 100 * np.array(curve.steps) / curve.steps[-1]
                axes.plot(share, curve.values, color=color, linewidth=0.7, alpha=0.3)
                axes.plot(share, _smooth(curve.values), color=color, linewidth=1.9, label=_listed(curve.label))
            _set_limits(axes, [value for curve in drawn for value in _smooth(curve.values)])
            axes.set_title(measure, fontsize=10, loc="left", color=INK)
            axes.set_xlabel("percent of the training")
            axes.legend(frameon=False, fontsize=8.5, ncols=2)
            plain(axes)
    return figure


def _listed(label: str) -> str:
    """A label for a legend, which leaves out what begins with an underscore."""
    return f" {label}" if label.startswith("_") else label


def _set_limits(axes: Axes, values: Sequence[float]) -> None:
    """Limits that the wild start of a curve does not stretch."""
    low, high = np.quantile(values, 0.04), np.quantile(values, 0.99)
    pad = 0.12 * float(high - low) or 0.5
    axes.set_ylim(float(low) - pad, float(high) + pad)


def _smooth(values: Sequence[float]) -> list[float]:
    """An exponential average over about a tenth of the curve."""
    keep = 1 - 1 / max(1.0, len(values) / 10)
    smooth, total, weight = [], 0.0, 0.0
    for value in values:
        total, weight = keep * total + value, keep * weight + 1
        smooth.append(total / weight)
    return smooth


def plain(axes: Axes) -> None:
    """Axes without a frame, on a light grid."""
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.grid(True, color=LINE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)


def png(figure: Figure) -> bytes:
    """The picture as a PNG file on white."""
    stream = io.BytesIO()
    with mpl.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", GLYPHS)
        figure.savefig(stream, format="png", dpi=150, metadata={"Software": None})
    return stream.getvalue()


def svg(figure: Figure, salt: str) -> str:
    """The picture as an SVG element in the page's colours; ``salt`` keeps its ids apart from other pictures'."""
    stream = io.StringIO()
    quiet: dict[str, Any] = {"Date": None, "Creator": None, "Format": None, "Type": None}
    with mpl.rc_context({**STYLE, "svg.hashsalt": salt}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", GLYPHS)
        figure.savefig(stream, format="svg", transparent=True, metadata=quiet)
    text = stream.getvalue()
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text))
    text = re.sub(r'<g id="[^"]*"', "<g", text)  # names of parts, the same in every picture
    text = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1; font-family: inherit", text)
    for color, variable in THEME.items():
        text = text.replace(color, f"var({variable})")
    return text[text.index("<svg") :]
