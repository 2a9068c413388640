"""The results database: idempotent, shared by writers, whole after kill -9, clear about what a disk refuses."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import event

from elodrome.arena.match import play_match
from elodrome.arena.record import GameRecord
from elodrome.arena.store import Store, default_store
from elodrome.errors import UserError


def record(id: str, **changes: object) -> GameRecord:
    fields = {
        "id": id,
        "env": "tic_tac_toe",
        "agents": ("a", "b"),
        "seed": 2**64 - 1,
        "agent_seed": 2**63,
        "opening": 1,
        "moves": ((0, 1, 2),),
        "returns": (0.1, -0.1),
        "scores": (1.0, 0.0),
        "termination": "win",
    }
    return GameRecord.model_validate({**fields, **changes})


def test_what_goes_in_comes_out(tmp_path: Path) -> None:
    games = play_match("tic_tac_toe", "random", "random", 6).records
    odd = record("x", termination="crash", culprit=1, reason="ValueError: Ω 'quoted'\nline", returns=(1 / 3, -1e-300))
    void = record("y", termination="void", scores=(), env="connect_four")
    store = Store(tmp_path / "deep" / "er" / "r.sqlite")
    assert store.add([*games, odd, void]) == 8
    assert Store(store.path).games() == sorted([*games, odd, void], key=lambda r: r.id)
    assert store.games(env="connect_four") == [void]
    assert store.envs() == ["connect_four", "tic_tac_toe"]


def test_a_game_id_counts_once(tmp_path: Path) -> None:
    store = Store(tmp_path / "r.sqlite")
    assert store.add([record("1"), record("1"), record("2")]) == 2
    assert store.add([record("2", scores=(0.0, 1.0)), record("3")]) == 1
    assert store.ids() == {"1", "2", "3"}
    assert [r.scores for r in store.games()] == [(1.0, 0.0)] * 3


def test_values_are_kept_under_keys(tmp_path: Path) -> None:
    store = Store(tmp_path / "r.sqlite")
    assert store.get("config") is None
    store.put("config", {"games": 3})
    store.put("config", {"games": 4, "agents": ["a"]})
    assert Store(store.path).get("config") == {"games": 4, "agents": ["a"]}


def test_reading_makes_no_file(tmp_path: Path, own_home: Path) -> None:
    store = Store(default_store())
    assert (store.ids(), store.games(), store.envs(), store.get("x")) == (set(), [], [], None)
    assert default_store() == own_home / "results.sqlite"
    assert not own_home.exists()


def test_what_is_no_database_of_results_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("hello " * 1000)
    with pytest.raises(UserError, match=r"notes.txt.*not a database of results"):
        Store(text).ids()
    assert text.read_text() == "hello " * 1000
    foreign = tmp_path / "other.sqlite"
    with sqlite3.connect(foreign) as connection:
        connection.execute("CREATE TABLE games (something TEXT)")
    connection.close()
    with pytest.raises(UserError, match="something else"):
        Store(foreign).add([record("1")])
    later = tmp_path / "later.sqlite"
    with sqlite3.connect(later) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(UserError, match="version 99, not 1"):
        Store(later).games()


def test_a_path_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot make the folder") as caught:
        Store(tmp_path / "file" / "r.sqlite").add([record("1")])
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match=r"cannot write .*: the folder cannot be written, or the path is a folder"):
        Store(tmp_path).add([record("1")])


def _pragma(store: Store, text: str) -> None:
    """Set up the store, then reopen it with a pragma on every connection."""
    store.add([record("before")])
    assert store._engine is not None
    event.listen(store._engine, "connect", lambda connection, _: connection.execute(text))
    store._engine.dispose()


def test_a_full_disk_loses_nothing_that_was_written(tmp_path: Path) -> None:
    store = Store(tmp_path / "r.sqlite")
    _pragma(store, "PRAGMA max_page_count = 1")  # SQLite then answers as on a full disk
    with pytest.raises(UserError, match="disk is full"):
        store.add([record(str(i), reason="x" * 4000) for i in range(200)])
    store.close()
    assert Store(store.path).ids() == {"before"}
    assert _integrity(store.path) == "ok"


def test_a_read_only_database_says_so(tmp_path: Path) -> None:
    store = Store(tmp_path / "r.sqlite")
    _pragma(store, "PRAGMA query_only = 1")
    with pytest.raises(UserError, match="read-only"):
        store.add([record("1")])
    assert store.ids() == {"before"}


def _integrity(path: Path) -> str:
    connection = sqlite3.connect(path)
    try:
        answer: str = connection.execute("PRAGMA integrity_check").fetchone()[0]
        return answer
    finally:
        connection.close()


WRITER = """
import sys
from pathlib import Path
from elodrome.arena.record import GameRecord
from elodrome.arena.store import Store
store = Store(Path(sys.argv[1]))
for i in range(10**6):
    id = f"{sys.argv[2]}:{i}"
    store.add([GameRecord(id=id, env="e", agents=("a", "b"), seed=i, agent_seed=i, opening=0, moves=((1,) * 50,),
                          returns=(0.0, 0.0), scores=(0.5, 0.5), termination="draw")])
    print(id, flush=True)
