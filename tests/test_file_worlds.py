"""A world from a file (``path.py:function``), wherever another process must make it again: workers, cells, commands."""

import json
import shlex
from pathlib import Path

import pytest

from elodrome.arena.store import Store, default_store
from elodrome.envs.registry import call_name, make_env

WORLDS = '''
from dataclasses import replace
from itertools import count
from elodrome.envs.game import no_playout
from elodrome.envs.registry import make_env

NUMBERS = count()

def short(plies=5):
    """A world that has the name of one of ours, and is not it."""
    return replace(make_env("tic_tac_toe"), max_steps=plies, playout=no_playout)

def noughts():
    """No two that it makes are the same."""
    return replace(make_env("tic_tac_toe"), id="noughts", summary=f"number {next(NUMBERS)}")

def cliff():
    return replace(make_env("cliff_walking"), id="my_cliff", max_steps=50)
'''
FIRST = """
from elodrome.agents.agent import Agent

class First(Agent):
    def choose(self, position):
        assert position.world.id in {"tic_tac_toe", "noughts", "my_cliff"}
        assert position.world.id != "tic_tac_toe" or position.world.max_steps == 5
        return int(position.legal_actions[0])
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "worlds.py").write_text(WORLDS)
    (tmp_path / "agents.py").write_text(FIRST)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("world", ["worlds.py:short", "worlds.py:noughts", "worlds.py:cliff"])
def test_it_is_played_in_cells_and_workers(elodrome, place: Path, world: str) -> None:
    command = ("--games", 4, "--json")
    code, text, err = elodrome("match", world, "agents.py:First", "random", *command)
    assert (code, err) == (0, "")
    assert set(json.loads(text)["terminations"]) <= {"win", "draw", "length"}
    shown = ("--agents", "random,agents.py:First,random:", "--games", 4, "--workers", 2, "--out", place / "out")
    code, text, err = elodrome("tournament", "run", "--env", world, *shown)
    assert (code, err) == (0, "")
    assert "12 games played now" in text
    (board,) = json.loads((place / "out" / "report.json").read_text())["ladders"]
    assert (board["games"], board["env"]) == (12, make_env(world).id)
    assert set(board["terminations"]) <= {"win", "draw", "length"}
    code, text, err = elodrome("ladder", "--env", world, "--json")
    assert (code, json.loads(text)["games"]) == (0, 4)
    assert elodrome("check", "agent", "agents.py:First", "--env", world)[0] == 0
    assert elodrome("strength", "agents.py:First", "--env", world, "--games", 2)[0] == 0


def test_a_world_is_called_so_that_it_is_made_again() -> None:
    for name in ("tic_tac_toe", "go:size=5", "gridworld:slip=0.1,map=maze"):
        assert make_env(call_name(make_env(name))) == make_env(name)


def test_it_is_trained_on_and_examined_there(elodrome, place: Path) -> None:
    command = ("train", "q_learning", "--env", "worlds.py:cliff", "--steps", 400, "--out", "run")
    code, _, err = elodrome(*command, "--examine", 200, "--rivals", "agents.py:First,random")
    assert (code, err) == (0, "")
    scores = [json.loads(line) for line in (place / "run" / "learning.jsonl").read_text().splitlines()]
    assert any("score/agents.py:First" in line for line in scores)
    go_on = json.loads((place / "run" / "run.json").read_text())["command"]
    code, text, _ = elodrome(*shlex.split(go_on)[1:])
    assert code == 0
    assert "already trained" in text
    assert elodrome("match", "worlds.py:cliff", "run", "agents.py:First", "--games", 2)[0] == 0


def test_it_is_watched(elodrome, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pygame")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    from elodrome.arena.ui.window import Window

    def run(window: Window) -> None:
        while not window.director.session.over:
            window.tick()
            assert window.director.failure is None
        window.close()

    monkeypatch.setattr(Window, "run", run)
    for world in ("worlds.py:noughts", "worlds.py:cliff"):
        assert elodrome("watch", world, "agents.py:First", "random")[0] == 0
    with Store(default_store()) as store:
        assert "noughts" in {record.env for record in store.games()}
