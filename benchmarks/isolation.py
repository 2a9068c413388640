"""What a cell costs: the same games with the same agents, in the arena's own process and in cells.

A batch crosses as one message, so the cost is per batch; each ply bears its share of it. Prints a table and a JSON
line.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from elodrome.agents.agent import Agent, Positions
from elodrome.agents.isolation.isolated import Isolated
from elodrome.agents.registry import make_agent
from elodrome.arena.batch import play_games
from elodrome.arena.match import make_jobs
from elodrome.envs.registry import make_env

FILE = '''
from elodrome.agents.agent import Agent


class OneByOne(Agent):
    """An agent as most people write it: one position at a time."""

    def choose(self, position):
        return int(position.legal_actions[position.seed % len(position.legal_actions)])
'''


class Counted(Agent):
    """Passes everything on, and counts the batches and the positions."""

    def __init__(self, agent: Agent) -> None:
        super().__init__(agent.world)
        self.agent, self.lanes, self.batches, self.positions = agent, agent.lanes, 0, 0

    def act(self, positions: Positions) -> Any:
        self.batches += 1
        self.positions += len(positions)
        return self.agent.act(positions)

    def forget(self) -> None:
        self.agent.forget()


def timed(env: str, games: int, make: Callable[[], Agent]) -> tuple[float, int, int, list[Any]]:
    """Seconds of a match of an agent with itself, batches, positions, and the games."""
    world = make_env(env)
    agents = [Counted(make()), Counted(make())]
    jobs = make_jobs(games, 0)
    play_games(world, agents, ("a", "b"), jobs[:32])
    for agent in agents:
        agent.batches = agent.positions = 0
    begin = time.perf_counter()
    records = play_games(world, agents, ("a", "b"), jobs)
    seconds = time.perf_counter() - begin
    return seconds, sum(a.batches for a in agents), sum(a.positions for a in agents), [r.moves for r in records]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--games", type=int, default=5120)
    parser.add_argument("--runs", type=int, default=3)
    chosen = parser.parse_args()
    lines = []
    with TemporaryDirectory() as folder:
        file = Path(folder) / "one_by_one.py"
        file.write_text(FILE, encoding="utf-8")
        for env in ("tic_tac_toe", "connect_four"):
            for spec in ("random", f"{file}:OneByOne"):
                world = make_env(env)
                runs: dict[str, list[float]] = {"plain": [], "cell": []}
                games = {}
                for _ in range(chosen.runs):
                    for name, make in (
                        ("plain", lambda spec=spec, world=world: make_agent(spec, world)),
                        ("cell", lambda spec=spec, world=world: Isolated(spec, world)),
                    ):
                        seconds, batches, positions, games[name] = timed(env, chosen.games, make)
                        runs[name].append(seconds)
                plain, cell = (statistics.median(runs[name]) for name in ("plain", "cell"))
                lines.append(
                    {
                        "env": env,
                        "agent": spec.rpartition(":")[2],
                        "batch": round(positions / batches),
                        "plain_us_per_ply": 1e6 * plain / positions,
                        "cell_us_per_ply": 1e6 * cell / positions,
                        "added_us_per_ply": 1e6 * (cell - plain) / positions,
                        "added_us_per_batch": 1e6 * (cell - plain) / batches,
                        "ratio": cell / plain,
                        "same_games": games["plain"] == games["cell"],
                    }
                )
    print(f"{chosen.games} games of an agent with itself, 256 side by side, median of {chosen.runs}")
    form = "{:14}{:11}{:>6}{:>14}{:>12}{:>16}{:>7}  {}"
    print(form.format("world", "agent", "batch", "us/ply plain", "in a cell", "us/batch more", "ratio", "same games"))
    for line in lines:
        numbers = (line["plain_us_per_ply"], line["cell_us_per_ply"], line["added_us_per_batch"], line["ratio"])
        shown = (f"{number:.{digits}f}" for number, digits in zip(numbers, (2, 2, 0, 2), strict=True))
        print(form.format(line["env"], line["agent"], line["batch"], *shown, line["same_games"]))
    print(json.dumps({"isolation": lines}))


if __name__ == "__main__":
    main()
