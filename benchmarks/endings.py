"""Endings of Connect Four that searching agents misplay, of those solved by alpha-beta; and the searches' speed there.

    python benchmarks/endings.py [AGENT ...] [--count 1000] [--empty 12] [--no-speed]

The endings come from random play: at most ``--empty`` squares are empty, no win stands open, some move gives value
away; one half of them is drawn, one half won. Speed: simulations asked for per second of all cores, ``PLIES`` plies
into games, far from any end, with a trivial evaluator in compiled code and with the shipped network: median of
repeats that take turns.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from statistics import median
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table as Sheet

from elodrome import make_agent, make_env
from elodrome.agents.agent import Agent, Positions
from elodrome.agents.games.minimax import Minimax
from elodrome.agents.parts.threads import single_threaded
from elodrome.agents.search.agent import SearchAgent
from elodrome.agents.search.forest import CompiledEvaluator, SearchConfig, Searcher
from elodrome.envs.game import Game
from elodrome.envs.table import CompiledTable

AGENTS = (
    *("alphazero-strong", "alphazero-strong:gumbel=false", "alphazero-strong:simulations=100", "alphazero-medium"),
    *("alphazero-weak", "mcts:simulations=1000"),
)
CELLS, PLIES, GAMES, REPEATS = 42, 6, 256, 7


def played(world: Game, plies: Any, seed: int) -> CompiledTable:
    """One game after ``plies`` [n] random plies each, or where it ended before."""
    rng = np.random.default_rng(seed)
    table, rows = CompiledTable(world, len(plies)), np.arange(len(plies))
    table.reset(rows, rows.astype(np.uint64))
    for _ in range(int(plies.max())):
        live = np.flatnonzero((table.seats >= 0) & (table.plies < plies))
        weights = rng.random((len(live), world.actions)) * table.legal(live)
        table.step(live, weights.argmax(axis=1))
    return table


def endings(world: Game, count: int, empty: int, seed: int = 0) -> tuple[Positions, Any]:
    """``count`` endings, and which actions [count, A] keep their value."""
    rng = np.random.default_rng(seed)
    table = played(world, rng.integers(CELLS - empty, CELLS - 2, 200 * count), seed)
    rows = np.flatnonzero(table.seats >= 0)
    _, first = np.unique(table.states(rows), axis=0, return_index=True)
    rows = rows[np.sort(first)]
    at_once = Minimax(world, Minimax.config_class(depth=1)).values(table.states(rows)).max(axis=1) > 0
    rows = rows[~at_once]
    values = Minimax(world, Minimax.config_class(depth=empty)).values(table.states(rows))
    best = values >= values.max(axis=1, keepdims=True)
    decidable = (best != (table.legal(rows) > 0)).any(axis=1)
    kinds = [np.flatnonzero(decidable & (values.max(axis=1) == worth))[: count // 2] for worth in (0, 1)]
    chosen = np.concatenate(kinds)
    return Positions.at(table, rows[chosen], np.arange(len(chosen), dtype=np.uint64)), best[chosen]


@CompiledEvaluator
def uniform(k: int, observations: Any, legal: Any, seats: Any, states: Any, logits: Any, values: Any) -> None:
    """The trivial evaluator: all actions alike, value 0."""
    for i in range(k):
        for a in range(legal.shape[1]):
            logits[i, a] = 0.0
        values[i] = 0.0


def rates(world: Game) -> dict[str, float]:
    """Simulations/s of ``GAMES`` games searched together, by evaluator and root."""
    table, rows = played(world, np.full(GAMES, PLIES), 1), np.arange(GAMES)
    states, plies, seeds = table.states(rows), table.plies.copy(), rows.astype(np.uint64)
    strong = make_agent("alphazero-strong", world)
    assert isinstance(strong, SearchAgent)
    shipped, threads = strong.searcher.evaluate, os.cpu_count() or 1
    cases = {}
    for name, evaluate, simulations in (
        ("trivial", uniform, 400),
        ("trivial", uniform, 32),
        ("shipped net", shipped, 32),
    ):
        for root in (False, True):
            searcher = Searcher(world, SearchConfig(simulations=simulations, gumbel=root), evaluate, threads=threads)
            cases[f"{name}, {simulations}, {'Gumbel' if root else 'PUCT'}"] = (searcher, simulations)
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    with single_threaded():
        for turn in range(REPEATS + 1):
            for name, (searcher, _) in cases.items():
                start, made = time.perf_counter(), 0
                while made == 0 or time.perf_counter() - start < 0.3:
                    searcher.search(states, plies, seeds, explore=True)
                    made += 1
                if turn:
                    seconds[name].append((time.perf_counter() - start) / made)
    return {name: GAMES * cases[name][1] / median(spent) for name, spent in seconds.items()}


def misplayed(agent: Agent, positions: Positions, best: Any) -> int:
    """How often the agent's action is none of the best."""
    return int((~best[np.arange(len(best)), agent.act(positions)]).sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("agents", nargs="*", default=AGENTS)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--empty", type=int, default=12)
    parser.add_argument("--no-speed", action="store_true")
    given = parser.parse_args()
    world = make_env("connect_four")
    assert isinstance(world, Game)
    positions, best = endings(world, given.count, given.empty)
    sheet = Sheet(title=f"{len(best)} endings of up to {given.empty} empty squares")
    for column in ("agent", "misplayed", "seconds"):
        sheet.add_column(column, justify="left" if column == "agent" else "right")
    found = {}
    for spec in given.agents:
        agent, start = make_agent(spec, world), time.perf_counter()
        found[spec] = misplayed(agent, positions, best)
        sheet.add_row(spec, str(found[spec]), f"{time.perf_counter() - start:.1f}")
    Console().print(sheet)
    speeds = {} if given.no_speed else rates(world)
    for name, rate in speeds.items():
        print(f"{name:28} {rate:12,.0f} simulations/s")
    print(json.dumps({"benchmark": "endings", "endings": len(best), "misplayed": found, "simulations/s": speeds}))


if __name__ == "__main__":
    main()
