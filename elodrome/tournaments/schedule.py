"""Who meets whom: formats as lists of pairings, and the games of a pairing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations

from elodrome.arena.match import CHUNK, make_jobs
from elodrome.arena.record import GameJob
from elodrome.envs.game import World
from elodrome.errors import UserError, unknown
from elodrome.seeding import derive

Pairing = tuple[int, int]


def round_robin(agents: int) -> list[Pairing]:
    """Everybody meets everybody."""
    return list(combinations(range(agents), 2))


def gauntlet(agents: int) -> list[Pairing]:
    """The first agent meets all others."""
    return [(0, other) for other in range(1, agents)]


FORMATS: dict[str, Callable[[int], list[Pairing]]] = {"round-robin": round_robin, "gauntlet": gauntlet}


def pairings(name: str, agents: int) -> list[Pairing]:
    """The pairings of a format. Raises UserError for an unknown format or fewer than two agents."""
    if name not in FORMATS:
        raise unknown("format", name, FORMATS)
    if agents < 2:
        raise UserError(f"a tournament needs at least 2 agents, not {agents}")
    return FORMATS[name](agents)


def default_opening(world: World) -> int:
    """Random plies at the start of every game: 2 on boards, where agents that do not vary would repeat one game for
    ever; 1 in tic-tac-toe's nine squares; none elsewhere."""
    if world.kind != "board":
        return 0
    return 2 if world.max_steps > 20 else 1


def pairing_jobs(
    world: World, labels: Sequence[str], pair: Pairing, games: int, seed: int, opening: int
) -> list[GameJob]:
    """The games of one pairing. Seeds and ids depend on the two agents and the tournament's seed alone, so that a
    tournament can grow without changing what was played."""
    first, second = labels[pair[0]], labels[pair[1]]
    jobs = make_jobs(
        games,
        derive(seed, world.id, first, second),
        players=world.players,
        opening=opening,
        prefix=f"{seed}:{world.id}:{first}:{second}:",
    )
    return [job.model_copy(update={"seats": tuple(pair[s] for s in job.seats)}) for job in jobs]


def chunks(jobs: Sequence[GameJob]) -> list[list[GameJob]]:
    """The units of work: always the same, whatever the number of workers."""
    return [list(jobs[start : start + CHUNK]) for start in range(0, len(jobs), CHUNK)]
