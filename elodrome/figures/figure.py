"""What a figure is: curves with standard errors, drawn as a picture with its numbers beside it.

A figure's file holds ``compute(quick, seed, tick) -> Figure``, and its docstring's first line says what it shows.
``tick(done, total)`` is called as runs end.
"""

from __future__ import annotations

import ast
import csv
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from elodrome.envs.game import Game, Reals
from elodrome.envs.registry import make_env
from elodrome.errors import unknown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

Tick = Callable[[int, int], None]
HERE = Path(__file__).parent
SHORT = 300.0  # a logarithmic axis over less than this has numbers between the powers of ten


@dataclass(frozen=True)
class Curve:
    """x, mean, error float64 [N]: error is the standard error of the mean, 0 where the mean is exact."""

    label: str
    x: Reals
    mean: Reals
    error: Reals

    @classmethod
    def of(cls, label: str, x: Any, samples: Reals) -> Curve:
        """From samples [K, N], of which K are independent."""
        error = samples.std(axis=0, ddof=1) / np.sqrt(len(samples)) if len(samples) > 1 else 0.0 * samples[0]
        return cls(label, np.asarray(x, np.float64), samples.mean(axis=0), error)


@dataclass(frozen=True)
class Grid:
    """A map of ``rows`` and ``columns``, whose cells the first curve's x count row by row; what is not there is a wall.
    marks: a few letters below each cell's number, by cell."""

    rows: int
    columns: int
    marks: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Figure:
    """x, y: what the axes show. levels: exact values, drawn as lines. remarks: what is to be seen, with its numbers.
    log: the axes with a logarithmic scale. low, high: limits of y, where the curves leave the picture. names: what
    stands at x = 0, 1, .., where x is no number: the curves are points then. grid: the first curve is a map of numbers.
    beside: what is drawn to the right; its remarks belong to the whole's."""

    title: str
    x: str
    y: str
    curves: list[Curve]
    levels: dict[str, float] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    log: str = ""
    low: float | None = None
    high: float | None = None
    names: tuple[str, ...] = ()
    grid: Grid | None = None
    beside: Figure | None = None

    @property
    def panels(self) -> list[Figure]:
        """This one, and what is drawn to its right."""
        return [self, *(self.beside.panels if self.beside else ())]


def game(spec: str) -> Game:
    """One of our own worlds."""
    world = make_env(spec)
    if not isinstance(world, Game):
        raise TypeError(f"{spec} is no world of ours")
    return world


def figures() -> dict[str, str]:
    """All figures, and what they show, without importing them."""
    found = {}
    for file in sorted(HERE.glob("*.py")):
        if not file.stem.startswith("_") and file.stem != "figure":
            words = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
            found[file.stem] = words.partition("\n")[0].rstrip(".")
    return found


def compute(name: str, *, quick: bool, seed: int, tick: Tick) -> Figure:
    """The figure called ``name``. Raises UserError with the nearest names where there is none."""
    if name not in figures():
        raise unknown("figure", name, figures())
    found: Figure = import_module(f"elodrome.figures.{name}").compute(quick, seed, tick)
    return found


