"""Tables: many games of one world side by side, each row stepped on its own turn.

A table is what matches, windows, adapters and self-play stand on. ``CompiledTable`` serves every world of ours;
foreign worlds bring one of their own with the same methods.
"""

from __future__ import annotations

import math
import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from elodrome.envs import engine
from elodrome.envs.actions import Action, Actions, kind_of_action
from elodrome.envs.game import Floats, Game, Mask, Reals, Words, World
from elodrome.errors import IllegalAction
from elodrome.seeding import U64, mix64, streams

Rows = npt.NDArray[np.int64]
SPLIT_AT = 16384  # rows; below this, waking a thread costs more than it brings (measured: 0.1 to 0.4 ms)


@cache
def thread_pool() -> ThreadPoolExecutor:
    """The threads that compiled batches are split over: one per core."""
    return ThreadPoolExecutor(max_workers=os.cpu_count() or 1, thread_name_prefix="elodrome")


def split(count: int, work: Callable[[int, int], None], threads: int | None = None, *, least: int = SPLIT_AT) -> None:
    """Call ``work(lo, hi)`` over [0, count) on all cores, or here when there are fewer than ``least`` rows."""
    parts = min((os.cpu_count() or 1) if threads is None else threads, max(count, 1))
    if parts <= 1 or count < least:
        work(0, count)
        return
    edges = [count * i // parts for i in range(parts + 1)]
    others = [thread_pool().submit(work, lo, hi) for lo, hi in pairwise(edges[1:])]
    work(0, edges[1])
    for done in others:
        done.result()


class Table(ABC):
    """``games`` games side by side.

    seats: int64 [B], who acts now, -1 when the game is over. plies: int64 [B]. truncated: bool [B], over by
    max_steps alone. Rows are independent: each has its own chance stream, set by ``reset``. painted: whether
    ``picture`` will be asked for, to be said before the first ``reset``.
    """

    painted = False

    def __init__(self, world: World, games: int) -> None:
        self.world = world
        self.games = games
        self.seats: Rows = np.full(games, -1, np.int64)
        self.plies: Rows = np.zeros(games, np.int64)
        self.truncated: npt.NDArray[np.bool_] = np.zeros(games, np.bool_)

    @abstractmethod
    def reset(self, rows: Rows, seeds: U64) -> None:
        """Start a game in each of the rows [k], its dice from ``seeds`` [k]."""

    @abstractmethod
    def legal(self, rows: Rows) -> Mask:
        """Legal masks uint8 [k, A], fresh arrays."""

    @abstractmethod
    def observe(self, rows: Rows, seats: Rows | None = None) -> Floats:
        """Observations float32 [k, *shape] of the seats [k] (by default of those to act), fresh arrays."""

    @abstractmethod
    def step(self, rows: Rows, actions: Actions) -> Reals:
        """Play one action [k] (float32 [k, *action_shape] where the world's are real numbers) in each row; rewards
        float64 [k, P].

        Raises IllegalAction, with nothing changed, when an action is illegal, out of range, or the game is over.
        """

    def states(self, rows: Rows) -> Words | None:
        """Copies of the state rows [k, W], or None where the world has none or hides them."""
        return None

    def draw(self, row: int) -> str:
        """One game as text for people."""
        return ""

    def picture(self, row: int) -> npt.NDArray[np.uint8] | None:
        """One game as a foreign world paints it, uint8 [H, W, 3], or None where it cannot."""
        return None

    def snapshot(self) -> dict[str, npt.NDArray[Any]] | None:
        """All games in progress as arrays, or None where a foreign world cannot tell them."""
        return None

    def restore(self, snapshot: dict[str, npt.NDArray[Any]]) -> None:
        """Go back to a snapshot of a table of the same size."""
        raise NotImplementedError(f"{self.world.id}: games in progress cannot be restored")

    def _refusal(self, row: int, action: Action) -> IllegalAction:
        if self.seats[row] < 0:
            return IllegalAction(f"{self.world.id}: the game is over; no action can be played")
        if self.world.continuous:
            reason = self.world.refusal(action, self.legal(np.array([row]))[0])
            return IllegalAction(f"{self.world.id}: {reason}; {kind_of_action(self.world)} is right")
        names = [self.world.action_name(int(a)) for a in np.flatnonzero(self.legal(np.array([row]))[0])]
        shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
        return IllegalAction(f"{self.world.id}: action {action} is not legal here; legal: {shown}\n{self.draw(row)}")


class CompiledTable(Table):
    """A table of one of our games, stepped in compiled loops."""

    world: Game

    def __init__(self, world: Game, games: int) -> None:
        super().__init__(world, games)
        # Its own copies of what decides a game: the world is shown to agents.
        header, template = world.compiled
        self._compiled = header.copy(), template.copy()
        self._sizes = world.players, world.actions, world.observation_shape, world.max_steps
        self._rows = np.tile(template, (games, 1))
        self._rng: U64 = np.zeros(games, np.uint64)

    def reset(self, rows: Rows, seeds: U64) -> None:
        self._rng[rows] = mix64(seeds)
        self.plies[rows] = 0
        self.truncated[rows] = False
        engine.batch_reset(self._compiled, self._rows, self._rng, rows, self.seats)

    def legal(self, rows: Rows) -> Mask:
        masks = np.zeros((len(rows), self._sizes[1]), np.uint8)
        engine.batch_legal(self._compiled, self._rows, rows, masks)
        masks[self.seats[rows] < 0] = 0
        return masks

    def observe(self, rows: Rows, seats: Rows | None = None) -> Floats:
        shape = self._sizes[2]
        out = np.zeros((len(rows), math.prod(shape)), np.float32)
        who = self.seats[rows] if seats is None else np.ascontiguousarray(seats, np.int64)
        engine.batch_observe(self._compiled, self._rows, rows, who, out)
        return out.reshape(len(rows), *shape)

    def step(self, rows: Rows, actions: Rows) -> Reals:
        rewards = np.zeros((len(rows), self._sizes[0]))
        bad = engine.batch_step(self._compiled, self._rows, self._rng, rows, actions, rewards, self.seats)
        if bad >= 0:
            raise self._refusal(int(rows[bad]), int(actions[bad]))
        self.plies[rows] += 1
        late = (self.seats[rows] >= 0) & (self.plies[rows] >= self._sizes[3])
        self.truncated[rows] = late
        self.seats[rows[late]] = -1
        return rewards

    def states(self, rows: Rows) -> Words:
        return self._rows[rows].copy()

    def snapshot(self) -> dict[str, npt.NDArray[Any]]:
        return {name: array.copy() for name, array in self._arrays().items()}

    def restore(self, snapshot: dict[str, npt.NDArray[Any]]) -> None:
        for name, array in self._arrays().items():
            array[...] = snapshot[name]

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        return {
            "states": self._rows,
            "rng": self._rng,
            "seats": self.seats,
            "plies": self.plies,
            "truncated": self.truncated,
        }

    def put(self, row: int, state: Words, ply: int = 0) -> None:
        """Set a row to a given position, for puzzles, undo and search."""
        self._rows[row] = state
        self.plies[row] = ply
        self.truncated[row] = False
        self.seats[row] = self.world.player(self._rows[row])

    def draw(self, row: int) -> str:
        return self.world.draw(self._rows[row])


class BatchEnv:
    """``size`` games of one of our worlds stepped together and restarted as they end, on all cores.

    Buffers, overwritten by every step: observation float32 [B, *shape] (of the seat to act), legal uint8 [B, A],
    seats int64 [B], rewards float64 [B, P], terminated and truncated uint8 [B], final_observation [B, *shape]
    (valid only in rows that ended: what the last mover saw before the restart).
    """

    def __init__(self, world: Game, size: int, *, seed: int = 0, threads: int | None = None) -> None:
        self.world = world
        self.size = size
        self.threads = threads
        shape = (size, *world.observation_shape)
        self.observation: Floats = np.zeros(shape, np.float32)
        self.final_observation: Floats = np.zeros(shape, np.float32)
        self.legal: Mask = np.zeros((size, world.actions), np.uint8)
        self.seats: Rows = np.zeros(size, np.int64)
        self.plies: Rows = np.zeros(size, np.int64)
        self.rewards: Reals = np.zeros((size, world.players))
        self.terminated: Mask = np.zeros(size, np.uint8)
        self.truncated: Mask = np.zeros(size, np.uint8)
        self._flat = self.observation.reshape(size, -1)
        self._flat_final = self.final_observation.reshape(size, -1)
        self._states = np.tile(world.template, (size, 1))
        self._rng = np.zeros(size, np.uint64)
        self.reset(seed)

    def reset(self, seed: int) -> None:
        """Start every game anew; row b's dice depend on (seed, b) alone."""
        rows = np.arange(self.size)
        self._rng[:] = streams(seed, self.size)
        self.plies[:] = 0
        world = self.world.compiled
        engine.batch_reset(world, self._states, self._rng, rows, self.seats)
        engine.batch_legal(world, self._states, rows, self.legal)
        engine.batch_observe(world, self._states, rows, self.seats, self._flat)

    def step(self, actions: Rows) -> None:
        """Play one legal action [B] in every row and refresh the buffers (legality is the caller's duty)."""
        world: Any = self.world.compiled

        def part(lo: int, hi: int) -> None:
            engine.batch_advance(
                world,
                self._states[lo:hi],
                self._rng[lo:hi],
                self.plies[lo:hi],
                self.seats[lo:hi],
                actions[lo:hi],
                self.rewards[lo:hi],
                self.terminated[lo:hi],
                self.truncated[lo:hi],
                self.legal[lo:hi],
                self._flat[lo:hi],
                self._flat_final[lo:hi],
            )

        split(self.size, part, self.threads)

    def sample(self, actions: Rows, rng: U64) -> None:
        """Uniformly random legal actions into ``actions`` [B]; ``rng`` uint64 [B] advances."""
        split(
            self.size, lambda lo, hi: engine.batch_sample(self.legal[lo:hi], rng[lo:hi], actions[lo:hi]), self.threads
        )

    def random_play(self, steps: int, seed: int) -> int:
        """Play ``steps`` uniformly random legal steps in every row, restarting games as they end; all buffers are
        written at every step as ``step`` writes them. Returns the number of steps of all rows together.

        Row b's actions depend on (seed, b) alone, not on the number of threads.
        """
        world: Any = self.world.compiled
        buffers = (
            *(self._states, self._rng, streams(seed, self.size), self.plies, self.seats, self.rewards),
            *(self.terminated, self.truncated, self.legal, self._flat, self._flat_final),
        )
        stroll: Any = self.world.stroll or engine.batch_random

        def part(lo: int, hi: int) -> None:
            stroll(world, tuple(buffer[lo:hi] for buffer in buffers), steps, np.zeros(self.world.outcomes))

        split(self.size, part, self.threads, least=0)
        return self.size * steps
