"""External engines: fakes that crash, sleep, flood, garble, cheat and cling to life cost one game and nothing else."""

import os
import re
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from elodrome import make_agent, make_env, play_match
from elodrome.agents.agent import Agent, Position
from elodrome.agents.parts.gtp import COLUMNS, Engine, EngineFailure, Refused, action_of, program, vertex
from elodrome.agents.specs import parse_spec, split_specs
from elodrome.errors import UserError

GNUGO = shutil.which("gnugo", path=os.environ["PATH"] + ":/usr/games")
needs_gnugo = pytest.mark.skipif(GNUGO is None, reason="GNU Go is missing; it is Debian's package gnugo")

# Plays the first free point, row by row from the top left; misbehaves at its second genmove as argv[1] says.
FAKE = r"""
import os, signal, subprocess, sys, time
kind, folder = sys.argv[1], sys.argv[2]
out = sys.stdout
size, asked, board, log = 0, 0, set(), open(f"{folder}/log", "a")
if kind == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-I", "-S", "-c", child])
    print(process.pid, file=open(f"{folder}/child", "w"))
def say(text):
    out.write(text)
    out.flush()
for line in sys.stdin:
    number, command, *rest = line.split()
    log.write(" ".join([command, *rest]) + "\n")
    log.flush()
    answer = ""
    if command == "boardsize":
        size = int(rest[0])
        if kind == "small" and size > 5:
            say(f"?{number} unacceptable size\n\n")
            continue
    elif command == "komi" and kind == "proud":
        say(f"?{number} no komi for me\n\n")
        continue
    elif command == "clear_board":
        asked, board = 0, set()
    elif command == "play":
        board.add(rest[1].upper())
    elif command == "final_score":
        answer = "B+99"
    elif command == "genmove":
        asked += 1
        if asked == 2:
            if kind == "crasher":
                sys.stderr.write("out of ideas\n")
                os._exit(3)
            elif kind == "segfault":
                os.kill(os.getpid(), signal.SIGSEGV)
            elif kind in ("sleeper", "stubborn"):
                time.sleep(60)
            elif kind == "half":
                say(f"={number} A")
                time.sleep(60)
            elif kind == "flooder":
                while True:
                    say("x" * 4096)
            elif kind == "chatty":
                while True:
                    sys.stderr.write("thinking " * 500)
            elif kind == "garbler":
                say("\x00\xff\u0144onsense\n\n")
                continue
            elif kind == "stale":
                say(f"={int(number) - 1} A1\n\n")
                continue
            elif kind == "talker":
                say(f"={number} pass\n\nand another thing\n\n")
                continue
            elif kind == "illegal":
                say(f"={number} {sorted(board)[0]}\n\n")
                continue
            elif kind == "outside":
                say(f"={number} Z42\n\n")
                continue
            elif kind == "resigner":
                say(f"={number} resign\n\n")
                continue
            elif kind == "refuser":
                say(f"?{number} not in the mood\n\n")
                continue
            elif kind == "eater":
                hoard = bytearray(1 << 30)
        if kind == "deaf" and asked == 2:
            os.close(1)
            time.sleep(60)
        points = [f"{'ABCDEFGHJ'[c]}{size - r}" for r in range(size) for c in range(size)]
        answer = "pass" if kind == "passer" else next((p for p in points if p not in board), "pass")
        board.add(answer)
    say(f"={number} {answer}\n\n")
"""


class Backwards(Agent):
    """The last legal point, or a pass."""

    def choose(self, position: Position) -> int:
        legal = position.legal_actions
        return int(legal[-2] if len(legal) > 1 else legal[-1])


class Passing(Agent):
    def choose(self, position: Position) -> int:
        return len(position.legal) - 1


@pytest.fixture
def fake(tmp_path: Path):
    file = tmp_path / "fake.py"
    file.write_text(FAKE)
    return lambda kind, settings="": f"gtp:{settings}{sys.executable} -I -S {file} {kind} {tmp_path}"


def alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def gone(pid: int) -> bool:
    for _ in range(100):
        if not alive(pid):
            return True
        time.sleep(0.02)
    return False


def against(spec: str, other: Agent | str = "random", games: int = 2, env: str = "go:size=5"):
    return play_match(env, spec, other, games=games).records


# The spec


def test_a_spec_takes_a_command_line_as_it_is() -> None:
    kind, options = parse_spec("gtp:gnugo --mode gtp --level=3 -c 'a:b, c=d'")
    assert kind.id == "gtp"
    assert options == {"command": "gnugo --mode gtp --level=3 -c 'a:b, c=d'"}
    assert parse_spec("gtp:seconds=2.5,memory=64:engine x=y:z")[1] == {
        "seconds": 2.5,
        "memory": 64,
        "command": "engine x=y:z",
    }
    assert program("sh -c 'a b'")[1:] == ["-c", "a b"]


