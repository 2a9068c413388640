"""UCT with random playouts against OpenSpiel's C++ MCTSBot: simulations per second, then strength at equal simulations.

    pip install -e .[bench]
    python benchmarks/search.py [--only connect_four] [--games 400]

One thread, CPU seconds. Speed: the same positions for both, some plies into random games and none of them nearly
decided, both with the solver; what counts are simulations really made, median of repeats that take turns.
Strength: games in pairs, colours swapped on the same random opening; a repeated game counts once in the interval.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
import pyspiel
from rich.console import Console
from rich.table import Table as Sheet

from elodrome import make_env
from elodrome.agents.agent import Positions
from elodrome.agents.planning.mcts import MCTS
from elodrome.agents.registry import make_agent
from elodrome.arena.elo import EloDifference, elo_difference
from elodrome.envs.game import Game

REPEATS, POSITIONS = 5, 8
MEMORY = 4000  # MB for a tree of OpenSpiel's, so that nothing is ever thrown away
GO = "go(board_size=9)"


@dataclass(frozen=True)
class Row:
    """A world by both names; plies before a position is taken, simulations and least ratio for speed; simulations,
    games and random opening plies for strength."""

    ours: str
    theirs: str
    plies: tuple[int, int]
    simulations: int
    bar: float
    match: tuple[int, int, int]


ROWS = [
    Row("tic_tac_toe", "tic_tac_toe", (0, 2), 1000, 2.0, (1000, 400, 2)),
    Row("connect_four", "connect_four", (0, 10), 10_000, 10.0, (1000, 400, 4)),
    Row("go:size=9", GO, (0, 30), 1000, 4.0, (400, 400, 6)),
]


def spiel_bot(game: Any, simulations: int, c: float, seed: int) -> Any:
    """OpenSpiel's bot with one random playout per simulation and the solver."""
    return pyspiel.MCTSBot(game, pyspiel.RandomRolloutEvaluator(1, seed), c, simulations, MEMORY, True, seed, False)


def ours(world: Game, simulations: int) -> MCTS:
    """Our UCT on one thread."""
    agent = make_agent(f"mcts:simulations={simulations},threads=1", world)
    assert isinstance(agent, MCTS)
    return agent


def positions_of(world: Game, game: Any, row: Row, bot: Any) -> tuple[Positions, list[Any]]:
    """The same random positions for both: as ours, and as OpenSpiel's states. Nearly decided ones, whose search the
    solver would end, are left out."""
    rng = np.random.default_rng(1)
    table, states = world.table(POSITIONS), []
    lanes = np.arange(POSITIONS)
    table.reset(lanes, lanes.astype(np.uint64))
    for lane in lanes:
        while True:
            state = game.new_initial_state()
            for _ in range(rng.integers(row.plies[0], row.plies[1] + 1)):
                if not state.is_terminal():
                    state.apply_action(int(rng.choice(state.legal_actions())))
            if not state.is_terminal() and bot.mcts_search(state).explore_count == row.simulations:
                break
        states.append(state)
        for action in state.history():
            table.step(lanes[lane : lane + 1], np.array([action]))
    return Positions.at(table, lanes, lanes.astype(np.uint64)), states


def speed(world: Game, game: Any, row: Row, c: float) -> tuple[float, float]:
    """Simulations made per second on one thread, ours and theirs: medians of alternating repeats."""
    bot = spiel_bot(game, row.simulations, c, 1)
    positions, states = positions_of(world, game, row, bot)
    agent, rates = ours(world, row.simulations), ([], [])  # type: ignore[var-annotated]
    agent.count(positions)
    for _ in range(REPEATS):
        start, made = time.process_time(), 0
        while time.process_time() - start < 0.3:
            made += agent.count(positions)
        rates[0].append(made / (time.process_time() - start))
        start = time.process_time()
        made = sum(bot.mcts_search(state).explore_count for state in states)
        rates[1].append(made / (time.process_time() - start))
    return median(rates[0]), median(rates[1])


@dataclass(frozen=True)
class Strength:
    """A match, seen from our side."""

    wins: int
    draws: int
    losses: int
    repeated: int
    elo: EloDifference


