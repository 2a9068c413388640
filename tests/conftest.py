"""Every test has a home of its own: results and trained agents of the person who runs the tests stay untouched."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh $ELODROME_HOME."""
    home = tmp_path / "home"
    monkeypatch.setenv("ELODROME_HOME", str(home))
    return home
