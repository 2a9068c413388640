"""What every yardstick returns, and the small statistics that they share."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from elodrome.agents.agent import Agent, Ints, Positions
from elodrome.agents.parts.answers import answered
from elodrome.envs.game import Game, Words
from elodrome.envs.table import CompiledTable
from elodrome.seeding import derive

Tick = Callable[[str, int, int], None]  # what is measured, how much of it is done, of how much
ASKED = 256  # positions shown to an agent at once


@dataclass(frozen=True)
class Sheet:
    """A table for people: columns from the one numbered ``right`` on are numbers."""

    title: str
    columns: tuple[str, ...]
    rows: list[list[str]]
    right: int = 1


@dataclass(frozen=True)
class Measurement:
    """What one yardstick found: JSON values under its ``name``, and the same as sheets and remarks for people."""

    name: str
    document: dict[str, Any]
    sheets: list[Sheet]
    remarks: tuple[str, ...] = ()


def share(hits: int, count: int) -> dict[str, Any]:
    """{"count", "of", "share", "low", "high"}: a share with its 95 % interval (Wilson 1927); None where count is 0."""
    if not count:
        return {"count": 0, "of": 0, "share": None, "low": None, "high": None}
    p, z2 = hits / count, 1.96**2
    centre = (p + z2 / (2 * count)) / (1 + z2 / count)
    half = math.sqrt(z2 * (p * (1 - p) / count + z2 / (4 * count**2))) / (1 + z2 / count)
    return {"count": hits, "of": count, "share": p, "low": max(0.0, centre - half), "high": min(1.0, centre + half)}


def percent(found: dict[str, Any]) -> list[str]:
    """A share and its interval, as two cells of a sheet."""
    if found["share"] is None:
        return ["-", ""]
    return [f"{100 * found['share']:.2f} %", f"{100 * found['low']:.1f} to {100 * found['high']:.1f}"]


def ask(agent: Agent, world: Game, states: Words, plies: Ints, seed: int, tick: Callable[[int], None]) -> Ints:
    """The agent's actions in positions [B, W] at ``plies`` [B], int64 [B], -1 where what it answers is no legal action.
    ``tick`` hears how many are answered."""
    actions = np.full(len(states), -1, np.int64)
    size = max(1, min(ASKED, agent.lanes))
    for start in range(0, len(states), size):
        rows = np.arange(min(size, len(states) - start))
        table = CompiledTable(world, len(rows))
        for row in rows:
            table.put(int(row), states[start + row], int(plies[start + row]))
        seeds = np.full(len(rows), derive(seed, "yardstick"), np.uint64)
        positions = Positions.at(table, rows, seeds)
        agent.forget()
        for row, answer in zip(rows, agent.act(positions), strict=True):
            number = answered(answer, world)
            if isinstance(number, int) and 0 <= number < world.actions and positions.legal[row, number]:
                actions[start + row] = number
        tick(start + len(rows))
    return actions
