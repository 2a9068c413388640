"""Any of our agents as a Go engine: a server of the Go Text Protocol, version 2 (G. Farnebäck, 2002).

Colours may move out of turn, as the protocol allows; our rules know turns, so a pass of the other stands in between.
All stones on the board count as alive when the score is asked for: what is dead must be captured.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import numpy as np

from elodrome import __version__
from elodrome.agents.agent import RESIGN, Agent, Failure, Positions
from elodrome.agents.isolation.isolated import Isolation, seat_agent
from elodrome.agents.parts.answers import answered
from elodrome.agents.parts.gtp import action_of, board_of, vertex
from elodrome.arena.sgf import alternating, go_world, read_sgf, score
from elodrome.envs.game import Game
from elodrome.envs.registry import make_env
from elodrome.envs.table import Table
from elodrome.errors import IllegalAction, UserError, printable, told
from elodrome.seeding import derive

_ROW = np.zeros(1, np.int64)
_WORD = 0xFFFFFFFFFFFFFFFF
LINE = 1 << 16  # bytes of the longest command
_SEATS = {"b": 0, "black": 0, "w": 1, "white": 1}


class GtpError(Exception):
    """What is answered after ``?``."""


class GtpServer:
    """The state behind a session: an agent, a board, the moves so far.

    Raises UserError when ``env`` is no Go world or the agent cannot play it.
    """

    def __init__(self, spec: str, env: str = "go", seed: int = 0, isolation: Isolation | None = None) -> None:
        self.spec, self.seed, self.isolation = spec, seed, isolation
        self.games = 0
        self.moves: list[tuple[int, int]] = []  # (seat, action) as they were played, without the passes put in between
        self.open = True
        self._seat(go_world(make_env(env)))
        self.chosen: float | None = None if self.world.id == make_env("go", size=self.size).id else self.komi

    def respond(self, line: str) -> str | None:
        """The answer to one line of input, with its mark and its blank line; None where none is due. Never raises."""
        text = "".join(c for c in line.replace("\t", " ").partition("#")[0] if c.isprintable()).split()
        if not text:
            return None
        number = text.pop(0) if text[0].isdecimal() else ""
        if not text:
            return f"?{number} syntax error\n\n"
        try:
            command = _COMMANDS.get(text[0])
            if command is None:
                raise GtpError("unknown command")
            answer = command(self, text[1:])
            return f"={number} {answer}".rstrip() + "\n\n"
        except GtpError as error:
            reason = str(error)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a controller is told, and the session goes on
            reason = told(error)
        return f"?{number} {printable(' '.join(reason.split()), 400)}\n\n"

    # The board

    def _seat(self, world: Game) -> None:
        """Go over to another world, with a fresh agent for it."""
        agent = seat_agent(self.spec, world, self.isolation)
        self.world: Game = world
        self.agent: Agent = agent
        self.size, self.komi = board_of(world)
        self.table: Table = world.table(1)
        self._replay([])

    def _replay(self, moves: list[tuple[int, int]]) -> None:
        """Set the board to the position after ``moves``. Raises IllegalAction where they break the rules."""
        self.agent.forget()
        self.table.reset(_ROW, np.zeros(1, np.uint64))
        for action in alternating(moves, self.size):
            self._step(action)
        self.moves = list(moves)

    def _step(self, action: int) -> None:
        self.table.step(_ROW, np.array([action]))

    def _turn(self, seat: int) -> None:
        """Make it the seat's turn, by a pass of the other where it is not."""
        to_move = int(self.table.seats[0])
        if to_move < 0:
            raise GtpError("illegal move: the game is over")
        if to_move != seat:
            if self.moves and self.moves[-1][1] == self.size**2:
                raise GtpError("illegal move: out of turn after a pass, and two passes end the game")
            self._step(self.size**2)

    def _think(self) -> int:
        """The agent's answer for the seat to act: an action or RESIGN."""
        agent_seed = derive(self.seed, "agents", self.games) & _WORD
        (answer,) = self.agent.act(Positions.at(self.table, _ROW, np.array([agent_seed], np.uint64)))
        action = answered(answer, self.world)
        if isinstance(action, Failure):
            raise GtpError(f"{self.spec} {action}" if action.kind == "illegal" else str(action))
        refused = None if action == RESIGN else self.world.refusal(action, self.table.legal(_ROW)[0])
        if refused or not isinstance(action, int):
            raise GtpError(f"{self.spec} answered {refused}")
        return action

    # The commands

    def protocol_version(self, arguments: list[str]) -> str:
        return "2"

    def name(self, arguments: list[str]) -> str:
        return f"Elodrome {self.spec}"

    def version(self, arguments: list[str]) -> str:
        return __version__

    def known_command(self, arguments: list[str]) -> str:
        return "true" if _only(arguments) in _COMMANDS else "false"

    def list_commands(self, arguments: list[str]) -> str:
        return "\n".join(_COMMANDS)

    def quit(self, arguments: list[str]) -> str:
        self.open = False
        return ""

    def boardsize(self, arguments: list[str]) -> str:
        text = _only(arguments)
        if not text.isdecimal():
            raise GtpError("boardsize not an integer")
        try:
            self._seat_with(int(text), self.chosen)
        except UserError as error:
            raise GtpError(f"unacceptable size: {error}") from error
        return ""

    def _seat_with(self, size: int, komi: float | None) -> None:
        """Go over to a size; an agent that was trained for its usual komi plays on with that, scored by the other."""
        usual = go_world(make_env("go", size=size))
        if komi is None:
            self._seat(usual)
            return
        try:
            self._seat(go_world(make_env("go", size=size, komi=komi)))
        except UserError:
            self._seat(usual)
            self.komi = komi

    def clear_board(self, arguments: list[str]) -> str:
        self.games += 1
        self._replay([])
        return ""

    def set_komi(self, arguments: list[str]) -> str:
        try:
            komi = float(_only(arguments))
        except ValueError:
            raise GtpError("komi not a float") from None
        if not math.isfinite(komi):
            raise GtpError("komi not a float")
        moves = self.moves
        try:
            self._seat(go_world(make_env("go", size=self.size, komi=komi)))
            self._replay(moves)
        except UserError:  # trained for another komi: it plays on as it can, and the score is by the one asked for
            self.komi = komi
        self.chosen = komi
        return ""

    def play(self, arguments: list[str]) -> str:
        if len(arguments) != 2 or arguments[0].lower() not in _SEATS:
            raise GtpError("invalid color or coordinate")
        try:
            action = action_of(arguments[1], self.size)
        except ValueError as error:
            raise GtpError(f"invalid color or coordinate: {error}") from None
        seat = _SEATS[arguments[0].lower()]
        try:
            self._turn(seat)
            self._step(action)
        except IllegalAction:
            self._replay(self.moves)
            raise GtpError("illegal move") from None
        self.moves.append((seat, action))
        return ""

    def genmove(self, arguments: list[str]) -> str:
        color = _only(arguments).lower()
        if color not in _SEATS:
            raise GtpError("invalid color")
        if self.table.seats[0] < 0:
            return "pass"
        seat = _SEATS[color]
        self._turn(seat)
        action = None
        try:
            action = self._think()
            if action == RESIGN:
                return "resign"
            self._step(action)
            self.moves.append((seat, action))
        finally:
            if action is None or action == RESIGN:
                self._replay(self.moves)
        return vertex(action, self.size)

    def undo(self, arguments: list[str]) -> str:
        if not self.moves:
            raise GtpError("cannot undo")
        self._replay(self.moves[:-1])
        return ""

    def showboard(self, arguments: list[str]) -> str:
        return "\n" + self.table.draw(0)

    def final_score(self, arguments: list[str]) -> str:
        return score(self.table, 0, self.komi)

    def final_status_list(self, arguments: list[str]) -> str:
        status = _only(arguments).lower()
        if status not in ("alive", "seki", "dead"):
            raise GtpError("syntax error")
        look: Any = self.world.look
        states: Any = self.table.states(_ROW)
        stones: list[int] = np.flatnonzero(look.cells(states[0])).tolist() if status == "alive" else []
        return "\n".join(vertex(stone, self.size) for stone in stones)

    def time(self, arguments: list[str]) -> str:
        """Time settings are taken note of by nobody: our agents think by simulations."""
        if not all(a.lstrip("-").isdecimal() or a.lower() in _SEATS for a in arguments):
            raise GtpError("syntax error")
        return ""

    def fixed_handicap(self, arguments: list[str]) -> str:
        return self._handicap(_handicap_points(self.size, _count(arguments)))

    def place_free_handicap(self, arguments: list[str]) -> str:
        wanted = _count(arguments)
        return self._handicap(_handicap_points(self.size, min(wanted, 9 if self.size % 2 and self.size > 7 else 4)))

    def set_free_handicap(self, arguments: list[str]) -> str:
        try:
            stones = [action_of(a, self.size) for a in arguments]
        except ValueError as error:
            raise GtpError(f"bad vertex list: {error}") from None
        if len(set(stones)) < len(stones) or len(stones) < 2 or self.size**2 in stones:
            raise GtpError("bad vertex list")
        self._handicap(stones)
        return ""

    def _handicap(self, stones: list[int]) -> str:
        if self.moves:
            raise GtpError("board not empty")
        self._replay([(0, stone) for stone in stones])
        return " ".join(vertex(stone, self.size) for stone in stones)

    def loadsgf(self, arguments: list[str]) -> str:
        if not 1 <= len(arguments) <= 2 or not all(a.isdecimal() for a in arguments[1:]):
            raise GtpError("syntax error")
        record = read_sgf(Path(arguments[0]))
        world = go_world(make_env(record.env))
        plies = int(arguments[1]) - 1 if len(arguments) == 2 else record.plies
        self._seat(world)
        self._replay([(ply % 2, action) for ply, action in enumerate(record.numbers()[: max(plies, 0)])])
        self.chosen = self.komi
        return ""


