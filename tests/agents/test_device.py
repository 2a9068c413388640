"""The cases of ``device_cases.py``, in a process of their own: torch counts its devices at the first gradient that a
process takes, and one that is registered later gets none."""

import subprocess
import sys
from pathlib import Path

CASES = Path(__file__).with_name("device_cases.py")


def test_every_deep_learner_on_a_device_that_is_not_the_cpu() -> None:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", str(CASES)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert ran.returncode == 0, ran.stdout[-10_000:]
    assert " passed" in ran.stdout
    assert "skipped" not in ran.stdout
