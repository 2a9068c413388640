"""What actions are worth: exactly where a world can be enumerated, two plies deep elsewhere.

These values teach and judge other agents: a text policy's answers are data and rewards by them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from elodrome.agents.ops.td import own_discounts
from elodrome.envs.engine import MASKS, REAL_ROWS, ROWS
from elodrome.envs.enumeration import Tables, enumerate_world
from elodrome.envs.game import Game, Reals, Words, compiled
from elodrome.envs.index import RowIndex
from elodrome.envs.intrinsics import row, rules_of
from elodrome.envs.signatures import ACTIONS, PLAYERS, WORLD
from elodrome.errors import UserError


def best_play(tables: Tables) -> tuple[Reals, Reals]:
    """Backward induction: (q [S, A, P], value [S, P]) when every seat does what is best for itself.

    Both are returns from the state on, each seat's discounted by its own decisions (``own_discount``). q is -inf where
    illegal; where actions are equally good for the seat that acts, the first is assumed. Sweeps go on until nothing
    changes, at most max_steps + 1 times: a world with cycles gets the value of that many steps.
    """
    game, size, actions = tables.game, tables.size, tables.game.actions
    pair = np.repeat(np.arange(size * actions), np.diff(tables.offsets))
    legal = tables.legal.astype(np.bool_)
    live = np.flatnonzero(tables.seats >= 0)
    fades = own_discounts(game.discount, tables.seats[tables.next_state], game.players)
    value = np.zeros((size, game.players))
    for _ in range(game.max_steps + 1):
        ahead = tables.reward + fades * value[tables.next_state]
        q = np.zeros((size, actions, game.players))
        np.add.at(q.reshape(size * actions, -1), pair, tables.probability[:, None] * ahead)
        q[~legal] = -np.inf
        mine = q[live, :, tables.seats[live]]
        best = q[live, mine.argmax(axis=1)]
        if np.array_equal(best, value[live]):
            break
        value[live] = best
    return q, value


def solve(tables: Tables) -> tuple[Reals, Reals]:
    """``best_play`` for the seat to act: (q [S, A], value [S]); q is -inf where illegal, the value of an end 0."""
    q, value = best_play(tables)
    states, seats = np.arange(tables.size), np.maximum(tables.seats, 0)
    return q[states, :, seats], np.where(tables.seats >= 0, value[states, seats], 0.0)


@compiled(types.void(WORLD, ROWS, REAL_ROWS, ROWS, MASKS, REAL_ROWS))
def look_two_plies(world: Any, roots: Any, q: Any, states: Any, masks: Any, rewards: Any) -> None:
    """q [B, A] of state rows [B, W] without dice: the mover's reward, less what the best reply takes at once.

    -inf where illegal. Scratch: states [2, W], masks [2, A], rewards [2, P].
    """
    header, _ = world
    rules = rules_of(header)
    after, later = row(states, 0), row(states, 1)
    mask, replies = row(masks, 0), row(masks, 1)
    first, second = row(rewards, 0), row(rewards, 1)
    for b in range(roots.shape[0]):
        root, out = row(roots, b), row(q, b)
        seat = rules[1](root)
        rules[2](root, mask)
        for a in range(header[ACTIONS]):
            out[a] = -np.inf
            if not mask[a]:
                continue
            for i in range(after.size):
                after[i] = root[i]
            for p in range(header[PLAYERS]):
                first[p] = 0.0
            rules[3](after, a, 0, first)
            other = rules[1](after)
            worst = 0.0
            if other >= 0 and other != seat:
                best = -np.inf
                rules[2](after, replies)
                for reply in range(header[ACTIONS]):
                    if not replies[reply]:
                        continue
                    for i in range(after.size):
                        later[i] = after[i]
                    for p in range(header[PLAYERS]):
                        second[p] = 0.0
                    rules[3](later, reply, 0, second)
                    if second[other] > best:
                        best = second[other]
                        worst = second[seat]
            out[a] = first[seat] + worst


class Judge:
    """Values of actions for the seat to act: by an exact solution, or by two plies (win at once, else do not let the
    other win at once) where a world has more than ``limit`` states.

    stake: the most that one action can give away, by an exact solution; the width of the world's returns elsewhere.

    Raises UserError for a world that hides its state, or is both too large and has dice.
    """

    def __init__(self, world: Game, limit: int = 20_000) -> None:
        self.world = world
        if world.information != "perfect" or world.simultaneous:
            raise UserError(f"{world.id} hides its state: its moves cannot be judged one by one")
        self._index: RowIndex | None = None
        low, high = world.return_range
        self.stake = high - low
        try:
            tables = enumerate_world(world, limit)
        except UserError:
            if world.has_chance:
                raise
            return
        self._q, _ = solve(tables)
        self._index = RowIndex(tables.states)
        live = np.flatnonzero(tables.seats >= 0)
        worst = np.where(np.isneginf(self._q), np.inf, self._q)[live].min(axis=1)
        self.stake = float((self._q[live].max(axis=1) - worst).max()) or 1.0

    @property
    def exact(self) -> bool:
        """Whether the values are those of perfect play."""
        return self._index is not None

    def values(self, states: Words) -> Reals:
        """q [B, A] of state rows [B, W], -inf where illegal."""
        if self._index is not None:
            return self._q[self._index.find(states)]
        q = np.zeros((len(states), self.world.actions))
        words, actions, players = self.world.row_words, self.world.actions, self.world.players
        look_two_plies(
            self.world.compiled,
            np.ascontiguousarray(states),
            q,
            np.zeros((2, words), np.int64),
            np.zeros((2, actions), np.uint8),
            np.zeros((2, players)),
        )
        return q
