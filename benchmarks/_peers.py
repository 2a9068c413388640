"""An environment beside this one, with packages that are only compared against."""

from __future__ import annotations

import subprocess
import venv
from collections.abc import Sequence
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]


def environment(folder: Path, peers: Sequence[str]) -> Path:
    """The interpreter of the environment with the peers, made where it is not there yet."""
    python = folder / "bin" / "python"
    ready = folder / ".ready"
    if not ready.exists():
        venv.create(folder, with_pip=True, clear=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "-c", str(REPOSITORY / "constraints.txt"), "-e", str(REPOSITORY), *peers], check=True)
        ready.touch()
    return python