def test_specs_with_commands_are_split_outside_of_them() -> None:
    specs = (
        "random",
        "gtp:seconds=2,memory=64:gnugo --mode gtp -x 'a,b'",
        "mcts:simulations=5,rollouts=2",
        "gtp:e --k=v",
    )
    assert split_specs(",".join(specs)) == specs


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("gtp", "no command"),
        ("gtp:", "no command"),
        ("gtp:gnugoo --mode gtp", "'gnugoo' is not on this machine"),
        ("gtp:engine 'a", "No closing quotation"),
        ("gtp:secnds=2:sh", "no option 'secnds'; did you mean 'seconds'"),
        ("gtp:seconds=-1:sh", "greater than 0"),
        ("gtp:false", "exited with code 1 at 'list_commands'"),
    ],
)
def test_what_cannot_be_seated_is_said_before_the_first_game(spec: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        make_agent(spec, make_env("go:size=5"))


def test_a_missing_program_comes_with_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("elodrome.agents.parts.gtp._GAMES", ())
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UserError, match=r"gnugo.*Debian's package gnugo"):
        make_agent("gtp:gnugo --mode gtp", make_env("go:size=5"))


def test_another_world_is_refused(fake) -> None:
    with pytest.raises(UserError, match="plays only go"):
        make_agent(fake("good"), make_env("connect_four"))


def test_a_refused_size_or_komi_is_the_reason(fake) -> None:
    assert make_agent(fake("small"), make_env("go:size=5"))
    with pytest.raises(UserError, match="refuses 'boardsize 7': unacceptable size"):
        make_agent(fake("small"), make_env("go:size=7"))
    with pytest.raises(UserError, match=r"refuses 'komi 24\.5': no komi for me"):
        make_agent(fake("proud"), make_env("go:size=5"))


# Points


def test_points_by_hand() -> None:
    assert [vertex(a, 9) for a in (0, 8, 72, 80, 81)] == ["A9", "J9", "A1", "J1", "pass"]
    assert vertex(19 * 15 + 3, 19) == "D4"
    assert [action_of(v, 19) for v in ("q16", "PASS", "T1")] == [19 * 3 + 15, 361, 360]
    assert "I" not in COLUMNS


@pytest.mark.parametrize("text", ["I3", "A0", "A6", "F1", "", "A", "5A", "A05", "é1", "A1 B2"])
def test_no_point(text: str) -> None:
    with pytest.raises(ValueError, match="no point"):
        action_of(text, 5)


# Games


def test_the_engine_is_told_what_was_played(fake, tmp_path: Path) -> None:
    """The fake fills the board from the top left, the other from the bottom right: the log is known in advance."""
    records = against(fake("good"), Backwards(make_env("go:size=3")), games=1, env="go:size=3")
    told = (tmp_path / "log").read_text().split("\n")[3:]
    assert told[:6] == [
        "clear_board", "clear_board", "genmove black", "play white C1", "genmove black", "play white B1",
    ]  # fmt: skip
    assert records[0].moves[0][:4] == (0, 8, 1, 7)


def test_a_pass_is_told(fake, tmp_path: Path) -> None:
    against(fake("good"), Passing(make_env("go:size=3")), games=1, env="go:size=3")
    assert "genmove black\nplay white pass\ngenmove black\n" in (tmp_path / "log").read_text()


def test_the_arena_decides_the_score_and_a_disagreement_is_remarked(fake) -> None:
    records = against(fake("passer"), Passing(make_env("go:size=3")), env="go:size=3")
    assert [r.moves[0] for r in records] == [(9, 9), (9, 9)]
    assert {r.termination for r in records} == {"win"}
    assert all(r.scores == (0.0, 1.0) for r in records)  # by komi
    assert {r.reason.rpartition("' ")[2] for r in records} == {"scores the game B+99"}


@pytest.mark.parametrize(
    ("kind", "termination", "words"),
    [
        ("crasher", "crash", "exited with code 3 at 'genmove .*': out of ideas"),
        ("segfault", "crash", "was killed by SIGSEGV"),
        ("flooder", "crash", "more than 65536 bytes"),
        ("garbler", "crash", "not GTP"),
        ("stale", "crash", "not GTP"),
        ("talker", "crash", "'and another thing"),
        ("deaf", "crash", "closed its output"),
        ("eater", "crash", "MemoryError"),
        ("outside", "crash", "'Z42' is no point"),
        ("refuser", "crash", "refused: not in the mood"),
        ("sleeper", "time-out", "no answer to 'genmove .*' within 0.4 s"),
        ("half", "time-out", "only '=.* A'"),
        ("chatty", "time-out", "within 0.4 s"),
        ("illegal", "illegal", "not legal there"),
    ],
)
def test_each_fault_loses_its_game_and_the_next_is_played(fake, kind: str, termination: str, words: str) -> None:
    seconds = 0.4 if termination == "time-out" else 30
    records = against(fake(kind, f"seconds={seconds},memory=200,processes=1:"), Backwards(make_env("go:size=5")))
    assert [r.termination for r in records] == [termination] * 2
    for game, record in enumerate(records):
        assert record.culprit == game
        assert record.scores[game] == 0.0
        assert len(record.moves[0]) >= 2  # the second move of each was the one that failed
        assert re.search(words, record.reason), record.reason


