"""Any Go engine that speaks the Go Text Protocol, as an agent: ``gtp:gnugo --mode gtp --level 10``.

An engine is another program: it may crash, hang, flood or lie. Whatever it does costs it the game at hand and nothing
else; the next game gets a fresh process. Settings stand before the command: ``gtp:seconds=5,memory=512:COMMAND``.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import Field

from elodrome.agents.agent import RESIGN, Agent, Config, Position, Positions
from elodrome.agents.parts.gtp import Engine, EngineFailure, Refused, action_of, board_of, program, vertex
from elodrome.envs.game import Game, Words, World
from elodrome.errors import UserError

ABOUT = {
    "cls": "Gtp",
    "chapter": "programs",
    "summary": "any Go engine that speaks GTP: gtp:COMMAND",
    "players": (2, 2),
    "worlds": ("go",),
    "command": True,
}

COLOURS = ("black", "white")
STARTING = 20.0  # seconds at least for the first answers: engines read their books and networks


class GtpConfig(Config):
    """command: the engine's command line. seconds: for one answer, a move above all. memory: address space of one
    process in MiB, 0 for no limit (engines on a GPU need that). processes: games at once, each with its own."""

    command: str = ""
    seconds: float = Field(default=60.0, gt=0)
    memory: int = Field(default=4096, ge=0)
    processes: int = Field(default_factory=lambda: os.cpu_count() or 1, ge=1)


@dataclass
class _Session:
    """A game as its engine knows it: the process, the board and the plies after the engine's last move."""

    engine: Engine
    cells: Any = None  # nothing yet: to be set up
    ply: int = -1


