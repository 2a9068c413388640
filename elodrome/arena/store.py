"""Results: one row per finished game in an SQLite file, written as games end, idempotent by game id.

Write-ahead logging with synchronous=NORMAL: after a kill -9 the database is whole and at most the commits of the last
instant are missing; a tournament plays those games again and the ids keep them from counting twice. (FULL would
survive a power cut too, at a hundredth of the commits per second.)
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Column, Connection, MetaData, String, Table, Text, create_engine, event, select
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import DatabaseError

from elodrome.arena.record import GameRecord
from elodrome.errors import UserError
from elodrome.home import home

_metadata = MetaData()
# What is asked for stands in columns of its own; the record as a whole is JSON.
_games = Table(
    "games",
    _metadata,
    Column("id", String, primary_key=True),
    Column("env", String, nullable=False, index=True),
    Column("agents", Text, nullable=False),
    Column("termination", String, nullable=False),
    Column("record", Text, nullable=False),
)
_settings = Table("settings", _metadata, Column("key", String, primary_key=True), Column("value", Text, nullable=False))


def default_store() -> Path:
    """Where ``elodrome match`` and ``elodrome play`` keep results, and ``elodrome ladder`` reads them."""
    return home() / "results.sqlite"


class Store:
    """One results file. Several processes may write to it at once.

    Raises UserError, with the file's name, when it cannot be opened or written, or is no results file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"cannot write {path.parent}: {error.strerror}") from error
        self._engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": 30})

        @event.listens_for(self._engine, "connect")
        def _configure(connection: Any, _: Any) -> None:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")

        with self._connection() as connection:
            _metadata.create_all(connection)

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except DatabaseError as error:
            raise UserError(f"{self.path}: {error.orig}") from error

    def close(self) -> None:
        """Close the file."""
        self._engine.dispose()

    def add(self, records: Iterable[GameRecord]) -> int:
        """Keep records in one transaction; those whose id is already there are left as they are. How many were new."""
        rows = [
            {
                "id": r.id,
                "env": r.env,
                "agents": json.dumps(r.agents),
                "termination": r.termination,
                "record": r.model_dump_json(),
            }
            for r in records
        ]
        if not rows:
            return 0
        with self._connection() as connection:
            before = connection.exec_driver_sql("SELECT total_changes()").scalar_one()
            connection.execute(insert(_games).on_conflict_do_nothing(), rows)
            return int(connection.exec_driver_sql("SELECT total_changes()").scalar_one() - before)

    def ids(self) -> set[str]:
        """The ids of all games."""
        with self._connection() as connection:
            return set(connection.execute(select(_games.c.id)).scalars())

    def games(self, env: str | None = None) -> list[GameRecord]:
        """All games, or those of one world, ordered by id."""
        query = select(_games.c.record).order_by(_games.c.id)
        if env is not None:
            query = query.where(_games.c.env == env)
        with self._connection() as connection:
            return [GameRecord.model_validate_json(text) for text in connection.execute(query).scalars()]

    def envs(self) -> list[str]:
        """The worlds that there are games of."""
        with self._connection() as connection:
            return list(connection.execute(select(_games.c.env).distinct().order_by(_games.c.env)).scalars())

    def get(self, key: str) -> Any:
        """A setting, or None."""
        with self._connection() as connection:
            text = connection.execute(select(_settings.c.value).where(_settings.c.key == key)).scalar()
        return None if text is None else json.loads(text)

    def put(self, key: str, value: Any) -> None:
        """Keep a setting as JSON."""
        row = {"key": key, "value": json.dumps(value)}
        statement = insert(_settings).values(row)
        with self._connection() as connection:
            connection.execute(statement.on_conflict_do_update(index_elements=["key"], set_={"value": row["value"]}))


def read_store(path: Path) -> Store:
    """A results file that must be there already. Raises UserError when it is not."""
    file = path / "results.sqlite" if path.is_dir() else path
    if not file.is_file():
        raise UserError(f"{file}: no results there yet; play a match or a tournament first")
    return Store(file)


def labels(records: Sequence[GameRecord]) -> list[str]:
    """All agents of the records, in order of first appearance."""
    return list(dict.fromkeys(label for record in records for label in record.agents))
