"""A world that says nonsense of itself is refused where it is made."""

from dataclasses import replace

import numpy as np
import pytest

from elodrome.envs.registry import make_env
from elodrome.errors import UserError


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("id", 7, "id must be text"),
        ("id", "", "id must not be empty"),
        ("kind", "bord", "kind must be one of board, gridworld"),
        ("information", "none", "information must be perfect or imperfect"),
        ("summary", None, "summary must be text"),
        ("players", 0, "players must be a whole number from 1"),
        ("players", 2.0, "players must be a whole number"),
        ("actions", True, "actions must be a whole number"),
        ("max_steps", "9", "max_steps must be a whole number"),
        ("max_steps", 10**7, "max_steps must be at most 2000000"),
        ("observation_shape", 27, "observation_shape must be a tuple"),
        ("observation_shape", (3, -3), "observation_shape must be a tuple of whole numbers"),
        ("return_range", (1.0, -1.0), "two numbers, the lower first"),
        ("return_range", (float("nan"), 1.0), "two numbers, the lower first"),
        ("return_range", 1.0, "two numbers, the lower first"),
        ("discount", 1.5, "discount must be a number from 0 to 1"),
        ("discount", "1", "discount must be a number from 0 to 1"),
        ("action_names", ["a"] * 9, "action_names must be a tuple of text"),
        ("action_names", (1,) * 9, "action_names must be a tuple of text"),
        ("action_names", ("a",), "1 action names for 9 actions"),
        ("seat_names", ("X",), "1 seat names for 2 seats"),
        ("state_words", 0, "state_words must be from 1"),
        ("state_words", 10**12, "state_words must be from 1"),
        ("look", "map", "look must be a Look, or None"),
        ("symmetries", 8, "symmetries must be a Symmetries, or None"),
        ("text", "board", "text must be a function, or None"),
        ("constants", np.zeros(3), "constants must be a row of int64 words"),
        ("constants", [1, 2], "constants must be a row of int64 words"),
        ("outcomes", 1.0, "outcomes must be from 1"),
    ],
)
def test_what_is_wrong_is_named(field: str, value: object, words: str) -> None:
    with pytest.raises(UserError, match=words):
        replace(make_env("tic_tac_toe"), **{field: value})