def table(figure: Figure) -> bytes:
    """The numbers as CSV: curve, x, mean, standard error; exact levels last. Each panel under a heading of its own."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    for panel in figure.panels:
        writer.writerow(("curve", panel.x, panel.y, "standard error"))
        for curve in panel.curves:
            for x, mean, error in zip(curve.x, curve.mean, curve.error, strict=True):
                at = panel.names[int(x)] if panel.names else f"{x:.8g}"
                writer.writerow((curve.label, at, f"{mean:.8g}", f"{error:.3g}"))
        for label, level in panel.levels.items():
            writer.writerow((f"{label} (exact)", "", f"{level:.8g}", "0"))
    return stream.getvalue().encode()


def picture(figure: Figure) -> bytes:
    """The panels as a PNG file."""
    from elodrome.tournaments.plots import png

    return png(draw(figure))


def draw(figure: Figure) -> Canvas:
    """The panels side by side."""
    import matplotlib as mpl
    from matplotlib.figure import Figure as Canvas

    from elodrome.tournaments.plots import STYLE

    panels = figure.panels
    with mpl.rc_context(STYLE):
        width = 8.4 if len(panels) == 1 else sum(4.9 if panel.grid else 6.4 for panel in panels)
        canvas = Canvas(figsize=(width, 4.8), layout="constrained")
        for number, panel in enumerate(panels):
            axes = canvas.add_subplot(1, len(panels), number + 1)
            (_draw_grid if panel.grid else _draw_curves)(axes, panel)
            axes.set_title(panel.title, fontsize=11, loc="left")
        return canvas


def _draw_curves(axes: Axes, figure: Figure) -> None:
    """Curves with two standard errors: as bands, or as bars where there are few points."""
    from elodrome.tournaments.plots import PALETTE, SOFT, plain

    for number, curve in enumerate(figure.curves):
        color = PALETTE[number % len(PALETTE)]
        few, exact = len(curve.x) <= 24, not curve.error.any()
        style = "o" if figure.names else "-" if not few else "o-"
        # Where x is no number, the points of several curves stand side by side.
        aside = 0.6 * ((number + 0.5) / len(figure.curves) - 0.5) if figure.names else 0.0
        axes.plot(
            curve.x + aside, curve.mean, style, ms=3.5, color=color, lw=1.7, label=curve.label, zorder=2 if exact else 3
        )
        if few and not exact:
            seen = curve.mean <= (np.inf if figure.high is None else figure.high)
            x, mean, error = curve.x[seen] + aside, curve.mean[seen], curve.error[seen]
            axes.errorbar(x, mean, 2 * error, fmt="none", ecolor=color, elinewidth=1, capsize=2)
        elif not exact:
            low, high = curve.mean - 2 * curve.error, curve.mean + 2 * curve.error
            axes.fill_between(curve.x, low, high, color=color, alpha=0.18, linewidth=0)
    for label, level in figure.levels.items():
        line = axes.axhline(level, color=SOFT, linewidth=0.9, linestyle=(0, (4, 3)))
        line.set_label(f"{label} {level:.4g}" if len(figure.levels) == 1 else None)  # several are named on the spot
    _set_scales(axes, figure)
    if len(figure.levels) > 1:
        _name_levels(axes, figure.levels)
    axes.set_xlabel(figure.x)
    axes.set_ylabel(figure.y)
    axes.legend(frameon=False, fontsize=8.5)
    plain(axes)
    if figure.names:
        axes.grid(False, axis="x")


def _set_scales(axes: Axes, figure: Figure) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axes.set_xscale("log" if "x" in figure.log else "linear")
    axes.set_yscale("log" if "y" in figure.log else "linear")
    axes.set_ylim(figure.low, figure.high)
    for axis in (axes.xaxis, axes.yaxis):
        if axis.axis_name in figure.log:
            low, high = sorted(axis.get_view_interval())
            axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high / low < SHORT else (1.0,)))
            axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}" if x >= 1 else f"{x:g}"))
            axis.set_minor_locator(NullLocator())
    if figure.names:
        axes.set_xticks(range(len(figure.names)), figure.names)
        axes.set_xlim(-0.5, len(figure.names) - 0.5)


def _name_levels(axes: Axes, levels: dict[str, float]) -> None:
    """At the right end of their lines: above, or in the lower half of the picture below, where curves seldom are."""
    from elodrome.tournaments.plots import SOFT

    for label, level in levels.items():
        height = axes.transAxes.inverted().transform(axes.transData.transform((axes.get_xlim()[1], level)))[1]
        axes.annotate(
            f"{label} {level:.4g}",
            (1.0, level),
            xycoords=("axes fraction", "data"),
            ha="right",
            va="bottom" if height > 0.5 else "top",
            fontsize=8.5,
            color=SOFT,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 1},
        )


def _draw_grid(axes: Axes, figure: Figure) -> None:
    """The first curve's numbers on the map, the greater the darker."""
    from elodrome.tournaments.plots import ACCENT, INK, LINE, SOFT

    grid, curve = figure.grid or Grid(0, 0), figure.curves[0]
    values = np.full(grid.rows * grid.columns, np.nan)
    values[curve.x.astype(int)] = curve.mean
    low, high = curve.mean.min(), max(curve.mean.max(), curve.mean.min() + 1e-9)
    for cell, value in enumerate(values):
        row, column = divmod(cell, grid.columns)
        there = np.isfinite(value)
        shade = 0.05 + 0.45 * float((value - low) / (high - low)) if there else 1.0
        for face, alpha in (("white", 1.0), (ACCENT if there else LINE, shade)):
            corners = [column, column + 1, column + 1, column], [row, row, row + 1, row + 1]
            axes.fill(*corners, face, edgecolor="white", alpha=alpha)
        if there:
            mark = grid.marks.get(cell, "")
            height = row + (0.4 if mark else 0.5)
            axes.text(column + 0.5, height, f"{value:.1f}", ha="center", va="center", fontsize=11, color=INK)
            axes.text(column + 0.5, row + 0.74, mark, ha="center", va="center", fontsize=11, color=SOFT)
    axes.set_xlim(0, grid.columns)
    axes.set_ylim(grid.rows, 0)
    axes.set_aspect("equal")
    axes.set_axis_off()
