"""Agents in cells (FAULTS 13-16, 19, 21-23, 42, 47): each mischief costs its game, with the reason; nothing else."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from elodrome import make_env, play_match
from elodrome.agents.agent import Positions
from elodrome.agents.isolation.isolated import Isolated, Isolation, foreign, seat_agent
from elodrome.agents.isolation.keeper import Limits
from elodrome.errors import UserError

FILE = Path(__file__).with_name("rogues.py")
WORLD = make_env("tic_tac_toe")
GAMES = 8
QUICK = Isolation(limits=Limits(seconds=2.0, memory=1024))
OPEN = Isolation(isolate=False)


def spec(name: str) -> str:
    return f"{FILE}:{name}"


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.fixture
def pids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Numbers of processes that rogues leave behind."""
    file = tmp_path / "pids"
    file.touch()
    monkeypatch.setenv("ROGUES", str(file))
    return lambda: [int(line) for line in file.read_text().split()]


FAULTS = {
    "Loop": ("time-out", r"no answer within 2 s \(rogues\.py, line \d+, in mischief\)"),
    "Sleep": ("time-out", r"no answer within 2 s \(rogues\.py, line \d+, in mischief\)"),
    "Lock": ("time-out", r"no answer within 2 s \(rogues\.py, line \d+, in mischief\)"),
    "Segfault": ("crash", r"was killed by SIGSEGV \(rogues\.py, line \d+, in mischief\)"),
    "Exit": ("crash", r"exited with code 3"),
    "SysExit": ("crash", r"SystemExit: enough \(rogues\.py, line \d+\)"),
    "Eater": ("crash", r"MemoryError: .* \(rogues\.py, line \d+\)"),
    "Taker": ("crash", r"MemoryError: .* \(rogues\.py, line \d+\)"),
    "Nibbler": ("crash", r"used more than 1024 MiB of memory"),
    "Crowd": ("crash", r"started more than 64 processes"),
    "Flood": ("crash", r"printed more than 16 MiB \(rogues\.py, line \d+, in mischief\)"),
    "Unspeakable": ("crash", r"Silent: \(its message cannot be shown\) \(rogues\.py, line \d+\)"),
    "Odd": ("illegal", r"answered 'e4' \(str\), not an action"),
    "Huge": ("illegal", r"answered a number of more than 62 bits, not an action"),
    "Hanging": ("time-out", r"no answer within 2 s \(rogues\.py, line \d+, in act\)"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_each_mischief_costs_its_game_and_the_others_are_played(name: str) -> None:
    kind, words = FAULTS[name]
    greedy = name in ("Eater", "Taker", "Nibbler", "Crowd", "Flood")  # they need time for their mischief
    limits = Limits(seconds=30.0 if greedy else 2.0, memory=8192 if name == "Crowd" else 1024)
    result = play_match("tic_tac_toe", spec(name), "random", GAMES, isolation=Isolation(limits=limits))
    troubled = [index for index, record in enumerate(result.records) if record.culprit is not None]
    assert troubled == [1]
    record = result.records[1]
    assert record.termination == kind
    assert record.agents[record.culprit or 0] == spec(name)
    assert re.fullmatch(words, record.reason), record.reason
    if name not in ("Odd", "Huge", "Hanging"):  # the rest went as without the mischief
        fair = play_match("tic_tac_toe", spec("Fair"), "random", GAMES, isolation=QUICK)
        assert [r.moves for r in result.records[2:]] == [r.moves for r in fair.records[2:]]


@pytest.mark.parametrize("name", ["Bomb", "Deaf"])
def test_all_that_it_started_ends_with_it(name: str, pids) -> None:
    result = play_match("tic_tac_toe", spec(name), "random", GAMES, isolation=QUICK)
    assert [r.termination for r in result.records].count("time-out") == 1
    assert len(pids()) == (51 if name == "Bomb" else 2)
    assert not [pid for pid in pids() if alive(pid)]


def test_a_child_that_answers_in_its_place_is_not_heard() -> None:
    twins, fair = (play_match("tic_tac_toe", spec(n), "random", GAMES, isolation=QUICK) for n in ("Twins", "Fair"))
    assert [r.moves for r in twins.records] == [r.moves for r in fair.records]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Garbler", "a header of 4294967295 bytes"),
        ("Babbler", "no header: UnicodeDecodeError"),
        ("Boaster", r"an array of type 'float64', shape \(1099511627776,\)"),
        ("Namer", r"an array of type 'object', shape \(1,\)"),
    ],
)
def test_what_it_sends_in_place_of_an_answer_is_read_with_bounds(name: str, words: str) -> None:
    record = play_match("tic_tac_toe", spec(name), "random", GAMES, isolation=QUICK).records[1]
    assert record.termination == "crash"
    assert re.fullmatch(f"sent what is no answer: {words}", record.reason), record.reason


