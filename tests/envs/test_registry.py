"""Worlds by name: options of the wrong kind, and worlds that travel by their names."""

import copy
import inspect
import pickle
from dataclasses import replace
from importlib import import_module
from typing import Any

import numpy as np
import pytest

from elodrome import make_env
from elodrome.envs.registry import BUILTIN
from elodrome.errors import UserError

VALUES: list[Any] = [
    *([1, 2], {}, None, True, "x", "", float("nan"), float("inf"), -1, 0, 10**12, 10**400, 10**5000, 1.5),
    *([[1, 2], [3]], {"A": 1}, "[[", [[[10**400, 1], [1, 1]], [[1, 1], [1, 1]]], "S" * 5000, (1,), b"x", [[]]),
    *({"A": "x"}, -5.5, object()),
]


@pytest.mark.parametrize("name", BUILTIN)
def test_an_option_of_the_wrong_kind_is_one_line_that_names_it(name: str) -> None:
    module, _, maker = BUILTIN[name].maker.partition(":")
    for option in inspect.signature(getattr(import_module(module), maker)).parameters:
        for value in VALUES:
            said = ""
            try:
                make_env(name, **{option: value})
            except UserError as error:
                said = str(error)
            assert not said or option in said
            assert "\n" not in said
            assert len(said) < 400


@pytest.mark.parametrize("name", [*BUILTIN, "go:size=5", "gridworld:slip=0.2,map=maze", "open_spiel:hex:board_size=4"])
def test_a_world_travels_by_its_name(name: str) -> None:
    world = make_env(name)
    written = pickle.dumps(world)
    assert len(written) < 300
    assert pickle.loads(written).same_as(world)
    assert copy.deepcopy(world) is world


def test_a_world_without_a_name_travels_by_its_fields() -> None:
    world = replace(make_env("gridworld:map=3x3"), max_steps=7)
    again = pickle.loads(pickle.dumps(world))
    assert (again.max_steps, again.same_as(world)) == (7, True)
    table, row = again.table(1), np.zeros(1, np.int64)
    table.reset(row, np.zeros(1, np.uint64))
    for _ in range(7):
        table.step(row, row)
    assert table.truncated[0]
