"""Running a tournament: chunks of games over worker processes, results written by one, and nothing lost.

A chunk is the unit of work. It is played by one worker as one batch, and the batch is the same whatever the number of
workers, so results are too. After a kill a chunk that was not finished is played again as a whole; games of it that
were kept already keep their rows (a network's answer may depend, in its last bit, on who else is in the batch).
"""

from __future__ import annotations

import fcntl
import multiprocessing
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field

from elodrome.agents.agent import Agent
from elodrome.agents.registry import make_agent
from elodrome.arena.match import play_games
from elodrome.arena.record import GameJob, GameRecord
from elodrome.arena.store import RESULTS, Store
from elodrome.envs.game import World
from elodrome.envs.registry import make_env
from elodrome.errors import BrokenAgent, UserError
from elodrome.tournaments.schedule import chunks, default_opening, pairing_jobs, pairings

FLUSH_SECONDS = 0.2
ATTEMPTS = 3  # a chunk whose worker died is given to others so often


class TournamentConfig(BaseModel):
    """What a tournament is. games is per pairing; opening None means the world's default (``default_opening``).
    labels name the agents in the tables; by default they are the specs."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    env: str
    agents: tuple[str, ...]
    format: Literal["round-robin", "gauntlet"] = "round-robin"
    games: int = Field(default=100, ge=1)
    seed: int = 0
    opening: int | None = Field(default=None, ge=0)
    labels: tuple[str, ...] = ()

    def names(self) -> tuple[str, ...]:
        """The labels in the tables."""
        return self.labels or self.agents


@dataclass
class TournamentResult:
    """What a run did: games played now, games kept in all, the records of this tournament, remarks for people."""

    played: int
    kept: int
    records: list[GameRecord]
    remarks: list[str] = field(default_factory=list)


class Interrupted(UserError):
    """The tournament was stopped; the games finished so far are kept."""


def run_tournament(
    config: TournamentConfig,
    out: Path,
    *,
    workers: int = 1,
    resume: bool = False,
    merge: bool = False,
    on_total: Callable[[int, int], None] | None = None,
    on_games: Callable[[Sequence[GameRecord]], None] | None = None,
) -> TournamentResult:
    """Play what is not played yet and return all records.

    ``on_total(games, already)`` is called once, ``on_games`` with every few finished games. Raises UserError before
    the first game: for an agent that does not load, for results of another tournament in ``out`` (``merge`` allows
    more agents or games), for results in ``out`` without ``resume``, and when another runner holds ``out``.
    Raises Interrupted on Ctrl-C.
    """
    world = make_env(config.env)
    labels = config.names()
    if len(set(labels)) < len(labels) or len(labels) != len(config.agents):
        raise UserError(f"agents must have different names: {', '.join(labels)}")
    if world.players > 2:
        raise UserError(f"{world.id} has {world.players} seats; tournaments are between two agents at a time")
    meetings = pairings(config.format, len(labels))
    load_agents(config, world)
    opening = default_opening(world) if config.opening is None else config.opening
    jobs = [pairing_jobs(world, labels, pair, config.games, config.seed, opening) for pair in meetings]
    with locked(out):
        store = Store(out / RESULTS)
        try:
            _check_settings(store, config, out, resume, merge)
            done = store.ids()
            todo = [c for games in jobs for c in chunks(games) if any(job.id not in done for job in c)]
            total = sum(map(len, jobs))
            already = sum(job.id in done for games in jobs for job in games)
            if on_total:
                on_total(total, already)
            played = 0

            def emit(records: list[GameRecord]) -> None:
                nonlocal played
                played += store.add(records)
                if on_games:
                    on_games([r for r in records if r.id not in done])

            try:
                play_chunks(config, todo, max(1, min(workers, len(todo))), emit)
            except KeyboardInterrupt:
                kept = len(store.ids())
                raise Interrupted(
                    f"stopped; {kept} games are kept in {out}; to go on, run the same with --resume"
                ) from None
            wanted = {job.id for games in jobs for job in games}
            records = [r for r in store.games(world.id) if r.id in wanted]
        finally:
            store.close()
    remarks = []
    if config.games % 2 and world.players > 1:
        remarks.append(
            f"odd number of games per pairing ({config.games}): the first named has the first seat once more"
        )
    return TournamentResult(played, len(records), records, remarks)


def load_agents(config: TournamentConfig, world: World) -> list[Agent]:
    """All agents of a tournament. Raises UserError or BrokenAgent that names the one that does not load."""
    agents = []
    for spec in config.agents:
        try:
            agents.append(make_agent(spec, world))
        except BrokenAgent as error:
            raise BrokenAgent(f"agent {spec!r} does not load: {error}") from error
    return agents


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
            raise UserError(f"another tournament is running in {out}; wait for it, or choose another --out") from None
        yield


def _check_settings(store: Store, config: TournamentConfig, out: Path, resume: bool, merge: bool) -> None:
    """Compare with what the folder was started with, and keep the settings."""
    settings = config.model_dump(mode="json")
    before: dict[str, Any] | None = store.get("tournament")
    if before is not None:
        if not resume:
            raise UserError(f"{out} already holds a tournament; add --resume to go on with it, or choose another --out")
        changed = [key for key in settings if before.get(key) != settings[key]]
        grown = set(changed) <= {"agents", "labels", "games"} and (
            set(before["agents"]) <= set(settings["agents"]) and before["games"] <= settings["games"]
        )
        if changed and not (merge and grown):
            listed = "; ".join(f"{key} was {before.get(key)}, now {settings[key]}" for key in changed)
            hint = "; add --merge to let it grow" if grown else ""
            raise UserError(f"{out} holds another tournament: {listed}{hint}")
    store.put("tournament", settings)


class _Player:
    """One worker's world and agents, made once."""

    def __init__(self, config: TournamentConfig) -> None:
        self.world = make_env(config.env)
        self.agents = load_agents(config, self.world)
        self.labels = config.names()

    def play(self, chunk: Sequence[GameJob], emit: Callable[[list[GameRecord]], None]) -> None:
        """Play a chunk, handing games over as they end, several times a second."""
        finished: list[GameRecord] = []
        last = time.monotonic()

        def on_game(record: GameRecord) -> None:
            nonlocal last
            finished.append(record)
            if time.monotonic() - last > FLUSH_SECONDS:
                emit(finished.copy())
                finished.clear()
                last = time.monotonic()

        with single_threaded():
            play_games(self.world, self.agents, self.labels, chunk, on_game)
        emit(finished)


