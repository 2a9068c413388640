"""The vector environment of learners: many games side by side, the learner in one seat of each.

Any world becomes a decision process of one: opponents move inside it. What a decision earned is all that the learner's
seat got until its own next turn or the end. ``terminated`` and ``truncated`` stay apart, since only the former cuts the
bootstrap; what the limit of steps is in which world says ``ops.td.cut_is_end``. Solo worlds have no opponents;
everything else is the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from elodrome.agents.agent import Ints, Positions
from elodrome.agents.ops.td import cut_is_end
from elodrome.agents.parts.opponents import Opponent, Opponents
from elodrome.agents.parts.saved import under
from elodrome.agents.parts.underway import Underway
from elodrome.envs.actions import Actions, blank
from elodrome.envs.game import Floats, Mask, Reals, World
from elodrome.errors import UserError
from elodrome.seeding import U64, derive, mix64

Flags = npt.NDArray[np.bool_]


class SeatEnv:
    """``size`` games of ``world``, the learner in one seat of each, opponents in the others.

    The seat goes round from game to game of a row. Each game draws its opponent from ``opponents``; pairs of a weight
    and a callable on Positions will do. Seeds of games and of positions come from ``seed`` and the game's number alone.

    Arrays, new at every step: observation float32 [B, *shape] and legal uint8 [B, A] of the next decision; reward
    float64 [B]; terminated and truncated bool [B]; final_observation float32 [B, *shape] and final_legal uint8 [B, A],
    what a decision led to before any restart (where the game is over by truncation no mask is defined, and all
    actions count as legal). live int64 [k]: the rows in play; with ``restart=False`` a finished row rests until
    ``reset``, and its entries mean nothing. returns, lengths: of the episodes that ended in the last step, in the
    world's own units also where ``clip_rewards`` leaves of each reward its sign.

    Raises UserError when a world of several seats gets no opponent.
    """

    def __init__(
        self,
        world: World,
        size: int,
        seed: int,
        opponents: Opponents | Sequence[tuple[float, Opponent]] = (),
        *,
        restart: bool = True,
        clip_rewards: bool = False,
    ) -> None:
        self.opponents = opponents if isinstance(opponents, Opponents) else Opponents(opponents)
        if world.players > 1 and not self.opponents:
            raise UserError(f"{world.id} has {world.players} seats: learning in one of them needs opponents")
        self.world, self.size, self.restart, self.clip_rewards = world, size, restart, clip_rewards
        self.table = world.table(size)
        self._seed = np.uint64(derive(seed, "games"))
        self._rows = np.arange(size)
        self._game_seeds: U64 = np.zeros(size, np.uint64)
        self._games: Ints = np.zeros(size, np.int64)  # how many games each row has started
        self._rival: Ints = np.zeros(size, np.int64)
        self._episode = np.zeros((size, 2))  # return and decisions so far
        self._underway = Underway(self.table)
        self.seat: Ints = np.zeros(size, np.int64)
        self.reward: Reals = np.zeros(size)
        self.terminated: Flags = np.zeros(size, np.bool_)
        self.truncated: Flags = np.zeros(size, np.bool_)
        self.returns: Reals = np.zeros(0)
        self.lengths: Reals = np.zeros(0)
        self.reset()

    def reset(self) -> None:
        """Start a new game in every row."""
        self.live = self._rows
        self._start(self._rows)
        self._look()

    def step(self, actions: Actions) -> None:
        """Play one legal action [B, *action_shape] in every live row, then the opponents until the learner's next
        turn."""
        live = self.live
        self.reward = np.zeros(self.size)
        self._play(live, actions[live])
        self._opponents_move(live)
        table = self.table
        over = np.zeros(self.size, np.bool_)
        over[live] = table.seats[live] < 0
        self.truncated = over & table.truncated & (not cut_is_end(self.world.players))
        self.terminated = over & ~self.truncated
        self._episode[live, 0] += self.reward[live]
        self._episode[live, 1] += 1
        if self.clip_rewards:
            self.reward = np.sign(self.reward)
        ended = np.flatnonzero(over)
        if not len(ended):
            self._look()
            self.final_observation, self.final_legal = self.observation, self.legal
            self.returns = self.lengths = np.zeros(0)
            return
        self.returns, self.lengths = self._episode[ended].T.copy()
        self.opponents.tell(self._rival[ended], self.returns)
        final = table.observe(ended, self.seat[ended])
        if self.restart:
            earned = self.reward.copy()  # what opponents' openings bring in the new games belongs to no decision
            self._start(ended)
            self.reward = earned
        else:
            self.live = live[~over[live]]
        self._look()
        self.final_observation, self.final_legal = self.observation.copy(), self.legal.copy()
        self.final_observation[ended] = final
        self.final_legal[ended] = 1

    def _start(self, rows: Ints) -> None:
        while len(rows):
            number = (rows + self.size * self._games[rows]).astype(np.uint64)
            seeds = mix64(self._seed ^ mix64(number))
            self.seat[rows] = (rows + self._games[rows]) % self.world.players
            self._games[rows] += 1
            self._game_seeds[rows] = seeds
            self._episode[rows] = 0.0
            if self.world.players > 1:
                self._rival[rows] = self.opponents.meet(seeds)
            self._underway.reset(rows, seeds)
            self._opponents_move(rows)
            rows = rows[self.table.seats[rows] < 0]  # over before the learner's first turn: nothing to learn there

    def _opponents_move(self, rows: Ints) -> None:
        """Let the opponents move in these rows until the learner is to act or the game is over."""
        if self.world.players == 1:
            return
        while True:
            seats = self.table.seats[rows]
            rows = rows[(seats >= 0) & (seats != self.seat[rows])]
            if not len(rows):
                return
            actions = blank(self.world, len(rows))
            for rival in np.unique(self._rival[rows]):
                asked = np.flatnonzero(self._rival[rows] == rival)
                actions[asked] = self.opponents.act(int(rival), self.positions(rows[asked]))
            self._play(rows, actions)

    def _play(self, rows: Ints, actions: Actions) -> None:
        rewards = self._underway.step(rows, actions)
        self.reward[rows] += rewards[np.arange(len(rows)), self.seat[rows]]

    def _look(self) -> None:
        self.observation: Floats = self.table.observe(self._rows, self.seat)
        self.legal: Mask = self.table.legal(self._rows)

    def positions(self, rows: Ints) -> Positions:
        """The positions of these rows as the seat to act is shown them."""
        return Positions.at(self.table, rows, self._game_seeds[rows])

    def snapshot(self) -> dict[str, Any]:
        """All games in progress, as arrays."""
        rest = {name: getattr(self, f"_{name}").copy() for name in ("games", "rival", "game_seeds", "episode")}
        known = {f"opponents/{name}": value for name, value in self.opponents.snapshot().items()}
        return {**rest, **known, "seat": self.seat.copy(), **self._underway.snapshot()}

    def resume(self, snapshot: dict[str, Any]) -> None:
        """Go back to a snapshot, as exactly as ``Underway`` does."""
        for name in ("games", "rival", "game_seeds", "episode"):
            getattr(self, f"_{name}")[...] = snapshot[name]
        self.seat[...] = snapshot["seat"]
        self.opponents.resume(under(snapshot, "opponents/"))
        self._underway.resume(snapshot, self._game_seeds)
        self._look()
