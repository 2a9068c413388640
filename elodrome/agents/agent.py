"""Acting and learning are two things: what an agent is, what a learner is, and what they are told.

An agent answers whole batches of positions, because an arena plays many games at once and a network sees one batch.
A learner makes an agent; its loop stands in its own file, in the order of the textbook's algorithm box.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Literal, overload

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from elodrome.envs.game import Floats, Game, Mask, Reals, Words, World
from elodrome.envs.table import Table
from elodrome.errors import UserError
from elodrome.seeding import U64, generator, mix64

Ints = npt.NDArray[np.int64]

RESIGN = -1_000_000  # what any agent may answer on a board instead of an action; no accident makes this number


class Config(BaseModel):
    """Base of every algorithm's settings: frozen and validated; unknown or bad values are errors, and so is a number
    that is NaN or infinite, wherever it stands."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class About(BaseModel):
    """What a kind of agent says of itself: read from the file's ``ABOUT`` literal without importing it.

    cls: the class's name. chapter: of the notes. players: seats of worlds that it can play (least, most).
    needs: of the world: "state" (rules and state rows of ours), "enumerable" (all states fit in tables), "few" (so do
    all things seen), "zero_sum", "perfect" (information), "deterministic", "tokens" (a token MDP), "text" (a world that
    text policies can read). actions: what it chooses, "discrete" (one of a few) or "continuous" (an array of real
    numbers), or either. worlds: the only ones it plays, by name; none: all that have what it needs. fallible:
    answers may be no legal action (what a text policy says is parsed) and lose the game then. command: what stands
    behind the colon of its spec is a command line (another program plays). presets (of our own kinds): kinds of their
    own name that are this one with other settings.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    cls: str
    chapter: str
    summary: str
    players: tuple[int, int] = (1, 99)
    needs: tuple[
        Literal["state", "enumerable", "few", "zero_sum", "perfect", "deterministic", "tokens", "text"], ...
    ] = ()
    worlds: tuple[str, ...] = ()
    actions: tuple[Literal["discrete", "continuous"], ...] = ("discrete",)
    fallible: bool = False
    command: bool = False
    presets: dict[str, dict[str, Any]] = {}


@dataclass(frozen=True)
class Position:
    """One decision: what a seat may know. observation and legal are the agent's own copies; legal is empty where an
    action is an array of ``world.action_shape`` from ``world.low`` to ``world.high``.

    state is the row of the world's state, only in worlds of ours with perfect information, else None. game numbers
    the game within a match, for agents that remember; ply counts the steps so far.
    """

    world: World
    observation: Floats
    legal: Mask
    seat: int
    state: Words | None
    seed: int
    game: int
    ply: int

    @property
    def legal_actions(self) -> Ints:
        """The legal actions, ascending."""
        return np.flatnonzero(self.legal)

    @cached_property
    def rng(self) -> np.random.Generator:
        """The only randomness an agent should use: it makes games repeatable."""
        return generator(self.seed)


def ply_seeds(table: Table, rows: Ints, seats: Ints, agent_seeds: U64) -> U64:
    """One seed for each decision [k], from its game's seed [k], the ply and the seat."""
    places = table.plies[rows] * table.world.players + seats + 1
    return mix64(agent_seeds ^ mix64(places.astype(np.uint64)))


@dataclass(frozen=True)
class Positions(Sequence[Position]):
    """A batch of B positions of one world, as arrays; as a sequence it yields ``Position``.

    observations float32 [B, *shape], legal uint8 [B, A], seats, games and plies int64 [B], states int64 [B, W] or
    None, seeds uint64 [B].
    """

    world: World
    observations: Floats
    legal: Mask
    seats: Ints
    states: Words | None
    seeds: U64
    games: Ints
    plies: Ints

    @classmethod
    def at(
        cls, table: Table, rows: Ints, agent_seeds: U64, *, seats: Ints | None = None, legal: Mask | None = None
    ) -> Positions:
        """What an agent is shown of the table's rows [k], as the seats [k] (by default those to act): copies all, and
        the state only in worlds of ours that hide nothing. agent_seeds [k] are those of the games; ``legal`` [k, A]
        spares asking again."""
        seats = table.seats[rows].copy() if seats is None else seats.copy()
        shown = isinstance(table.world, Game) and table.world.information == "perfect"
        return cls(
            world=table.world,
            observations=table.observe(rows, seats),
            legal=table.legal(rows) if legal is None else legal.copy(),
            seats=seats,
            states=table.states(rows) if shown else None,
            seeds=ply_seeds(table, rows, seats, agent_seeds),
            games=rows.copy(),
            plies=table.plies[rows].copy(),
        )

    def __len__(self) -> int:
        return len(self.seats)

    @overload
    def __getitem__(self, index: int) -> Position: ...
    @overload
    def __getitem__(self, index: slice) -> Positions: ...
    def __getitem__(self, index: int | slice) -> Position | Positions:
        if isinstance(index, slice):
            return self.take(index)
        states = None if self.states is None else self.states[index]
        return Position(
            self.world,
            self.observations[index],
            self.legal[index],
            int(self.seats[index]),
            states,
            int(self.seeds[index]),
            int(self.games[index]),
            int(self.plies[index]),
        )

    def take(self, rows: Ints | slice) -> Positions:
        """The positions at ``rows``."""
        return Positions(
            self.world,
            self.observations[rows],
            self.legal[rows],
            self.seats[rows],
            None if self.states is None else self.states[rows],
            self.seeds[rows],
            self.games[rows],
            self.plies[rows],
        )


