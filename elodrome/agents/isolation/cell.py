"""The process in which an agent lives that is not trusted: loads it, answers batch after batch, until nobody listens.

Answers go into memory that the arena shares (``board``): word 0 counts the positions begun, the words behind it are
the actions, so that what was answered before an agent hung or died is not lost, and it is known which position it was.
"""

from __future__ import annotations

import faulthandler
import mmap
import os
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import numpy.typing as npt

from elodrome.agents.agent import Agent, Positions
from elodrome.agents.isolation.wire import reader, receive, send
from elodrome.agents.parts.threads import single_threaded
from elodrome.agents.registry import make_agent
from elodrome.envs.game import World
from elodrome.envs.registry import make_env
from elodrome.errors import BrokenAgent, UserError, printable, shown, told

SHARED = 4096  # words of the board
UNANSWERED = -(1 << 63)
REMARK = 1000  # characters

Board = npt.NDArray[np.int64]
Trouble = tuple[str, str]  # a kind of failure, and the reason


def _problem(answer: Any) -> Trouble | None:
    """What stands in the way of an answer's being a word, or None."""
    kind = type(answer)  # what an answer says of its own class is its own affair
    if issubclass(kind, BaseException):
        return "time-out" if issubclass(kind, TimeoutError) else "crash", told(answer)
    if kind is not int and not (issubclass(kind, np.integer) and kind.__module__ == "numpy"):
        return "illegal", f"answered {shown(answer)} ({kind.__name__}), not an action"
    if not -(1 << 62) < answer < 1 << 62:
        return "illegal", "answered a number of more than 62 bits, not an action"
    return None


class _Cell:
    """An agent and the answers that it owes."""

    def __init__(self, agent: Agent, world: World, board: Board) -> None:
        self.agent, self.world, self.board = agent, world, board
        self.one_by_one = type(agent).act is Agent.act
        self.unforgotten: Trouble | None = None  # what its forget raised
        self.process = os.getpid()

    def act(self, positions: Positions) -> dict[str, Trouble]:
        """Answer on the board; what is no action by the position's index."""
        if self.unforgotten:
            return {str(i): self.unforgotten for i in range(len(positions))}
        if not self.one_by_one:
            self.board[0] = 0  # begun with all of them at once
            with suppress(Exception):
                answers = self.agent.act(positions)
                if len(answers) == len(positions):
                    return dict(filter(None, (self._note(i, answer) for i, answer in enumerate(answers))))
        # One by one, and again so where a batch failed: only the positions that are to blame are lost.
        troubles = (self._note(i, self._alone(positions, i)) for i in range(len(positions)))
        return dict(filter(None, troubles))

    def _alone(self, positions: Positions, i: int) -> Any:
        self.board[0] = i + 1
        try:
            if self.one_by_one:
                return self.agent.choose(positions[i])
            answers = self.agent.act(positions[i : i + 1])
            if len(answers) == 1:
                return answers[0]
            return ValueError(f"act returned {len(answers)} actions for 1 position")
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # sys.exit, too
            return error
        finally:
            if os.getpid() != self.process:  # a child of the agent's, which has no business here
                os._exit(1)

    def _note(self, i: int, answer: Any) -> tuple[str, Trouble] | None:
        trouble = _problem(answer)
        if trouble:
            return str(i), trouble
        self.board[1 + i] = int(answer)
        return None

    def forget(self) -> None:
        """Have it drop its memory; an agent that cannot answers nothing until it can."""
        try:
            self.unforgotten = None
            self.agent.forget()
        except BaseException as error:
            self.unforgotten = ("crash", f"forget raised {told(error)}")

    def evaluate(self, positions: Positions) -> tuple[dict[str, Any], dict[str, Any]]:
        """Policy and value as arrays, or the trouble."""
        try:
            thought = self.agent.evaluate(positions)
            if thought is None:
                return {}, {}
            found = {"policy": np.asarray(thought.policy, np.float64)}
            if thought.value is not None:
                found["value"] = np.asarray(thought.value, np.float64)
            return {}, found
        except BaseException as error:
            return {"trouble": told(error)}, {}

    def positions(self, arrays: dict[str, Any]) -> Positions:
        """A batch as it was shown in the arena."""
        return Positions(world=self.world, states=arrays.pop("states", None), **arrays)


def _load(channel: socket.socket, spec: str, env: str) -> tuple[Agent, World]:
    """The agent; what went wrong is said before the end."""
    try:
        world = make_env(env)
        agent = make_agent(spec, world)
        lanes = agent.lanes
        if isinstance(lanes, bool) or not isinstance(lanes, int) or lanes < 1:
            raise BrokenAgent(f"agent {spec!r}: lanes is {shown(lanes, 40)}; a whole number of 1 or more is right")
        one_by_one = type(agent).act is Agent.act
        ready = {"stateful": bool(agent.stateful), "lanes": lanes, "one_by_one": one_by_one}
    except UserError as error:
        send(channel, {"refused": told(error, REMARK), "kind": type(error).__name__})
        sys.exit(1)
    except BaseException as error:
        send(channel, {"refused": f"agent {spec!r} fails to load: {told(error)}", "kind": "BrokenAgent"})
        sys.exit(1)
    send(channel, ready)
    return agent, world


def _ended(agent: Agent, game: int, state: Any, returns: Sequence[float]) -> str:
    try:
        return printable(str(agent.ended(game, state, returns)), REMARK)
    except BaseException as error:
        return told(error)


def main() -> None:
    """CHANNEL BOARD DUMP: the numbers of a socket, of a file to be shared, and of one for where it hangs or dies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    number, shared, dump = (int(word) for word in sys.argv[1:])
    faulthandler.enable(dump, all_threads=False)
    faulthandler.register(signal.SIGUSR1, dump, all_threads=False, chain=False)
    channel = socket.socket(fileno=number)
    board: Board = np.frombuffer(mmap.mmap(shared, 8 * SHARED), np.int64)
    os.close(shared)
    channel.set_inheritable(False)  # what the agent starts shall not hold it open
    take = reader(channel)
    order, _ = receive(take)
    agent, world = _load(channel, order["spec"], order["env"])
    cell = _Cell(agent, world, board)
    with suppress(EOFError, OSError), single_threaded():
        while True:
            order, arrays = receive(take)
            if order.get("forget"):
                cell.forget()
            if order["do"] == "act":
                send(channel, {"troubles": cell.act(cell.positions(arrays))})
            elif order["do"] == "evaluate":
                send(channel, *cell.evaluate(cell.positions(arrays)))
            elif order["do"] == "ended":
                send(channel, {"remark": _ended(agent, order["game"], arrays["state"], order["returns"])})


if __name__ == "__main__":
    main()
