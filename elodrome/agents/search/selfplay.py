"""Self-play by search, and the memory of what it taught (notes 4.5.4, algorithm 12, lines 3 to 10)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from elodrome.agents.agent import Ints, Positions
from elodrome.agents.ops.returns import discounted_returns
from elodrome.agents.ops.td import own_discounts
from elodrome.agents.parts.heads import pick
from elodrome.agents.parts.opponents import Opponent
from elodrome.agents.parts.saved import under
from elodrome.agents.search.forest import Evaluator, Forest, Found, SearchConfig
from elodrome.envs.game import Floats, Game, Reals
from elodrome.seeding import U64, derive, mix64, units


class Examples(NamedTuple):
    """n positions: observations float32 [n, *shape], policy float32 [n, A] (what the search found), outcome float32 [n]
    (return of the seat to act, from there to the end), value float32 [n] (what the search expected)."""

    observations: Floats
    policy: Floats
    outcome: Floats
    value: Floats


@dataclass(frozen=True)
class PlayConfig:
    """sample: plies of each game, from its start, in which actions are drawn from the search's policy instead of
    taking its choice. opening: each game begins with 0 to ``opening`` uniformly random plies. pool: the share of games
    in which a rival, where there is one, has the other seat."""

    sample: int
    opening: int
    pool: float = 0.0


class SelfPlay:
    """``games`` games of the searching network against itself, restarted as they end. One thread at a time.

    Games go on from one call of ``play`` to the next; a search tree is kept from move to move within one call.
    """

    def __init__(self, world: Game, games: int, search: SearchConfig, play: PlayConfig, seed: int) -> None:
        self.world, self.games, self.config = world, games, play
        self.table = world.table(games)
        self.forest = Forest(world, games, search)
        self.keep = not search.gumbel  # the visits of a kept tree would upset sequential halving
        self.rows = np.arange(games)
        self.rng: U64 = mix64(np.uint64(derive(seed, "self-play")) + self.rows.astype(np.uint64))
        length = world.max_steps
        self._arrays: dict[str, npt.NDArray[Any]] = {
            "bits": np.zeros((games, length, -(-world.observation_size // 8)), np.uint8)
            if world.binary
            else np.zeros((games, length, world.observation_size), np.float32),
            "policy": np.zeros((games, length, world.actions), np.float16),
            "value": np.zeros((games, length), np.float32),
            "ply": np.zeros((games, length), np.int64),
            # Of every ply, noted or not: who decided, and what it brought.
            "mover": np.zeros((games, length), np.int8),
            "reward": np.zeros((games, length, world.players), np.float32),
            "count": np.zeros(games, np.int64),
            "returns": np.zeros((games, world.players)),
        }
        self._start(self.rows)

    def play(
        self, evaluate: Evaluator, moves: int, rival: Evaluator | None = None, other: Opponent | None = None
    ) -> tuple[Examples, dict[str, float]]:
        """``moves`` moves in every game: the positions of the games that ended meanwhile, and sums to be averaged:
        games ended, their plies, games won by the first seat; games against a rival, and what the network got in them.
        The rival searches with another evaluator, or is any ``other`` agent; what it saw is not learned from."""
        self.forest.restart()
        meets = rival is not None or other is not None
        keep = self.keep and not meets
        pooled = self.rows < round(self.config.pool * self.games) * meets
        taught: list[Examples] = []
        sums = {"games": 0.0, "plies": 0.0, "first": 0.0, "rivals": 0.0, "against rivals": 0.0}
        for _ in range(moves):
            states: Any = self.table.states(self.rows)
            seats = self.table.seats.copy()
            seen = self.table.observe(self.rows, seats)
            mine = ~(pooled & (self.rows % 2 == seats))
            found = Found(np.zeros((self.games, self.world.actions)), np.zeros(self.games), np.zeros_like(self.rows))
            words = self._draw()
            for who, rows in ((evaluate, np.flatnonzero(mine)), (rival, np.flatnonzero(~mine))):
                if who is not None and len(rows):
                    asked = states[rows], self.table.plies[rows], words[rows]
                    answer = self.forest.search(*asked, who, explore=True, keep=keep)
                    for whole, part in zip(found, answer, strict=True):
                        whole[rows] = part
                elif other is not None and len(rows):
                    found.choices[rows] = other(Positions.at(self.table, rows, words[rows]))
                    found.policy[rows, found.choices[rows]] = 1.0
            self._note(np.flatnonzero(mine), seen, found)
            early = self.table.plies < self.config.sample
            actions = np.where(early, pick(found.policy, units(self._draw())), found.choices)
            self._step(self.rows, actions)
            over = np.flatnonzero(self.table.seats < 0)
            if keep:
                actions[over] = -1
                self.forest.advance(actions, self._draw())
            if len(over):
                taught.append(self._taught(over))
                sums["games"] += len(over)
                sums["plies"] += float(self.table.plies[over].sum())
                sums["first"] += float((self._arrays["returns"][over, 0] > 0).sum())
                met = over[pooled[over]]
                sums["rivals"] += len(met)
                sums["against rivals"] += float(self._arrays["returns"][met, 1 - met % 2].sum())
                self._start(over)
        return joined(taught, self.world), sums

    def _step(self, rows: Ints, actions: Ints) -> None:
        """Play, and write down what it brought."""
        plies = self.table.plies[rows]
        self._arrays["mover"][rows, plies] = self.table.seats[rows]
        rewards = self.table.step(rows, actions)
        self._arrays["reward"][rows, plies] = rewards
        self._arrays["returns"][rows] += rewards

    def _draw(self) -> U64:
        """One fresh word per game."""
        self.rng += np.uint64(0x9E3779B97F4A7C15)
        return mix64(self.rng)

    def _start(self, rows: Ints) -> None:
        self._arrays["count"][rows] = 0
        self._arrays["returns"][rows] = 0.0
        self._arrays["reward"][rows] = 0.0
        self.table.reset(rows, self._draw()[rows])
        plies = (self._draw() >> np.uint64(33)).astype(np.int64) % (self.config.opening + 1)
        for ply in range(self.config.opening):
            words = self._draw()
            now = rows[(plies[rows] > ply) & (self.table.seats[rows] >= 0)]
            if len(now):
                uniform = self.table.legal(now).astype(np.float64)
                self._step(now, pick(uniform, units(words[now])))
        over = rows[self.table.seats[rows] < 0]
        if len(over):  # the random plies already ended it
            self._start(over)

    def _note(self, rows: Ints, seen: Floats, found: Found) -> None:
        """Write down what the learner saw and found in these games."""
        a = self._arrays
        at = (rows, a["count"][rows])
        flat = seen.reshape(self.games, -1)[rows]
        a["bits"][at] = np.packbits(flat > 0.5, axis=1) if self.world.binary else flat
        a["policy"][at] = found.policy[rows]
        a["value"][at] = found.values[rows]
        a["ply"][at] = self.table.plies[rows]
        a["count"][rows] += 1

    def _taught(self, over: Ints) -> Examples:
        """The positions of finished games, each with what its seat won from there on."""
        a = self._arrays
        mine = np.arange(self.world.max_steps)[None, :] < a["count"][over, None]
        game = np.repeat(np.arange(len(over)), a["count"][over])
        ply, last = a["ply"][over][mine], self.table.plies[over].max()
        movers = a["mover"][over, :last].astype(np.int64)
        outcome = to_go(a["reward"][over, :last], movers, self.world.discount)[game, ply, movers[game, ply]]
        bits = a["bits"][over][mine]
        flat = np.unpackbits(bits, axis=1, count=self.world.observation_size) if self.world.binary else bits
        seen = flat.astype(np.float32).reshape(-1, *self.world.observation_shape)
        policy = a["policy"][over][mine].astype(np.float32)
        return Examples(seen, policy, outcome.astype(np.float32), a["value"][over][mine])

    def snapshot(self) -> dict[str, Any]:
        """All games in progress, as arrays."""
        table = self.table.snapshot() or {}
        return {**{f"table/{k}": v for k, v in table.items()}, **self._arrays, "rng": self.rng.copy()}

    def resume(self, snapshot: dict[str, Any]) -> None:
        """Go back to a snapshot."""
        self.table.restore(under(snapshot, "table/"))
        for name, array in self._arrays.items():
            array[...] = snapshot[name]
        self.rng[:] = snapshot["rng"]


def to_go(rewards: npt.NDArray[Any], movers: Ints, discount: float) -> Reals:
    """What each seat gets from each ply on (see ``own_discount``): rewards [k, T, P] and who decided [k, T] -> [k, T,
    P]."""
    r_t = np.moveaxis(rewards, 1, 0).astype(np.float64)
    fades = own_discounts(discount, np.roll(movers.T, -1, axis=0), r_t.shape[2])  # nothing comes after the last
    return np.moveaxis(discounted_returns(r_t, fades, 0.0 * r_t, np.ones(len(r_t))), 0, 1)


def joined(parts: list[Examples], world: Game) -> Examples:
    """Examples one after the other; empty arrays where there are none."""
    if parts:
        return Examples(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))
    empty = np.zeros((0, *world.observation_shape), np.float32)
    return Examples(empty, np.zeros((0, world.actions), np.float32), np.zeros(0, np.float32), np.zeros(0, np.float32))


class Window:
    """The last ``capacity`` positions of self-play, older ones overwritten first; observations kept as bits where the
    world's are."""

    def __init__(self, world: Game, capacity: int) -> None:
        self.world, self.capacity, self.count = world, capacity, 0
        width = -(-world.observation_size // 8) if world.binary else world.observation_size
        self._ring: dict[str, npt.NDArray[Any]] = {
            "observations": np.zeros((capacity, width), np.uint8 if world.binary else np.float32),
            "policy": np.zeros((capacity, world.actions), np.float16),
            "outcome": np.zeros(capacity, np.float32),
            "value": np.zeros(capacity, np.float32),
        }

    def __len__(self) -> int:
        return min(self.count, self.capacity)

    def add(self, examples: Examples) -> None:
        """Add positions in order."""
        size = len(examples.outcome)
        kept = slice(max(0, size - self.capacity), None)
        at = (self.count + np.arange(size)[kept]) % self.capacity
        flat = examples.observations.reshape(size, self.world.observation_size)[kept]
        self._ring["observations"][at] = np.packbits(flat > 0.5, axis=1) if self.world.binary else flat
        for name in ("policy", "outcome", "value"):
            self._ring[name][at] = getattr(examples, name)[kept]
        self.count += size

    def sample(self, size: int, rng: np.random.Generator) -> Examples:
        """``size`` positions, each uniformly at random and seen from a random side of the board."""
        at = rng.integers(0, len(self), size)
        raw = self._ring["observations"][at]
        flat = np.unpackbits(raw, axis=1, count=self.world.observation_size) if self.world.binary else raw
        seen = flat.astype(np.float32).reshape(size, *self.world.observation_shape)
        policy = self._ring["policy"][at].astype(np.float32)
        sides = self.world.symmetries
        if sides is not None:
            side = rng.integers(0, len(sides.cells), size)
            planes = seen.reshape(size, self.world.observation_shape[0], -1)
            seen = np.take_along_axis(planes, sides.cells[side][:, None, :], axis=2).reshape(seen.shape)
            policy = np.take_along_axis(policy, sides.actions[side], axis=1)
        return Examples(seen, policy, self._ring["outcome"][at], self._ring["value"][at])

    def snapshot(self) -> dict[str, Any]:
        """What is kept, as arrays."""
        arrays: dict[str, Any] = {name: ring[: len(self)].copy() for name, ring in self._ring.items()}
        return {**arrays, "count": self.count}

    def resume(self, snapshot: dict[str, Any]) -> None:
        """Go back to a snapshot of a window of the same capacity."""
        self.count = int(snapshot["count"])
        for name, ring in self._ring.items():
            ring[: len(self)] = snapshot[name]