@dataclass(frozen=True)
class Evaluation:
    """What an agent thinks of positions: policy float64 [B, A] (rows sum to 1; [B, 0] where actions are real numbers),
    value float64 [B] for the seat to act, or None where the agent has none."""

    policy: Reals
    value: Reals | None = None


class Failure(Exception):
    """Stands among an agent's answers where there is none that could be shown: ``kind`` is how the game ends, the text
    why."""

    def __init__(self, kind: Literal["illegal", "crash", "time-out", "resign"], reason: str) -> None:
        super().__init__(reason)
        self.kind, self.reason = kind, reason


class Agent:
    """Base class of everything that acts. Override ``choose`` (one position) or ``act`` (a batch).

    An agent whose answer depends on earlier positions of the same game declares ``stateful = True`` and keeps its
    memory by ``position.game``; ``forget`` is called when all games of a batch are new. ``lanes`` is the largest
    number of games that it plays well at once.
    """

    ABOUT: ClassVar[dict[str, Any]]
    config_class: ClassVar[type[Config]] = Config
    stateful: bool = False
    lanes: int = 256

    def __init__(self, world: World, config: Config | None = None) -> None:
        self.world = world
        self.config = self.config_class() if config is None else config

    def act(self, positions: Positions) -> Sequence[Any] | Ints:
        """One action for each position, in order; in place of one, an exception says what went wrong with that
        position alone."""
        return [self.choose(position) for position in positions]

    def choose(self, position: Position) -> Any:
        """One action: an index of ``position.legal``, or an array. Draw from ``position.rng`` only."""
        raise NotImplementedError(f"{type(self).__name__} must define choose(position) or act(positions)")

    def evaluate(self, positions: Positions) -> Evaluation | None:
        """Policy and value for overlays and hints, or None."""
        return None

    def forget(self) -> None:
        """Drop the memory of earlier games."""

    def ended(self, game: int, state: Words, returns: Sequence[float]) -> str:
        """Asked of stateful agents when the rules have ended a game that hides nothing; a remark for its record."""
        return ""


@dataclass(frozen=True)
class Task:
    """What is to be learned: a world, a seed for everything random, and a device ("cpu", "cuda")."""

    world: World
    seed: int = 0
    device: str = "cpu"


@dataclass(frozen=True)
class Budget:
    """How long to learn: ``steps`` in the learner's own unit (``Learner.unit``), counted from the very start of
    training, so that a resumed run with the same budget ends at the same step."""

    steps: int


@dataclass(frozen=True)
class Progress:
    """One report of a learner: steps done so far and measurements (names as in TensorBoard: "loss/value")."""

    step: int
    metrics: dict[str, float] = field(default_factory=dict)


class Learner(ABC):
    """Base class of everything that learns. Built for a task, since its tables and networks take their sizes from it.

    ``learn`` yields Progress every so often; between two yields the learner is in a state that ``snapshot`` can
    save, and a learner restored from it goes on exactly as the first would have (on CPU).
    """

    ABOUT: ClassVar[dict[str, Any]]
    config_class: ClassVar[type[Config]] = Config
    unit: ClassVar[str] = "steps"
    default_steps: ClassVar[int] = 100_000
    unsteady: ClassVar[bool] = False  # whether a later agent may well be worse: in solo worlds the best is kept

    def __init__(self, task: Task, config: Config | None = None) -> None:
        self.task = task
        self.world = task.world
        self.config = self.config_class() if config is None else config

    @abstractmethod
    def learn(self, budget: Budget) -> Iterator[Progress]:
        """Learn until ``budget.steps`` in all, reporting on the way."""

    @property
    @abstractmethod
    def agent(self) -> Agent:
        """The acting agent as of now, frozen: later learning does not change it."""

    @abstractmethod
    def weights(self) -> dict[str, npt.NDArray[Any]]:
        """The arrays that the acting agent is made of."""

    @classmethod
    @abstractmethod
    def restore(cls, world: World, config: Any, weights: dict[str, npt.NDArray[Any]]) -> Agent:
        """The acting agent from saved arrays. Raises BrokenAgent when shapes do not fit the world or config."""

    @abstractmethod
    def snapshot(self) -> dict[str, Any]:
        """Everything that resuming needs: a flat dict of arrays and JSON values (weights, optimiser, replay, rng)."""

    @abstractmethod
    def resume(self, snapshot: dict[str, Any]) -> None:
        """Go back to a snapshot."""


def check_device(device: str) -> str:
    """``auto`` becomes cuda where it is there, else cpu. Raises UserError when cuda is asked for and absent."""
    if device not in ("auto", "cpu", "cuda"):
        raise UserError(f"unknown device {device!r}; choose auto, cpu or cuda")
    if device == "cpu":
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if device == "cuda":
        raise UserError("device cuda was asked for, but torch sees no CUDA device here; use --device auto or cpu")
    return "cpu"
