"""Go against GNU Go at its levels, colours swapped: who wins, and how often by the whole board."""

from __future__ import annotations

import os
import shutil
from typing import Any

import numpy as np

from elodrome.agents.agent import Agent
from elodrome.agents.registry import make_agent
from elodrome.arena.batch import play_games
from elodrome.arena.match import make_jobs
from elodrome.arena.record import GameRecord, replay
from elodrome.arena.result import MatchResult
from elodrome.arena.strength.measurement import Measurement, Sheet, Tick, percent, share
from elodrome.envs.game import Game, World
from elodrome.seeding import derive

LEVELS = (1, 10)
GAMES = 20  # against each level where nothing else is wanted
SOLVED = 5  # up to this size games begin on the empty board; beyond, with random stones, lest all be the same game:
OPENING = 2  # one of each colour, as a single one would be a wasted move of Black's alone
WHERE = os.pathsep.join(("/usr/games", "/usr/local/games"))  # Debian's place for it, often not on the path
MISSING = "GNU Go is missing, so no games against it; it is Debian's package gnugo (apt install gnugo)"


def fits(world: World) -> bool:
    """Go on any board."""
    return world.id.partition(":")[0] == "go"


def gnugo(level: int) -> str | None:
    """The spec of GNU Go, or None where it is missing. Every stone counts as alive at the end, so it must capture."""
    found = shutil.which("gnugo") or shutil.which("gnugo", path=WHERE)
    return found and f"gtp:{found} --mode gtp --level {level} --chinese-rules --capture-all-dead --never-resign"


def margin(record: GameRecord, world: Game) -> float | None:
    """Black's points less White's at the end, without komi; None where the game was not played to its end."""
    from elodrome.envs.boards.go import area

    if record.termination not in ("win", "draw", "length"):
        return None
    *_, (table, _) = replay(record, world)
    states: Any = table.states(np.array([0]))
    black, white = area(states[0])
    return float(black - white)


def measure(world: Game, agent: Agent, *, count: int | None = None, seed: int = 0, tick: Tick) -> Measurement:
    """``count`` games against each level, half of them as Black; ``SOLVED`` says how they begin."""
    games = GAMES if count is None else count
    if gnugo(1) is None:
        return Measurement("gnugo", {"missing": MISSING}, [], (MISSING,))
    document: dict[str, Any] = {}
    rows, remarks = [], []
    cells = world.actions - 1
    opening = OPENING if cells > SOLVED**2 else 0
    for level in LEVELS:
        name = f"GNU Go level {level}"
        done: list[GameRecord] = []

        def note(record: GameRecord, name: str = name, done: list[GameRecord] = done) -> None:
            done.append(record)
            tick(name, len(done), games)

        rival = make_agent(str(gnugo(level)), world)
        jobs = make_jobs(games, derive(seed, "gnugo", level), opening=opening)
        records = play_games(world, [agent, rival], ["agent", name], jobs, note)
        result = MatchResult(world, ("agent", name), records, 0.0)
        entry: dict[str, Any] = {}
        for seat in (0, 1):
            mine = [r for r in records if r.agents[seat] == "agent"]
            tally = result.tally(seat)
            whole = sum(margin(r, world) == (cells if seat == 0 else -cells) for r in mine)
            entry[world.seat_name(seat)] = {
                **tally,
                "score": share(tally["wins"], sum(tally.values())),
                "whole_board": whole,
                "terminations": sorted({r.termination for r in mine}),
            }
            counts = [str(tally[k]) for k in ("wins", "draws", "losses")]
            rows.append([f"level {level}, as {world.seat_name(seat)}", *counts, str(whole)])
        tally = result.tally()
        entry["all"] = {**tally, "score": share(tally["wins"], sum(tally.values()))}
        entry["repeated_games"] = result.duplicates
        won, interval = percent(entry["all"]["score"])
        remarks.append(f"level {level}: {won} won, 95 % from {interval}")
        document[f"level {level}"] = entry
    columns = ("against GNU Go", "wins", "draws", "losses", "whole board")
    remarks.append(
        "whole board: games in which the agent owns every point; other margins say little, as dead stones that were "
        "left on the board count as alive"
    )
    title = f"{games} games at each level" + (", the first stone of each colour at random" if opening else "")
    return Measurement("gnugo", document, [Sheet(title, columns, rows)], tuple(remarks))
