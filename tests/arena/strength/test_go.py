"""Games against GNU Go: skipped with a word where it is missing; where it is there, counted from both sides."""

from pathlib import Path
from typing import Any

import pytest

from elodrome import make_env
from elodrome.agents.registry import make_agent
from elodrome.arena.match import play_match
from elodrome.arena.strength import go

WORLD: Any = make_env("go:size=5")


def test_a_missing_gnugo_is_a_remark(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(go, "WHERE", str(tmp_path))
    found = go.measure(WORLD, make_agent("random", WORLD), tick=lambda *_: None)
    assert "apt install gnugo" in found.remarks[0]
    assert not found.sheets


def test_margins() -> None:
    """Where a game ends by its rules, the sign of the margin less komi says who won; a resigned one has none."""
    result = play_match(WORLD, "random", "random", 20, seed=3)
    komi = 24.5
    for record in result.records:
        points = go.margin(record, WORLD)
        assert points is not None
        assert -25 <= points <= 25
        if record.termination == "win":
            assert (points > komi) == (record.returns[0] > 0)
        assert go.margin(record.model_copy(update={"termination": "resign"}), WORLD) is None


@pytest.mark.skipif(go.gnugo(1) is None, reason="GNU Go is not installed")
def test_random_play_loses_to_gnugo() -> None:
    ticks: list[tuple[str, int, int]] = []
    found = go.measure(WORLD, make_agent("random", WORLD), count=2, tick=lambda *t: ticks.append(t))
    assert [t[1:] for t in ticks] == [(1, 2), (2, 2)] * len(go.LEVELS)
    for level in go.LEVELS:
        entry = found.document[f"level {level}"]
        assert sum(entry["all"][k] for k in ("wins", "draws", "losses")) == 2
        white = entry["White"]
        assert white["wins"] + white["draws"] + white["losses"] == 1
    assert len(found.sheets[0].rows) == 2 * len(go.LEVELS)
    assert [remark.partition(":")[0] for remark in found.remarks] == ["level 1", "level 10", "whole board"]


def test_where_it_fits() -> None:
    assert go.fits(WORLD)
    assert go.fits(make_env("go"))
    assert not go.fits(make_env("connect_four"))
