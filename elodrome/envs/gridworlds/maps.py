"""Maps of gridworlds: the symbols, the named maps, and reading a map with errors that say where and what.

======  =====================================================================================
symbol  meaning
======  =====================================================================================
``.``   floor (a space too)
``#``   wall; so is everything outside the map
``S``   start; several are drawn uniformly, none means any floor cell
``G``   goal: entering it ends the episode with ``goal_reward``
``T``   trap: entering it ends the episode with ``trap_reward``
``C``   cliff: entering it costs ``cliff_reward`` and puts the agent back on the first start
A-Z     a portal (any capital left over): every action on it leads to the small letter, with its ``portal_rewards``
a-z     the exit of a portal, floor otherwise
======  =====================================================================================
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from elodrome.errors import UserError, shown, unknown

MAX_CELLS = 1 << 12
MAX_PORTALS = 11
OWN = ".#SGTC"
PORTALS = [c for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if c not in OWN]


@dataclass(frozen=True)
class Named:
    """A map with the options that belong to it."""

    rows: str
    options: dict[str, Any] = field(default_factory=dict)


_LAKE = {"slip": 2 / 3, "step_reward": 0.0, "trap_reward": 0.0, "goal_reward": 1.0}

NAMED = {
    "3x3": Named("S../.#./..G"),
    "4x4": Named("S.../.#.T/...T/T..G"),  # the lake of Gymnasium's FrozenLake 4x4, a wall in place of its first hole
    # Sutton & Barto, example 6.6 and notes 2.5.5.
    "cliff": Named(
        "............/............/............/SCCCCCCCCCCG",
        {"step_reward": -1.0, "goal_reward": -1.0, "cliff_reward": -100.0},
    ),
    # Sutton & Barto, example 3.5: a continuing task, discount 0.9.
    "sutton_barto_5x5": Named(
        ".A.B./...../...b./...../.a...",
        {
            "step_reward": 0.0,
            "bump_reward": -1.0,
            "portal_rewards": {"A": 10.0, "B": 5.0},
            "discount": 0.9,
            "max_steps": 200,
        },
    ),
    # Sutton & Barto, example 8.1 (the Dyna maze): shortest path 14, discount 0.95.
    "maze": Named(
        ".......#G/..#....#./S.#....#./..#....../.....#.../.........",
        {"step_reward": 0.0, "goal_reward": 1.0, "discount": 0.95},
    ),
    # Sutton & Barto, example 6.5 (windy gridworld): shortest path 15.
    "windy": Named(
        "........../........../........../S......G../........../........../..........",
        {"goal_reward": -1.0, "wind": [0, 0, 0, 1, 1, 1, 2, 2, 1, 0]},
    ),
    # The slippery lakes of Gymnasium's FrozenLake-v1 and FrozenLake8x8-v1: one goes straight on one time in three.
    "lake": Named("S.../.T.T/...T/T..G", {**_LAKE, "max_steps": 100}),
    "lake_8x8": Named(
        "S......./......../...T..../.....T../...T..../.TT...T./.T..T.T./...T...G", {**_LAKE, "max_steps": 200}
    ),
    # Sutton, Precup & Singh (1999), figure 2: four rooms and their hallways.
    "four_rooms": Named(
        "S....#...../.....#...../.........../.....#...../.....#...../#.####...../"
        ".....###.##/.....#...../.....#...../.........../.....#....G",
        {"step_reward": 0.0, "goal_reward": 1.0, "discount": 0.99},
    ),
}


@dataclass(frozen=True)
class Map:
    """A map that was read. grid: characters [rows, columns]; starts: cells; exits: the cell behind each portal."""

    text: str
    grid: npt.NDArray[np.str_]
    starts: tuple[int, ...]
    exits: dict[str, int]

    @property
    def rows(self) -> int:
        """The number of rows."""
        return self.grid.shape[0]

    @property
    def columns(self) -> int:
        """The number of columns."""
        return self.grid.shape[1]


def options_of(name: str) -> dict[str, Any]:
    """The options that a named map brings along; none for a map spelled out."""
    return NAMED[name].options if name in NAMED else {}


def read_map(name: str) -> Map:
    """A named map, or one spelled out in rows separated by ``/`` or newlines.

    Raises UserError with row and column (counted from 1) of the trouble, and what would be right.
    """
    if not isinstance(name, str):
        raise UserError(f"map {shown(name)} is not text; give a name ({', '.join(NAMED)}) or rows such as S..#/..#G")
    spelled = "/" in name or "\n" in name or not (set(name) - set(OWN + " "))
    if not spelled and name not in NAMED:
        raise unknown("map", name, NAMED)
    text = (NAMED[name].rows if name in NAMED else name).strip("\n").replace("\n", "/").replace(" ", ".")
    lines = text.split("/")
    if not text or len(text) - len(lines) + 1 > MAX_CELLS:
        raise UserError(f"a map has 1 to {MAX_CELLS} cells, not {len(text.replace('/', ''))}")
    for r, line in enumerate(lines):
        if len(line) != len(lines[0]):
            raise UserError(
                f"map row {r + 1} has {len(line)} cells where row 1 has {len(lines[0])}; all rows must be equally long"
            )
        for c, symbol in enumerate(line):
            if symbol not in OWN and not (symbol.isascii() and symbol.isalpha()):
                raise UserError(
                    f"map row {r + 1}, column {c + 1}: unknown symbol {symbol!r}; known: . floor, # wall, S start, "
                    "G goal, T trap, C cliff, another capital for a portal and its small letter for the exit"
                )
    grid = np.array([list(line) for line in lines])
    exits = _exits(grid)
    flat = grid.ravel()
    starts = np.flatnonzero(flat == "S")
    if not len(starts):
        if "C" in flat:
            r, c = np.argwhere(grid == "C")[0]
            raise UserError(f"map row {r + 1}, column {c + 1}: a cliff C puts the agent on a start, and there is no S")
        starts = np.flatnonzero((flat == ".") | np.char.islower(flat) | np.isin(flat, list(exits)))
    if not len(starts):
        raise UserError("the map has no cell to start on; put an S or a . somewhere")
    return Map(text, grid, tuple(int(s) for s in starts), exits)


def _exits(grid: npt.NDArray[np.str_]) -> dict[str, int]:
    """The cell of the exit of each portal."""
    exits: dict[str, int] = {}
    for r, c in np.argwhere(np.isin(grid, PORTALS)):
        portal = str(grid[r, c])
        found = np.flatnonzero(grid.ravel() == portal.lower())
        if len(found) != 1:
            raise UserError(
                f"map row {r + 1}, column {c + 1}: portal {portal!r} needs exactly one exit "
                f"{portal.lower()!r} on the map, not {len(found)}"
            )
        exits[portal] = int(found[0])
    for r, c in np.argwhere(np.char.islower(grid)):
        if grid[r, c].upper() not in exits:
            raise UserError(
                f"map row {r + 1}, column {c + 1}: exit {str(grid[r, c])!r} has no portal; "
                f"put a {str(grid[r, c]).upper()!r} somewhere (but {', '.join('SGTC')} mean something else)"
            )
    if len(exits) > MAX_PORTALS:
        raise UserError(f"a map has at most {MAX_PORTALS} portals, not {len(exits)}")
    return exits
