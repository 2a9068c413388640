"""Connect Four against its exact solution: how often an agent's move changes the value of the game for the worse.

The positions ship with the package, all moves solved (``tools/connect_four_positions.py``). Their classes are those of
P. Pons's test sets: begin (at most 14 plies played), middle (15 to 28), end (29 or more); easy, medium and hard by the
plies that perfect play still takes (below 14, to 28, above). AlphaZero.jl published shares over all positions of
its sets; in many of them no move can lose anything, so the share over the others stands beside.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from elodrome.agents.agent import Agent, Ints
from elodrome.agents.parts.saved import read_arrays
from elodrome.arena.strength.measurement import Measurement, Sheet, Tick, ask, percent, share
from elodrome.envs.game import Game, Words, World

FILE = Path(__file__).with_name("connect_four.safetensors")
SETS = ("random", "noisy")
SETS_ARE = {
    "random": "after random play",
    "noisy": "after play in which half of the moves are perfect",
    "both": "both sets together",
}
STAGES = {"begin": (1, 14), "middle": (15, 28), "end": (29, 41)}
CLASSES = (
    ("begin", "easy"),
    ("begin", "medium"),
    ("begin", "hard"),
    ("middle", "easy"),
    ("middle", "medium"),
    ("end", "easy"),
)
ILLEGAL = -128  # the score of a full column
CELLS = 42
POSITIONS = 500  # asked of each class where nothing else is wanted


def remaining(plies: int, score: int) -> int:
    """Plies that perfect play still takes after ``plies``, from the best move's score: 1 for a win with the winner's
    last stone, 2 with the last but one and so on, negative for a loss, 0 for a draw (Pons)."""
    left = CELLS - plies
    if score > 0:
        return 2 * ((left + 1) // 2 + 1 - score) - 1
    return 2 * (left // 2 + 1 + score) if score < 0 else left


def class_of(plies: int, score: int) -> int | None:
    """The index in ``CLASSES`` of a position by plies played and its best move's score, or None."""
    stage = next((name for name, (low, high) in STAGES.items() if low <= plies <= high), "")
    left = remaining(plies, score)
    difficulty = "easy" if left < 14 else "medium" if left <= 28 else "hard"
    return CLASSES.index((stage, difficulty)) if (stage, difficulty) in CLASSES else None


@cache
def positions() -> dict[str, npt.NDArray[Any]]:
    """The positions that ship: stones int64 [N, 2], scores int8 [N, 7], set and class uint8 [N]."""
    return read_arrays(FILE)


def rows_of(world: Game, stones: Words) -> tuple[Words, Ints]:
    """Positions [B, 2] as (state rows [B, W] of the world, plies [B])."""
    plies = np.bitwise_count(stones).sum(axis=1).astype(np.int64)
    states = np.tile(world.template, (len(stones), 1))
    states[:, :2] = stones
    states[:, 2] = plies % 2
    return states, plies


def fits(world: World) -> bool:
    """Whether the solved positions are of this world."""
    return world.id == "connect_four"


def measure(world: Game, agent: Agent, *, count: int | None = None, seed: int = 0, tick: Tick) -> Measurement:
    """Ask for a move in ``count`` positions of each class and set, and compare with the exact values."""
    known = positions()
    wanted = POSITIONS if count is None else count
    groups = [(known["set"] == s) & (known["class"] == c) for s in range(len(SETS)) for c in range(len(CLASSES))]
    chosen = np.concatenate([np.flatnonzero(group)[:wanted] for group in groups])
    states, plies = rows_of(world, known["stones"][chosen])
    actions = ask(agent, world, states, plies, seed, lambda done: tick("solved positions", done, len(chosen)))
    values = np.where(known["scores"][chosen] == ILLEGAL, 2, np.sign(known["scores"][chosen])).astype(np.int64)
    best = np.where(values == 2, -2, values).max(axis=1)
    worst = values.min(axis=1)
    # What is no legal action loses the game.
    reached = np.where(actions >= 0, values[np.arange(len(chosen)), actions], -1)
    classes, sets = known["class"][chosen], known["set"][chosen]
    members_of = {name: sets == s for s, name in enumerate(SETS)} | {"both": sets >= 0}
    found: dict[str, Any] = {}
    sheets = []
    for name, mine in members_of.items():
        found[name] = {}
        lines = []
        for label, members in _parts(classes):
            part = mine & members
            entry = _count(best[part], worst[part], reached[part])
            found[name][label] = entry
            kept = f"{entry['wins kept']} of {entry['won']}"
            stage, _, inside = label.partition(", ")
            head = f"  {inside}" if inside else stage
            lines.append([head, *percent(entry["all"]), *percent(entry["decidable"]), kept])
        columns = ("positions", "of all", "95 %", "decidable", "95 %", "wins kept")
        sheets.append(Sheet(f"Moves that lose value, {SETS_ARE[name]}", columns, lines))
    each = [int((classes == c).sum()) for c in range(len(CLASSES))]
    remark = (
        f"{len(chosen)} positions, {min(each)} to {max(each)} of a class; of all: every position counts (as "
        "AlphaZero.jl counts); decidable: those in which some move loses value"
    )
    return Measurement("connect_four", found, sheets, (remark,))


def _parts(classes: npt.NDArray[np.uint8]) -> list[tuple[str, npt.NDArray[np.bool_]]]:
    """Each stage and, below it, its classes: (label, which positions)."""
    parts = []
    for stage in STAGES:
        inside = [c for c, (of, _) in enumerate(CLASSES) if of == stage]
        parts.append((stage, np.isin(classes, inside)))
        parts += [(f"{stage}, {CLASSES[c][1]}", classes == c) for c in inside if len(inside) > 1]
    return parts


def _count(best: Ints, worst: Ints, reached: Ints) -> dict[str, Any]:
    """The shares of one class: values of the best, the worst and the played move, each -1, 0 or 1."""
    lost = reached < best
    decidable = worst < best
    kinds = {"win to draw": (1, 0), "win to loss": (1, -1), "draw to loss": (0, -1)}
    return {
        "all": share(int(lost.sum()), len(best)),
        "decidable": share(int((lost & decidable).sum()), int(decidable.sum())),
        **{name: int(((best == was) & (reached == now)).sum()) for name, (was, now) in kinds.items()},
        "won": int((best == 1).sum()),
        "wins kept": int(((best == 1) & (reached == 1)).sum()),
    }
