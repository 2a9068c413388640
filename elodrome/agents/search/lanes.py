"""Games that are played side by side and restarted as they end, in worlds of ours and of others."""

from __future__ import annotations

from typing import Any

import numpy as np

from elodrome.agents.agent import Ints
from elodrome.agents.ops.td import cut_is_end
from elodrome.agents.parts.heads import pick
from elodrome.agents.parts.underway import Underway
from elodrome.envs.game import Reals, World
from elodrome.seeding import U64, mix64, units


class Lanes:
    """``games`` games of any world, restarted as they end; each begins with 0 to ``opening`` uniformly random plies."""

    def __init__(self, world: World, games: int, opening: int, seed: int) -> None:
        self.world, self.opening = world, opening
        self.table = world.table(games)
        self.rows = np.arange(games)
        self.rng: U64 = mix64(np.uint64(seed) + self.rows.astype(np.uint64))
        self.returns = np.zeros(games)  # of the first seat, so far
        self.seeds: U64 = np.zeros(games, np.uint64)
        self.underway = Underway(self.table)
        self._begin(self.rows)

    def draw(self) -> U64:
        """One fresh word per game."""
        self.rng += np.uint64(0x9E3779B97F4A7C15)
        return mix64(self.rng)

    def quantiles(self) -> Reals:
        """One number in [0, 1) per game."""
        return units(self.draw())

    def look(self) -> tuple[Any, Any]:
        """Observations [B, *shape] of the seats to act, legal actions [B, A]."""
        return self.table.observe(self.rows), self.table.legal(self.rows)

    def step(self, actions: Ints) -> tuple[Reals, Ints]:
        """Play; the rewards [B] of those who moved, and 1 where the game ended, 2 where it was truncated and that is no
        end (``cut_is_end``)."""
        movers = self.table.seats.copy()
        rewards = self._play(self.rows, actions)
        cut = self.table.truncated & (not cut_is_end(self.world.players))
        return rewards[self.rows, movers], np.where(self.table.seats >= 0, 0, np.where(cut, 2, 1))

    def _play(self, rows: Ints, actions: Ints) -> Reals:
        rewards = self.underway.step(rows, actions)
        self.returns[rows] += rewards[:, 0]
        return rewards

    def restart(self) -> list[tuple[float, int]]:
        """Begin anew where games are over; return of the first seat and length of each of those."""
        over = np.flatnonzero(self.table.seats < 0)
        ended = [(float(self.returns[row]), int(self.table.plies[row])) for row in over]
        if len(over):
            self._begin(over)
        return ended

    def _begin(self, rows: Ints) -> None:
        self.returns[rows] = 0.0
        self.seeds[rows] = self.draw()[rows]
        self.underway.reset(rows, self.seeds[rows])
        plies = (self.draw() >> np.uint64(33)).astype(np.int64) % (self.opening + 1)
        for ply in range(self.opening):
            quantiles = self.quantiles()
            now = rows[(plies[rows] > ply) & (self.table.seats[rows] >= 0)]
            if len(now):
                self._play(now, pick(self.table.legal(now).astype(np.float64), quantiles[now]))
        over = rows[self.table.seats[rows] < 0]
        if len(over):  # the random plies already ended it
            self._begin(over)

    def snapshot(self) -> dict[str, Any]:
        """All games in progress, as arrays."""
        kept = {"rng": self.rng.copy(), "returns": self.returns.copy(), "seeds": self.seeds.copy()}
        return {**kept, **self.underway.snapshot()}

    def resume(self, snapshot: dict[str, Any]) -> None:
        """Go back to a snapshot, as exactly as ``Underway`` does."""
        for name in ("rng", "seeds", "returns"):
            getattr(self, name)[:] = snapshot[name]
        self.underway.resume(snapshot, self.seeds)