def _only(arguments: list[str]) -> str:
    if len(arguments) != 1:
        raise GtpError("syntax error")
    return arguments[0]


def _count(arguments: list[str]) -> int:
    text = _only(arguments)
    if not text.isdecimal() or int(text) < 2:
        raise GtpError("invalid number of stones")
    return int(text)


def _handicap_points(size: int, stones: int) -> list[int]:
    """The star points of a handicap in the protocol's order (its section 4.1.1)."""
    most = 0 if size < 7 else 4 if size % 2 == 0 or size == 7 else 9
    if stones > most:
        raise GtpError("invalid number of stones")
    low, middle = (3 if size > 12 else 2), size // 2
    high = size - 1 - low
    # (column, line from the bottom)
    points = [(low, low), (high, high), (low, high), (high, low)]
    points += [(low, middle), (high, middle)] if stones >= 6 else []
    points += [(middle, low), (middle, high)] if stones >= 8 else []
    points = points[: stones - 1 if stones in (5, 7, 9) else stones]
    points += [(middle, middle)] if stones in (5, 7, 9) else []
    return [(size - 1 - line) * size + column for column, line in points]


_COMMANDS: dict[str, Callable[[GtpServer, list[str]], str]] = {
    "protocol_version": GtpServer.protocol_version,
    "name": GtpServer.name,
    "version": GtpServer.version,
    "known_command": GtpServer.known_command,
    "list_commands": GtpServer.list_commands,
    "quit": GtpServer.quit,
    "boardsize": GtpServer.boardsize,
    "clear_board": GtpServer.clear_board,
    "komi": GtpServer.set_komi,
    "fixed_handicap": GtpServer.fixed_handicap,
    "place_free_handicap": GtpServer.place_free_handicap,
    "set_free_handicap": GtpServer.set_free_handicap,
    "play": GtpServer.play,
    "genmove": GtpServer.genmove,
    "undo": GtpServer.undo,
    "time_settings": GtpServer.time,
    "time_left": GtpServer.time,
    "final_score": GtpServer.final_score,
    "final_status_list": GtpServer.final_status_list,
    "loadsgf": GtpServer.loadsgf,
    "showboard": GtpServer.showboard,
}


def lines_of(stream: BinaryIO) -> Iterator[str]:
    """The lines of a controller, whatever the locale: bytes that are no UTF-8 become replacement characters. Raises
    UserError at a line of more than ``LINE`` bytes."""
    while line := stream.readline(LINE + 1):
        if len(line) > LINE:
            raise UserError(f"a line of more than {LINE} bytes is no command of the Go Text Protocol")
        yield line.decode("utf-8", "replace")


def serve(server: GtpServer, lines: Iterable[str], out: TextIO) -> None:
    """Answer line after line until ``quit`` or the end of the input."""
    for line in lines:
        answer = server.respond(line)
        if answer is not None:
            out.write(answer)
            out.flush()
        if not server.open:
            return
