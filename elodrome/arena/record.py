"""What is kept of a game: enough to replay it bit for bit, and how it ended."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict

from elodrome.envs.actions import Action, as_array, kind_of_action
from elodrome.envs.game import World
from elodrome.envs.table import Table
from elodrome.errors import IllegalAction, UserError, printable

# win, draw: decided by the rules. length: cut by max_steps (in a solo world one of the runs at least). resign: a seat
# gave up. illegal, crash, time-out: a seat failed and lost. void: nobody could be shown to work, so nobody wins.
Termination = Literal["win", "draw", "length", "resign", "illegal", "crash", "time-out", "void"]


# What strangers say is kept as it can be shown: no control character, no escape sequence, no half of a character.
Said = Annotated[str, BeforeValidator(lambda text: printable(text) if isinstance(text, str) else text)]


class GameJob(BaseModel):
    """One game to play. seats names the agent (by index) of each seat; in solo worlds each plays a game of its own
    on the same dice. seed sets dice and opening, and is shared by the games of a pair; agent_seed sets what the
    agents draw. opening is the number of uniformly random plies before the agents take over."""

    model_config = ConfigDict(frozen=True)
    id: str
    seats: tuple[int, ...]
    seed: int
    agent_seed: int
    opening: int = 0


class GameRecord(BaseModel):
    """One finished game. agents: labels by seat. moves: one list of actions (numbers, or rows of real numbers), or one
    per agent in a solo world (the first ``opening`` of each are the random opening). returns and scores by seat: 1 win,
    0.5 draw, 0 loss; a void game has no scores. culprit is the seat that failed, reason why it did, or a remark on a
    game that ended well."""

    model_config = ConfigDict(frozen=True)
    id: str
    env: str
    agents: tuple[Said, ...]
    seed: int
    agent_seed: int
    opening: int
    moves: tuple[tuple[Action, ...], ...]
    returns: tuple[float, ...]
    scores: tuple[float, ...]
    termination: Termination
    culprit: int | None = None
    reason: Said = ""

    @property
    def plies(self) -> int:
        """The number of actions played by all."""
        return sum(len(stream) for stream in self.moves)

    @property
    def number(self) -> int:
        """Which game of its match or pairing it is: the digits at the end of its id, 0 where there are none."""
        digits = re.search(r"([0-9]{1,18})\Z", self.id)
        return int(digits[1]) if digits else 0

    def numbers(self, stream: int = 0) -> tuple[int, ...]:
        """The actions of a stream where all are numbers."""
        return tuple(action for action in self.moves[stream] if isinstance(action, int))

    def key(self) -> tuple[object, ...]:
        """Two games with equal keys are duplicates: same agents in the same seats, same moves."""
        return self.agents, self.moves


HUGE = 2**31  # no action, seat or number of plies is as large
LARGEST_RETURN = 1e100  # of a game; the mean of any number of them is finite


def nonsense(record: GameRecord) -> str | None:
    """What makes no sense in a record, whoever wrote it, or None: counts that do not match, numbers out of range."""
    seats, streams = len(record.agents), len(record.moves)
    if not seats:
        return "no agents"
    if streams not in (1, seats):
        return f"{streams} lists of moves for {seats} agents"
    if not all(_sound(action) for stream in record.moves for action in stream):
        return "a move that is no action"
    if len(record.returns) != seats:
        return f"{len(record.returns)} returns for {seats} agents"
    if not all(math.isfinite(value) and abs(value) <= LARGEST_RETURN for value in record.returns):
        return f"returns {record.returns} are not all finite numbers up to {LARGEST_RETURN:g}"
    if len(record.scores) != (0 if record.termination == "void" else seats):
        return f"{len(record.scores)} scores for {seats} agents, termination {record.termination}"
    if not all(0 <= value <= 1 for value in record.scores):
        return f"scores {record.scores} are not all from 0 to 1"
    if record.culprit is not None and not 0 <= record.culprit < seats:
        return f"culprit {record.culprit} is no seat of {seats}"
    if not 0 <= record.opening < HUGE:
        return f"opening {record.opening} is no number of plies"
    if not all(0 <= seed < 2**64 for seed in (record.seed, record.agent_seed)):
        return "a seed that does not have 64 bits"
    return None


def _sound(action: Action) -> bool:
    """Whether it may be an action of some world."""
    if isinstance(action, tuple):
        return len(action) > 0 and all(map(math.isfinite, action))
    return 0 <= action < HUGE


@dataclass(frozen=True)
class Unplayed:
    """Games that could not be played: how many, the id of the first, and why."""

    games: int
    first: Said
    reason: Said

    def __str__(self) -> str:
        return f"{self.games} games from {self.first!r} on were not played: {self.reason}"


def scores_of(returns: list[float]) -> tuple[float, ...]:
    """Scores from returns: 1 for the best alone, 0 for the worse, shares of one half where they tie.

    With more than two seats a seat's score is its mean score against each other seat.
    """
    n = len(returns)
    if n == 1:
        return (0.5,)
    return tuple(
        sum(1.0 if a > b else 0.5 if a == b else 0.0 for j, b in enumerate(returns) if j != i) / (n - 1)
        for i, a in enumerate(returns)
    )


def replay(record: GameRecord, world: World, stream: int = 0) -> Iterator[tuple[Table, Action | None]]:
    """Play a recorded game again: yields (table with the game in row 0, action about to be played or None at the end).

    Raises UserError when the record is not of this world or does not obey its rules.
    """
    if record.env != world.id:
        raise UserError(f"game {record.id} was played on {record.env}, not on {world.id}")
    table = world.table(1)
    row = np.zeros(1, np.int64)
    table.reset(row, np.array([record.seed & 0xFFFFFFFFFFFFFFFF], np.uint64))
    for ply, action in enumerate(record.moves[stream]):
        yield table, action
        if len(action) != len(world.low) if isinstance(action, tuple) else world.continuous:
            raise UserError(f"game {record.id}, ply {ply + 1}: {action} is not {kind_of_action(world)}")
        try:
            table.step(row, as_array(world, [action]))
        except IllegalAction as error:
            raise UserError(f"game {record.id}, ply {ply + 1}: {error}") from error
    yield table, None
