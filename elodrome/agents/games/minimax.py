"""Minimax for two-player zero-sum games of perfect information (notes 4.6.2): exact tables, or alpha-beta.

A game of few states is solved once, by backward induction over its enumerated states; acting is then a lookup. In
larger games every position is searched by negamax with alpha-beta pruning (Knuth & Moore 1975), iterative deepening
and a transposition table; what lies beyond the depth is worth 0. Equally good actions are equally likely.

Pruning rests on one seat's gain being the other's loss, which a discount per decision of one's own undoes: worlds that
have one are solved where they are small, and not searched.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from pydantic import Field

from elodrome.agents.agent import Agent, Config, Evaluation, Ints, Positions
from elodrome.agents.parts.solve import best_play
from elodrome.envs import engine
from elodrome.envs.engine import MASKS, REAL_ROWS, ROWS
from elodrome.envs.enumeration import Tables, enumerate_world, hash_row
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
TIE = 1e-9  # values nearer than this are equal
EXACT, LOWER, UPPER = 0, 1, 2  # what a stored value says of the true one


def solve(tables: Tables) -> tuple[Reals, Reals]:
    """Exact (q [S, A], value [S]) for the seat to act; q is -inf where illegal, the value of an ended game 0."""
    q, value = best_play(tables)
    states, seats = np.arange(tables.size), np.maximum(tables.seats, 0)
    return q[states, :, seats], np.where(tables.seats >= 0, value[states, seats], 0.0)


@compiled(F8(RULES, ROWS, MASKS, WORDS, REALS, ROWS, REALS, I8, I8, F8, F8, I8))
def negamax(
    rules: Any,
    states: Any,
    masks: Any,
    order: Any,
    rewards: Any,
    table: Any,
    values: Any,
    ply: int,
    depth: int,
    alpha: float,
    beta: float,
    words: int,
) -> float:
    """The value of states[ply] for its seat to act, ``depth`` plies deep, exact if within (alpha, beta), else a bound.

    Scratch by ply: states [D + 2, W], masks [D + 2, A]. order [A]: actions in the order to try. The transposition
    table: rows of ``table`` [slots, words + 3] are the state's words, depth + 1 (0: empty), kind of bound, best action;
    the value stands in values [slots]. An entry serves only at its own depth, so that the value is that of plain
    recursion.
    """
    state = row(states, ply)
    seat = rules[1](state)
    if seat < 0 or depth == 0:
        return 0.0
    slot = np.int64(hash_row(state, words) & np.uint64(values.size - 1))
    entry = row(table, slot)
    first = -1
    known = entry[words] > 0
    for i in range(words):
        known = known and entry[i] == state[i]
    if known:
        first = entry[words + 2]
        stored = values[slot]
        bound = entry[words + 1]
        if entry[words] == depth + 1 and (
            bound == EXACT or (bound == LOWER and stored >= beta) or (bound == UPPER and stored <= alpha)
        ):
            return stored
    mask = row(masks, ply)
    rules[2](state, mask)
    after = row(states, ply + 1)
    best, best_action = -np.inf, -1
    floor = alpha
    for i in range(-1, order.size):
        action = order[i] if i >= 0 else first
        if action < 0 or not mask[action] or (i >= 0 and action == first):
            continue
        for w in range(state.size):
            after[w] = state[w]
        rewards[:] = 0.0
        rules[3](after, action, 0, rewards)
        now = rewards[seat]
        if rules[1](after) == seat:
            ahead = negamax(
                rules, states, masks, order, rewards, table, values, ply + 1, depth - 1, floor - now, beta - now, words
            )
        else:
            ahead = -negamax(
                rules, states, masks, order, rewards, table, values, ply + 1, depth - 1, now - beta, now - floor, words
            )
        if now + ahead > best:
            best, best_action = now + ahead, action
        floor = max(floor, best)
        if floor >= beta:
            break
    for i in range(words):
        entry[i] = state[i]
    entry[words] = depth + 1
    entry[words + 1] = UPPER if best <= alpha else (LOWER if best >= beta else EXACT)
    entry[words + 2] = best_action
    values[slot] = best
    return best


@compiled(types.void(WORLD, ROWS, WORDS, I8, I8, REAL_ROWS))
def search(world: Any, roots: Any, order: Any, depth: int, slots: int, q: Any) -> None:
    """Depth-limited values of the actions at roots [B, W]: q [B, A], exact for the best ones, lower elsewhere.

    -inf where illegal. ``slots``, a power of two, is the size of the transposition table that the batch shares.
    """
    header, template = world
    rules = rules_of(header)
    words = header[STATE_WORDS]
    states = np.zeros((depth + 2, template.size), np.int64)
    masks = np.zeros((depth + 2, header[ACTIONS]), np.uint8)
    rewards = np.zeros(header[PLAYERS])
    table = np.zeros((slots, words + 3), np.int64)
    values = np.zeros(slots)
    for b in range(roots.shape[0]):
        state = row(states, 0)
        after = row(states, 1)
        state[:] = row(roots, b)
        seat = rules[1](state)
        # The shallow searches cost little and leave the table full of good first moves.
        for d in range(1, depth):
            negamax(rules, states, masks, order, rewards, table, values, 0, d, -np.inf, np.inf, words)
        best = -np.inf
        first = -1
        rules[2](state, row(masks, 0))
        entry = row(table, np.int64(hash_row(state, words) & np.uint64(slots - 1)))
        if depth > 1 and entry[words] == depth:
            first = entry[words + 2]
        for i in range(-1, order.size):
            a = order[i] if i >= 0 else first
            if a < 0 or (i >= 0 and a == first):
                continue
            q[b, a] = -np.inf
            if not masks[0, a]:
                continue
            after[:] = state
            rewards[:] = 0.0
            rules[3](after, a, 0, rewards)
            now = rewards[seat]
            # The window reaches just below the best value so far: an equal one comes back exact.
            floor = best - TIE - now
            if rules[1](after) == seat:
                ahead = negamax(rules, states, masks, order, rewards, table, values, 1, depth - 1, floor, np.inf, words)
            else:
                ahead = -negamax(
                    rules, states, masks, order, rewards, table, values, 1, depth - 1, -np.inf, -floor, words
                )
            q[b, a] = now + ahead
            best = max(best, q[b, a])


class MinimaxConfig(Config):
    """depth: plies to look ahead; None is to the end where the game has at most ``enumerate`` states, else 8.
    table_bits: the transposition table has 2 ** table_bits entries."""

    depth: int | None = Field(None, ge=1, le=1000)
    enumerate: int = Field(20_000, ge=0)
    table_bits: int = Field(18, ge=1, le=26)


DEPTH = 8


class Minimax(Agent):
    """Plays a best action of the (depth-limited) game tree, each of equal value with equal probability."""

    config_class = MinimaxConfig
    config: MinimaxConfig
    world: Game

    def __init__(self, world: World, config: Config | None = None) -> None:
        super().__init__(world, config)
        self.depth = self.config.depth or DEPTH
        # Actions in the middle touch the most lines of a board; better first moves cut more.
        middle = (world.actions - 1) / 2
        self._order = np.argsort(np.abs(np.arange(world.actions) - middle), kind="stable")
        self._index: RowIndex | None = None
        if self.config.depth is None:
            try:
                tables = enumerate_world(self.world, self.config.enumerate)
            except UserError:
                self._require_no_discount()
                return
            self.depth = world.max_steps
            self._index = RowIndex(tables.states)
            self._q, _ = solve(tables)
        else:
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
        q = np.full((len(states), self.world.actions), -np.inf)
        if self._index is not None:
            q[found >= 0] = self._q[found[found >= 0]]
        if (found < 0).any():
            self._require_no_discount()
            searched = np.full((int((found < 0).sum()), self.world.actions), -np.inf)
            roots = np.ascontiguousarray(states[found < 0])
            search(self.world.compiled, roots, self._order, self.depth, 1 << self.config.table_bits, searched)
            q[found < 0] = searched
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
