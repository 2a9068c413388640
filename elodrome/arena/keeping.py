"""Keeping the games of a match as they end. What the disk refuses is said in one line, and costs no game."""

from __future__ import annotations

import time
from pathlib import Path

from elodrome.arena.record import GameRecord
from elodrome.arena.sgf import go_world, write_game
from elodrome.arena.store import Store
from elodrome.envs.game import World
from elodrome.errors import UserError
from elodrome.home import local

FLUSH_SECONDS = 0.2  # between two commits


class Keeper:
    """Called with every game that ends: puts it into ``store``, and into ``sgf`` as a file, where they are given.

    troubles: what went wrong, one line each. kept: ids that are in the store. A store that refuses is asked once more
    at the end, for all that it has not taken. Raises UserError, before any game, for a world or folder that cannot
    have SGF files.
    """

    def __init__(self, world: World, store: Store | None, sgf: Path | None) -> None:
        self.world, self.store, self.sgf = world, store, sgf
        self.kept: set[str] = set()
        self.finished = 0
        self.troubles: list[str] = []
        self._waiting: list[GameRecord] = []
        self._refused = False
        self._last = time.monotonic()
        if sgf is not None:
            go_world(world)
            try:
                local(sgf).mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise UserError(f"cannot write {sgf}: {error.strerror}") from error

    def __call__(self, record: GameRecord) -> None:
        self.finished += 1
        self._write_sgf(record)
        if self.store is not None:
            self._waiting.append(record)
            if not self._refused and time.monotonic() - self._last > FLUSH_SECONDS:
                self._flush(self.store)

    def played_before(self, prefix: str) -> list[GameRecord]:
        """The games in the store whose ids begin with ``prefix`` (files are written of them, too); none where it
        cannot be read."""
        try:
            found = [] if self.store is None else self.store.games(prefix=prefix)
        except UserError as error:
            self.troubles.append(f"games that were kept before are not found: {error}")
            return []
        self.kept |= {record.id for record in found}
        for record in found:
            self._write_sgf(record)
        return found

    def close(self) -> None:
        """Write what is still to be written, and let go of the store."""
        if self.store is None:
            return
        trouble = self._flush(self.store)
        if trouble:
            self.troubles.append(f"{len(self._waiting)} games are not kept: {trouble}")
        self.store.close()

    def _flush(self, store: Store) -> str:
        """Write what waits; the trouble where it cannot be written."""
        try:
            store.add(self._waiting)
        except UserError as error:
            self._refused = True
            return str(error)
        self.kept |= {record.id for record in self._waiting}
        self._waiting.clear()
        self._last = time.monotonic()
        return ""

    def _write_sgf(self, record: GameRecord) -> None:
        if self.sgf is None:
            return
        try:
            write_game(record, self.world, self.sgf, record.number + 1)
        except UserError as error:
            self.sgf = None
            self.troubles.append(str(error))
