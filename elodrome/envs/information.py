"""A world on its information states: who acts and what that seat sees, with all transitions and their probabilities.

Action values belong to what the seat to act sees, not to the state behind it. What is legal is part of that: some
worlds look the same where it differs (Leduc poker, by what is left to be raised). What learns or solves on tables gets
no more than a player would, and runs in compiled loops that ask nobody for rules.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Self

import numpy as np
from numba import types

from elodrome.envs import engine
from elodrome.envs.engine import MASKS, REAL_ROWS
from elodrome.envs.enumeration import Tables, enumerate_world
from elodrome.envs.game import Floats, Game, Mask, Reals, Words, World
from elodrome.envs.index import RowIndex, words_of
from elodrome.envs.signatures import I8, REALS, WORDS


class Model(NamedTuple):
    """What compiled loops take. I information states, S states, E edges, A actions, P seats, K starts.

    info [S]: the information state, -1 where the game is over. seats [S]. legal [I, A]. The outcomes of state s and
    action a are the edges offsets[s * A + a] : offsets[s * A + a + 1], with next_state [E], quantiles [E] (running sums
    of the probabilities of each state and action), rewards [E, P]. starts [K], start_quantiles [K]. next_info and
    next_seat [E] are info and seats of next_state, to be had without waiting for it.

    door: 0, or the address of a C function through which a world is stepped that has no such tables (see
    ``agents.parts.met``); told int64 [2] is what it says beside the state: cut off, and stop at once.
    """

    info: Any
    seats: Any
    legal: Any
    offsets: Any
    next_state: Any
    quantiles: Any
    rewards: Any
    starts: Any
    start_quantiles: Any
    next_info: Any
    next_seat: Any
    door: Any
    told: Any


MODEL = types.NamedTuple(
    (WORDS, WORDS, MASKS, WORDS, WORDS, REALS, REAL_ROWS, WORDS, REALS, WORDS, WORDS, I8, WORDS), Model
)


@dataclass(frozen=True)
class InformationStates:
    """``tables`` of a world with its information states: info int64 [S] (-1 where the game is over); of each of the I
    information states observations float32 [I, O], seats int64 [I], and first int64 [I], a state in which it is met.
    """

    tables: Tables
    info: Words
    observations: Floats
    seats: Words
    first: Words

    @classmethod
    def of(cls, world: World, limit: int = 1_000_000) -> Self:
        """Enumerate ``world``. Raises UserError when it has more than ``limit`` states, or does not tell them."""
        tables = enumerate_world(world, limit)
        live = np.flatnonzero(tables.seats >= 0)
        seen = np.zeros((len(live), world.observation_size), np.float32)
        if isinstance(world, Game):
            engine.batch_observe(world.compiled, tables.rows(), live, tables.seats[live], seen)
        elif tables.seen is not None:
            seen[:] = tables.seen[live]
        index = RowIndex(keys_of(tables.seats[live], seen, tables.legal[live]))
        info = np.full(tables.size, -1, np.int64)
        info[live] = index.numbers
        _, first = np.unique(index.numbers, return_index=True)
        return cls(tables, info, seen[first], tables.seats[live[first]], live[first])

    @property
    def world(self) -> World:
        """The world."""
        return self.tables.game

    def rows(self) -> Words | None:
        """A state's row [I, W] for each, where a player may see it; else None."""
        game = self.tables.game
        shown = isinstance(game, Game) and game.information == "perfect"
        return self.tables.rows()[self.first] if shown else None

    def on_states(self, rows: Reals) -> Reals:
        """Rows [I, ...] as those of the states behind them [S, ...], zeros where the episode is over."""
        spread: Reals = rows[self.info]
        spread[self.info < 0] = 0.0
        return spread

    @cached_property
    def legal(self) -> Mask:
        """The legal actions uint8 [I, A] of each information state."""
        legal: Mask = self.tables.legal[self.first]
        return legal

    @cached_property
    def model(self) -> Model:
        """The arrays that compiled loops take."""
        tables = self.tables
        quantiles = np.cumsum(tables.probability)
        before = np.concatenate([[0.0], quantiles])[tables.offsets[:-1]]
        quantiles -= np.repeat(before, np.diff(tables.offsets))
        return Model(
            self.info,
            tables.seats,
            self.legal,
            tables.offsets,
            tables.next_state,
            quantiles,
            tables.reward,
            tables.starts,
            np.cumsum(tables.start_probability),
            self.info[tables.next_state],
            tables.seats[tables.next_state],
            0,
            np.zeros(2, np.int64),
        )


def keys_of(seats: Words, observations: Floats, legal: Mask) -> Words:
    """Information states as rows of words [B, 1 + O + A]: seats [B], observations [B, ...], legal masks [B, A]."""
    return np.concatenate([np.asarray(seats, np.int64)[:, None], words_of(observations), legal > 0], axis=1)