"""


def test_two_writers_killed_in_mid_commit_lose_no_acknowledged_game(tmp_path: Path) -> None:
    path = tmp_path / "r.sqlite"
    logs = [(tmp_path / name).open("wb") for name in "ab"]
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), log.name[-1]], stdout=log, stderr=subprocess.PIPE)
        for log in logs
    ]
    deadline = time.monotonic() + 60
    while any(Path(log.name).stat().st_size < 2000 for log in logs) and time.monotonic() < deadline:
        assert all(writer.poll() is None for writer in writers), [w.communicate()[1] for w in writers]
        time.sleep(0.02)
    for writer, log in zip(writers, logs, strict=True):
        os.kill(writer.pid, signal.SIGKILL)
        writer.communicate()
        log.close()
    acknowledged = {line for log in logs for line in Path(log.name).read_text().split("\n")[:-1]}
    assert len(acknowledged) > 300
    assert _integrity(path) == "ok"
    kept = Store(path).ids()
    assert acknowledged <= kept
    assert len(kept) <= len(acknowledged) + 2  # at most the one that each was about to report


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("scores", "[1.0]", "1 scores for 2 agents"),
        ("scores", "[]", "0 scores for 2 agents"),
        ("scores", "[7.0,0.0]", "not all from 0 to 1"),
        ("culprit", 2, "culprit 2 is no seat of 2"),
        ("culprit", "x", "culprit: input should be a valid integer"),
        ("agents", '["a"]', "2 returns for 1 agents"),
        ("agents", "[]", "no agents"),
        ("moves", "[[0,-1]]", "a move that is no action"),
        ("moves", "[[0],[1],[2]]", "3 lists of moves for 2 agents"),
        ("moves", "[" * 100_000, "moves is not a list in JSON"),
        ("moves", "[[99999999999999999999999999]]", "a move that is no action"),
        ("returns", "[NaN,0.0]", "not all finite"),
        ("returns", "[1e400,0.0]", "not all finite"),
        ("returns", "null", "returns: input should be a valid tuple"),
        ("termination", "tea", "termination: input should be 'win'"),
        ("opening", -1, "opening -1 is no number of plies"),
        ("seed", str(10**40), "a seed that does not have 64 bits"),
        ("seed", "1" * 5000, "seed: "),
    ],
)
def test_a_row_that_makes_no_sense_is_refused_in_one_line(
    tmp_path: Path, elodrome: Callable[..., tuple[int, str, str]], column: str, value: object, message: str
) -> None:
    file = tmp_path / "r.sqlite"
    with Store(file) as store:
        store.add([record("fine"), record("odd")])
    connection = sqlite3.connect(file)
    with connection:
        connection.execute(f"UPDATE games SET {column} = ? WHERE id = 'odd'", (value,))
    connection.close()
    code, out, err = elodrome("ladder", "--from", file)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert f"{file}: game 'odd' is damaged" in err
    assert message in err


def test_a_reason_that_is_no_text_is_kept(tmp_path: Path) -> None:
    store = Store(tmp_path / "r.sqlite")
    store.add([record("1", reason="lone \ud800")])
    assert store.games()[0].reason == "lone \\ud800"
