"""Exact enumeration: every reachable state of a world, and its P and R as tables (notes, definition 1.1).

The tables are what dynamic programming, exact solvers, minimax checks and the compiled tabular learners run on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import types

from elodrome.envs.engine import MASKS, REAL_ROWS, ROWS
from elodrome.envs.game import Floats, Game, Mask, Reals, Words, World, compiled
from elodrome.envs.intrinsics import rules_of
from elodrome.envs.signatures import ACTIONS, HAS_CHANCE, I8, OUTCOMES, PLAYERS, REALS, STATE_WORDS, WORDS, WORLD
from elodrome.errors import UserError

Index = npt.NDArray[np.int64]
BYTES = 1 << 28  # of the tables while they grow


@compiled(types.uint64(WORDS, I8))
def hash_row(state: Any, words: int) -> Any:
    """A 64-bit hash of the first ``words`` words."""
    h = np.uint64(0x9E3779B97F4A7C15)
    for i in range(words):
        h ^= np.uint64(state[i])
        h *= np.uint64(0xFF51AFD7ED558CCD)
        h ^= h >> np.uint64(32)
    return h


@compiled(I8(ROWS, WORDS, WORDS, I8, I8))
def find_or_add(states: Any, slots: Any, state: Any, words: int, known: int) -> int:
    """The index of ``state`` among states[:known], or ``known`` after writing it there (the caller counts)."""
    size = np.uint64(slots.size)
    at = hash_row(state, words) & (size - np.uint64(1))
    while slots[at] >= 0:
        s = slots[at]
        same = True
        for i in range(words):
            if states[s, i] != state[i]:
                same = False
                break
        if same:
            return s
        at = (at + np.uint64(1)) & (size - np.uint64(1))
    slots[at] = known
    states[known, :words] = state[:words]
    return known


@compiled(I8(WORLD, ROWS, WORDS, WORDS, MASKS, WORDS, WORDS, REALS, REAL_ROWS, WORDS, REALS))
def enumerate_states(
    world: Any,
    states: Any,
    slots: Any,
    seats: Any,
    masks: Any,
    offsets: Any,
    nexts: Any,
    probs_out: Any,
    rewards_out: Any,
    starts: Any,
    start_probs: Any,
) -> int:
    """Breadth-first over all states; returns their number, or -1 - (capacity found too small: 1 states, 2 edges).

    states [S, state_words], seats [S], masks [S, A], offsets [S * A + 1], nexts / probs_out [E], rewards_out [E, P],
    starts / start_probs [K] (a start with probability 0 is -1).
    """
    header, template = world
    rules = rules_of(header)
    players, actions, words, outcomes = header[PLAYERS], header[ACTIONS], header[STATE_WORDS], header[OUTCOMES]
    probs = np.zeros(outcomes)
    rewards = np.zeros(players)
    row = template.copy()
    work = template.copy()
    known = 0
    count = rules[5](template.copy(), -1, probs) if header[HAS_CHANCE] else 1
    if not header[HAS_CHANCE]:
        probs[0] = 1.0
    for k in range(count):
        starts[k] = -1
        start_probs[k] = probs[k]
        if probs[k] <= 0.0:
            continue
        if known + 1 >= seats.size:
            return -2
        row[:] = template
        rules[0](row, k)
        s = find_or_add(states, slots, row, words, known)
        starts[k] = s
        if s == known:
            known += 1
    edges = 0
    s = 0
    while s < known:
        row[:words] = states[s]
        seats[s] = rules[1](row)
        if seats[s] >= 0:
            rules[2](row, masks[s])
        else:
            masks[s, :] = 0
        for a in range(actions):
            offsets[s * actions + a] = edges
            if not masks[s, a]:
                continue
            count = 1
            probs[0] = 1.0
            if header[HAS_CHANCE]:
                count = rules[5](row, a, probs)
            for k in range(count):
                if probs[k] <= 0.0:
                    continue
                if known + 1 >= seats.size:
                    return -2
                if edges >= nexts.size:
                    return -3
                work[:] = row
                rewards[:] = 0.0
                rules[3](work, a, k, rewards)
                n = find_or_add(states, slots, work, words, known)
                if n == known:
                    known += 1
                nexts[edges] = n
                probs_out[edges] = probs[k]
                rewards_out[edges] = rewards
                edges += 1
        s += 1
    offsets[known * actions] = edges
    return known


@dataclass(frozen=True)
class Tables:
    """A world as tables. S states, A actions, P seats, E edges (state, action, outcome).

    states int64 [S, state_words]; seats int64 [S], -1 at the end; legal uint8 [S, A]; the outcomes of (s, a) are
    edges ``offsets[s * A + a] : offsets[s * A + a + 1]`` with next_state [E], probability [E], reward [E, P];
    starts int64 [K] with start_probability [K]. seen float32 [S, O]: what the seat to act sees, told by foreign worlds
    only, which have no rules to ask.
    """

    game: World
    states: Words
    seats: Index
    legal: Mask
    offsets: Index
    next_state: Index
    probability: Reals
    reward: Reals
    starts: Index
    start_probability: Reals
    seen: Floats | None = None

    @property
    def size(self) -> int:
        """S, the number of reachable states."""
        return len(self.seats)

    def rows(self) -> Words:
        """All states of a world of ours as whole rows [S, W], constants included, as the rules want them."""
        if not isinstance(self.game, Game):
            raise UserError(f"{self.game.id} has no rows of states: its rules are not ours")
        rows = np.tile(self.game.template, (self.size, 1))
        rows[:, : self.game.state_words] = self.states
        return rows

    def index(self) -> dict[bytes, int]:
        """From the bytes of a state's changing words to its number."""
        return {row.tobytes(): s for s, row in enumerate(self.states)}

    def dense(self, seat: int = 0) -> tuple[Reals, Reals]:
        """P [S, A, S] and R [S, A] of notes (2.3) as dense arrays, for small worlds."""
        actions = self.game.actions
        pair = np.repeat(np.arange(self.size * actions), np.diff(self.offsets))
        transition = np.zeros((self.size * actions, self.size))
        np.add.at(transition, (pair, self.next_state), self.probability)
        reward = np.zeros(self.size * actions)
        np.add.at(reward, pair, self.probability * self.reward[:, seat])
        return transition.reshape(self.size, actions, self.size), reward.reshape(self.size, actions)


