"""Results as rows of a SQLite database, written as games end; a game id counts once, whoever sends it again.

Write-ahead logging with ``synchronous=NORMAL``: what is committed survives the death of any process (``kill -9``
included) and the file stays whole even when the power fails; only then may the last commits be missing, and those
games are played again. ``FULL`` would wait for the disk at every commit: 125 a second instead of thousands.

Reading writes nothing, and works on a medium that is read-only.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pydantic import BaseModel, ValidationError
from sqlalchemy import (
    URL,
    Column,
    Connection,
    Engine,
    Executable,
    Float,
    Integer,
    MetaData,
    NullPool,
    Table,
    Text,
    create_engine,
    event,
    select,
)
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import DBAPIError

from elodrome.arena.record import GameRecord, Said, Unplayed, nonsense
from elodrome.errors import UserError
from elodrome.home import home, local

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

MISSING = "missing:"
_LISTS = ("agents", "moves", "returns", "scores")


class _Missing(BaseModel):
    """What a tournament could not do: under ``missing:ENV`` in the table ``meta``."""

    unplayed: list[Unplayed] = []
    left_out: dict[Said, Said] = {}


def default_store() -> Path:
    """The database of single matches, window games and the ladder."""
    return home() / RESULTS


class Store:
    """One database of results. A file that is not there reads as empty, and is made by the first write.

    Every method raises UserError, in one line that names the file, when the disk refuses or the file is none of ours.
    """

    def __init__(self, path: Path) -> None:
        self.path = local(Path(path))
        self._engine: Engine | None = None  # for writing
        self._reader: Engine | None = None

    def add(self, records: Iterable[GameRecord]) -> int:
        """Write games; the number of those that were not there yet."""
        rows = [_row(record) for record in records]
        if not rows:
            return 0
        with self._connect() as connection:
            fresh = insert(GAMES).on_conflict_do_nothing(index_elements=["id"])
            return connection.execute(fresh, rows).rowcount

    def ids(self) -> set[str]:
        """The ids of all games."""
        return {row["id"] for row in self._read(select(GAMES.c.id))}

    def envs(self) -> list[str]:
        """The worlds of which there are games."""
        return [row["env"] for row in self._read(select(GAMES.c.env).distinct().order_by(GAMES.c.env))]

    def games(self, env: str | None = None, prefix: str = "") -> list[GameRecord]:
        """All games, or those of one world, or those whose ids begin with ``prefix``, in the order of their ids.

        Raises UserError that names the game for a row that makes no sense.
        """
        wanted = select(GAMES).order_by(GAMES.c.id)
        if env is not None:
            wanted = wanted.where(GAMES.c.env == env)
        if prefix:
            wanted = wanted.where(GAMES.c.id >= prefix, GAMES.c.id < prefix + chr(0x10FFFF))
        return [self._record(row) for row in self._read(wanted)]

    def get(self, key: str) -> Any:
        """What was put under ``key``, or None."""
        texts = [row["value"] for row in self._read(select(META.c.value).where(META.c.key == key))]
        try:
            return json.loads(texts[0]) if texts else None
        except (ValueError, TypeError, RecursionError) as error:
            raise UserError(f"{self.path}: what it keeps under {key!r} is damaged") from error

    def put(self, key: str, value: Any) -> None:
        """Keep a JSON value, such as the configuration of the run that wrote the games."""
        row = insert(META).values(key=key, value=json.dumps(value))
        with self._connect() as connection:
            connection.execute(row.on_conflict_do_update(index_elements=["key"], set_={"value": row.excluded.value}))

    def put_missing(self, env: str, unplayed: Sequence[Unplayed], left_out: Mapping[str, str]) -> None:
        """Keep, in place of what was kept before, which games of a world could not be played, and by label why agents
        could not be seated."""
        kept = _Missing(unplayed=list(unplayed), left_out=dict(left_out))
        self.put(f"{MISSING}{env}", kept.model_dump())

    def missing(self, env: str) -> tuple[list[Unplayed], dict[str, str]]:
        """What ``put_missing`` kept of a world."""
        kept = self.get(f"{MISSING}{env}")
        try:
            found = _Missing.model_validate({} if kept is None else kept)
        except ValidationError as error:
            raise UserError(f"{self.path}: what it keeps of games of {env} that were not played is damaged") from error
        return found.unplayed, found.left_out

    def close(self) -> None:
        """Let go of the file."""
        for engine in (self._engine, self._reader):
            if engine is not None:
                engine.dispose()
        self._engine = self._reader = None

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @contextmanager
    def _connect(self) -> Iterator[Connection]:
        """A connection for writing, in one transaction that is committed at the end."""
        try:
            if self._engine is None:
                self._engine = self._open()
            with self._engine.begin() as connection:
                yield connection
        except DBAPIError as error:
            raise UserError(f"cannot write {self.path}: {_explain(str(error.orig))}") from error

    def _read(self, wanted: Executable) -> list[dict[str, Any]]:
        """The rows of a query; none where there is no file, or an empty one."""
        if self._engine is None and not self.path.exists():
            return []
        try:
            if self._engine is None and self._reader is None:
                self._reader = self._open_to_read()
            with (self._engine or self._reader or self._open()).begin() as connection:
                if not _version(connection, self.path):
                    return []
                return [dict(row) for row in connection.execute(wanted).mappings()]
        except DBAPIError as error:
            raise UserError(f"cannot read {self.path}: {_explain(str(error.orig))}") from error

    def _open_to_read(self) -> Engine:
        """An engine that changes nothing. SQLite wants to lay its log beside a database even to read it; where it
        cannot, the file is read as one that nobody changes, if it is whole without a log."""
        for mode in ("mode=rw", "immutable=1"):
            uri = f"file:{quote(str(self.path.absolute()))}?{mode}"
            engine = create_engine(
                "sqlite://", creator=partial(sqlite3.connect, uri, uri=True, timeout=BUSY_SECONDS), poolclass=NullPool
            )
            try:
                with engine.begin() as connection:
                    connection.exec_driver_sql("SELECT count(*) FROM sqlite_master")
                return engine
            except DBAPIError as error:
                log = self.path.with_name(self.path.name + "-wal")
                if mode != "mode=rw" or not _unwritable(str(error.orig)) or (log.exists() and log.stat().st_size):
                    raise
        raise AssertionError("unreachable")

    def _open(self) -> Engine:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"cannot make the folder {self.path.parent}: {error.strerror}") from error
        engine = create_engine(URL.create("sqlite", database=str(self.path)), connect_args={"timeout": BUSY_SECONDS})
        event.listen(engine, "connect", _set_up)
        with engine.begin() as connection:
            _version(connection, self.path)
        with engine.connect() as connection:  # one writer makes the tables, the others wait and find them
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            _TABLES.create_all(connection)
            connection.exec_driver_sql(f"PRAGMA user_version = {VERSION}")
            connection.commit()
        return engine

    def _record(self, row: dict[str, Any]) -> GameRecord:
        """A row as a record. Raises UserError, which names file and game, when it makes no sense."""
        where = f"{self.path}: game {str(row['id'])[:200]!r}"
        del row["played_at"]
        try:
            for name in _LISTS:
                row[name] = json.loads(row[name])
            record = GameRecord.model_validate(row)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"][:1])
            raise UserError(f"{where} is damaged: {place}: {first['msg'].lower()}") from error
        except (ValueError, TypeError, RecursionError) as error:
            raise UserError(f"{where} is damaged: {name} is not a list in JSON") from error
        trouble = nonsense(record)
        if trouble:
            raise UserError(f"{where} is damaged: {trouble}"[:500])
        return record


def _version(connection: Connection, path: Path) -> int:
    """The version of the tables, 0 for an empty file. Raises UserError for a file of another version or program."""
    version = int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())
    strangers = not version and connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar_one()
    if strangers or version not in (0, VERSION):
        kind = f"results of version {version}, not {VERSION}" if version else "a database of something else"
        raise UserError(f"{path} holds {kind}; choose another file")
    return version


def _set_up(connection: sqlite3.Connection, _: object) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")


def _unwritable(message: str) -> bool:
    """Whether SQLite could not write, or make, a file beside the database."""
    return "readonly" in message or "unable to open" in message


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
    row["reason"] = record.reason.encode("utf-8", "backslashreplace").decode()  # lone surrogates are no text for SQLite
    return {**row, "seed": str(record.seed), "agent_seed": str(record.agent_seed), "played_at": time.time()}
