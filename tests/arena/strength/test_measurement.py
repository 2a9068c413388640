"""Shares and their intervals; all yardsticks of a world in one call."""

import pytest

from elodrome import make_env
from elodrome.agents.registry import make_agent
from elodrome.arena.strength.measurement import percent, share
from elodrome.arena.strength.yardsticks import measure_strength
from elodrome.errors import UserError


def test_wilson_interval() -> None:
    """Newcombe (1998), table I: 81 of 263 and 0 of 20."""
    found = share(81, 263)
    assert found["low"] == pytest.approx(0.2553, abs=1e-4)
    assert found["high"] == pytest.approx(0.3662, abs=1e-4)
    assert share(0, 20)["high"] == pytest.approx(0.1611, abs=1e-4)
    assert share(0, 20)["low"] == 0.0
    assert percent(share(0, 0)) == ["-", ""]


def test_each_world_has_its_yardsticks() -> None:
    names = {
        "tic_tac_toe": ["every_reply", "rivals"],
        "connect_four": ["connect_four", "rivals"],
        "cliff_walking": ["rivals"],
        "rock_paper_scissors": ["rivals"],
    }
    for world_id, expected in names.items():
        world = make_env(world_id)
        found = measure_strength(make_agent("random", world), world, count=2, seed=1)
        assert [m.name for m in found] == expected
        assert "random" in found[-1].document
        again = measure_strength(make_agent("random", world), world, count=2, seed=1)
        assert [m.document for m in found] == [m.document for m in again]


def test_bad_counts_are_refused() -> None:
    world = make_env("tic_tac_toe")
    with pytest.raises(UserError, match="at least 1"):
        measure_strength(make_agent("random", world), world, count=0)
