"""Minimax for two-player zero-sum games of perfect information (notes 4.6.2): exact tables, or alpha-beta.

A game of few states is solved once, by backward induction over its enumerated states; acting is then a lookup. In
larger games every position is searched by negamax with alpha-beta pruning (Knuth & Moore 1975), iterative deepening
and a transposition table; what lies beyond the depth is worth 0. Equally good actions are equally likely.

Pruning rests on one seat's gain being the other's loss, which a discount per decision of one's own undoes: worlds that
have one are solved where they are small, and not searched.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
from numba import types
from pydantic import Field

from elodrome.agents.agent import Agent, Config, Evaluation, Ints, Positions
from elodrome.agents.parts.solve import solve
from elodrome.agents.search.transposition import holds, serves, slot_of, write
from elodrome.envs import engine
from elodrome.envs.engine import MASKS, REAL_ROWS, ROWS
from elodrome.envs.enumeration import enumerate_world
from elodrome.envs.game import Game, Mask, Reals, Words, World, compiled
from elodrome.envs.index import RowIndex
from elodrome.envs.intrinsics import row, rules_of
from elodrome.envs.signatures import ACTIONS, I8, PLAYERS, REALS, RULES, STATE_WORDS, WORDS, WORLD
from elodrome.errors import UserError
from elodrome.seeding import mix64

ABOUT = {
    "cls": "Minimax",
    "chapter": "4",
    "summary": "alpha-beta with a transposition table; exact where the game is small",
    "players": (2, 2),
    "needs": ("state", "perfect", "zero_sum", "deterministic"),
}

F8 = types.float64
DEPTH = 8  # plies looked ahead where nothing is said
TIE = 1e-9  # values nearer than this are equal
# By ply: states [D + 2, W] and legal actions [D + 2, A]; actions in the order to try [A]; rewards [P]; and the
# transposition table (``transposition.TABLE``).
ROOM = types.Tuple((ROWS, MASKS, WORDS, REALS, ROWS, REALS))


@compiled(F8(RULES, ROOM, I8, I8, F8, F8), _nrt=False)
def negamax(rules: Any, room: Any, ply: int, depth: int, alpha: float, beta: float) -> float:
    """The value of states[ply] for its seat to act, ``depth`` plies deep, exact if within (alpha, beta), else a bound.

    An entry of the table serves only at its own depth, so that the value is that of plain recursion.
    """
    states, masks, order, rewards, table, values = room
    state = row(states, ply)
    seat = rules[1](state)
    if seat < 0 or depth == 0:
        return 0.0
    slot = slot_of((table, values), state)
    entry, first = row(table, slot), -1
    if holds(entry, state):
        first = entry[table.shape[1] - 1]
        if serves(entry, values[slot], depth, alpha, beta):
            return values[slot]
    mask, after = row(masks, ply), row(states, ply + 1)
    rules[2](state, mask)
    best, best_action, floor = -np.inf, -1, alpha
    for i in range(-1, order.size):
        action = order[i] if i >= 0 else first
        if action < 0 or not mask[action] or (i >= 0 and action == first):
            continue
        for w in range(state.size):
            after[w] = state[w]
        rewards[0] = rewards[1] = 0.0
        rules[3](after, action, 0, rewards)
        now = rewards[seat]
        if rules[1](after) == seat:
            ahead = negamax(rules, room, ply + 1, depth - 1, floor - now, beta - now)
        else:
            ahead = -negamax(rules, room, ply + 1, depth - 1, now - beta, now - floor)
        if now + ahead > best:
            best, best_action = now + ahead, action
        floor = max(floor, best)
        if floor >= beta:
            break
    write(entry, state, depth, alpha, beta, best, best_action)
    values[slot] = best
    return best


@compiled(types.void(WORLD, ROWS, WORDS, I8, I8, REAL_ROWS))
def search(world: Any, roots: Any, order: Any, depth: int, slots: int, q: Any) -> None:
    """Depth-limited values of the actions at roots [B, W]: q [B, A], exact for the best ones, lower elsewhere.

    It comes full of -inf, which stays where an action is illegal. ``slots``, a power of two, is the size of the
    transposition table that the batch shares.
    """
    header, template = world
    rules, words = rules_of(header), header[STATE_WORDS]
    states, masks = np.zeros((depth + 2, template.size), np.int64), np.zeros((depth + 2, header[ACTIONS]), np.uint8)
    rewards, table = np.zeros(header[PLAYERS]), np.zeros((slots, words + 3), np.int64)
    room = states, masks, order, rewards, table, np.zeros(slots)
    for b in range(roots.shape[0]):
        state, after = row(states, 0), row(states, 1)
        state[:] = row(roots, b)
        seat = rules[1](state)
        # The shallow searches cost little and leave the table full of good first moves.
        for d in range(1, depth):
            negamax(rules, room, 0, d, -np.inf, np.inf)
        best, first = -np.inf, -1
        rules[2](state, row(masks, 0))
        entry = row(table, slot_of((table, room[5]), state))
        if depth > 1 and entry[words] == depth:
            first = entry[words + 2]
        for i in range(-1, order.size):
            a = order[i] if i >= 0 else first
            if a < 0 or not masks[0, a] or (i >= 0 and a == first):
                continue
            after[:] = state
            rewards[:] = 0.0
            rules[3](after, a, 0, rewards)
            now = rewards[seat]
            # The window reaches just below the best value so far: an equal one comes back exact.
            floor = best - TIE - now
            if rules[1](after) == seat:
                ahead = negamax(rules, room, 1, depth - 1, floor, np.inf)
            else:
                ahead = -negamax(rules, room, 1, depth - 1, -np.inf, -floor)
            q[b, a] = now + ahead
            best = max(best, q[b, a])


class MinimaxConfig(Config):
    """depth: plies to look ahead; None is to the end where the game has at most ``enumerate`` states, else 8.
    table_bits: the transposition table has 2 ** table_bits entries."""

    depth: int | None = Field(None, ge=1, le=1000)
    enumerate: int = Field(20_000, ge=0)
    table_bits: int = Field(18, ge=1, le=26)


class Minimax(Agent):
    """Plays a best action of the (depth-limited) game tree, each of equal value with equal probability."""

    config_class = MinimaxConfig
    config: MinimaxConfig
    world: Game

    def __init__(self, world: World, config: Config | None = None) -> None:
        super().__init__(world, config)
        self.depth = self.config.depth or DEPTH
        # Actions in the middle touch the most lines of a board; better first moves cut more.
        self._order = np.argsort(np.abs(np.arange(world.actions) - (world.actions - 1) / 2), kind="stable")
        self._index: RowIndex | None = None
        self._q = np.full((1, world.actions), -np.inf)
        if self.config.depth is None:
            with suppress(UserError):
                tables = enumerate_world(self.world, self.config.enumerate)
                self.depth, self._index = world.max_steps, RowIndex(tables.states)
                self._q, _ = solve(tables)
        if self._index is None:
            self._require_no_discount()

    def _require_no_discount(self) -> None:
        """Raises UserError where alpha-beta would be wrong."""
        if self.world.discount != 1.0:
            raise UserError(
                f"alpha-beta searches worlds without discount, and {self.world.id} has {self.world.discount}; minimax "
                f"solves it where it has at most {self.config.enumerate} states and no depth is given, mcts searches it"
            )

    def values(self, states: Words) -> Reals:
        """Action values [B, A] for the seat to act, of state rows [B, W]: exact for the best actions, upper bounds
        below the best for the others where they were pruned, -inf where illegal."""
        found = np.full(len(states), -1) if self._index is None else self._index.find(states)
        q = self._q[found]
        if (new := found < 0).any():
            self._require_no_discount()
            searched, roots = np.full((int(new.sum()), self.world.actions), -np.inf), np.ascontiguousarray(states[new])
            search(self.world.compiled, roots, self._order, self.depth, 1 << self.config.table_bits, searched)
            q[new] = searched
        return q

    def _best(self, positions: Positions) -> tuple[Mask, Reals]:
        if positions.states is None:
            raise UserError(f"minimax needs the state of the game, and {self.world.id} hides it")
        q = self.values(positions.states)
        value = q.max(axis=1)
        return (q >= value[:, None] - TIE).astype(np.uint8), value

    def act(self, positions: Positions) -> Ints:
        best, _ = self._best(positions)
        actions = np.zeros(len(positions), np.int64)
        engine.batch_sample(best, mix64(positions.seeds), actions)
        return actions

    def evaluate(self, positions: Positions) -> Evaluation:
        best, value = self._best(positions)
        return Evaluation(best / best.sum(axis=1, keepdims=True), value)
