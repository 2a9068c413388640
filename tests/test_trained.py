"""The agents that ship: whole, with a card that says how they came to be, and as strong as it says."""

import json
from pathlib import Path

import numpy as np
import pytest

from elodrome import make_agent, make_env, play_match
from elodrome.agents.parts.saved import CARD, SHIPPED, WEIGHTS, find_saved, read_card, saved_agents
from elodrome.agents.parts.solve import Judge
from elodrome.arena.strength.connect_four import measure
from elodrome.arena.strength.exhaustive import walk
from elodrome.errors import BrokenAgent, UserError

FOLDERS = sorted(file.parent for file in SHIPPED.glob(f"*/*/{CARD}"))
LARGEST = 2_000_000  # bytes


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: f"{folder.parent.name}/{folder.name}")
def test_every_agent_that_ships_has_a_card_and_plays(folder: Path) -> None:
    card = read_card(folder)
    world = make_env(card.world)
    assert find_saved(folder.name, world) == (folder, "")
    assert (folder / WEIGHTS).stat().st_size < LARGEST
    assert {"command", "commit", "seconds", "machine", "elo", "elo_interval", "elo_among", "strength"} <= set(
        card.notes
    )
    assert card.notes["strength"]
    assert "/tmp" not in json.dumps(card.model_dump())
    result = play_match(world, f"{folder.name}:simulations=8", "random", 4, seed=1)
    assert {record.termination for record in result.records} <= {"win", "draw"}
    assert result.tally()["losses"] <= 1


@pytest.mark.parametrize("world_id", ["tic_tac_toe", "connect_four", "go:size=5", "go:size=7", "go"])
def test_several_strengths_are_there_strongest_first(world_id: str) -> None:
    found = [agent for agent in saved_agents(make_env(world_id)) if agent.shipped]
    assert len(found) >= 2
    assert found[0].name == "alphazero-strong"
    elos = [agent.elo for agent in found]
    assert None not in elos
    assert elos == sorted(elos, reverse=True)


def test_tic_tac_toe_loses_no_line() -> None:
    world = make_env("tic_tac_toe")
    agent = make_agent("alphazero-strong", world)
    for seat in (0, 1):
        found = walk(world, agent, Judge(world), seat, 3)
        assert found.lost == found.blunders == 0


def test_connect_four_knows_the_solved_positions() -> None:
    """With 50 simulations, on 60 positions of each stage; with chance alone half of what can be lost is lost."""
    world = make_env("connect_four")
    found = measure(world, make_agent("alphazero-strong:simulations=50", world), count=10, tick=lambda *_: None)
    for stage in ("begin", "middle", "end"):
        assert found.document["both"][stage]["all"]["share"] < 0.15


def test_options_replace_settings() -> None:
    world = make_env("tic_tac_toe")
    agent = make_agent("alphazero-strong:simulations=3,gumbel=true", world)
    assert agent.config.model_dump()["simulations"] == 3
    assert agent.config.model_dump()["gumbel"] is True
    with pytest.raises(UserError, match="no option 'simulation'; did you mean 'simulations'"):
        make_agent("alphazero-strong:simulation=3", world)
    with pytest.raises(BrokenAgent, match=r"weights\.safetensors"):
        make_agent("alphazero-strong:hidden=[16]", world)


def test_an_own_agent_hides_a_shipped_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELODROME_HOME", str(tmp_path))
    world = make_env("tic_tac_toe")
    (shipped,) = (a for a in saved_agents(world) if a.name == "alphazero-strong")
    own = tmp_path / "agents" / "tic_tac_toe" / "alphazero-strong"
    own.mkdir(parents=True)
    for name in (CARD, WEIGHTS):
        (own / name).write_bytes((SHIPPED / "tic_tac_toe" / "alphazero-strong" / name).read_bytes())
    assert find_saved("alphazero-strong:simulations=2", world) == (own, "simulations=2")
    assert [a.shipped for a in saved_agents(world) if a.name == "alphazero-strong"] == [False]
    assert shipped.shipped
    (own / CARD).write_text("{}")
    assert [a.shipped for a in saved_agents(world) if a.name == "alphazero-strong"] == [True]


def test_a_kind_that_is_not_trained_names_those_that_are() -> None:
    with pytest.raises(UserError, match=r"name a trained one \(alphazero-strong, .*alphazero-weak\)"):
        make_agent("alphazero", make_env("connect_four"))
    with pytest.raises(UserError, match="give a saved agent's folder"):
        make_agent("dqn", make_env("connect_four"))


def test_folders_are_named_after_worlds() -> None:
    assert np.unique([folder.parent.name for folder in FOLDERS]).tolist() == [
        "connect_four",
        "go",
        "go-size-5",
        "go-size-7",
        "tic_tac_toe",
    ]
