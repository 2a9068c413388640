"""Worlds without tables: each thing that a seat sees gets a row when it is first met.

The compiled loops step such a world through a door, a C function that Python answers; on their side nothing else
changes. A game in progress is kept as its seed and moves, and played again from them: as exact as the world is
repeatable.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from elodrome.agents.agent import Ints
from elodrome.agents.ops.td import cut_is_end
from elodrome.agents.parts.saved import expect
from elodrome.agents.parts.walk import CUT, STOP
from elodrome.envs.game import Floats, Mask, World
from elodrome.envs.information import Model
from elodrome.errors import UserError
from elodrome.seeding import mix64

DOOR = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_uint64)  # (action or -1 to start, random word): state
MOST = 200_000  # things seen; with more no table is of use
MOST_NUMBERS = 1 << 28  # in all that was seen
ROW, OF_SEAT_0 = np.zeros(1, np.int64), np.zeros(1, np.int64)
GROWING = ("observations", "seats", "legal", "certain")


class Met:
    """What was met so far in a world: K rows, with room for more.

    observations float32 [K, O], seats int64 [K], legal uint8 [K, A], certain bool [K] (an episode that was cut off
    does not tell what is legal in the state in which it was: all, until it is met alive; it counts as the first that
    looks the same). ``admit(row)`` is called for each that is new, and again when its legal actions become certain. To
    the loops a state is a row's number + 1, and 0 the end.
    """

    def __init__(self, world: World, admit: Callable[[int], None]) -> None:
        self.world, self._admit = world, admit
        self.known = 0
        self.most = min(MOST, MOST_NUMBERS // world.observation_size)
        self._arrays: dict[str, npt.NDArray[Any]] = {
            "observations": np.zeros((0, world.observation_size), np.float32),
            "seats": np.zeros(0, np.int64),
            "legal": np.zeros((0, world.actions), np.uint8),
            "certain": np.zeros(0, np.bool_),
        }
        self._places: dict[bytes, int] = {}
        self._table = world.table(1)
        self._seed, self._moves = np.zeros(1, np.uint64), list[int]()
        self._error: BaseException | None = None
        self._told, self._rewards = np.zeros(2, np.int64), np.zeros((1, world.players))
        self._door = DOOR(self._answer)  # must live as long as its address is known
        self.resize(256)

    @property
    def observations(self) -> Floats:
        """What was seen [K, O]."""
        return self._arrays["observations"][: self.known]

    @property
    def seats(self) -> Ints:
        """By which seat [K]."""
        return self._arrays["seats"][: self.known]

    @property
    def legal(self) -> Mask:
        """What is legal there; a row of zeros for each place that is still free [room, A]."""
        return self._arrays["legal"]

    @property
    def full(self) -> bool:
        """Whether there is no room for more."""
        return self.known == len(self.legal)

    def resize(self, room: int) -> None:
        """Make room for so many rows."""
        for name, old in self._arrays.items():
            self._arrays[name] = np.zeros((room, *old.shape[1:]), old.dtype)
            self._arrays[name][: self.known] = old[: self.known]
        info = np.arange(-1, room)
        words, reals = np.zeros(0, np.int64), np.zeros(0)
        door = ctypes.cast(self._door, ctypes.c_void_p).value
        self._seat_of = np.full(room + 1, -1, np.int64)
        self._seat_of[1 : self.known + 1] = self.seats
        self.model = Model(
            info,
            self._seat_of,
            self.legal,
            words,
            words,
            reals,
            self._rewards,
            words,
            reals,
            words,
            words,
            door,
            self._told,
        )

    def check(self) -> None:
        """Raise what went wrong behind the door, if anything did; ready for more."""
        self._told[STOP] = 0
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def begin(self, seed: int) -> None:
        """Start a game, so that the first row is there."""
        self._start(seed)

    def _answer(self, action: int, word: int) -> int:
        if self._error is None:
            try:
                return self._start(word) if action < 0 else self._step(action)
            except BaseException as error:  # nothing may leave a C function
                self._error = error
        self._told[STOP] = 1
        self._rewards[:] = 0.0
        return 1 if action < 0 else 0

    def _start(self, word: int) -> int:
        self._seed, self._moves = np.array([word], np.uint64), []
        self._table.reset(ROW, self._seed)
        while self._table.seats[0] < 0:  # over before the first decision
            self._seed = mix64(self._seed + np.uint64(1))
            self._table.reset(ROW, self._seed)
        return self._place(int(self._table.seats[0]), alive=True)

    def _step(self, action: int) -> int:
        self._rewards[0] = self._table.step(ROW, np.array([action]))[0]
        self._moves.append(action)
        self._told[CUT] = 0
        if self._table.seats[0] >= 0:
            return self._place(int(self._table.seats[0]), alive=True)
        if self._table.truncated[0] and not cut_is_end(self.world.players):
            self._told[CUT] = 1
            return self._place(0, alive=False)
        return 0

    def _place(self, seat: int, *, alive: bool) -> int:
        """The state of what this seat sees now; a new one where it is seen for the first time."""
        seen = self._table.observe(ROW, OF_SEAT_0 + seat).reshape(-1) + np.float32(0.0)  # -0.0 counts as 0.0
        sight = _sight(seat, seen)
        legal = self._table.legal(ROW)[0] if alive else np.ones(self.world.actions, np.uint8)
        key = sight + legal.tobytes() if alive else sight
        row = self._places.get(key)
        if row is None:
            row = self._places.get(sight)
            if row is None or self._arrays["certain"][row]:
                row = self._add(seat, seen)
                self._places.setdefault(sight, row)
            self._places[key] = row
            self._arrays["legal"][row], self._arrays["certain"][row] = legal, alive
            self._admit(row)
        return row + 1

    def _add(self, seat: int, seen: Floats) -> int:
        """A new row."""
        if self.known == self.most:
            raise UserError(
                f"{self.world.id}: more than {self.most} different things were seen, too many for a table; "
                "let a network learn it, such as dqn or ppo"
            )
        row, self.known = self.known, self.known + 1
        self._arrays["observations"][row], self._arrays["seats"][row] = seen, seat
        self._seat_of[row + 1] = seat
        self._told[STOP] = self.full
        return row

    def snapshot(self) -> dict[str, Any]:
        """Everything that resuming needs."""
        kept = {f"met/{name}": array[: self.known].copy() for name, array in self._arrays.items()}
        kept["met/certain"] = kept["met/certain"].astype(np.uint8)
        return {**kept, "met/seed": self._seed.copy(), "met/moves": np.array(self._moves, np.int64)}

    def resume(self, snapshot: dict[str, Any], room: int) -> None:
        """Go back to a snapshot, with room for so many rows."""
        count = len(snapshot["met/seats"]) if "met/seats" in snapshot else 0
        found = {name: expect(snapshot, f"met/{name}", (count, *self._arrays[name].shape[1:])) for name in GROWING}
        moves = np.asarray(snapshot.get("met/moves", []), np.int64)
        self.known = 0
        self.resize(max(room, count))
        self.known = count
        for name, array in found.items():
            self._arrays[name][:count] = array
        self.resize(max(room, count))
        self._places = {}
        for row, (seat, seen) in enumerate(zip(self.seats.tolist(), self.observations, strict=True)):
            sight = _sight(seat, seen)
            self._places.setdefault(sight, row)
            if self._arrays["certain"][row]:
                self._places[sight + self.legal[row].tobytes()] = row
        self._seed, self._moves = expect(snapshot, "met/seed", (1,)).astype(np.uint64), moves.tolist()
        self._table.reset(ROW, self._seed)
        for move in self._moves:
            self._table.step(ROW, np.array([move]))


def _sight(seat: int, seen: Floats) -> bytes:
    """A seat and what it sees, as a key."""
    return seat.to_bytes(4, "little") + seen.tobytes()
