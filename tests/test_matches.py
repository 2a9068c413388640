"""Every command that plays or rates, on every kind of world; stores and agents that fail (FAULTS 6, 24, 25, 44, 49)."""

import json
import re
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from elodrome.arena.match import play_match
from elodrome.arena.store import RESULTS, Store, default_store

WORLDS = (
    *("cliff_walking", "gridworld", "random_walk", "tic_tac_toe", "go:size=5", "rock_paper_scissors", "token_mdp"),
    *("gymnasium:CartPole-v1", "pettingzoo:classic/tictactoe_v3", "open_spiel:kuhn_poker"),
)
NEEDS = {"gymnasium": "gymnasium", "pettingzoo": "pettingzoo", "open_spiel": "pyspiel"}
AGENTS = """
import time
from elodrome.agents.agent import Agent
from elodrome.errors import UserError

class First(Agent):
    def choose(self, position):
        return int(position.legal_actions[0])

class Slow(First):
    def choose(self, position):
        time.sleep(0.004)
        return super().choose(position)

class Crashing(Agent):
    def choose(self, position):
        raise ValueError("out of ideas")

class Illegal(Agent):
    def choose(self, position):
        return -5

class Picky(First):
    def __init__(self, world, config=None):
        raise UserError("boards of 19 x 19 alone")
"""


@pytest.fixture
def agents(tmp_path: Path) -> Path:
    file = tmp_path / "agents.py"
    file.write_text(AGENTS)
    return file


@pytest.mark.parametrize("world", WORLDS)
def test_every_command_on_every_kind_of_world(elodrome, tmp_path: Path, world: str) -> None:
    if world.partition(":")[0] in NEEDS:
        pytest.importorskip(NEEDS[world.partition(":")[0]])
    out = tmp_path / "out"
    code, text, err = elodrome("match", world, "random", "random", "--games", 2)
    assert (code, err) == (0, "")
    assert "in all" in text
    code, text, _ = elodrome("match", world, "random", "random", "--games", 2, "--json")
    document = json.loads(text)
    assert code == 0
    assert document["wins"] + document["draws"] + document["losses"] == 2
    assert elodrome("ladder", "--env", world, "--json")[0] == elodrome("ladder")[0] == 0
    specs = ("--agents", "random,mcts:simulations=2" if world == "tic_tac_toe" else "random,random:")
    code, text, err = elodrome("tournament", "run", "--env", world, *specs, "--games", 2, "--workers", 1, "--out", out)
    assert (code, err) == (0, "")
    assert "2 games played now" in text
    assert json.loads((out / "report.json").read_text())["ladders"][0]["games"] == 2
    assert "<h2>" in (out / "report.html").read_text()
    assert elodrome("ladder", "--from", out)[0] == 0
    if not world.startswith("go"):
        assert elodrome("strength", "random", "--env", world, "--games", 2)[0] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("match tic_tac_toe random random --opening -1", "opening -1"),
        ("match tic_tac_toe random random --opening 1", "each of the 2 seats gets as many random plies, so 0 or 2"),
        ("match tic_tac_toe random random --opening 1000000000", "cut after 9 plies"),
        ("match tic_tac_toe random random --games -3", "games must be at least 1, not -3"),
        ("match tic_tac_toe random random --games 1000000000000", "at most 1,000,000"),
        ("match gridworld:max_steps=99999999999999 random random", "is not a whole number from 1 to 2000000"),
        ("match tic_tac_toe random random --resume --no-keep", "excludes --no-keep"),
        ("tournament run --env tic_tac_toe --agents random,minimax --out OUT --merge", "needs --resume"),
        ("tournament run --env tic_tac_toe --agents random,minimax --out OUT --workers 0", "at least 1, not 0"),
        ("tournament run --env tic_tac_toe --agents random,minimax --out OUT --workers -2", "at least 1, not -2"),
        ("tournament run --env tic_tac_toe --agents random,minimax --out OUT --games 0", "games=0"),
        ("tournament run --env tic_tac_toe --agents random,minimax --out OUT --opening -2", "opening=-2"),
        ("tournament run --env tic_tac_toe --agents random,minimax --out OUT --opening 3", "so 2 or 4"),
        ("tournament run --env tic_tac_toe --agents random,minimax --out postgresql+psycopg://h/db", "like a URL"),
        ("ladder --from postgresql://host/db", "looks like a URL"),
        ("ladder --from nowhere", "nowhere: no results there yet"),
        ("showdown --out OUT --workers 0", "workers must be at least 1, not 0"),
        (
            "tournament run --env tic_tac_toe --agents random,minimax --format alone --out OUT",
            "tic_tac_toe has 2 seats; nobody can play it alone",
        ),
        ("showdown --out mysql://host/db", "looks like a URL"),
    ],
)
def test_nothing_is_accepted_in_silence(elodrome, tmp_path: Path, monkeypatch, arguments: str, message: str) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = elodrome(*arguments.replace("OUT", str(tmp_path / "out")).split())
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err
    assert [file.name for file in tmp_path.iterdir() if file.name != "home"] == []


