"""Games in progress, kept: as arrays where their table can tell them, else as the moves since their seeds."""

from __future__ import annotations

from typing import Any

import numpy as np

from elodrome.agents.agent import Ints
from elodrome.agents.parts.saved import under
from elodrome.envs.actions import Action, Actions, as_array, as_plain, blank
from elodrome.envs.game import Reals
from elodrome.envs.table import Table
from elodrome.seeding import U64


class Underway:
    """The games of a table, which are begun and stepped through this. Those of a foreign world are played again from
    their seeds, move by move: as exact as that world is repeatable."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self._foreign = table.snapshot() is None
        self._kind = blank(table.world, 0).dtype
        self._moves: list[list[Action]] = [[] for _ in range(table.games)]

    def reset(self, rows: Ints, seeds: U64) -> None:
        """Start a game in each of the rows [k]."""
        self.table.reset(rows, seeds)
        for row in rows if self._foreign else ():
            self._moves[row] = []

    def step(self, rows: Ints, actions: Actions) -> Reals:
        """Play one action [k] in each row; rewards float64 [k, P]."""
        actions = np.ascontiguousarray(actions, self._kind)
        rewards = self.table.step(rows, actions)
        if self._foreign:
            for row, action in zip(rows, as_plain(self.table.world, actions), strict=True):
                self._moves[row].append(action)
        return rewards

    def snapshot(self) -> dict[str, Any]:
        """All games, as arrays."""
        games = self.table.snapshot()
        if games is not None:
            return {f"table/{name}": array for name, array in games.items()}
        played = np.array(list(map(len, self._moves)))
        moves = np.stack([blank(self.table.world, played.max()) for _ in self._moves])
        for row, actions in enumerate(self._moves):
            moves[row, : len(actions)] = as_array(self.table.world, actions)
        return {"moves": moves, "played": played}

    def resume(self, snapshot: dict[str, Any], seeds: U64) -> None:
        """Go back to a snapshot of games that were begun with these seeds [B]."""
        if not self._foreign:
            self.table.restore(under(snapshot, "table/"))
            return
        moves, played = snapshot["moves"], snapshot["played"]
        self.reset(np.arange(len(played)), seeds)
        for ply in range(played.max()):
            rows = np.flatnonzero(played > ply)
            self.step(rows, moves[rows, ply])
