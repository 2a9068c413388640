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

Tick = Callable[[int, int], None]
HERE = Path(__file__).parent


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
class Figure:
    """x, y: what the axes show. levels: exact values, drawn as lines. remarks: what is to be seen, with its numbers.
    log: the axes with a logarithmic scale. low, high: limits of y, where the curves leave the picture."""

    title: str
    x: str
    y: str
    curves: list[Curve]
    levels: dict[str, float] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    log: str = ""
    low: float | None = None
    high: float | None = None


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
    """The numbers as CSV: curve, x, mean, standard error; exact levels last."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(("curve", figure.x, figure.y, "standard error"))
    for curve in figure.curves:
        for x, mean, error in zip(curve.x, curve.mean, curve.error, strict=True):
            writer.writerow((curve.label, f"{x:.8g}", f"{mean:.8g}", f"{error:.3g}"))
    for label, level in figure.levels.items():
        writer.writerow((f"{label} (exact)", "", f"{level:.8g}", "0"))
    return stream.getvalue().encode()


def picture(figure: Figure) -> bytes:
    """The curves as a PNG file, with two standard errors: as bands, or as bars where there are few points."""
    import matplotlib as mpl
    from matplotlib.figure import Figure as Canvas
    from matplotlib.ticker import NullFormatter

    from elodrome.tournaments.plots import PALETTE, SOFT, STYLE, plain, png

    with mpl.rc_context(STYLE):
        canvas = Canvas(figsize=(8.4, 4.8), layout="constrained")
        axes: Axes = canvas.add_subplot()
        for number, curve in enumerate(figure.curves):
            color = PALETTE[number % len(PALETTE)]
            few = len(curve.x) <= 24
            axes.plot(curve.x, curve.mean, "o-" if few else "-", markersize=3.5, color=color, lw=1.7, label=curve.label)
            if few:
                seen = curve.mean <= (np.inf if figure.high is None else figure.high)
                x, mean, error = curve.x[seen], curve.mean[seen], curve.error[seen]
                axes.errorbar(x, mean, 2 * error, fmt="none", ecolor=color, elinewidth=1, capsize=2)
            else:
                low, high = curve.mean - 2 * curve.error, curve.mean + 2 * curve.error
                axes.fill_between(curve.x, low, high, color=color, alpha=0.18, linewidth=0)
        for label, level in figure.levels.items():
            axes.axhline(level, color=SOFT, linewidth=0.9, linestyle=(0, (4, 3)))
            axes.annotate(
                f"{label} {level:.4g}",
                (1.0, level),
                xycoords=("axes fraction", "data"),
                ha="right",
                va="bottom",
                fontsize=8.5,
                color=SOFT,
                bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 1},
            )
        for scale, axis in ((axes.set_xscale, axes.xaxis), (axes.set_yscale, axes.yaxis)):
            if axis.axis_name in figure.log:
                scale("log")
                axis.set_major_formatter("{x:g}")
                axis.set_minor_formatter(NullFormatter())
        axes.set_ylim(figure.low, figure.high)
        axes.set_xlabel(figure.x)
        axes.set_ylabel(figure.y)
        axes.set_title(figure.title, fontsize=11, loc="left")
        axes.legend(frameon=False, fontsize=8.5)
        plain(axes)
        return png(canvas)