def test_it_reaches_nothing_that_is_shared() -> None:
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    result = play_match("tic_tac_toe", spec("Saboteur"), "random", GAMES, isolation=QUICK)
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002
    assert {r.termination for r in result.records} <= {"win", "draw"}


@pytest.mark.parametrize("name", ["Fair", "FairBatch", "Rememberer", "Elephant"])
@pytest.mark.parametrize("env", ["tic_tac_toe", "cliff_walking", "rock_paper_scissors:rounds=3", "token_mdp"])
def test_the_games_are_the_same_in_a_cell_and_outside(name: str, env: str) -> None:
    inside, outside = (play_match(env, spec(name), "random", 6, seed=3, isolation=i) for i in (QUICK, OPEN))
    assert inside.records == outside.records


def test_a_foreign_world_is_made_again_in_the_cell() -> None:
    for env in ("gymnasium:FrozenLake-v1", "gridworld:map=maze,slip=0.1", "go:size=3"):
        inside, outside = (play_match(env, spec("Worldly"), "random", 2, isolation=i) for i in (QUICK, OPEN))
        assert inside.records == outside.records


def test_an_agent_that_never_answers_is_not_asked_for_ever() -> None:
    result = play_match("tic_tac_toe", spec("Hopeless"), "random", 64, isolation=QUICK)
    assert {r.termination for r in result.records} == {"crash"}
    reasons = {r.reason for r in result.records}
    assert "exited with code 1" in reasons
    assert any(r.startswith("not asked again after 8 failures in a row") for r in reasons)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Stubborn", r"does not load: no answer within 2 s \(rogues\.py, line \d+, in __init__\)"),
        ("Quitter", r"fails to load: SystemExit: 0 \(rogues\.py, line \d+\)"),
        ("Nobody", "unknown name 'Nobody'"),
        ("Configured:strenth=2", "has no option 'strenth'; did you mean 'strength'"),
    ],
)
def test_what_does_not_load_is_named_before_the_first_game(name: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        Isolated(spec(name), WORLD, Limits(load=2.0 if name == "Stubborn" else 60.0))


def test_one_that_is_not_repeatable_is_named() -> None:
    result = play_match("tic_tac_toe", spec("Counter"), "random", GAMES, isolation=QUICK)
    assert [r.partition(" is not repeatable")[0] for r in result.summary()["unrepeatable"]] == [spec("Counter")]
    assert "unrepeatable" not in play_match("tic_tac_toe", spec("Fair"), "random", GAMES, isolation=QUICK).summary()


def test_who_lives_in_a_cell() -> None:
    assert foreign(spec("Fair"), WORLD)
    assert not foreign("minimax", WORLD)
    assert isinstance(seat_agent(spec("Fair"), WORLD), Isolated)
    assert not isinstance(seat_agent(spec("Fair"), WORLD, OPEN), Isolated)
    assert not isinstance(seat_agent("random", WORLD), Isolated)
    ours = seat_agent("minimax", WORLD, Isolation(isolate=True))
    assert isinstance(ours, Isolated)
    given = Positions.at(_opened(), np.zeros(1, np.int64), np.ones(1, np.uint64))
    thought, plain = ours.evaluate(given), seat_agent("minimax", WORLD).evaluate(given)
    assert thought is not None
    assert plain is not None
    assert (thought.policy == plain.policy).all()
    assert (thought.value == plain.value).all()


def _opened():
    table = WORLD.table(1)
    table.reset(np.zeros(1, np.int64), np.ones(1, np.uint64))
    return table


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("seconds=0", "seconds=0"),
        ("second=1", "no option 'second'; did you mean 'seconds'"),
        ("seconds=NaN", "seconds: NaN is no finite number"),
        ("memory=1.5", "memory=1.5"),
    ],
)
def test_bad_limits_are_one_line(text: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        Isolation.parse(None, text)


def test_a_spec_sets_limits_of_its_own() -> None:
    """Before those of --limits; the agent's own settings stay its own."""
    given = Isolation(limits=Limits(seconds=7.0, load=30.0))
    agent = seat_agent(spec("Configured:limit_memory=512,strength=2,limit_seconds=0.5"), WORLD, given)
    assert isinstance(agent, Isolated)
    assert (agent.spec, agent.limits) == (spec("Configured:strength=2"), Limits(seconds=0.5, load=30.0, memory=512))
    result = play_match("tic_tac_toe", spec("Asleep:limit_seconds=0.5"), "random", 2)
    reasons = {record.reason for record in result.records}
    assert all(re.fullmatch(r"no answer within 0\.5 s \(rogues\.py, line \d+, in choose\)", r) for r in reasons), (
        reasons
    )
    with pytest.raises(UserError, match="no limit_secs; did you mean 'limit_seconds'"):
        seat_agent(spec("Fair:limit_secs=1"), WORLD)
    with pytest.raises(UserError, match="memory=1"):
        seat_agent(spec("Fair:limit_memory=1"), WORLD)


def test_one_of_ours_that_is_given_limits_lives_in_a_cell_unless_nobody_does() -> None:
    assert isinstance(seat_agent("random:limit_seconds=1", WORLD), Isolated)
    assert not isinstance(seat_agent("random:limit_seconds=1", WORLD, OPEN), Isolated)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Vanishing", "- the check ends here: exited with code 9"),
        ("Asleep", r"- the check ends here: no answer within 2 s \(rogues\.py, line \d+, in choose\)"),
        ("Drowsy", r"- the check ends here: no answer within 2 s \(rogues\.py, line \d+, in forget\)"),
        ("Segfault", "conforms"),  # it does so in a game alone
        ("Idle", r"- the check ends here: no answer within 8 s \(rogues\.py, line \d+, in learn\)"),
        ("Stubborn", r"- the check ends here: no answer within 8 s \(rogues\.py, line \d+, in __init__\)"),
    ],
)
def test_the_check_outlives_whom_it_checks(elodrome, name: str, words: str) -> None:
    code, out, err = elodrome("check", "agent", spec(name), "--env", "tic_tac_toe", "--limits", "seconds=2,load=8")
    assert code == (0 if words == "conforms" else 1), err
    assert re.search(words, out), out


