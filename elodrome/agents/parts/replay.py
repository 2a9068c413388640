"""Experience replay (notes 2.6.3, definition 2.14): rings of fields, drawn uniformly or by priority (Schaul et al.
2016), and the sums over n steps that go into them (2.6.6.3).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from elodrome.agents.agent import Ints
from elodrome.agents.ops.returns import with_next
from elodrome.agents.parts.frames import Frames
from elodrome.agents.parts.saved import expect
from elodrome.agents.parts.sumtree import SumTree
from elodrome.agents.parts.vector import SeatEnv
from elodrome.envs.actions import Actions
from elodrome.envs.game import Floats, Reals, World
from elodrome.errors import UserError

Batch = dict[str, npt.NDArray[Any]]


class Field(NamedTuple):
    """One field of an entry: its shape and the type it is kept in. shared: it is a stack of pictures [C, H, W], most of
    which stand in other entries, too (see ``Frames``)."""

    shape: tuple[int, ...]
    dtype: type[np.generic]
    shared: bool = False

    @property
    def bytes(self) -> int:
        """What an entry takes, without the pictures where these are shared."""
        return self.shape[0] * 4 if self.shared else int(np.prod(self.shape)) * np.dtype(self.dtype).itemsize


def transition_fields(world: World, *, in_bytes: bool = False) -> dict[str, Field]:
    """What a transition consists of, in the order of ``NStep``. discount is 0 where it ended the episode (and only
    there); ``in_bytes`` keeps observations as uint8, a quarter of the memory, where all are whole numbers to 255, and
    those that are pictures once each."""
    seen = Field(world.observation_shape, np.uint8 if in_bytes else np.float32, in_bytes and world.pixels)
    return {
        "observation": seen,
        "action": Field(world.action_shape, np.float32 if world.continuous else np.int64),
        "reward": Field((), np.float64),
        "discount": Field((), np.float64),
        "next_observation": seen,
        "next_legal": Field((world.actions,), np.uint8),
    }


USED = 0.8  # of the memory that is free; the rest is for networks, batches and everybody else


def free_memory() -> int:
    """Bytes of memory that this process can still use: what the machine has free, within its control group's limit."""
    try:
        meminfo = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
        free = int(meminfo["MemAvailable"].split()[0]) << 10
    except (OSError, KeyError, ValueError):  # elsewhere than on Linux: all that there is
        free = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    group = Path("/sys/fs/cgroup")
    try:
        return min(free, int((group / "memory.max").read_text()) - int((group / "memory.current").read_text()))
    except (OSError, ValueError):  # no control group, or one without a limit ("max")
        return free


def _must_fit(world: World, fields: Mapping[str, Field], capacity: int) -> None:
    """Raises UserError, before anything is allocated, where the ring would not fit into memory."""
    each = sum(field.bytes for field in fields.values())
    each += max((int(np.prod(field.shape[1:])) for field in fields.values() if field.shared), default=0)  # a new one
    room = int(USED * free_memory())
    if capacity * each > room:
        raise UserError(
            f"a replay of capacity={capacity} takes {capacity * each / 2**30:.1f} GiB on {world.id} "
            f"({each:,} bytes a transition), and {room / 2**30:.1f} GiB can be used; "
            + (f"capacity={_round(room // each)} would fit" if room >= each else "not even one transition would fit")
        )


def _round(count: int) -> int:
    """A number with its first two digits kept, rounded down: one that people can type."""
    unit = 10 ** max(0, len(str(count)) - 2)
    return count // unit * unit


