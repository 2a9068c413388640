"""Running a tournament: chunks of games over worker processes, results written by one, and nothing lost.

A chunk is the unit of work. It is played by one worker as one batch, and the batch is the same whatever the number of
workers, so results are too. After a kill a chunk that was not finished is played again as a whole; games of it that
were kept already keep their rows (a network's answer may depend, in its last bit, on who else is in the batch).
"""

from __future__ import annotations

import fcntl
import hashlib
import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from elodrome.agents.isolation.isolated import Isolation, seat_agent
from elodrome.agents.parts.saved import CARD, WEIGHTS, find_saved
from elodrome.agents.specs import commanded
from elodrome.arena.match import MOST_GAMES, check_opening
from elodrome.arena.record import GameJob, GameRecord, Unplayed
from elodrome.arena.repeat import remarks_on
from elodrome.arena.result import hopeless
from elodrome.arena.store import RESULTS, Store
from elodrome.envs.game import World
from elodrome.envs.registry import make_env, parse_options
from elodrome.errors import BrokenAgent, NotThere, UserError, printable
from elodrome.files import ARRAYS, read_bytes
from elodrome.home import local
from elodrome.tournaments.pool import Roster, load_agents, play_chunks
from elodrome.tournaments.schedule import chunks, default_opening, pairing_jobs, pairings

SETTINGS = "tournament"  # the store's key of what a folder was started with


