"""Every test has a home of its own: results and trained agents of the person who runs the tests stay untouched."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

# Tests run side by side, one per core: torch must not take all cores for each. Read when torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh $ELODROME_HOME."""
    home = tmp_path / "home"
    monkeypatch.setenv("ELODROME_HOME", str(home))
    return home


@pytest.fixture
def elodrome(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str, str]]:
    """(exit code, stdout, stderr) of ``elodrome ARGUMENTS``."""
    from elodrome import cli

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["elodrome", *map(str, arguments)])
        with pytest.raises(SystemExit) as done:
            cli.main()
        out, err = capsys.readouterr()
        return int(done.value.code or 0), out, err

    return run