def strength(world: Game, game: Any, row: Row, c: float, games: int) -> Strength:
    """Games 2k and 2k + 1 share a random opening with the colours swapped. Both programs' rules run side by side, so
    that each checks the other; the result is OpenSpiel's. Its Go ends after 2 n n moves, and a move that repeats a
    position, forbidden by our rules, ends the game as a draw by its: its bot may choose that, ours may not."""
    simulations, _, opening = row.match
    agent = ours(world, simulations)
    table = world.table(games)
    every = np.arange(games)
    table.reset(every, every.astype(np.uint64))
    states = [game.new_initial_state() for _ in every]
    seeds = every.astype(np.uint64) + np.uint64(1000)
    live = every
    while len(live):
        actions = np.zeros(len(live), np.int64)
        mine = np.zeros(len(live), np.bool_)
        for i, g in enumerate(live):
            state = states[g]
            if len(state.history()) < opening:
                rng = np.random.default_rng((g // 2, len(state.history())))
                actions[i] = rng.choice(state.legal_actions())
            elif state.current_player() == g % 2:
                mine[i] = True
            else:
                bot = spiel_bot(game, simulations, c, int(g) * 1000 + len(state.history()))
                actions[i] = bot.step(state)
        if mine.any():
            actions[mine] = agent.act(Positions.at(table, live[mine], seeds[live[mine]]))
        for g, action in zip(live, actions, strict=True):
            states[g].apply_action(int(action))
        allowed = table.legal(live)[np.arange(len(live)), actions] > 0
        for g in live[~allowed]:
            if not row.ours.startswith("go") or not states[g].is_terminal() or any(states[g].returns()):
                raise SystemExit(f"{world.id}: illegal by our rules and not by OpenSpiel's: {states[g].history()}")
        table.step(live[allowed], actions[allowed])
        live = np.array([g for g in live if not states[g].is_terminal()], np.int64)
        if (table.seats[live] < 0).any():
            raise SystemExit(f"{world.id}: over by our rules and not by OpenSpiel's")
    results = [states[g].returns()[g % 2] for g in every]
    wins, draws = sum(r > 0 for r in results), sum(r == 0 for r in results)
    distinct = len({(g % 2, tuple(states[g].history())) for g in every})
    losses = games - wins - draws
    return Strength(wins, draws, losses, games - distinct, elo_difference(wins, draws, losses, distinct))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default="", metavar="TEXT", help="only the worlds whose id holds this")
    parser.add_argument("--games", type=int, default=None, help="games of a match, even (default: as the table says)")
    parser.add_argument("--uct-c", type=float, default=2.0, help="OpenSpiel's exploration constant (its default: 2)")
    arguments = parser.parse_args()
    sheet = Sheet(title="UCT with random playouts, one thread: ours and OpenSpiel's C++ MCTSBot")
    for column in ("world", "sims", "ours, sims/s", "OpenSpiel", "ratio", "bar", "match, sims", "+ = -", "Elo (95 %)",
                   "repeats"):  # fmt: skip
        sheet.add_column(column, justify="left" if column == "world" else "right")
    lines = []
    for row in (row for row in ROWS if arguments.only in row.ours):
        world, game = make_env(row.ours), pyspiel.load_game(row.theirs)
        assert isinstance(world, Game)
        mine, theirs = speed(world, game, row, arguments.uct_c)
        result = strength(world, game, row, arguments.uct_c, arguments.games or row.match[1])
        elo = result.elo
        games = result.wins + result.draws + result.losses
        interval = f"{elo.value:+.0f} [{elo.low:+.0f}, {elo.high:+.0f}]"
        sheet.add_row(
            row.ours, str(row.simulations), f"{mine:,.0f}", f"{theirs:,.0f}", f"{mine / theirs:.1f}x", f"{row.bar:g}x",
            str(row.match[0]), f"{result.wins} {result.draws} {result.losses}", interval,
            f"{result.repeated / games:.0%}",
        )  # fmt: skip
        lines.append(
            {"env": row.ours, "simulations": row.simulations, "ours": mine, "theirs": theirs, "ratio": mine / theirs,
             "bar": row.bar, "match_simulations": row.match[0], "wins": result.wins, "draws": result.draws,
             "losses": result.losses, "repeated": result.repeated / games, "elo": elo.value,
             "elo_interval": [elo.low, elo.high]}
        )  # fmt: skip
    Console(width=140).print(sheet)
    print(json.dumps({"benchmark": "search", "uct_c": arguments.uct_c, "rows": lines}))


if __name__ == "__main__":
    main()
