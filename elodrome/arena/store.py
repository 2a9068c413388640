"""Results as rows of a SQLite database, written as games end; a game id counts once, whoever sends it again.

Write-ahead logging with ``synchronous=NORMAL``: what is committed survives the death of any process (``kill -9``
included) and the file stays whole even when the power fails; only then may the last commits be missing, and those
games are played again. ``FULL`` would wait for the disk at every commit: 125 a second instead of thousands.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Column, Connection, Engine, Float, Integer, MetaData, Table, Text, create_engine, event, select
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import DBAPIError

from elodrome.arena.record import GameRecord
from elodrome.errors import UserError
from elodrome.home import home

VERSION = 1  # of the tables below, kept as the file's user_version
BUSY_SECONDS = 30.0  # how long a writer waits for another one's commit
RESULTS = "results.sqlite"

_TABLES = MetaData()
GAMES = Table(
    "games",
    _TABLES,
    Column("id", Text, primary_key=True),
    Column("env", Text, nullable=False, index=True),
    Column("agents", Text, nullable=False),  # JSON, by seat
    Column("seed", Text, nullable=False),  # decimal: seeds have 64 bits without a sign, SQLite's integers have one
    Column("agent_seed", Text, nullable=False),
    Column("opening", Integer, nullable=False),
    Column("moves", Text, nullable=False),  # JSON
    Column("returns", Text, nullable=False),  # JSON
    Column("scores", Text, nullable=False),  # JSON
    Column("termination", Text, nullable=False),
    Column("culprit", Integer),
    Column("reason", Text, nullable=False),
    Column("played_at", Float, nullable=False),  # seconds since 1970
    sqlite_with_rowid=False,
)
META = Table("meta", _TABLES, Column("key", Text, primary_key=True), Column("value", Text, nullable=False))  # JSON

_LISTS = ("agents", "moves", "returns", "scores")


def default_store() -> Path:
    """The database of single matches, window games and the ladder."""
    return home() / RESULTS


class Store:
    """One database of results. A file that is not there reads as empty, and is made by the first write.

    Every method raises UserError, in one line that names the file, when the disk refuses or the file is none of ours.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._engine: Engine | None = None

    def add(self, records: Iterable[GameRecord]) -> int:
        """Write games; the number of those that were not there yet."""
        rows = [_row(record) for record in records]
        if not rows:
            return 0
        with self._connect(write=True) as connection:
            fresh = insert(GAMES).on_conflict_do_nothing(index_elements=["id"])
            return connection.execute(fresh, rows).rowcount

    def ids(self) -> set[str]:
        """The ids of all games."""
        if not self.path.exists():
            return set()
        with self._connect() as connection:
            return set(connection.scalars(select(GAMES.c.id)))

    def envs(self) -> list[str]:
        """The worlds of which there are games."""
        if not self.path.exists():
            return []
        with self._connect() as connection:
            return list(connection.scalars(select(GAMES.c.env).distinct().order_by(GAMES.c.env)))

    def games(self, env: str | None = None) -> list[GameRecord]:
        """All games, or those of one world, in the order of their ids."""
        if not self.path.exists():
            return []
        wanted = select(GAMES).order_by(GAMES.c.id)
        if env is not None:
            wanted = wanted.where(GAMES.c.env == env)
        with self._connect() as connection:
            try:
                return [_record(dict(row)) for row in connection.execute(wanted).mappings()]
            except (ValueError, ValidationError) as error:
                raise UserError(f"{self.path}: a game in it is damaged: {str(error).splitlines()[0]}") from error

    def get(self, key: str) -> Any:
        """What was put under ``key``, or None."""
        if not self.path.exists():
            return None
        with self._connect() as connection:
            text = connection.scalar(select(META.c.value).where(META.c.key == key))
        return None if text is None else json.loads(text)

    def put(self, key: str, value: Any) -> None:
        """Keep a JSON value, such as the configuration of the run that wrote the games."""
        row = insert(META).values(key=key, value=json.dumps(value))
        with self._connect(write=True) as connection:
            connection.execute(row.on_conflict_do_update(index_elements=["key"], set_={"value": row.excluded.value}))

    def close(self) -> None:
        """Let go of the file."""
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @contextmanager
    def _connect(self, write: bool = False) -> Iterator[Connection]:
        """A connection in one transaction, committed at the end."""
        try:
            if self._engine is None:
                self._engine = self._open()
            with self._engine.begin() as connection:
                yield connection
        except DBAPIError as error:
            does = "write" if write else "read"
            raise UserError(f"cannot {does} {self.path}: {_explain(str(error.orig))}") from error

    def _open(self) -> Engine:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"cannot make the folder {self.path.parent}: {error.strerror}") from error
        engine = create_engine(f"sqlite:///{self.path}", connect_args={"timeout": BUSY_SECONDS})
        event.listen(engine, "connect", _set_up)
        with engine.begin() as connection:
            version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
            if version != VERSION:
                strangers = connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar_one()
                if version or strangers:
                    kind = f"results of version {version}, not {VERSION}" if version else "a database of something else"
                    raise UserError(f"{self.path} holds {kind}; choose another file")
        with engine.connect() as connection:  # one writer makes the tables, the others wait and find them
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            _TABLES.create_all(connection)
            connection.exec_driver_sql(f"PRAGMA user_version = {VERSION}")
            connection.commit()
        return engine


def _set_up(connection: sqlite3.Connection, _: object) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")


def _explain(message: str) -> str:
    """SQLite's words, with what to do about them."""
    advice = {
        "not a database": "it is not a database of results; choose another file",
        "malformed": "the file is damaged; move it away and play again",
        "readonly": "the file or its folder is read-only",
        "unable to open": "the folder cannot be written, or the path is a folder",
        "full": "the disk is full; what was written before is safe",
        "locked": f"another process has kept it locked for {BUSY_SECONDS:.0f} seconds",
    }
    return next((text for word, text in advice.items() if word in message), message)


def _row(record: GameRecord) -> dict[str, Any]:
    row = record.model_dump()
    for name in _LISTS:
        row[name] = json.dumps(row[name], separators=(",", ":"))
    return {**row, "seed": str(record.seed), "agent_seed": str(record.agent_seed), "played_at": time.time()}


def _record(row: dict[str, Any]) -> GameRecord:
    del row["played_at"]
    for name in _LISTS:
        row[name] = json.loads(row[name])
    return GameRecord.model_validate(row)
