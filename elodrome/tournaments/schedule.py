"""Who meets whom: formats as lists of pairings, the games of a pairing, and the chunks in which they are played."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain, combinations, zip_longest

from elodrome.arena.batch import CHUNK
from elodrome.arena.match import make_jobs
from elodrome.arena.record import GameJob
from elodrome.envs.game import World
from elodrome.errors import UserError, unknown
from elodrome.seeding import derive

Pairing = tuple[int, ...]  # the agents that play each other, or one that plays alone
UNIT = min(64, CHUNK)  # games of a chunk: many enough for a network's batch, few enough to share out evenly


def round_robin(agents: int) -> list[Pairing]:
    """Everybody meets everybody."""
    return list(combinations(range(agents), 2))


def gauntlet(agents: int) -> list[Pairing]:
    """The first agent meets all others."""
    return [(0, other) for other in range(1, agents)]


def alone(agents: int) -> list[Pairing]:
    """Each agent by itself, in a world of one seat: what counts is its return, and everybody has the same dice."""
    return [(agent,) for agent in range(agents)]


FORMATS: dict[str, Callable[[int], list[Pairing]]] = {
    "round-robin": round_robin,
    "gauntlet": gauntlet,
    "alone": alone,
}


def pairings(name: str, agents: int) -> list[Pairing]:
    """The pairings of a format. Raises UserError for an unknown format or fewer than two agents."""
    if name not in FORMATS:
        raise unknown("format", name, FORMATS)
    if agents < 2:
        raise UserError(f"a tournament needs at least 2 agents, not {agents}")
    return FORMATS[name](agents)


def default_opening(world: World) -> int:
    """Random plies at the start of every game: on boards one for each seat, without which agents that do not vary would
    repeat one game for ever; none where that would be more than a quarter of a game. An opening that is won for one
    side is fair all the same, as both agents play it from either side."""
    return world.players if world.kind == "board" and 4 * world.players <= world.max_steps else 0


def pairing_jobs(
    world: World, labels: Sequence[str], pair: Pairing, games: int, seed: int, opening: int
) -> list[GameJob]:
    """The games of one pairing, the agent whose label sorts first in the first seat of game 0.

    Ids and seeds depend on the labels and the tournament's seed alone, so that a tournament can grow, or name its
    agents in another order, without changing what was played. Those who play alone have their seeds in common.
    """
    if len(pair) == 1:
        jobs = make_jobs(games, derive(seed, world.id), players=1, prefix=f"{seed}:{world.id}:{labels[pair[0]]}:")
        return [job.model_copy(update={"seats": pair}) for job in jobs]
    pair = (pair[0], pair[1]) if labels[pair[0]] <= labels[pair[1]] else (pair[1], pair[0])
    first, second = labels[pair[0]], labels[pair[1]]
    jobs = make_jobs(
        games,
        derive(seed, world.id, first, second),
        players=world.players,
        opening=opening,
        prefix=f"{seed}:{world.id}:{first} v {second}:",
    )
    return [job.model_copy(update={"seats": tuple(pair[s] for s in job.seats)}) for job in jobs]


def chunks(pairs: Sequence[Sequence[GameJob]]) -> list[list[GameJob]]:
    """The units of work: parts of one pairing each, always the same whatever the number of workers, ordered so that
    all pairings advance together."""
    cut = [[list(jobs[at : at + UNIT]) for at in range(0, len(jobs), UNIT)] for jobs in pairs]
    return [chunk for chunk in chain.from_iterable(zip_longest(*cut)) if chunk]
