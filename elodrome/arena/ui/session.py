"""A game at a table with people and agents: what was played, who plays, what may be played; no pixels, no threads."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from elodrome.agents.agent import Agent, Positions
from elodrome.arena.record import GameRecord, Termination, scores_of
from elodrome.envs.actions import Action, as_array
from elodrome.envs.game import Game, Look, Mask, Words, World
from elodrome.envs.table import Table
from elodrome.errors import IllegalAction, UserError
from elodrome.seeding import mix64

HUMAN = "human"
_WORD = 0xFFFFFFFFFFFFFFFF
_ROW = np.zeros(1, np.int64)
# The look of worlds that have none: no cells, and nothing that a click could mean.
SCENE = Look(0, 0, lambda state: np.zeros((0, 0), np.int64), lambda *cell: -1, lambda state, action: None)


@dataclass
class Driver:
    """Who moves a seat: a person (no agent) or an agent under its label."""

    label: str
    agent: Agent | None = None

    @property
    def human(self) -> bool:
        return self.agent is None


@dataclass(frozen=True)
class Ply:
    """One action played: by which seat, moved by whom, on which cell (None where there is none), for what reward."""

    seat: int
    action: Action
    cell: tuple[int, int] | None
    driver: str
    rewards: tuple[float, ...]


class Session:
    """One game after another of one world. ``drivers`` go round the seats: seat s is moved by driver s + rotation.

    In a solo world the driver who is not moving looks on: his policy and values can be drawn.
    Raises UserError for a world that cannot be drawn.

    scene: it is a world of others, shown as it paints or writes itself.
    """

    def __init__(self, world: World, drivers: Sequence[Driver], *, rotation: int = 0, seed: int | None = None) -> None:
        self.world = world
        self.look = look_of(world)
        self.drivers = list(drivers)
        self.rotation = rotation
        self.scene = self.look is SCENE
        self.table = world.table(1)
        self.table.painted = self.scene
        self.new_game(seed)

    def new_game(self, seed: int | None = None) -> None:
        """Set up a fresh game; its dice and the agents' draws come from ``seed`` (by default from the system)."""
        self.seed = secrets.randbits(64) if seed is None else seed
        self.agent_seed = int(mix64(np.array([(self.seed + 1) & _WORD], np.uint64))[0])
        self.id = f"play-{time.strftime('%Y%m%dT%H%M%S')}-{secrets.token_hex(3)}"
        self.taken_back = 0
        self.mixed = False
        self.resigned: int | None = None  # the seat that gave up
        self.history: list[Ply] = []
        self._replay([])

    def _replay(self, actions: Sequence[Action]) -> None:
        """Play ``actions`` from the start: dice fall as they fell, since they depend on the seed alone."""
        self.history, before = [], self.history
        self.resigned = None
        self.table.reset(_ROW, np.array([self.seed & _WORD], np.uint64))
        for i, action in enumerate(actions):
            self.play(action, before[i].driver if i < len(before) else None)

    # What is on the table

    @property
    def state(self) -> Words:
        """A copy of the state row."""
        return _states(self.table)

    @property
    def legal(self) -> Mask:
        """The legal mask [A]; all 0 at the end."""
        legal: Mask = self.table.legal(_ROW)[0]
        return legal if self.resigned is None else np.zeros_like(legal)

    @property
    def seat(self) -> int:
        """Who is to act; -1 when the game is over."""
        return int(self.table.seats[0]) if self.resigned is None else -1

    @property
    def over(self) -> bool:
        return self.seat < 0

    @property
    def returns(self) -> tuple[float, ...]:
        """The sum of rewards of each seat so far; the least to a seat that gave up and the greatest to the other."""
        if self.resigned is not None:
            low, high = self.world.return_range
            return tuple(low if seat == self.resigned else high for seat in range(self.world.players))
        totals = np.sum([ply.rewards for ply in self.history], axis=0) if self.history else np.zeros(self.world.players)
        return tuple(float(x) for x in totals)

    @property
    def last(self) -> Ply | None:
        """The last action played."""
        return self.history[-1] if self.history else None

    def cell_of(self, action: Action) -> tuple[int, int] | None:
        """The cell that an action would change now; None in a scene, which has none."""
        return self.look.cell_of(self.state, action) if isinstance(action, int) else None

    # Who plays

    def driver_index(self, seat: int) -> int:
        return (seat + self.rotation) % len(self.drivers)

    def driver(self, seat: int) -> Driver:
        """Who moves ``seat``."""
        return self.drivers[self.driver_index(seat)]

    @property
    def mover(self) -> Driver | None:
        """Who is to move; None when the game is over."""
        return None if self.over else self.driver(self.seat)

    @property
    def watching(self) -> bool:
        """Whether no person has a part in it."""
        return not any(driver.human for driver in self.drivers)

    @property
    def opponent(self) -> int | None:
        """The index of the driver whom the opponent menu, the overlay and the hint are about."""
        agents = [i for i, driver in enumerate(self.drivers) if not driver.human]
        if not agents:
            return None
        mover = None if self.over else self.driver_index(self.seat)
        return mover if mover in agents else agents[0]

    def replace_driver(self, index: int, driver: Driver) -> None:
        """Give a driver's place to another; the game goes on."""
        self.mixed |= any(ply.driver == self.drivers[index].label for ply in self.history)
        self.drivers[index] = driver

    def switch_sides(self) -> None:
        """Let the drivers change seats; the game goes on."""
        self.mixed |= bool(self.history)
        self.rotation = (self.rotation + 1) % len(self.drivers)

    # Playing

    def play(self, action: Action, driver: str | None = None) -> Ply:
        """Play one action for the seat to act. Raises IllegalAction, with nothing changed, when it is refused."""
        seat, cell = self.seat, self.cell_of(action)
        if seat < 0:
            raise IllegalAction("the game is over")
        rewards = self.table.step(_ROW, as_array(self.world, [action]))[0]
        if self.look.marker:
            cell = self.look.marker(self.state)
        ply = Ply(seat, action, cell, driver or self.driver(seat).label, tuple(float(r) for r in rewards))
        self.history.append(ply)
        return ply

    @property
    def may_resign(self) -> bool:
        """Whether giving up makes sense here: on boards between two."""
        return self.world.kind == "board" and self.world.players == 2

    def resign(self) -> None:
        """The seat to act gives up. Raises IllegalAction when the game is over or knows no resigning."""
        if self.over or not self.may_resign:
            raise IllegalAction("the game is over" if self.over else "nobody resigns here")
        self.resigned = self.seat

    def action_at(self, row: int, column: int) -> int:
        """The action that a click on a cell means. Raises IllegalAction with the reason when it may not be played."""
        if self.over:
            raise IllegalAction("the game is over")
        legal = self.legal
        action = self.look.action_at(row, column, legal)
        if not 0 <= action < self.world.actions:
            raise IllegalAction("nothing can be played there")
        if legal[action]:
            return action
        name = self.world.action_name(action)
        if self.look.style == "discs" and self.cell_of(action) is None:
            raise IllegalAction(f"column {name} is full")
        if self.look.cells(self.state)[row, column]:
            raise IllegalAction(f"{name} is taken")
        raise IllegalAction(f"{name} is not legal here")

    def undo(self) -> int:
        """Take back the last action of a person and whatever came after (with agents alone: one action).

        Returns how many plies went; 0 when a person takes back the resignation. Raises UserError when there is none.
        """
        if self.resigned is not None and self.driver(self.resigned).human:
            self.resigned = None
            self.taken_back += 1
            return 0
        if not self.history:
            raise UserError("nothing to take back: no move has been played")
        keep = len(self.history) - 1
        if not self.watching:
            while keep >= 0 and self.history[keep].driver != HUMAN:
                keep -= 1
            if keep < 0:
                raise UserError("nothing to take back: you have not moved yet")
        gone = len(self.history) - keep
        self._replay([ply.action for ply in self.history[:keep]])
        self.taken_back += 1
        return gone

    def positions(self, seat: int | None = None) -> Positions:
        """The position on the table as a batch of one, with the seed that a match would give for this ply."""
        who = np.array([self.seat if seat is None else seat], np.int64)
        return Positions.at(self.table, _ROW, np.array([self.agent_seed], np.uint64), seats=who)

    # How it ended

    @property
    def termination(self) -> Termination:
        """How a finished game ended."""
        if self.resigned is not None:
            return "resign"
        if self.table.truncated[0]:
            return "length"
        return "draw" if len(set(self.returns)) == 1 else "win"

    def winner(self) -> int | None:
        """The seat that won; None while the game goes on, when it is drawn, and in solo worlds."""
        returns = self.returns
        if not self.over or self.world.players < 2 or len(set(returns)) == 1:
            return None
        return int(np.argmax(returns))

    def result(self) -> tuple[str, str] | None:
        """The outcome for people, as a headline and a line below it; None while the game goes on."""
        if not self.over:
            return None
        plies = f"{len(self.history)} moves" if self.world.players > 1 else f"{len(self.history)} steps"
        if self.world.players == 1:
            head = "Out of time" if self.termination == "length" else "Episode over"
            return head, f"return {self.returns[0]:g} after {plies}"
        if self.resigned is not None:
            plies += " by resignation"
        elif self.look.score is not None:
            plies += f"  ·  {self.look.score(self.state)}"
        winner = self.winner()
        if winner is None:
            return "Draw", f"after {plies}" if self.termination == "draw" else f"stopped after {plies}"
        driver = self.driver(winner)
        people = sum(d.human for d in self.drivers)
        name = self.world.seat_name(winner)
        if driver.human and people == 1:
            return "You win", f"as {name}, in {plies}"
        if driver.human or len({d.label for d in self.drivers}) == 1:
            return f"{name} wins", f"in {plies}"
        return f"{driver.label} wins", f"as {name}, in {plies}"

    @property
    def counts(self) -> bool:
        """Whether the results count this game: between different players, who stayed who they were."""
        labels = [self.driver(seat).label for seat in range(self.world.players)]
        return len(labels) > 1 and len(set(labels)) == len(labels) and not self.mixed

    def record(self) -> GameRecord:
        """The finished game as a row of the results."""
        returns = list(self.returns)
        remarks = [] if self.resigned is None else [f"{self.world.seat_name(self.resigned)} resigned"]
        remarks += [f"{self.taken_back} times taken back"] if self.taken_back else []
        return GameRecord(
            id=self.id,
            env=self.world.id,
            agents=tuple(self.driver(seat).label for seat in range(self.world.players)),
            seed=self.seed,
            agent_seed=self.agent_seed,
            opening=0,
            moves=(tuple(ply.action for ply in self.history),),
            returns=tuple(returns),
            scores=scores_of(returns),
            termination=self.termination,
            reason="; ".join(remarks),
        )

    def restore(self, *, id: str, seed: int, agent_seed: int, actions: Sequence[Action], taken_back: int) -> None:
        """Go back to a game kept earlier. Raises IllegalAction when its actions do not obey the rules."""
        self.id, self.seed, self.agent_seed, self.taken_back = id, seed, agent_seed, taken_back
        self.history = []
        self._replay(actions)