def test_an_engine_of_ours_outlives_its_agent(elodrome, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = b"genmove b\nboardsize 5\ngenmove w\nname\n"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(lines)))
    code, out, _ = elodrome("gtp", spec("Vanishing"), "--env", "go:size=5")
    assert code == 0
    assert out.count("exited with code 9\n") == 2
    assert out.endswith(f"= Elodrome {spec('Vanishing')}\n\n")


def test_strength_outlives_its_agent(elodrome) -> None:
    code, out, _ = elodrome("strength", spec("Exit"), "--env", "rock_paper_scissors:rounds=9", "--games", 2, "--json")
    assert code == 0
    assert json.loads(out)["rivals"]["random"]["failures"] == {"exited with code 3": 1}
    code, out, _ = elodrome("strength", spec("Hopeless"), "--env", "connect_four", "--games", 2)
    assert code == 0
    assert "failed 2 x against random: exited with code 1" in out


def test_options_that_ask_for_the_same() -> None:
    for isolation in (Isolation(), QUICK, OPEN):
        words = isolation.words()
        limits = words[words.index("--limits") + 1] if "--limits" in words else ""
        assert Isolation.parse(isolation.isolate, limits) == isolation


def test_a_cell_ends_when_we_are_killed(pids) -> None:
    """However deaf it is, and wherever its children went."""
    code = (
        "from elodrome import play_match; from elodrome.agents.isolation.isolated import Isolation, Limits\n"
        f"play_match('tic_tac_toe', {spec('Deaf')!r}, 'random', 2, isolation=Isolation(limits=Limits(seconds=1000)))"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    until = time.monotonic() + 120
    while len(pids()) < 2 and process.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    assert len(pids()) == 2
    supervisors = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert supervisors
    process.send_signal(signal.SIGKILL)
    process.wait()
    until = time.monotonic() + 10
    while any(map(alive, (*pids(), *map(int, supervisors)))) and time.monotonic() < until:
        time.sleep(0.02)
    assert not any(map(alive, (*pids(), *map(int, supervisors))))
