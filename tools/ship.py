"""Put trained agents into the package, with cards that say how they came to be and how strong they are.

    python tools/ship.py add RUN NAME --command "elodrome train ..." [--commit C] [--simulations N] [--start FOLDER]
                             [--before SECONDS]
    python tools/ship.py measure WORLD [--games 200]

``add`` copies the agent of a run (or of one of its ``kept`` folders) to ``elodrome/trained/WORLD/NAME``, its seconds
added to those ``before``, of the runs that it began with; ``measure`` plays a tournament of all that ship for a world
with fixed opponents, random play at Elo 0, applies the yardsticks of ``elodrome strength``, and writes what came out on
the cards.
"""

from __future__ import annotations

import argparse
import platform
import tempfile
from pathlib import Path
from typing import Any

from elodrome.agents.parts.saved import CARD, WEIGHTS, pack, read_arrays, read_card, replace_file, shipped_folder
from elodrome.agents.registry import make_agent
from elodrome.arena.strength.yardsticks import measure_strength
from elodrome.envs.registry import make_env
from elodrome.tournaments.ratings import leaderboard
from elodrome.tournaments.runner import TournamentConfig, run_tournament

FEW = 20  # games and positions for those that are not meant to be strong
FIELD = ("random", "mcts:simulations=100", "mcts:simulations=1000")


def machine() -> str:
    """What trains here, in words."""
    import os

    return f"{os.cpu_count()} cores of {_processor()}, no GPU"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def add(given: argparse.Namespace) -> None:
    """Copy an agent and write its card."""
    card = read_card(given.run)
    target = shipped_folder(make_env(card.world)) / given.name
    config = dict(card.config)
    if given.simulations is not None:
        config["simulations"] = given.simulations
    if "start" in config:
        config["start"] = given.start
    notes: dict[str, Any] = {
        "command": given.command,
        "commit": given.commit,
        "seconds": round(given.before + card.notes["seconds"], 1),
        "machine": machine(),
    }
    replace_file(target / WEIGHTS, pack(read_arrays(given.run / WEIGHTS)))
    _write(target, card.model_copy(update={"config": config, "notes": notes}))
    print(target)


def _write(folder: Path, card: Any) -> None:
    replace_file(folder / CARD, (card.model_dump_json(indent=2) + "\n").encode())


def measure(given: argparse.Namespace) -> None:
    """Elo among all that ship for a world, and the yardsticks."""
    world = make_env(given.world)
    folders = sorted(file.parent for file in shipped_folder(world).glob(f"*/{CARD}"))
    names = tuple(folder.name for folder in folders)
    config = TournamentConfig(
        env=given.world, agents=(*FIELD, *names), games=given.games, seed=0, opening=given.opening
    )
    with tempfile.TemporaryDirectory() as out:
        result = run_tournament(config, Path(out), workers=given.workers)
    board = leaderboard(result.records, world.id, config.names())
    rows = {row.agent: row for row in board.rows}
    for row in board.rows:
        print(f"{row.agent:28} {row.elo:7.0f}  {row.low:.0f} to {row.high:.0f}  {row.wins}/{row.draws}/{row.losses}")
    for folder in folders:
        card, row = read_card(folder), rows[folder.name]
        count = None if folder.name.endswith("strong") else FEW
        found = measure_strength(make_agent(folder.name, world), world, count=count)  # as the command measures
        elo = {
            "elo": round(row.elo),
            "elo_interval": [round(row.low), round(row.high)],
            "elo_among": f"{', '.join(FIELD + names)}; "
            f"{given.games} games a pairing after {given.opening} random plies",
        }
        strength = {m.name: {k: v for k, v in m.document.items() if k != "both"} for m in found}
        _write(folder, card.model_copy(update={"notes": {**card.notes, **elo, "strength": strength}}))
        for sheet in (sheet for measurement in found for sheet in measurement.sheets):
            print(folder.name, sheet.title, sheet.columns, *sheet.rows, sep="\n  ")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    adding = commands.add_parser("add")
    adding.add_argument("run", type=Path)
    adding.add_argument("name")
    adding.add_argument("--command", required=True)
    adding.add_argument("--commit", required=True)
    adding.add_argument("--simulations", type=int)
    adding.add_argument("--start", default="")
    adding.add_argument("--before", type=float, default=0.0)
    adding.set_defaults(call=add)
    measuring = commands.add_parser("measure")
    measuring.add_argument("world")
    measuring.add_argument("--games", type=int, default=100)
    measuring.add_argument("--opening", type=int, default=2)
    measuring.add_argument("--workers", type=int, default=1)
    measuring.set_defaults(call=measure)
    given = parser.parse_args()
    given.call(given)


if __name__ == "__main__":
    main()