class Replay:
    """The last ``capacity`` entries; older ones are overwritten first. Raises UserError where they do not fit.

    With ``priority`` alpha > 0 an entry is drawn with probability ``p^alpha / sum p^alpha`` (new ones have the greatest
    p that was ever told), else uniformly.
    """

    def __init__(self, world: World, fields: Mapping[str, Field], capacity: int, priority: float = 0.0) -> None:
        _must_fit(world, fields, capacity)
        self.world, self.capacity, self.priority = world, capacity, priority
        self.count = 0  # entries ever added
        self._greatest = 1.0
        self._shared = {name: f.shape[1:] for name, f in fields.items() if f.shared}
        self._frames = Frames(next(iter(self._shared.values())), self._room_for) if self._shared else None
        self._ring: Batch = {
            name: np.zeros((capacity, f.shape[0]), np.int32) if f.shared else np.zeros((capacity, *f.shape), f.dtype)
            for name, f in fields.items()
        }
        self._tree = SumTree(capacity) if priority else None

    def __len__(self) -> int:
        return min(self.count, self.capacity)

    def add(self, batch: Mapping[str, npt.NDArray[Any]]) -> None:
        """Add entries, arrays [B, ...] by field, in order, overwriting the oldest. Raises UserError where observations
        are to be kept in bytes and are not whole numbers from 0 to 255."""
        size = len(batch["action"])
        kept = slice(max(0, size - self.capacity), None)
        at = (self.count + np.arange(size)[kept]) % self.capacity
        fresh = {name: batch[name][kept] for name in self._ring}
        for name, array in fresh.items():
            if (self._ring[name].dtype == np.uint8 or name in self._shared) and array.dtype != np.uint8:
                fresh[name] = _whole(array, self.world)
        if self._frames is not None:
            over = at[at < len(self)]  # the entries that go
            for name in self._shared:
                self._frames.release(self._ring[name][over])
                fresh[name] = self._frames.put(fresh[name])
        for name, array in fresh.items():
            self._ring[name][at] = array
        if self._tree is not None:
            self._tree.set(at, np.full(len(at), self._greatest**self.priority))
        self.count += size

    def sample(self, size: int, rng: np.random.Generator) -> tuple[Ints, Batch]:
        """``size`` entries and where they stand: each uniformly at random, or one from each of ``size`` equal parts of
        all priorities."""
        if self._tree is None:
            at = rng.integers(0, len(self), size)
        else:
            at = self._tree.find((np.arange(size) + rng.random(size)) / size)
        return at, {name: self._read(name, at) for name in self._ring}

    def _read(self, name: str, at: Any) -> npt.NDArray[Any]:
        kept = self._ring[name][at]
        return kept if self._frames is None or name not in self._shared else self._frames.get(kept)

    def weights(self, at: Ints, beta: float) -> Reals:
        """Importance weights ``(N P(i))^-beta`` [B] over their greatest: with ``beta`` 1 they make up for all that
        drawing by priority prefers. 1 where it is uniform."""
        if self._tree is None:
            return np.ones(len(at))
        weights: Reals = (len(self) * self._tree[at] / self._tree.total) ** -beta
        return weights / weights.max()

    def tell(self, at: Ints, priorities: Reals) -> None:
        """The priorities p > 0 of entries that were drawn."""
        if self._tree is not None:
            self._greatest = max(self._greatest, float(priorities.max()))
            self._tree.set(at, priorities**self.priority)

    def __getitem__(self, field: str) -> npt.NDArray[Any]:
        """All that is kept of a field, oldest not first."""
        return self._read(field, slice(len(self)))

    def _room_for(self, size: int) -> None:
        """Raises UserError where pictures would take more bytes than there are."""
        if size > (room := int(USED * free_memory())):
            raise UserError(
                f"a replay of capacity={self.capacity} on {self.world.id} needs {size / 2**30:.1f} GiB for what "
                f"{len(self)} transitions show, and {room / 2**30:.1f} GiB can be used; {_round(len(self))} would fit"
            )

    def reward_scale(self) -> float:
        """The root mean square of the rewards kept, 1 where all are 0: what losses are measured in."""
        square = float(np.square(self["reward"]).mean()) if self.count else 0.0
        return square**0.5 if square > 0 else 1.0

    def snapshot(self) -> dict[str, Any]:
        """What is kept, as arrays."""
        kept: dict[str, Any] = {name: ring[: len(self)].copy() for name, ring in self._ring.items()}
        if self._frames is not None:
            kept |= self._frames.snapshot({name: kept[name] for name in self._shared})
        if self._tree is not None:
            kept |= {"priorities": self._tree.priorities[: len(self)], "greatest": self._greatest}
        return {**kept, "count": self.count}

    def resume(self, snapshot: dict[str, Any]) -> None:
        """Go back to a snapshot of a ring of the same capacity."""
        self.count = int(snapshot["count"])
        if self._frames is not None:
            snapshot = snapshot | self._frames.resume(snapshot, tuple(self._shared))
        for name, ring in self._ring.items():
            ring[: len(self)] = snapshot[name]
        if self._tree is not None:
            self._greatest = float(snapshot["greatest"])
            self._tree.set(np.arange(len(self)), snapshot["priorities"])


