"""The worker off the drawing thread, and how it ends."""

import subprocess
import sys
import time

import pytest

ASLEEP = """
import time
from elodrome.arena.ui.thinker import Thinker
Thinker("asleep").submit(0, "act", lambda: time.sleep(60))
"""
SEARCHING = """
import threading, torch
from elodrome.arena.ui.thinker import Thinker
begun = threading.Event()
matrix = torch.ones(300, 300)
def search():
    while True:
        matrix @ matrix
        begun.set()
thinker = Thinker("test")
thinker.submit(0, "act", search)
thinker.submit(1, "act", search)
assert begun.wait(30)
"""


def left(script):
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    return result.returncode, result.stdout, result.stderr


@pytest.mark.parametrize("end", ["", "thinker.close()", "thinker.abandon()"])
def test_leaving_in_mid_search_is_no_abort(end):
    assert left(SEARCHING + end) == (0, "", "")


def test_leaving_keeps_the_exit_code():
    assert left(SEARCHING + "raise SystemExit(3)") == (3, "", "")


def test_leaving_waits_for_no_agent_that_hangs():
    start = time.monotonic()
    assert left(ASLEEP + SEARCHING) == (0, "", "")
    assert time.monotonic() - start < 30
