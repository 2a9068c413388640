"""Matches: the schedule of games between two agents, played and put together."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from elodrome.agents.agent import Agent
from elodrome.arena.batch import play_games
from elodrome.arena.record import GameJob, GameRecord
from elodrome.arena.result import MatchResult
from elodrome.envs.game import World
from elodrome.errors import UserError
from elodrome.seeding import derive

if TYPE_CHECKING:
    from elodrome.agents.isolation.isolated import Isolation

MOST_GAMES = 1_000_000  # of one match or pairing; all are held in memory


def make_jobs(games: int, seed: int, *, players: int = 2, opening: int = 0, prefix: str = "") -> list[GameJob]:
    """The schedule of a match between agents 0 and 1 (solo worlds: the same two, each on its own).

    Games 2k and 2k + 1 share dice and opening with the seats swapped; with an odd number the last has no twin.
    """
    return [
        GameJob(
            id=f"{prefix}{g}",
            seats=(0, 1) if g % 2 == 0 or players == 1 else (1, 0),
            seed=derive(seed, "dice", g // 2 if players > 1 else g),
            agent_seed=derive(seed, "agents", g),
            opening=opening,
        )
        for g in range(games)
    ]


def check_games(games: int) -> None:
    """Raise UserError for a number of games that no match can have."""
    if not 1 <= games <= MOST_GAMES:
        bound = "at least 1" if games < 1 else f"at most {MOST_GAMES:,}"
        raise UserError(f"games must be {bound}, not {games}")


def check_opening(world: World, opening: int) -> None:
    """Raise UserError for a random opening that ``world`` cannot have. Every seat gets as many random plies: a single
    one would be a wasted move of the first seat's alone."""
    if opening < 0:
        raise UserError(f"opening {opening}: a number of random plies, 0 or more")
    if opening >= world.max_steps:
        raise UserError(f"opening {opening}: games of {world.id} are cut after {world.max_steps} plies")
    if opening % world.players:
        below = opening - opening % world.players
        raise UserError(
            f"opening {opening}: each of the {world.players} seats gets as many random plies, "
            f"so {below} or {below + world.players}"
        )


def play_match(
    env: str | World,
    first: str | Agent,
    second: str | Agent,
    games: int = 100,
    *,
    seed: int = 0,
    opening: int = 0,
    prefix: str = "",
    played: Iterable[GameRecord] = (),
    on_game: Callable[[GameRecord], None] | None = None,
    on_plies: Callable[[int], None] | None = None,
    isolation: Isolation | None = None,
) -> MatchResult:
    """Play ``games`` games between two agents, seats swapped in pairs on common seeds.

    opening: random plies before the agents take over, as many for each seat. prefix: of the games' ids. played: games
    of this very match that are there already, by their ids; they are not played again. ``on_game`` is called as each
    game ends, ``on_plies`` with the number of actions played, time and again on the way. Agents given by name live in
    cells where ``isolation`` says so, by default those that are not ours.

    Raises UserError for unknown or unfit worlds and agents, and for numbers that make no sense, before the first game.
    """
    from elodrome.agents.isolation.isolated import Isolated, seat_agent
    from elodrome.arena.repeat import remarks_on
    from elodrome.envs.registry import make_env

    check_games(games)
    world = make_env(env) if isinstance(env, str) else env
    if world.players > 2:
        raise UserError(f"{world.id} has {world.players} seats; a match is between two agents")
    check_opening(world, opening)
    pair = [seat_agent(a, world, isolation) if isinstance(a, str) else a for a in (first, second)]
    labels = [a if isinstance(a, str) else type(a).__name__ for a in (first, second)]
    jobs = make_jobs(games, seed, players=world.players, opening=opening, prefix=prefix)
    done = {record.id: record for record in played}
    start = time.perf_counter()
    todo = [job for job in jobs if job.id not in done]
    done |= {record.id: record for record in play_games(world, pair, labels, todo, on_game, on_plies)}
    records = [done[job.id] for job in jobs]
    seconds = time.perf_counter() - start
    unrepeatable = [
        remark
        for spec, agent in zip((first, second), pair, strict=True)
        if isinstance(spec, str) and isinstance(agent, Isolated)
        for remark in remarks_on(seat_agent(spec, world, isolation), spec, records, world)
    ]
    return MatchResult(world, (labels[0], labels[1]), records, seconds, tuple(unrepeatable))