@pytest.mark.parametrize("seed", [-1, 2**63, 2**64 + 1, 10**40])
def test_any_whole_number_is_a_seed(elodrome, seed: int) -> None:
    assert elodrome("match", "tic_tac_toe", "random", "random", "--games", 2, "--seed", seed)[0] == 0
    assert elodrome("ladder")[0] == 0


def _damage(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"no database " * 1000)


def _folder(path: Path) -> None:
    path.mkdir(parents=True)


@pytest.mark.parametrize("damage", [_damage, _folder])
def test_the_result_is_printed_whatever_becomes_of_the_store(elodrome, damage) -> None:
    damage(default_store())
    code, out, err = elodrome("match", "tic_tac_toe", "minimax", "random", "--games", 4)
    assert (code, err.count("\n")) == (1, 1)
    assert "4 games are not kept: cannot write" in err
    assert "Elo difference" in out


def test_a_store_that_is_locked_for_a_while_gets_the_games_in_the_end(elodrome, monkeypatch, agents: Path) -> None:
    monkeypatch.setattr("elodrome.arena.store.BUSY_SECONDS", 0.05)
    monkeypatch.setattr("elodrome.arena.keeping.FLUSH_SECONDS", 0.0)
    Store(default_store()).put("made", True)
    locks = sqlite3.connect(default_store(), isolation_level=None)
    locks.execute("BEGIN IMMEDIATE")
    code, out, err = elodrome("match", "tic_tac_toe", "random", "random", "--games", 4)
    assert (code, err.count("\n")) == (1, 1)
    assert "4 games are not kept" in err
    assert "another process has kept it locked" in err
    assert "in all" in out
    locks.execute("COMMIT")
    locks.close()
    assert elodrome("match", "tic_tac_toe", "random", "random", "--games", 4)[0] == 0
    assert len(Store(default_store()).ids()) == 4


