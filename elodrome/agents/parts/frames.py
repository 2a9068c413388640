"""Stacks of pictures that share what they have in common: every picture that is kept stands in memory once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt

from elodrome.agents.parts.saved import expect

Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int32]
FIRST = 1024  # pictures there is room for at first; room grows by halves


class Frames:
    """Pictures [H, W] by their places, counted by how often they are in use; equal ones share a place.

    Nothing is assumed of how stacks overlap: pictures are compared, by a checksum first. ``must_fit``: told the bytes
    that more room takes before it is made; it raises where there are none.
    """

    def __init__(self, shape: tuple[int, ...], must_fit: Callable[[int], None]) -> None:
        self.shape, self._must_fit = shape, must_fit
        self._clear(FIRST)

    def _clear(self, room: int) -> None:
        size = int(np.prod(self.shape))
        self._pixels = np.zeros((room, size), np.uint8)
        self._used = np.zeros(room, np.int64)
        self._sums = np.zeros(room, np.int64)
        self._at: dict[int, int] = {}  # by checksum; of two pictures with the same sum the later is not found again
        self._free = list(range(room - 1, -1, -1))

    @property
    def count(self) -> int:
        """Pictures in use."""
        return len(self._used) - len(self._free)

    def put(self, stacks: Bytes) -> Places:
        """Keep stacks [B, C, H, W]; the places of their pictures [B, C]."""
        rows = np.ascontiguousarray(stacks).reshape(-1, self._pixels.shape[1])
        places = np.array([self._place(row) for row in rows], np.int32)
        return places.reshape(stacks.shape[:2])

    def _place(self, pixels: Bytes) -> int:
        found = crc32(pixels.data)
        place = self._at.get(found, -1)
        if place < 0 or not np.array_equal(self._pixels[place], pixels):
            if not self._free:
                self._grow()
            new = self._free.pop()
            if place < 0:
                self._at[found] = new
            place = new
            self._pixels[place], self._sums[place] = pixels, found
        self._used[place] += 1
        return place

    def _grow(self) -> None:
        room, more = len(self._used), len(self._used) // 2
        self._must_fit((room + more) * self._pixels.shape[1])  # the old and the new stand side by side for a moment
        for name in ("_pixels", "_used", "_sums"):
            old = getattr(self, name)
            setattr(self, name, np.concatenate([old, np.zeros((more, *old.shape[1:]), old.dtype)]))
        self._free = list(range(room + more - 1, room - 1, -1))

    def release(self, places: Places) -> None:
        """These places are in use once less each; those that nobody uses become free."""
        ids, uses = np.unique(places, return_counts=True)
        self._used[ids] -= uses
        for place in ids[self._used[ids] == 0].tolist():
            found = int(self._sums[place])
            if self._at.get(found) == place:
                del self._at[found]
            self._free.append(place)

    def get(self, places: Places) -> Bytes:
        """Stacks [B, C, H, W] of the pictures at places [B, C]."""
        stacks: Bytes = self._pixels[places].reshape(*places.shape, *self.shape)
        return stacks

    def snapshot(self, places: dict[str, Places]) -> dict[str, Any]:
        """The pictures at these places, which must be all, and the places as they are among these alone."""
        used = np.flatnonzero(self._used)
        new = np.zeros(len(self._used), np.int32)
        new[used] = np.arange(len(used))
        return {"frames": self._pixels[used], **{name: new[array] for name, array in places.items()}}

    def resume(self, snapshot: dict[str, Any], names: tuple[str, ...]) -> dict[str, Places]:
        """Go back to a snapshot; the places by name. Raises BrokenAgent or ValueError for what does not fit."""
        count = len(snapshot["frames"])
        pixels = expect(snapshot, "frames", (count, self._pixels.shape[1]))
        places = {name: np.asarray(snapshot[name], np.int32) for name in names}
        uses = np.zeros(count, np.int64)
        for array in places.values():
            if array.size and not 0 <= array.min() <= array.max() < count:
                raise ValueError("a stack of pictures that are not there")
            uses += np.bincount(array.ravel(), minlength=count)
        if (uses == 0).any():
            raise ValueError("pictures that no stack shows")
        self._must_fit(max(FIRST, count) * self._pixels.shape[1])
        self._clear(max(FIRST, count))
        self._pixels[:count], self._used[:count] = pixels, uses
        for place in range(count):
            self._sums[place] = found = crc32(self._pixels[place])
            self._at.setdefault(found, place)
        self._free = list(range(len(self._used) - 1, count - 1, -1))
        return places