def test_a_resignation_ends_the_game_as_a_loss(fake) -> None:
    records = against(fake("resigner"), Backwards(make_env("go:size=5")))
    assert [(r.termination, r.reason, r.culprit) for r in records] == [
        ("resign", "Black resigned", None),
        ("resign", "White resigned", None),
    ]
    assert [r.scores for r in records] == [(0.0, 1.0), (1.0, 0.0)]
    assert [r.returns for r in records] == [(-1.0, 1.0), (1.0, -1.0)]


def test_the_whole_group_ends_though_it_ignores_sigterm(fake, tmp_path: Path) -> None:
    agent = make_agent(fake("stubborn", "seconds=0.3:"), make_env("go:size=5"))
    child = int((tmp_path / "child").read_text())
    engine = agent._idle[0]  # type: ignore[attr-defined]
    assert alive(child)
    start = time.monotonic()
    engine.close()
    assert not engine.alive
    assert not alive(engine._program.pid)
    assert gone(child)
    assert time.monotonic() - start < 5


def test_an_agent_that_is_dropped_leaves_no_process(fake, tmp_path: Path) -> None:
    agent = make_agent(fake("stubborn"), make_env("go:size=5"))
    engine_pid = agent._idle[0]._program.pid  # type: ignore[attr-defined]
    del agent
    assert gone(engine_pid)
    assert gone(int((tmp_path / "child").read_text()))


def test_processes_serve_one_game_after_another(fake, tmp_path: Path) -> None:
    against(fake("good", "processes=2:"), games=6)
    commands = (tmp_path / "log").read_text().split("\n")
    assert commands.count("boardsize 5") <= 2
    assert commands.count("clear_board") >= 6


def test_more_games_than_processes_are_set_up_again(fake) -> None:
    """With one process for three games at once, every answer is still the first free point (until the first capture,
    of which the fake knows nothing)."""
    world = make_env("go:size=5")
    agent = make_agent(fake("good", "processes=1:"), world)
    agent.lanes = 3
    records = play_match(world, agent, Backwards(world), games=3).records
    assert all(len(r.moves[0]) > 9 for r in records)
    alone = against(fake("good", "processes=1:"), Backwards(world), games=3)
    assert [r.moves[0][:24] for r in records] == [r.moves[0][:24] for r in alone]


def test_an_opening_is_set_up_stone_by_stone(fake, tmp_path: Path) -> None:
    record = play_match("go:size=5", fake("good"), "random", games=1, opening=6).records[0]
    board = {int(a) for a in record.moves[0][:6] if a < 25}
    told = (tmp_path / "log").read_text().partition("genmove")[0].split("\n")
    played = {action_of(line.split()[2], 5) for line in told if line.startswith("play")}
    assert played <= board
    assert len(played) >= len(board) - 2  # unless something was captured


def test_refusals_leave_the_engine_alive() -> None:
    engine = Engine(["/bin/sh", "-c", 'while read n c; do echo "?$n no $c"; echo; done'])
    for word in ("a", "b"):
        with pytest.raises(Refused, match=f"no {word}"):
            engine.ask(word, 5)
    engine.close()
    with pytest.raises(EngineFailure, match="ended"):
        engine.ask("c", 5)


@needs_gnugo
def test_gnu_go_beats_random_on_every_count() -> None:
    spec = "gtp:gnugo --mode gtp --level 1 --chinese-rules --capture-all-dead"
    result = play_match("go:size=5,komi=0.5", spec, "random", games=2, opening=2)
    assert result.tally()["wins"] == 2
    assert {r.termination for r in result.records} <= {"win", "resign"}
    again = play_match("go:size=5,komi=0.5", spec, "random", games=2, opening=2)
    assert [r.moves for r in result.records] == [r.moves for r in again.records]


@needs_gnugo
def test_gnu_go_sees_the_same_board() -> None:
    """After each game's random moves, GNU Go's board (list_stones) is ours."""
    world = make_env("go:size=5")
    table = world.table(1)
    row = np.zeros(1, np.int64)
    engine = Engine([str(GNUGO), "--mode", "gtp"])
    engine.ask("boardsize 5", 5)
    rng = np.random.default_rng(3)
    for game in range(4):
        table.reset(row, np.array([game], np.uint64))
        engine.ask("clear_board", 5)
        while table.seats[0] >= 0:
            seat = int(table.seats[0])
            action = int(rng.choice(np.flatnonzero(table.legal(row)[0])))
            table.step(row, np.array([action]))
            engine.ask(f"play {'bw'[seat]} {vertex(action, 5)}", 5)
        cells = world.look.cells(table.states(row)[0])  # type: ignore[attr-defined]
        for seat, colour in enumerate(("black", "white")):
            theirs = {action_of(v, 5) for v in engine.ask(f"list_stones {colour}", 5).split()}
            assert theirs == set(np.flatnonzero(cells == seat + 1).tolist())
    engine.close()
