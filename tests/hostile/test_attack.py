"""At least 500 bad inputs: no traceback, no hang, nothing of data run (FAULTS 29-31, 38, 41-48)."""

import json
import subprocess
import sys
from pathlib import Path


def test_nothing_bad_takes_the_arena_down() -> None:
    attack = Path(__file__).with_name("attack.py")
    done = subprocess.run(
        [sys.executable, str(attack), "--count", "520", "--seed", "0"], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-6000:]
    document = json.loads(done.stdout.splitlines()[-1])
    assert document["inputs"] >= 500
    assert document["faults"] == 0
    assert len(document["codes"]) > 1  # some play on, most are refused