def enumerate_world(game: World, limit: int = 1_000_000) -> Tables:
    """All reachable states of ``game`` and their transitions.

    Raises UserError when there are more than ``limit`` states, or more than memory is good for (``BYTES``), or when a
    foreign world does not tell its transitions. Truncation by max_steps is not part of a state.
    """
    if not isinstance(game, Game):
        told = game.tables()
        if told is None:
            raise UserError(f"{game.id} does not tell its transitions, so that its states cannot be enumerated")
        if told.size > limit:
            raise UserError(f"{game.id} has more than {limit} states; too many to enumerate")
        return told
    states_cap, edges_cap = 1024, 4096
    actions = game.actions
    while True:
        if 8 * (states_cap * (game.state_words + actions + 3) + edges_cap * (game.players + 2)) > BYTES:
            raise UserError(f"{game.id} has too many states of {game.state_words} words to enumerate")
        slots = np.full(1 << (2 * states_cap - 1).bit_length(), -1, np.int64)
        states = np.zeros((states_cap, game.state_words), np.int64)
        seats = np.zeros(states_cap, np.int64)
        masks = np.zeros((states_cap, actions), np.uint8)
        offsets = np.zeros(states_cap * actions + 1, np.int64)
        nexts = np.zeros(edges_cap, np.int64)
        probs = np.zeros(edges_cap)
        rewards = np.zeros((edges_cap, game.players))
        starts = np.full(game.outcomes, -1, np.int64)
        start_probs = np.zeros(game.outcomes)
        found = enumerate_states(
            game.compiled, states, slots, seats, masks, offsets, nexts, probs, rewards, starts, start_probs
        )
        if found >= 0 and found <= limit:
            break
        if found > limit or (found == -2 and states_cap > limit):
            raise UserError(f"{game.id} has more than {limit} states; too many to enumerate")
        if found == -2:
            states_cap = min(4 * states_cap, limit + 2)
        else:
            edges_cap *= 4
    edges = int(offsets[found * actions])
    keep = starts >= 0
    return Tables(
        game=game,
        states=states[:found].copy(),
        seats=seats[:found].copy(),
        legal=masks[:found].copy(),
        offsets=offsets[: found * actions + 1].copy(),
        next_state=nexts[:edges].copy(),
        probability=probs[:edges].copy(),
        reward=rewards[:edges].copy(),
        starts=starts[keep].copy(),
        start_probability=start_probs[keep].copy(),
    )