class Gtp(Agent):
    """Seats an engine. Raises UserError, when it is made, for a program that is missing, that does not start, or that
    refuses the size of the board or the komi.

    It sees positions as every agent does. The other's move is the difference between the board after its own move and
    the board now; a game that it has not seen from the start is set up stone by stone.
    """

    config_class = GtpConfig
    config: GtpConfig
    world: Game
    stateful = True

    def __init__(self, world: World, config: GtpConfig | None = None) -> None:
        super().__init__(world, config)
        self.words = program(self.config.command)
        self.size, self.komi = board_of(self.world)
        self.lanes = self.config.processes
        self._sessions: dict[int, _Session] = {}  # by game, the least lately used first
        self._idle: list[Engine] = []
        self._commands: frozenset[str] = frozenset()
        try:
            self._idle.append(self._start())
        except (EngineFailure, TimeoutError) as error:
            raise UserError(f"engine {self.config.command!r}: {error}") from error

    def act(self, positions: Positions) -> Sequence[Any]:
        """One answer for each position: an action, RESIGN, or the error that says why there is none."""
        answers: list[Any] = []
        for start in range(0, len(positions), self.config.processes):
            asked = list(positions[start : start + self.config.processes])
            known = [self._recall(position) for position in asked]  # first, so that none of them is taken for another
            sessions = [self._take(p) if s is None else s for p, s in zip(asked, known, strict=True)]
            if len(asked) == 1:
                answers.append(self._answer(asked[0], sessions[0]))
                continue
            with ThreadPoolExecutor(len(asked)) as pool:
                answers += pool.map(self._answer, asked, sessions)
        return answers

    def forget(self) -> None:
        self._idle += [session.engine for session in self._sessions.values()]
        self._sessions.clear()

    def ended(self, game: int, state: Words, returns: Sequence[float]) -> str:
        """What the engine says of the score where it names another winner than the arena, whose rules decide."""
        session = self._sessions.get(game)
        if session is None or session.cells is None:
            return ""
        try:
            for colour, action in self._difference(session.cells, self._cells(state)):
                self._tell(session.engine, colour, action)
            said = session.engine.ask("final_score", self.config.seconds)
        except (Refused, EngineFailure, TimeoutError, ValueError) as error:
            return f"{self.config.command!r} did not score the game: {error}"
        winner = {"B": 0, "W": 1}.get(said[:1].upper())
        ours = None if returns[0] == returns[1] else int(np.argmax(returns))
        return "" if winner == ours else f"{self.config.command!r} scores the game {said[:20]}"

    # One game

    def _answer(self, position: Position, session: _Session | Exception) -> int | Exception:
        if isinstance(session, Exception):
            return session
        try:
            return self._move(position, session)
        except Refused as error:
            return EngineFailure(f"refused: {error}")
        except (EngineFailure, TimeoutError) as error:
            return error

    def _move(self, position: Position, session: _Session) -> int:
        cells = self._cells(position)
        try:
            if session.cells is not None:
                # A board that has not changed means that the other passed.
                moves = self._difference(session.cells, cells) or [(COLOURS[1 - position.seat], self.size**2)]
                for colour, action in moves:
                    self._tell(session.engine, colour, action)
        except Refused:  # the engine's rules are others than ours: it is shown the board that ours have made
            session.cells = None
        if session.cells is None:
            self._set_up(session.engine, position, cells)
        said = session.engine.ask(f"genmove {COLOURS[position.seat]}", self.config.seconds)
        if said.lower() == "resign":
            return RESIGN
        try:
            action = action_of(said, self.size)
        except ValueError as error:
            session.engine.close()
            raise EngineFailure(f"answered genmove with {error}") from error
        if position.legal[action]:
            after = np.array(position.state)
            self.world.step(after, action, 0, np.zeros(2))
            session.cells, session.ply = self._cells(after), position.ply + 1
        return action

    def _recall(self, position: Position) -> _Session | None:
        """The session of a position's game if it stands one move before it; one that does not is dropped."""
        session = self._sessions.pop(position.game, None)
        if session is None:
            return None
        try:
            if session.engine.alive and session.cells is not None and session.ply == position.ply - 1:
                self._difference(session.cells, self._cells(position))
                self._sessions[position.game] = session
                return session
        except ValueError:  # another game
            pass
        self._idle.append(session.engine)
        return None

    def _take(self, position: Position) -> _Session | Exception:
        """A new session for a position's game, or why there can be none."""
        try:
            session = self._sessions[position.game] = _Session(self._process())
            return session
        except (EngineFailure, TimeoutError) as error:
            return error
        except UserError as error:
            return EngineFailure(str(error))

    def _set_up(self, engine: Engine, position: Position, cells: Any) -> None:
        """Show the engine a position that it has not seen.

        The stones go down in any order: each chain of a part of the position has a point left where the whole
        position has a stone or a liberty, so nothing is captured on the way.
        """
        engine.ask("clear_board", self.config.seconds)
        if "set_random_seed" in self._commands:
            engine.ask(f"set_random_seed {position.seed & 0x7FFFFFFF}", self.config.seconds)
        for action in np.flatnonzero(cells):
            self._tell(engine, COLOURS[int(cells.flat[action]) - 1], int(action))

    def _difference(self, before: Any, now: Any) -> list[tuple[str, int]]:
        """The one move between two boards; none for a pass. Raises ValueError when no one move makes it.

        A stone that is played is never captured by its own move, so it is the only point that was not its colour's.
        """
        new = np.flatnonzero((now != before) & (now != 0))
        if len(new) > 1 or (not len(new) and (now != before).any()):
            raise ValueError("the boards are more than one move apart")
        return [(COLOURS[int(now.flat[at]) - 1], int(at)) for at in new]

    def _tell(self, engine: Engine, colour: str, action: int) -> None:
        engine.ask(f"play {colour} {vertex(action, self.size)}", self.config.seconds)

    def _cells(self, at: Position | Words) -> Any:
        """The board int64 [size, size]: 0 empty, 1 black, 2 white."""
        state = at.state if isinstance(at, Position) else at
        look: Any = self.world.look
        return look.cells(state)

    # Processes

    def _process(self) -> Engine:
        """An engine that is free, or a fresh one; with all of them taken, that of the game not seen the longest."""
        while self._idle:
            engine = self._idle.pop()
            if engine.alive:
                return engine
        if len(self._sessions) >= self.config.processes:
            return self._sessions.pop(next(iter(self._sessions))).engine
        return self._start()

    def _start(self) -> Engine:
        """A fresh process on our board. Raises UserError when it refuses the board or the komi."""
        engine = Engine(self.words, self.config.memory)
        seconds = max(self.config.seconds, STARTING)
        try:
            self._commands = frozenset(engine.ask("list_commands", seconds).split())
        except Refused:
            self._commands = frozenset()
        for command in (f"boardsize {self.size}", f"komi {self.komi:g}", "clear_board"):
            try:
                engine.ask(command, seconds)
            except Refused as error:
                engine.close()
                raise UserError(f"engine {self.config.command!r} refuses {command!r}: {error}") from error
        return engine
