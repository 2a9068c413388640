"""What ``kill -9`` leaves behind: commands killed at random instants, resumed, and compared with one that never was.

    python benchmarks/kills.py                        # 50 kills of trainings, 100 of tournaments
    python benchmarks/kills.py training --kills 10

The instants are spread at random over the whole run: a life of a command goes on until as much is kept as was drawn
for it, and something new, and for a random time more; then its whole process group is killed. A kill counts only
between the first and the last checkpoint (or game): where something was kept, and not all. After each kill of a
training its agent must load; each life of a tournament has one worker or two. At the end, the weights must equal those
of the run that nobody killed byte for byte, and so must a tournament's ``report.json``. Exit code 1 where anything
differs.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from safetensors import SafetensorError, safe_open

from elodrome import make_env
from elodrome.agents.parts.saved import CHECKPOINT, WEIGHTS, load_agent
from elodrome.arena.store import RESULTS
from elodrome.errors import BrokenAgent

WORLD = "tic_tac_toe"
# Learners with settings, and steps for each kill that they are to outlive: about a second's worth.
LEARNERS = {
    "ppo": ((), 18_000),
    "dqn": ((), 7_000),
    "reinforce": ((), 15_000),
    "alphazero": ((), 4_000),
    "muzero": (("games=16", "moves=8"), 512),
}
# Many pairings of few games: what a killed life leaves half played is played again, so it must be little.
SIMULATIONS = range(4, 50, 2)
ROSTER = ",".join(["random", *(f"mcts:simulations={count}" for count in SIMULATIONS)])
GAMES = 64  # of each pairing
DELAY = 0.3  # seconds, at most, that a life goes on for when it has kept enough
ONE_RUN = 50  # kills of one command, at most


@dataclass(frozen=True)
class Command:
    """A command that keeps what it does in a folder: its words but for ``--out``, how many steps or games it is to
    make, how many a folder holds, the file that must come out the same, and what must hold after every kill."""

    name: str
    words: tuple[str, ...]
    total: int
    kept: Callable[[Path], int]
    product: str
    sound: Callable[[Path], bool] = lambda folder: True
    ways: tuple[tuple[str, ...], ...] = ((),)  # more words, of which a life draws one lot; what comes out is the same

    def start(self, out: Path, resume: bool = False, way: tuple[str, ...] = ()) -> subprocess.Popen[bytes]:
        """The command at work, in a process group of its own."""
        words = [sys.executable, "-m", "elodrome", *self.words, *way, "--out", str(out)]
        words += ["--resume"] if resume else []
        with (out.parent / f"{out.name}.log").open("ab") as log:
            return subprocess.Popen(words, stdout=log, stderr=log, start_new_session=True)

    def finish(self, out: Path, resume: bool = False) -> None:
        """Run to the end. Raises SystemExit with what the command said where it fails."""
        self.check(self.start(out, resume).wait(), out)

    def check(self, code: int, out: Path) -> None:
        """Raises SystemExit with what the command said where it ended with an error."""
        if code:
            said = (out.parent / f"{out.name}.log").read_text(encoding="utf-8", errors="replace")
            raise SystemExit(f"{self.name} ended with exit code {code}:\n{said[-2000:]}")


@dataclass
class Toll:
    """What became of the killed runs of one command."""

    name: str
    runs: int = 0
    kills: int = 0  # that count
    outside: int = 0  # that hit before the first or after the last thing kept
    unsound: int = 0
    same: int = 0  # runs whose product is that of the unbroken run
    shares: list[float] = field(default_factory=list)  # of the whole, kept at each kill


def endure(command: Command, kills: int, draw: random.Random, folder: Path, toll: Toll) -> None:
    """One unbroken run, and one killed up to ``kills`` times and resumed each time; adds to ``toll``."""
    command.finish(folder / "unbroken")
    broken, resume, killed = folder / "broken", False, 0
    for share in sorted(draw.random() for _ in range(kills)):
        enough = max(share * command.total, command.kept(broken) + 1)
        process = command.start(broken, resume, draw.choice(command.ways))
        while process.poll() is None and command.kept(broken) < enough:
            time.sleep(0.01)
        time.sleep(draw.uniform(0.0, DELAY))
        if process.poll() is not None:
            command.check(process.returncode, broken)
            break
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        resume = True
        kept = command.kept(broken)
        if not 0 < kept < command.total:
            toll.outside += 1
            break
        killed += 1
        toll.shares.append(kept / command.total)
        toll.unsound += not command.sound(broken)
    toll.kills += killed
    command.finish(broken, resume=True)
    toll.runs += 1
    one, two = ((folder / name / command.product).read_bytes() for name in ("unbroken", "broken"))
    toll.same += one == two


def checkpoint_step(folder: Path) -> int:
    """The step of a training's checkpoint, 0 where there is none."""
    try:
        with safe_open(folder / CHECKPOINT, framework="numpy") as opened:
            return int(json.loads(opened.metadata()["state"])["step"])
    except FileNotFoundError:
        return 0
    except (SafetensorError, ValueError, KeyError) as error:
        raise SystemExit(f"{folder / CHECKPOINT} is broken: {error}") from error


