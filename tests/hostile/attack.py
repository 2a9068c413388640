"""Throw bad inputs at the ``elodrome`` command: ``python tests/hostile/attack.py --count 600 --seed 1``.

All in one process, each with a home and a folder of its own, and a few in processes of their own, under other
locales. Prints one JSON line; the exit code is 1 where an input led to a traceback, an unexpected exit code, more than
one line, an escape sequence on the screen, a hang of 10 s, or to code run from data.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from bad import CANARY, FAMILIES, Case

LIMIT = 10.0  # seconds
# Locales and bytes: (environment, words as bytes, stdin).
ELSEWHERE: tuple[tuple[dict[str, str], tuple[bytes, ...], bytes], ...] = tuple(
    (env, words, stdin)
    for env in (
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"LC_ALL": "C.UTF-8"},
        {"LC_ALL": "C", "PYTHONIOENCODING": "ascii"},
    )
    for words, stdin in (
        ((b"gtp", b"random", b"--env", b"go:size=5"), b"name\n\xff\xfe play\nplay b \xc3\nname\n"),
        ((b"match", b"tic_tac_toe", b"\xff\xfe:x=1", b"random"), b""),
        ((b"match", b"tic_tac_toe", "n\u00e4me\u202e".encode(), b"random"), b""),
    )
)


class Hang(BaseException):
    """An input that took too long."""


def _late(number: int, frame: object) -> None:
    raise Hang


@contextlib.contextmanager
def _captured(stdin: bytes) -> Iterator[tuple[io.BytesIO, io.BytesIO]]:
    out, err = io.BytesIO(), io.BytesIO()
    before = sys.stdin, sys.stdout, sys.stderr
    sys.stdin = io.TextIOWrapper(io.BytesIO(stdin), "utf-8")
    sys.stdout, sys.stderr = (io.TextIOWrapper(stream, "utf-8", write_through=True) for stream in (out, err))
    try:
        yield out, err
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.detach()
        sys.stdin, sys.stdout, sys.stderr = before


def meet(case: Case, limit: float = LIMIT) -> tuple[object, str, str]:
    """(exit code or what else came out, stdout, stderr) of a case in this process, within ``limit`` seconds; 0: any."""
    from elodrome.cli import main

    sys.argv = ["elodrome", *case.words]
    code: object = None
    with _captured(case.stdin) as (out, err):
        signal.setitimer(signal.ITIMER_REAL, limit)
        try:
            main()
        except SystemExit as done:
            code = done.code or 0
        except BaseException as error:
            code = repr(type(error))
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    return code, out.getvalue().decode("utf-8", "replace"), err.getvalue().decode("utf-8", "replace")


def warm(place: Path) -> None:
    """Import and compile what the commands need, without a clock: the first time ever it takes a minute."""
    place.mkdir()
    os.environ["ELODROME_HOME"] = str(place / "home")
    world = ("--env", "tic_tac_toe")
    for words in (
        *(("match", "tic_tac_toe", "random", rival, "--games", "2") for rival in ("minimax", "mcts", "alphazero-weak")),
        ("match", "go:size=5", "random", "random", "--games", "2"),
        ("train", "q_learning", *world, "--steps", "20", "--out", str(place / "run")),
        ("tournament", "run", *world, "--agents", "random,random:", "--games", "2", "--out", str(place / "games")),
        ("strength", "random", *world, "--games", "2"),
        ("check", "env", "tic_tac_toe"),
        ("check", "agent", "random", *world),
        ("agents", *world),
        ("ladder",),
    ):
        code, _, err = meet(Case(words), 0.0)
        if code not in (0, None):
            raise SystemExit(f"{words} ends with {code}: {err}")


def meet_elsewhere(environment: dict[str, str], words: tuple[bytes, ...], stdin: bytes) -> str:
    """What is wrong with the answer of a process of its own in that environment."""
    command = [sys.executable.encode(), b"-m", b"elodrome", *words]
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=60, env=environment)
    out, err = (said.decode("utf-8", "replace") for said in (done.stdout, done.stderr))
    wrong = fault(done.returncode, out, err)
    return wrong and f"{words!r} under {environment.get('LC_ALL')}: {wrong}\n{err[-1200:]}"


def fault(code: object, out: str, err: str) -> str:
    """What is wrong with an answer; nothing where it is as a person expects."""
    both = out + err
    if code not in (0, 1, 2):
        return f"exit code {code}"
    if "Traceback (most" in both:
        return "a traceback"
    if any(not c.isprintable() and c != "\n" for c in both):
        return "control characters on the screen"
    lines = err.strip().count("\n") + 1
    if code == 2 and (lines > 1 or not err.startswith("elodrome: ")):
        return f"{lines} lines of error"
    return ""


def attack(count: int, seed: int, verbose: bool = False) -> dict[str, object]:
    """Throw ``count`` inputs; what came of them."""
    from elodrome.arena.training import train
    from elodrome.envs.registry import make_env

    signal.signal(signal.SIGALRM, _late)
    rng = random.Random(seed)
    faults: list[str] = []
    codes: Counter[str] = Counter()
    slowest = 0.0
    weights = list(FAMILIES.values())
    # Locales have processes of their own, one after the other beside the rest.
    with tempfile.TemporaryDirectory() as base, ThreadPoolExecutor(1) as beside:
        warm(Path(base) / "warm")
        home = {**os.environ, "ELODROME_HOME": f"{base}/elsewhere"}
        elsewhere = [beside.submit(meet_elsewhere, home | env, words, stdin) for env, words, stdin in ELSEWHERE]
        agent = train("q_learning", make_env("tic_tac_toe"), steps=100, out=Path(base) / "agent", tensorboard=False)
        os.environ["HOSTILE_AGENT"] = str(agent.folder)
        for number in range(count):
            (family,) = rng.choices(list(FAMILIES), weights)
            place = Path(base) / str(number)
            place.mkdir()
            os.environ["ELODROME_HOME"] = str(place / "home")
            ran = place / f"{CANARY}.ran"
            (place / CANARY).write_text(f"open({str(ran)!r}, 'w').close()\ndef f(): pass\n")
            os.chdir(place)
            case = family(random.Random(rng.getrandbits(64)), place)
            start = time.perf_counter()
            code, out, err = meet(case)
            seconds = time.perf_counter() - start
            slowest = max(slowest, seconds)
            codes[str(code)] += 1
            wrong = fault(code, out, err)
            if seconds > LIMIT:
                wrong = f"{seconds:.1f} s"
            if family.__name__ in ("saved", "weights", "store", "checkpoint", "gtp") and ran.exists():
                wrong = "code run from data"
            if wrong:
                faults.append(f"{family.__name__} {number}: {wrong}: {case!r:.1500}\n{out[-300:]}\n{err[-1200:]}")
            if verbose:
                print(number, family.__name__, code, f"{seconds:.2f} s", ascii(err[:200]), file=sys.stderr)
        os.chdir("/")
        faults += filter(None, (answer.result() for answer in elsewhere))
    document = {"inputs": count + len(ELSEWHERE), "seed": seed, "codes": codes, "slowest": round(slowest, 2)}
    return {**document, "faults": faults}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--verbose", action="store_true")
    given = parser.parse_args()
    found = attack(given.count, given.seed, given.verbose)
    for text in found["faults"]:
        print(text, file=sys.stderr)
    print(json.dumps({**found, "faults": len(found["faults"])}))
    sys.exit(bool(found["faults"]))
