"""The process in which an agent lives that is not trusted: loads it, answers batch after batch, until nobody listens.

Answers go into memory that the arena shares (``board``): word 0 counts the positions begun, the words behind it are
the actions (one word each; the bits of as many float64 as an array has entries), so that what was answered before an
agent hung or died is not lost, and it is known which position it was.
"""

from __future__ import annotations

import faulthandler
import mmap
import os
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import numpy.typing as npt

from elodrome.agents.agent import Agent, Failure, Positions
from elodrome.agents.check import check_agent
from elodrome.agents.isolation.wire import reader, receive, send
from elodrome.agents.parts.answers import answered
from elodrome.agents.parts.threads import single_threaded
from elodrome.agents.registry import make_agent
from elodrome.envs.actions import Action
from elodrome.envs.game import World
from elodrome.envs.registry import make_env
from elodrome.errors import BrokenAgent, UserError, printable, shown, told

SHARED = 4096  # words of the board
UNANSWERED = -(1 << 63)
REMARK = 1000  # characters

Board = npt.NDArray[np.int64]
Trouble = tuple[str, str]  # a kind of failure, and the reason


def words_of(world: World) -> int:
    """How many words of the board an answer takes."""
    return len(world.low) or 1


def as_words(action: Action) -> Board:
    """An action as words, none of them ``UNANSWERED`` (which are the bits of -0.0)."""
    if isinstance(action, tuple):
        return (np.array(action, np.float64) + 0.0).view(np.int64)
    return np.array([action], np.int64)


def from_words(words: Board, world: World) -> dict[int, Any]:
    """The answers that ``as_words`` laid down one after the other, by their places; none that is not all there."""
    rows = words.reshape(-1, words_of(world))
    there = np.flatnonzero((rows != UNANSWERED).all(axis=1))
    if not world.continuous:
        return dict(zip(there.tolist(), rows[there, 0].tolist(), strict=True))
    arrays = rows[there].view(np.float64).reshape(len(there), *world.action_shape)
    return dict(zip(there.tolist(), arrays, strict=True))


class _Cell:
    """An agent and the answers that it owes."""

    def __init__(self, agent: Agent, world: World, board: Board) -> None:
        self.agent, self.world, self.board = agent, world, board
        self.one_by_one = type(agent).act is Agent.act
        self.unforgotten: Trouble | None = None  # what its forget raised
        self.process = os.getpid()
        self.width = words_of(world)

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
        action = answered(answer, self.world)
        if isinstance(action, Failure):
            return str(i), (action.kind, action.reason)
        self.board[1 + i * self.width : 1 + (i + 1) * self.width] = as_words(action)
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


@contextmanager
def _refusing(channel: socket.socket, what: str) -> Iterator[None]:
    """What goes wrong within is said before the end."""
    try:
        yield
    except UserError as error:
        send(channel, {"refused": told(error, REMARK), "kind": type(error).__name__})
        sys.exit(1)
    except BaseException as error:
        send(channel, {"refused": f"{what}: {told(error)}", "kind": "BrokenAgent"})
        sys.exit(1)


def _load(channel: socket.socket, spec: str, env: str) -> tuple[Agent, World]:
    with _refusing(channel, f"agent {spec!r} fails to load"):
        world = make_env(env)
        agent = make_agent(spec, world)
        lanes = agent.lanes
        if isinstance(lanes, bool) or not isinstance(lanes, int) or lanes < 1:
            raise BrokenAgent(f"agent {spec!r}: lanes is {shown(lanes, 40)}; a whole number of 1 or more is right")
        one_by_one = type(agent).act is Agent.act
        ready = {"stateful": bool(agent.stateful), "lanes": lanes, "one_by_one": one_by_one}
    send(channel, ready)
    return agent, world


def _check(channel: socket.socket, spec: str, env: str, board: Board) -> None:
    """The findings of ``check_agent``; the board says what the agent is at (word 0) and for how many moves (word 1)."""

    def asked(moves: int) -> None:
        board[1] = moves
        board[0] += 1

    with _refusing(channel, f"agent {spec!r}"):
        findings = check_agent(spec, make_env(env), asked=asked)
    send(channel, {"findings": findings})


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
    if order["do"] == "check":
        _check(channel, order["spec"], order["env"], board)
        return
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