@contextmanager
def single_threaded() -> Iterator[None]:
    """torch, where an agent has loaded it, on one thread: its sums depend on the number of threads."""
    torch: Any = sys.modules.get("torch")
    before = torch.get_num_threads() if torch else 0
    if torch:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        if torch:
            torch.set_num_threads(before)


def play_chunks(
    config: TournamentConfig, todo: list[list[GameJob]], workers: int, emit: Callable[[list[GameRecord]], None]
) -> None:
    """Play all chunks, in this process or in ``workers`` others; ``emit`` is called here with finished games."""
    if workers <= 1:
        player = _Player(config)
        for chunk in todo:
            player.play(chunk, emit)
        return
    waiting = list(reversed(range(len(todo))))
    attempts = [0] * len(todo)
    context = multiprocessing.get_context("spawn")
    running: dict[Connection, tuple[Any, int]] = {}  # pipe -> (process, chunk)

    def start() -> None:
        here, there = context.Pipe()
        process = context.Process(target=_work, args=(there, config), daemon=True)
        process.start()
        there.close()
        running[here] = (process, -1)

    def next_chunk(pipe: Connection) -> None:
        if waiting:
            index = waiting.pop()
            attempts[index] += 1
            running[pipe] = (running[pipe][0], index)
            pipe.send(todo[index])
        else:
            running.pop(pipe)[0].join(0)
            pipe.close()

    try:
        for _ in range(workers):
            start()
        while running:
            for pipe in cast("list[Connection]", wait(list(running))):
                process, index = running[pipe]
                try:
                    kind, content = pipe.recv()
                except EOFError:
                    running.pop(pipe)
                    process.join()
                    if index >= 0:
                        if attempts[index] >= ATTEMPTS:
                            raise UserError(
                                f"a worker died {ATTEMPTS} times (exit code {process.exitcode}) on the games from "
                                f"{todo[index][0].id}"
                            ) from None
                        waiting.append(index)
                        start()
                    continue
                if kind == "error":
                    raise UserError(content)
                if kind == "games":
                    emit([GameRecord.model_validate_json(text) for text in content])
                else:
                    next_chunk(pipe)
    finally:
        for pipe, (process, _) in running.items():
            process.terminate()
            process.join()
            pipe.close()


def _work(pipe: Connection, config: TournamentConfig) -> None:
    """A worker process: asks for chunks until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    try:
        player = _Player(config)
        while True:
            pipe.send(("ready", None))
            chunk = pipe.recv()
            player.play(chunk, lambda records: pipe.send(("games", [r.model_dump_json() for r in records])))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
    except UserError as error:
        pipe.send(("error", str(error)))
