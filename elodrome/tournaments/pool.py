"""Worker processes: each makes its agents once and plays chunk after chunk; one that dies or falls silent is replaced.

Workers only play. What they finish goes over a pipe to the one process that writes, so that killing a worker at any
moment harms nothing.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import cast

from elodrome.agents.agent import Agent
from elodrome.agents.isolation.isolated import Isolation, seat_agent
from elodrome.agents.parts.threads import single_threaded
from elodrome.arena.batch import play_games
from elodrome.arena.record import GameJob, GameRecord, Unplayed
from elodrome.envs.game import World
from elodrome.envs.registry import make_env
from elodrome.errors import BrokenAgent, UserError

ATTEMPTS = 3  # a chunk whose worker died is given to others so often
BEAT = 1.0  # seconds between two signs of life of a worker
SILENCE = 90.0  # seconds without any after which it is given up,
STARTING = 120.0  # and how many more it may take to start
FLUSH_SECONDS = 0.2

Emit = Callable[[list[GameRecord]], None]


@dataclass(frozen=True)
class Roster:
    """Who plays where: the world's name, the agents' specs, their labels in the tables, and who lives in a cell."""

    env: str
    specs: tuple[str, ...]
    labels: tuple[str, ...]
    isolation: Isolation = field(default_factory=Isolation)


def load_agents(roster: Roster, world: World) -> list[Agent]:
    """All agents of a roster. Raises UserError or BrokenAgent that names the one that does not load."""
    agents = []
    for spec in roster.specs:
        try:
            agents.append(seat_agent(spec, world, roster.isolation))
        except BrokenAgent as error:
            named = str(error) if spec in str(error) else f"agent {spec!r} does not load: {error}"
            raise type(error)(named) from error
    return agents


class Player:
    """The world and the agents of a roster, made once; plays chunks in this process."""

    def __init__(self, roster: Roster) -> None:
        self.world = make_env(roster.env)
        self.agents = load_agents(roster, self.world)
        self.labels = roster.labels

    def play(self, chunk: Sequence[GameJob], emit: Emit) -> None:
        """Play a chunk as one batch, handing games over as they end, several times a second."""
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


def play_chunks(roster: Roster, chunks: Sequence[list[GameJob]], workers: int, emit: Emit) -> list[Unplayed]:
    """Play all chunks, in ``workers`` processes or, with one, in this; ``emit`` is called here with finished games.

    Returns what could not be played and why: chunks of which every worker died. Raises UserError when workers cannot
    even start.
    """
    if min(workers, len(chunks)) > 1:
        return _Pool(roster, chunks, emit).run(min(workers, len(chunks)))
    if chunks:
        player = Player(roster)
        for chunk in chunks:
            player.play(chunk, emit)
    return []


@dataclass(eq=False)
class _Worker:
    process: SpawnProcess
    pipe: Connection
    chunk: int | None = None
    idle: bool = False  # ready, and nothing to give it
    heard: float = field(default_factory=lambda: time.monotonic() + STARTING)


class _Pool:
    """The parent's side: who plays which chunk, what waits, what was given up."""

    def __init__(self, roster: Roster, chunks: Sequence[list[GameJob]], emit: Emit) -> None:
        self.roster, self.chunks, self.emit = roster, chunks, emit
        self.waiting = deque(range(len(chunks)))
        self.attempts = [0] * len(chunks)
        self.workers: dict[Connection, _Worker] = {}
        self.stillborn = 0
        self.problems: list[Unplayed] = []

    def run(self, count: int) -> list[Unplayed]:
        try:
            for _ in range(count):
                self._start()
            while self.waiting or any(worker.chunk is not None for worker in self.workers.values()):
                for pipe in cast("list[Connection]", wait(list(self.workers), timeout=BEAT)):
                    self._hear(self.workers[pipe])
                for worker in self.workers.values():
                    if time.monotonic() - worker.heard > SILENCE:
                        worker.process.kill()  # its pipe then ends, and _hear sees to the rest
        finally:
            for worker in self.workers.values():
                worker.process.kill()
            for worker in self.workers.values():
                worker.process.join()
                worker.pipe.close()
        return self.problems

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        here, there = context.Pipe()
        process = context.Process(target=_work, args=(there, self.roster), daemon=True)
        with _deaf_to_interrupts():
            process.start()
        there.close()
        self.workers[here] = _Worker(process, here)

    def _hear(self, worker: _Worker) -> None:
        """Take one message of a worker, or its end."""
        try:
            kind, content = worker.pipe.recv()
        except (EOFError, OSError):
            self._bury(worker)
            return
        worker.heard = time.monotonic()
        if kind == "error":
            raise UserError(content)
        if kind == "games":
            self.emit([GameRecord.model_validate_json(text) for text in content])
        elif kind == "ready":
            worker.chunk, worker.idle = None, True
            self._give(worker)

    def _give(self, worker: _Worker) -> None:
        """The next chunk for a worker that has none; without one it stays, for what others may leave."""
        if not self.waiting:
            return
        index = self.waiting.popleft()
        worker.chunk, worker.idle = index, False
        self.attempts[index] += 1
        try:
            worker.pipe.send(self.chunks[index])
        except OSError:
            self._bury(worker)

    def _bury(self, worker: _Worker) -> None:
        """A worker is gone: its chunk goes to another, unless it has cost too many."""
        del self.workers[worker.pipe]
        worker.process.kill()
        worker.process.join()
        worker.pipe.close()
        code = worker.process.exitcode
        if worker.chunk is None:
            self.stillborn += 1
            if self.stillborn >= ATTEMPTS:
                raise UserError(f"worker processes die before their first game (exit code {code}); try --workers 1")
        elif self.attempts[worker.chunk] >= ATTEMPTS:
            games = self.chunks[worker.chunk]
            reason = f"{ATTEMPTS} workers died on them (exit code {code})"
            self.problems.append(Unplayed(len(games), games[0].id, reason))
        else:
            self.waiting.append(worker.chunk)
        if self.waiting:
            idle = next((w for w in self.workers.values() if w.idle), None)
            if idle is None:
                self._start()
            else:
                self._give(idle)


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Processes started inside never hear Ctrl-C; it is the parent's to handle."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _work(pipe: Connection, roster: Roster) -> None:
    """A worker process: says that it is ready, plays what it is given, until the pipe ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    speaking = threading.Lock()

    def say(kind: str, content: object = None) -> None:
        with speaking:
            pipe.send((kind, content))

    def beat() -> None:
        try:
            while True:
                say("alive")
                time.sleep(BEAT)
        except OSError:
            os._exit(1)  # nobody listens any more

    threading.Thread(target=beat, daemon=True).start()
    try:
        player = Player(roster)
        while True:
            say("ready")
            player.play(pipe.recv(), lambda records: say("games", [r.model_dump_json() for r in records]))
    except (EOFError, OSError):
        return
    except UserError as error:
        say("error", str(error))
