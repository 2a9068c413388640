"""What is kept of a game: enough to replay it bit for bit, and how it ended."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict

from elodrome.envs.game import World
from elodrome.envs.table import Table
from elodrome.errors import IllegalAction, UserError, printable

# win, draw: decided by the rules. length: cut by max_steps. resign: a seat gave up. illegal, crash, time-out: a seat
# failed and lost. void: nobody could be shown to work, so nobody wins.
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
    """One finished game. agents: labels by seat. moves: one list of actions, or one per agent in a solo world (the
    first ``opening`` of each are the random opening). returns and scores by seat: 1 win, 0.5 draw, 0 loss; a void
    game has no scores. culprit is the seat that failed, reason why it did, or a remark on a game that ended well."""

    model_config = ConfigDict(frozen=True)
    id: str
    env: str
    agents: tuple[Said, ...]
    seed: int
    agent_seed: int
    opening: int
    moves: tuple[tuple[int, ...], ...]
    returns: tuple[float, ...]
    scores: tuple[float, ...]
    termination: Termination
    culprit: int | None = None
    reason: Said = ""

    @property
    def plies(self) -> int:
        """The number of actions played by all."""
        return sum(len(stream) for stream in self.moves)

    def key(self) -> tuple[object, ...]:
        """Two games with equal keys are duplicates: same agents in the same seats, same moves."""
        return self.agents, self.moves


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


def replay(record: GameRecord, world: World, stream: int = 0) -> Iterator[tuple[Table, int | None]]:
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
        try:
            table.step(row, np.array([action], np.int64))
        except IllegalAction as error:
            raise UserError(f"game {record.id}, ply {ply + 1}: {error}") from error
    yield table, None