def _whole(seen: Floats, world: World) -> npt.NDArray[np.uint8]:
    """Observations as bytes."""
    with np.errstate(invalid="ignore"):
        small = seen.astype(np.uint8)
    if not np.array_equal(small, seen):
        raise UserError(f"observations of {world.id} are not all whole numbers from 0 to 255; leave in_bytes off")
    return small


class NStep:
    """Turns the steps of a vector environment into transitions over ``n`` decisions (notes 2.6.6.3; Sutton 1988).

    ``R = r_1 + gamma r_2 + ... + gamma^(n-1) r_n``, ``discount = gamma^n``, and what was seen after the n-th; fewer
    steps where the episode ended before, with discount 0 where it terminated. ``fields``: of the transitions.
    """

    def __init__(self, n: int, gamma: float, fields: Mapping[str, Field]) -> None:
        self.n, self.gamma = n, gamma
        self._shapes = {name: fields[name].shape for name in ("observation", "action", "reward", "discount")}
        self._begun: list[Batch] = []  # decisions of the last n - 1 steps, oldest first

    def add(self, observation: Floats, action: Actions, env: SeatEnv) -> list[Batch]:
        """Take in a step that ``env`` has just made with these actions [B]; the transitions that are whole now."""
        if self.n == 1:  # every step is
            return [
                {
                    "observation": observation,
                    "action": action,
                    "reward": env.reward,
                    "discount": self.gamma * ~env.terminated,
                    "next_observation": env.final_observation,
                    "next_legal": env.final_legal,
                }
            ]
        size = len(action)
        fresh: Batch = {"observation": observation, "action": action, "open": np.ones(size, np.bool_)}
        self._begun.append({**fresh, "reward": np.zeros(size), "discount": np.ones(size)})
        ended = env.terminated | env.truncated
        whole = []
        for age, step in enumerate(reversed(self._begun), 1):
            step["reward"], step["discount"] = with_next(step["reward"], step["discount"], env.reward, self.gamma)
            rows = np.flatnonzero(step["open"] & (ended | (age == self.n)))
            if len(rows):
                step["open"][rows] = False
                whole.append(
                    {
                        "observation": step["observation"][rows],
                        "action": step["action"][rows],
                        "reward": step["reward"][rows],
                        "discount": step["discount"][rows] * ~env.terminated[rows],
                        "next_observation": env.final_observation[rows],
                        "next_legal": env.final_legal[rows],
                    }
                )
        self._begun = self._begun[-(self.n - 1) :] if self.n > 1 else []
        return whole[::-1]

    def snapshot(self) -> dict[str, Any]:
        """The decisions that are not whole yet."""
        names = self._begun[0] if self._begun else ()
        stacked = {name: np.stack([step[name] for step in self._begun]) for name in names}
        return {**stacked, "count": len(self._begun)}

    def resume(self, snapshot: dict[str, Any]) -> None:
        """Go back to a snapshot. Raises BrokenAgent where its arrays do not fit the fields and each other."""
        count = int(snapshot["count"])
        shapes = {**self._shapes, "open": ()} if count else {}
        size = snapshot["open"].shape[-1] if count else 0
        told = {name: expect(snapshot, name, (count, size, *shape)) for name, shape in shapes.items()}
        self._begun = [{name: array[i].copy() for name, array in told.items()} for i in range(count)]
