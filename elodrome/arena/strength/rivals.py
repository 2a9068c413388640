"""Games against fixed opponents, on any world: random play, minimax where it fits, tree search of a fixed budget."""

from __future__ import annotations

from typing import Any

from elodrome.agents.agent import Agent
from elodrome.agents.registry import make_agent
from elodrome.agents.specs import find_kind, unfit
from elodrome.arena.batch import play_games
from elodrome.arena.match import make_jobs
from elodrome.arena.record import GameRecord
from elodrome.arena.result import MatchResult
from elodrome.arena.strength.measurement import Measurement, Sheet, Tick
from elodrome.envs.game import World
from elodrome.seeding import derive

RIVALS = ("random", "minimax", "mcts:simulations=100", "mcts:simulations=1000")
GAMES = 100  # against each where nothing else is wanted
BROAD = 16  # actions; where there are more, minimax takes seconds for a move


def fits(world: World) -> bool:
    """One or two seats."""
    return world.players <= 2


def measure(world: World, agent: Agent, *, count: int | None = None, seed: int = 0, tick: Tick) -> Measurement:
    """``count`` games against each rival that fits, seats swapped in pairs. From the start: all of the rivals draw."""
    games = GAMES if count is None else count
    document: dict[str, Any] = {}
    rows, remarks = [], []
    for spec in RIVALS:
        kind = find_kind(spec.partition(":")[0])
        if unfit(kind.about, world) is not None or (kind.id == "minimax" and world.actions > BROAD):
            continue
        done = 0

        def note(record: GameRecord, spec: str = spec) -> None:
            nonlocal done
            done += 1
            tick(spec, done, games)

        jobs = make_jobs(games, derive(seed, "rival", spec), players=world.players)
        labels = ("agent", spec)
        records = play_games(world, [agent, make_agent(spec, world)], labels, jobs, note)
        summary = MatchResult(world, labels, records, 0.0).summary()
        kept = ("games", "wins", "draws", "losses", "mean_return", "elo_difference", "elo_interval", "duplicate_games")
        failures = summary["failures"].get("agent", {})
        document[spec] = {key: summary[key] for key in kept} | {"failures": failures}
        remarks += [f"failed {count} x against {spec}: {reason}" for reason, count in failures.items()]
        low, high = summary["elo_interval"]
        rows.append(
            [
                spec,
                "/".join(str(summary[key]) for key in ("wins", "draws", "losses")),
                f"{summary['elo_difference']:+.0f}",
                f"{low:+.0f} to {high:+.0f}",
                f"{summary['mean_return'][0]:.3f}",
                str(summary["duplicate_games"]),
            ]
        )
    columns = ("against", "w/d/l", "Elo", "95 %", "return", "repeated")
    return Measurement("rivals", document, [Sheet(f"{games} games each", columns, rows)], tuple(remarks))