class TournamentConfig(BaseModel):
    """What a tournament is. games is per pairing; opening None means the world's default (``default_opening``).
    labels name the agents in the tables; by default they are the specs. isolation: which of them live in cells, which
    changes no game."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    env: str
    agents: tuple[str, ...]
    format: Literal["round-robin", "gauntlet", "alone"] = "round-robin"
    games: int = Field(default=100, ge=1, le=MOST_GAMES)
    seed: int = 0
    opening: int | None = Field(default=None, ge=0)
    labels: tuple[str, ...] = ()
    isolation: Isolation = Isolation()

    def names(self) -> tuple[str, ...]:
        """The labels in the tables."""
        return tuple(printable(label) for label in self.labels or self.agents)


@dataclass
class TournamentResult:
    """What a run did: games played now, games kept in all, the records of this tournament, remarks for people, games
    that could not be played, and agents (by label) that could not be seated, with the reason."""

    played: int
    kept: int
    records: list[GameRecord]
    remarks: list[str] = field(default_factory=list)
    unplayed: list[Unplayed] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def shortcomings(self) -> list[str]:
        """Why the result is not whole, one line each: agents left out, games not played, agents that failed always."""
        lines = [f"{agent} could not be seated: {reason}" for agent, reason in self.left_out.items()]
        return lines + [str(games) for games in self.unplayed] + hopeless(self.records)


class Interrupted(UserError):
    """The tournament was stopped; the games finished so far are kept, and the message says how to go on."""

    def __init__(self, message: str, kept: int, total: int) -> None:
        super().__init__(message)
        self.kept, self.total = kept, total


def run_tournament(
    config: TournamentConfig,
    out: Path,
    *,
    workers: int = 1,
    resume: bool = False,
    merge: bool = False,
    strict: bool = False,
    command: str | None = None,
    on_total: Callable[[int, int], None] | None = None,
    on_games: Callable[[Sequence[GameRecord]], None] | None = None,
    on_left_out: Callable[[str, str], None] | None = None,
) -> TournamentResult:
    """Play what is not played yet and return all records.

    An agent that cannot be had here (its engine is missing or refuses the board, its files are broken) is left out and
    the others play, unless ``strict``; ``on_left_out(agent, reason)`` is called before the first game.
    ``on_total(games, already)`` is called once, ``on_games`` with every few finished games. ``command`` is what a
    person types to go on (by default the ``elodrome tournament run`` of this configuration). Raises UserError before
    the first game: for an agent that nobody knows, for fewer than two that can be seated, for results of another
    tournament in ``out`` (``merge`` allows more agents or games), for results in ``out`` without ``resume``, and when
    another runner holds ``out``. Raises Interrupted on Ctrl-C.
    """
    if merge and not resume:
        raise UserError("--merge lets a tournament grow that is there already; it needs --resume")
    if workers < 1:
        raise UserError(f"workers must be at least 1, not {workers}")
    world = make_env(config.env)
    labels = config.names()
    if len(set(labels)) < len(labels) or len(labels) != len(config.agents):
        raise UserError(f"agents must have different names: {', '.join(labels)}")
    if world.players > 2:
        raise UserError(f"{world.id} has {world.players} seats; tournaments are between two agents at a time")
    if config.format == "alone" and world.players > 1:
        raise UserError(f"{world.id} has {world.players} seats; nobody can play it alone")
    opening = default_opening(world) if config.opening is None else config.opening
    check_opening(world, opening)
    jobs = _schedule(config, world, labels, opening)
    roster = Roster(config.env, config.agents, labels, config.isolation)
    go_on = command or resume_command(config, out, workers)
    left_out = None if local(out).exists() else _seat(config, world, strict)  # a misspelt name leaves no folder behind
    with locked(out), Store(out / RESULTS) as store:
        settings = describe(config, world, opening)
        before = store.get(SETTINGS)
        if before is not None and not resume:
            raise UserError(f"{out} already holds a tournament; to go on with it: {go_on}")
        _refuse_another(before or settings, settings, out, merge)
        kept = store.ids()
        if left_out is None and any(job.id not in kept for games in jobs for job in games):
            left_out = _seat(config, world, strict)
        if left_out:
            for agent, reason in left_out.items():
                if on_left_out:
                    on_left_out(agent, reason)
            present = [i for i, label in enumerate(labels) if label not in left_out]
            specs = tuple(config.agents[i] for i in present)
            roster = Roster(config.env, specs, tuple(labels[i] for i in present), config.isolation)
            jobs = _schedule(config, world, roster.labels, opening)
        wanted = {job.id for games in jobs for job in games}
        done = kept & wanted
        todo = [chunk for chunk in chunks(jobs) if any(job.id not in done for job in chunk)]
        store.put(SETTINGS, settings)
        if on_total:
            on_total(len(wanted), len(done))
        kept = set(done)

        def emit(records: list[GameRecord]) -> None:
            store.add(records)
            fresh = [r for r in records if r.id not in kept]
            kept.update(r.id for r in fresh)
            if on_games and fresh:
                on_games(fresh)

        try:
            unplayed = play_chunks(roster, todo, workers, emit)
        except KeyboardInterrupt:
            raise Interrupted(
                f"stopped; {len(kept)} of {len(wanted)} games are kept in {out}; to go on: {go_on}",
                len(kept),
                len(wanted),
            ) from None
        store.put_missing(world.id, unplayed, left_out or {})
        records = [r for r in store.games(world.id) if r.id in wanted]
    remarks = unrepeatable(roster, world, records) if todo else []
    if config.games % 2 and world.players > 1:
        remarks.append(
            f"odd number of games per pairing ({config.games}): of each pair, the one that comes first in the alphabet "
            "has the first seat once more"
        )
    return TournamentResult(len(kept) - len(done), len(records), records, remarks, unplayed, left_out or {})


def _schedule(config: TournamentConfig, world: World, labels: Sequence[str], opening: int) -> list[list[GameJob]]:
    """The games of all pairings between these agents."""
    meetings = pairings(config.format, len(labels))
    return [pairing_jobs(world, labels, pair, config.games, config.seed, opening) for pair in meetings]


def _seat(config: TournamentConfig, world: World, strict: bool) -> dict[str, str]:
    """Who cannot be seated, by label, with the reason. Raises UserError for a name that nobody knows, and when nobody
    is left to play; BrokenAgent for the first who cannot be seated when ``strict``."""
    labels, left_out = config.names(), {}
    for spec, label in zip(config.agents, labels, strict=True):
        try:
            load_agents(Roster(config.env, (spec,), (label,), config.isolation), world)
        except NotThere:
            raise
        except BrokenAgent as error:
            if strict:
                raise
            left_out[label] = str(error)
    first_is_out = config.format == "gauntlet" and labels[0] in left_out
    if left_out and (first_is_out or len(labels) - len(left_out) < 2):
        raise BrokenAgent("; ".join(left_out.values()) + "; nobody is left to play a tournament")
    return left_out


def unrepeatable(roster: Roster, world: World, records: Sequence[GameRecord]) -> list[str]:
    """Remarks on agents in cells that do not play a game again as they did."""
    remarks = []
    for spec, label in zip(roster.specs, roster.labels, strict=True):
        if roster.isolation.wanted(spec, world):
            fresh = seat_agent(spec, world, roster.isolation)
            remarks += remarks_on(fresh, label, records, world)
    return remarks


def resume_command(config: TournamentConfig, out: Path, workers: int) -> str:
    """The command line that goes on with a tournament."""
    words = ["elodrome", "tournament", "run", "--env", config.env, "--agents", ",".join(config.agents)]
    words += ["--format", config.format, "--games", str(config.games), "--seed", str(config.seed)]
    words += [] if config.opening is None else ["--opening", str(config.opening)]
    words += config.isolation.words()
    return shlex.join([*words, "--workers", str(workers), "--out", str(out), "--resume"])


def describe(config: TournamentConfig, world: World, opening: int) -> dict[str, Any]:
    """All that the results depend on: the world, the schedule, and who the agents are (``identity``) by label."""
    return {
        "env": world.id,
        "format": config.format,
        **({"first": config.names()[0]} if config.format == "gauntlet" else {}),
        "seed": config.seed,
        "opening": opening,
        "games": config.games,
        "agents": {name: identity(spec, world) for name, spec in zip(config.names(), config.agents, strict=True)},
    }


def identity(spec: str, world: World) -> str:
    """What tells an agent from another of the same name: its spec, or a digest of its files where it has any, so that
    an agent that was trained again is not taken for the old one."""
    if commanded(spec):
        return spec
    saved = find_saved(spec, world)
    folder, options = saved or (None, "")
    files = [folder / CARD, folder / WEIGHTS] if folder else []
    path, is_file, rest = spec.partition(".py:")
    if is_file:
        learned = Path(str(parse_options(spec, rest.partition(":")[2]).get("saved", "")))
        files = [Path(path + ".py"), *(f for f in (learned / CARD, learned / WEIGHTS) if f.is_file())]
    try:
        content = [read_bytes(file, ARRAYS) for file in files]
    except UserError as error:
        raise UserError(f"agent {spec!r}: {error}") from error
    if not content:
        return spec
    given = rest if is_file else options
    return f"{given + ' ' if given else ''}sha256:{hashlib.sha256(b''.join(content)).hexdigest()[:16]}"


def _refuse_another(before: dict[str, Any], now: dict[str, Any], out: Path, merge: bool) -> None:
    """Raise UserError with the differences when ``out`` holds another tournament; ``merge`` lets it grow."""
    was, are = before["agents"], now["agents"]
    fixed = [key for key in {**before, **now} if key not in ("agents", "games")]
    other = [f"{k} was {before.get(k)}, now {now.get(k)}" for k in fixed if before.get(k) != now.get(k)]
    other += [f"{name} is missing" for name in was if name not in are]
    other += [f"{name} is not the same agent any more" for name in was if name in are and was[name] != are[name]]
    if now["games"] < before["games"]:
        other.append(f"games was {before['games']}, now {now['games']}")
    more = [f"{name} is new" for name in are if name not in was]
    if now["games"] > before["games"]:
        more.append(f"games was {before['games']}, now {now['games']}")
    if other:
        raise UserError(f"{out} holds another tournament: {'; '.join(other + more)}; choose another --out")
    if more and not merge:
        raise UserError(f"{out} holds a smaller tournament: {'; '.join(more)}; add --merge to let it grow")


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Hold a folder for one runner. Raises UserError when another holds it; a killed runner holds nothing."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        handle = (out / ".lock").open("w")
    except OSError as error:
        raise UserError(f"cannot write {out}: {error.strerror}") from error
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"another tournament or showdown is running in {out}; wait for it, or choose another --out"
            ) from None
        yield
