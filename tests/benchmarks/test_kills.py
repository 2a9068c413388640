"""The benchmark that kills trainings and tournaments, with three kills each."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "kills.py"


@pytest.mark.parametrize("part", ["training", "tournament"])
def test_what_was_killed_ends_as_what_was_not(part: str) -> None:
    words = [sys.executable, str(SCRIPT), part, "--kills", "3", "--learners", "ppo"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads(done.stdout.splitlines()[-1])
    found = document[part]
    assert found["kills"] == 3
    assert found["same"] == found["runs"] >= 1
    assert found["unsound"] == 0