def test_ctrl_c_keeps_what_ended_and_the_command_it_names_goes_on(tmp_path: Path, agents: Path, own_home: Path) -> None:
    sgf = tmp_path / "sgf"
    command = [sys.executable, "-m", "elodrome", "match", "go:size=2", f"{agents}:Slow", "random", "--games", "600"]
    process = subprocess.Popen([*command, "--sgf", str(sgf)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    store, deadline = Store(default_store()), time.monotonic() + 90
    while not store.ids() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    kept = store.games()
    assert out == ""
    assert process.returncode == 2
    told = re.search(r"stopped; (\d+) of 600 games are kept in .*; to go on: elodrome match .* --resume\n$", err)
    assert told
    assert 0 < int(told[1]) == len(kept) < 600
    assert len(list(sgf.glob("*.sgf"))) in (len(kept), len(kept) + 1)  # all that ended, but for one at that very moment
    again = subprocess.run([*command, "--resume"], capture_output=True, text=True, check=True)
    assert f"{len(kept)} games had been kept before; {600 - len(kept)} played now" in again.stdout
    records = {r.id: r for r in Store(default_store()).games()}
    assert len(records) == 600
    assert all(records[game.id] == game for game in kept)
    whole = play_match("go:size=2", f"{agents}:Slow", "random", 600).records
    assert [r.moves for r in sorted(records.values(), key=lambda r: r.number)] == [r.moves for r in whole]


READER = """
import os, sys
from elodrome import cli
import elodrome.tournaments.ladder
from elodrome.envs.registry import make_env
make_env("tic_tac_toe")
if not os.getuid():
    os.setresuid(65534, 65534, 65534)  # root writes everywhere
sys.argv = ["elodrome", "ladder", "--json", "--from", sys.argv[1]]
cli.main()
"""


def test_a_ladder_is_read_from_a_medium_that_is_read_only(tmp_path: Path) -> None:
    folder = tmp_path / "medium"
    with Store(folder / RESULTS) as store:
        store.add(play_match("tic_tac_toe", "random", "minimax", 4).records)
    for path, mode in ((folder / RESULTS, 0o444), (folder, 0o555)):
        path.chmod(mode)
    for parent in (tmp_path, *tmp_path.parents):
        if "pytest-of-" in str(parent):
            parent.chmod(0o755)  # pytest's folders are closed to others
    done = subprocess.run([sys.executable, "-c", READER, str(folder)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["ladders"][0]["games"] == 4
    assert [file.name for file in folder.iterdir()] == [RESULTS]


def test_a_showdowns_folder_holds_ladders(elodrome, tmp_path: Path) -> None:
    for world in ("tic_tac_toe", "cliff_walking"):
        with Store(tmp_path / "showdown" / "results" / world / RESULTS) as store:
            store.add(play_match(world, "random", "random", 2).records)
    code, out, _ = elodrome("ladder", "--from", tmp_path / "showdown", "--json")
    assert code == 0
    assert [board["env"] for board in json.loads(out)["ladders"]] == ["cliff_walking", "tic_tac_toe"]


def test_exit_code_1_where_an_agent_always_crashed(elodrome, tmp_path: Path, agents: Path) -> None:
    code, out, err = elodrome("match", "tic_tac_toe", f"{agents}:Crashing", "random", "--games", 4)
    assert (code, err.count("\n")) == (1, 1)
    assert "Crashing crashed or ran out of time in all of its 4 games" in err
    assert "out of ideas (agents.py, line 17) (4 x)" in out
    assert elodrome("match", "tic_tac_toe", f"{agents}:Illegal", "random", "--games", 4)[0] == 0
    command = ("tournament", "run", "--env", "tic_tac_toe", "--games", 2, "--workers", 1)
    code, _, err = elodrome(*command, "--agents", f"random,{agents}:Crashing,{agents}:First", "--out", tmp_path / "out")
    assert (code, err.count("\n")) == (1, 1)
    assert "Crashing crashed or ran out of time in all of its 4 games" in err


def test_who_cannot_be_seated_is_left_out_and_the_others_play(elodrome, tmp_path: Path, agents: Path) -> None:
    command = ("tournament", "run", "--env", "go:size=5", "--games", 2, "--workers", 1)
    missing = "gtp:no-such-engine --mode gtp"
    specs = f"random,{agents}:First,{missing},{agents}:Picky"
    out = tmp_path / "out"
    code, _, err = elodrome(*command, "--agents", specs, "--out", out, "--strict")
    assert (code, err.count("\n"), out.exists()) == (2, 1, False)
    for wrong, message in ((f"{specs},randm", "did you mean 'random'"), (f"{specs},{agents}:Frst", "Frst")):
        code, _, err = elodrome(*command, "--agents", wrong, "--out", out)
        assert (code, out.exists()) == (2, False)
        assert message in err
    code, _, err = elodrome(*command, "--agents", f"random,{missing}", "--out", out)
    assert (code, out.exists()) == (2, False)
    assert "nobody is left" in err
    code, text, err = elodrome(*command, "--agents", specs, "--out", out)
    assert code == 1
    assert "2 games played now" in text
    (board,) = json.loads((out / "report.json").read_text())["ladders"]
    assert set(board["left_out"]) == {missing, f"{agents}:Picky"}
    assert "no-such-engine" in board["left_out"][missing]
    for place in (text, err, (out / "report.html").read_text()):
        assert re.search("Picky could not be seated: .*boards of 19 x 19 alone", " ".join(place.split()))
    code, text, _ = elodrome("ladder", "--from", out)
    assert code == 0
    assert re.search("Picky could not be seated: .*boards of 19 x 19 alone", " ".join(text.split()))
