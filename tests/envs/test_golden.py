"""Every registered world plays its golden game as it did; a world without one fails."""

import importlib.util
from pathlib import Path

import pytest

from elodrome import make_env

_spec = importlib.util.spec_from_file_location("golden_playthroughs", Path(__file__).with_name("golden.py"))
assert _spec
assert _spec.loader
golden = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(golden)


@pytest.mark.parametrize("name", golden.names())
def test_golden(name: str) -> None:
    file = golden.FOLDER / f"{name}.txt"
    assert file.is_file(), f"no golden game of {name}; python tests/envs/golden.py --write makes it"
    assert golden.playthrough(make_env(name)) == file.read_text()


def test_no_file_without_its_world() -> None:
    assert sorted(f.stem for f in golden.FOLDER.glob("*.txt")) == golden.names()