def games_kept(folder: Path) -> int:
    """The games in a tournament's database, 0 where there is none."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{folder / RESULTS}?mode=ro", uri=True, timeout=30)) as database:
            return int(database.execute("SELECT count(*) FROM games").fetchone()[0])
    except sqlite3.OperationalError:  # no file yet, or no table in it
        return 0


def can_act(folder: Path) -> bool:
    """Whether the agent beside a checkpoint can be played."""
    try:
        load_agent(folder, make_env(WORLD))
    except BrokenAgent:
        return False
    return True


def training(kind: str, kills: int, seed: int) -> Command:
    """A training of ``kind`` that is long enough for so many kills."""
    settings, steps = LEARNERS[kind]
    total = steps * kills
    words = ["train", kind, "--env", WORLD, "--steps", str(total), "--seed", str(seed), "--checkpoint", "0.1"]
    words += [word for setting in settings for word in ("--set", setting)]
    return Command(f"train {kind}", tuple(words), total, checkpoint_step, WEIGHTS, can_act)


def tournament(kills: int, seed: int) -> Command:
    """A tournament that is long enough for some fifty kills, however many are wanted."""
    pairings = math.comb(len(SIMULATIONS) + 1, 2)
    words = ["tournament", "run", "--env", "connect_four", "--agents", ROSTER, "--games", str(GAMES)]
    words += ["--seed", str(seed)]
    ways = (("--workers", "1"), ("--workers", "2"))
    return Command("tournament run", tuple(words), GAMES * pairings, games_kept, "report.json", ways=ways)


def suffer(name: str, make: Callable[[int, int], Command], kills: int, seed: int) -> Toll:
    """Runs of one command, with one seed after the other, until so many kills count."""
    toll, draw = Toll(name), random.Random(f"{name} {seed}")
    while toll.kills < kills:
        left = min(kills - toll.kills, ONE_RUN)
        with tempfile.TemporaryDirectory() as folder:
            endure(make(left, seed + toll.runs), left, draw, Path(folder), toll)
    return toll


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="?", default="both", choices=["both", "training", "tournament"])
    parser.add_argument("--kills", type=int, help="of each part; 50 of trainings and 100 of tournaments where left out")
    parser.add_argument("--learners", default=",".join(LEARNERS), help="of: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="of the instants and of the runs")
    given = parser.parse_args()
    began = time.perf_counter()
    tolls: dict[str, list[Toll]] = {}
    if given.part != "tournament":
        kinds, kills = given.learners.split(","), given.kills or 50
        share = [kills * (i + 1) // len(kinds) - kills * i // len(kinds) for i in range(len(kinds))]
        tolls["training"] = [
            suffer(f"train {kind}", partial(training, kind), count, given.seed)
            for kind, count in zip(kinds, share, strict=True)
        ]
    if given.part != "training":
        tolls["tournament"] = [suffer("tournament run", tournament, given.kills or 100, given.seed)]

    columns = ("runs", "kills", "outside", "at % of it", "unsound", "same")
    print(f"{'killed and resumed':<22}" + "".join(f"{column:>12}" for column in columns))
    document: dict[str, object] = {"benchmark": "kills", "seed": given.seed}
    good = True
    for part, rows in tolls.items():
        for row in rows:
            where = f"{100 * min(row.shares):.0f} to {100 * max(row.shares):.0f}" if row.shares else ""
            cells = (row.runs, row.kills, row.outside, where, row.unsound, f"{row.same}/{row.runs}")
            print(f"{row.name:<22}" + "".join(f"{cell:>12}" for cell in cells))
        sums = {key: sum(getattr(row, key) for row in rows) for key in ("runs", "kills", "outside", "unsound", "same")}
        document[part] = sums
        good &= sums["same"] == sums["runs"] and not sums["unsound"]
    print(json.dumps({**document, "seconds": round(time.perf_counter() - began, 1)}))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
