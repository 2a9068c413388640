"""An agent that is not trusted, in a cell of its own: it may hang, crash, eat memory or flood, and loses that game.

The arena sees an agent like any other. Behind it stands a process under a supervisor, with a bound on its time to load,
its time for a move, its memory and what it prints; one that breaks a bound is ended with all that it started, and a
fresh one plays on. A batch crosses as one message; the answers come through shared memory.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from elodrome.agents.agent import Agent, Config, Evaluation, Failure, Positions
from elodrome.agents.check import BATCH_MOVES, check_agent
from elodrome.agents.isolation.cell import SHARED, UNANSWERED, from_words, words_of
from elodrome.agents.isolation.keeper import Cell, Limits, Printed
from elodrome.agents.parts.saved import find_saved, read_card
from elodrome.agents.registry import make_agent
from elodrome.agents.specs import commanded, make_config, runs_code
from elodrome.envs.game import Words, World
from elodrome.envs.registry import call_name, parse_options
from elodrome.errors import UserError, nearest

HOPELESS = 8  # failures in a row, each of a fresh process, after which the games at hand are lost without asking
_LIMIT = re.compile(r"(?<=[:,])limit_(\w+)=([^,:]*)(?:,|$)")  # a setting of a spec


class Isolation(Config):
    """Which agents live in cells: all (True), none (False), or those that are not ours (None); and their limits."""

    isolate: bool | None = None
    limits: Limits = Limits()

    @classmethod
    def parse(cls, isolate: bool | None = None, limits: str = "") -> Isolation:
        """From the command line: ``--isolate`` and ``--limits seconds=5,load=60,memory=4096``. Raises UserError."""
        found: Any = make_config("--limits", Isolated, parse_options("--limits", limits))
        return cls(isolate=isolate, limits=found)

    def words(self) -> list[str]:
        """The options of the command line that ask for the same."""
        words = [] if self.isolate is None else ["--isolate" if self.isolate else "--no-isolate"]
        changed = self.limits.model_dump(exclude_defaults=True)
        return words + (["--limits", ",".join(f"{k}={v:g}" for k, v in changed.items())] if changed else [])

    def wanted(self, spec: str, world: World) -> bool:
        """Whether the agent that ``spec`` names lives in a cell. Nothing of it is loaded to find out."""
        if commanded(spec):  # a program of its own already
            return False
        if self.isolate is None:
            return bool(_LIMIT.search(spec)) or foreign(spec, world)
        return self.isolate

    def limits_of(self, spec: str) -> tuple[str, Limits]:
        """A spec without ``limit_seconds=``, ``limit_load=`` and ``limit_memory=`` among its settings, and the limits
        with these. Raises UserError for one that is none."""
        if commanded(spec):
            return spec, self.limits
        plain = _LIMIT.sub("", spec).rstrip(",:")
        given = dict(_LIMIT.findall(spec))
        for name in given.keys() - Limits.model_fields.keys():
            known = [f"limit_{limit}" for limit in Limits.model_fields]
            raise UserError(f"agent {spec!r}: there is no limit_{name}{nearest(f'limit_{name}', known)}")
        options = parse_options(spec, ",".join(f"{name}={value}" for name, value in given.items()))
        found: Any = make_config(f"{plain}, limits", Isolated, self.limits.model_dump() | options)
        return (plain, found) if given else (spec, self.limits)


def foreign(spec: str, world: World) -> bool:
    """Whether a spec names code from a file or a plugin, itself or by the card of a saved agent."""
    saved = None if ".py:" in spec else find_saved(spec, world)
    return bool(runs_code(read_card(saved[0]).kind if saved else spec))


def seat_agent(spec: str, world: World, isolation: Isolation | None = None) -> Agent:
    """The agent that ``spec`` names, in a cell where ``isolation`` (by default: agents that are not ours, or whose spec
    sets a limit) asks for it. Raises as ``make_agent`` does."""
    isolation = isolation or Isolation()
    plain, limits = isolation.limits_of(spec)
    return Isolated(plain, world, limits) if isolation.wanted(spec, world) else make_agent(plain, world)


def check_seated(spec: str, world: World, isolation: Isolation) -> list[str]:
    """``check_agent``, in a cell where ``isolation`` asks for it: that one hangs or ends its process is a finding."""
    plain, limits = isolation.limits_of(spec)
    if not isolation.wanted(spec, world):
        return check_agent(plain, world)
    cell = Cell(limits, Printed(plain))
    try:
        return cell.check(plain, call_name(world))
    finally:
        cell.close()


class Isolated(Agent):
    """The agent behind ``spec``, in a cell. Raises UserError or BrokenAgent when it does not load in time."""

    config_class = Limits

    def __init__(self, spec: str, world: World, limits: Limits | None = None) -> None:
        super().__init__(world, limits)
        self.spec, self.env, self.limits = spec, call_name(world), limits or Limits()
        self._fruitless = 0
        self._forgotten = True  # nothing to forget yet
        self._printed = Printed(spec)
        self._cell = self._start()
        self._words = words_of(world)
        if self._words >= SHARED:
            raise UserError(
                f"{world.id}: actions of more than {SHARED - 1} numbers do not pass into a cell; --no-isolate"
            )
        self.stateful, self.lanes = self._cell.stateful, min(self._cell.lanes, (SHARED - 1) // self._words)
        self._width = self.lanes

    def act(self, positions: Positions) -> Sequence[Any]:
        """One answer for each position; a Failure where there is none."""
        answers: list[Any] = [None] * len(positions)
        waiting = np.arange(len(positions))
        while len(waiting):
            asked = waiting[: self._width]
            found, failure, blamed = self._ask(positions.take(asked))
            for i, answer in found.items():
                answers[asked[i]] = answer
            if found:
                self._fruitless, self._width = 0, min(2 * self._width, self.lanes)
            if failure is not None:
                self._fruitless += 1
                if blamed is None and len(asked) > 1:  # one of a batch: smaller ones find out which
                    self._width = max(1, len(asked) // 8)
                else:
                    answers[asked[blamed or 0]] = failure
            waiting = np.array([i for i in waiting if answers[i] is None], np.int64)
            if self._fruitless >= HOPELESS:
                for rest in waiting:
                    answers[rest] = Failure("crash", f"not asked again after {HOPELESS} failures in a row: {failure}")
                break
        return answers

    def evaluate(self, positions: Positions) -> Evaluation | None:
        try:
            cell = self._ready()
            header, arrays = cell.exchange({"do": "evaluate"}, positions, self.limits.seconds)
        except (Failure, UserError):
            return None
        policy, value = arrays.get("policy"), arrays.get("value")
        if "trouble" in header or policy is None or policy.shape != positions.legal.shape:
            return None
        return Evaluation(policy, value if value is not None and value.shape == policy.shape[:1] else None)

    def forget(self) -> None:
        self._forgotten, self._fruitless = False, 0

    def ended(self, game: int, state: Words, returns: Sequence[float]) -> str:
        if not self._cell.alive:
            return ""
        order = {"do": "ended", "game": game, "returns": [float(r) for r in returns]}
        try:
            header, _ = self._cell.exchange(order, {"state": state}, self.limits.seconds)
        except Failure as error:
            return str(error)
        return str(header.get("remark", ""))[:1000]

    def close(self) -> None:
        """End its processes."""
        self._cell.close()

    # The cell

    def _start(self) -> Cell:
        cell = Cell(self.limits, self._printed)
        cell.load(self.spec, self.env)
        return cell

    def _ready(self) -> Cell:
        """A cell that lives. Raises UserError when a fresh one does not start."""
        if not self._cell.alive:
            self._cell = self._start()
        return self._cell

    def _ask(self, positions: Positions) -> tuple[dict[int, Any], Failure | None, int | None]:
        """Answers by index, and where the cell has failed: how, and the index of the position that is to blame, None
        where that is not known."""
        count = len(positions)
        try:
            cell = self._ready()
        except UserError as error:
            return {}, Failure("crash", f"does not start again: {error}"), 0
        order = {"do": "act", "forget": not self._forgotten}
        self._forgotten = True
        moves = 1 if cell.one_by_one else min(count, BATCH_MOVES)
        cell.board[: count * self._words + 1] = UNANSWERED
        cell.board[0] = 0
        failure, troubles = None, {}
        try:
            header, _ = cell.exchange(order, positions, moves * self.limits.seconds, lambda: self.limits.seconds)
            troubles = header.get("troubles", {})
        except Failure as error:
            failure = error
        words = cell.board[: count * self._words + 1].copy()  # a cell may go on writing
        found = from_words(words[1:], self.world)
        if failure is None:
            for i in range(count):
                if i not in found:
                    found[i] = _trouble(troubles.get(str(i)))
            return found, None, None
        begun = int(words[0]) - 1
        return found, failure, begun if 0 <= begun < count and begun not in found else None


def _trouble(said: Any) -> Failure:
    """A failure that the cell tells of."""
    match said:
        case ["illegal" | "crash" | "time-out" as kind, str(reason)]:
            return Failure(kind, reason[:1000])
    return Failure("crash", "gave no answer")