def look_of(world: World) -> Look:
    """How the world is drawn; one of others draws itself. Raises UserError for one that cannot be."""
    if not isinstance(world, Game):
        return SCENE
    if world.look is None:
        raise UserError(f"{world.id} cannot be drawn in a window; boards and gridworlds can, such as connect_four")
    return world.look


def _states(table: Table) -> Words:
    rows = table.states(_ROW)
    return np.zeros(0, np.int64) if rows is None else rows[0]


def expected_score(value: float, seat: int, world: World) -> float:
    """A value of the seat to act, in returns, as the share in [0, 1] that seat 0 of two may expect."""
    low, high = world.return_range
    share = min(max((value - low) / (high - low), 0.0), 1.0) if high > low else 0.5
    return share if seat == 0 else 1.0 - share


def winning_lines(cells: Any, last: tuple[int, int] | None) -> list[tuple[int, int]]:
    """The cells of the longest rows of equal stones through the last cell, for drawing a win; empty below three."""
    if last is None or not cells[last]:
        return []
    owner = cells[last]
    rows, columns = cells.shape
    lines = []
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        line = [last]
        for sign in (1, -1):
            r, c = last[0] + sign * down, last[1] + sign * right
            while 0 <= r < rows and 0 <= c < columns and cells[r, c] == owner:
                line.append((r, c))
                r, c = r + sign * down, c + sign * right
        lines.append(sorted(line))
    longest = max(len(line) for line in lines)
    return sorted({cell for line in lines if len(line) == longest >= 3 for cell in line})
