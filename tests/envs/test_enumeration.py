"""Enumeration ends where it was told to, in states and in memory."""

import pytest

from elodrome.agents.specs import ENUMERABLE
from elodrome.envs.enumeration import enumerate_world
from elodrome.envs.registry import make_env
from elodrome.errors import UserError


def test_the_limit_is_met_to_the_state() -> None:
    world = make_env("tic_tac_toe")
    assert enumerate_world(world, 5478).size == 5478
    with pytest.raises(UserError, match="more than 5477 states"):
        enumerate_world(world, 5477)


def test_states_of_many_words_are_not_held_by_the_ten_thousand() -> None:
    """16 KiB each: the arena asks of every world whether it has few states."""
    with pytest.raises(UserError, match="go:size=19 has too many states of 2093 words"):
        enumerate_world(make_env("go:size=19"), ENUMERABLE)
