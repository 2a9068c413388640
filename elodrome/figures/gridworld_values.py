"""Values on a grid: those of random play, and the best ones with the best actions (notes 2.2, 2.3; eqs. 2.33, 2.34).

Sutton & Barto (2018), figures 3.2 and 3.5: from A one comes to the bottom row with 10, from B to the middle with 5; the
edge costs 1, all else nothing; discount 0.9.
"""

from __future__ import annotations

import numpy as np

from elodrome.agents.tabular import dynamic_programming as dp
from elodrome.envs.enumeration import Tables, enumerate_world
from elodrome.envs.game import Reals
from elodrome.figures.figure import Curve, Figure, Grid, Tick, game

SIDE, ARROWS = 5, "↑→↓←"


def compute(quick: bool, seed: int, tick: Tick) -> Figure:
    """Exact; nothing is drawn."""
    world = game("gridworld:map=sutton_barto_5x5")
    tables = enumerate_world(world)
    random = dp.policy_evaluation(tables, dp.uniform_policy(tables), world.discount)
    tick(1, 2)
    q, best, sweeps = dp.value_iteration(tables, world.discount)
    tick(2, 2)
    cells = tables.states[:, 0]
    letters = {cell: letter for cell, letter in enumerate(str(world.extra.text).replace("/", "")) if letter.isupper()}
    arrows = {int(cell): _arrows(row) for cell, row in zip(cells, dp.best_actions(q), strict=True)}
    left = _panel("5 x 5 grid: V of random play", tables, random, Grid(SIDE, SIDE, letters))
    right = _panel("V* and the best actions", tables, best, Grid(SIDE, SIDE, arrows | letters))
    remarks = [
        "random play, top row: " + _row(left.curves[0].mean[:SIDE]),
        "best play, top row: " + _row(right.curves[0].mean[:SIDE]) + f", after {sweeps} sweeps",
    ]
    return Figure(left.title, left.x, left.y, left.curves, remarks=remarks, grid=left.grid, beside=right)


def _panel(title: str, tables: Tables, value: Reals, grid: Grid) -> Figure:
    order = np.argsort(tables.states[:, 0])
    curve = Curve(title, tables.states[order, 0].astype(np.float64), value[order], 0 * value)
    return Figure(title, "cell", "value", [curve], grid=grid)


def _arrows(best: Reals) -> str:
    """The best actions [A] of a cell."""
    return "".join(ARROWS[a] for a in np.flatnonzero(best))


def _row(values: Reals) -> str:
    return " ".join(f"{value:.1f}" for value in values)
