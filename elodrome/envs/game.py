"""What an environment is: a few pure functions on rows of int64 words, and the sizes that go with them.

A state is a row: a contiguous 1-D int64 array. Its first ``state_words`` words change as the game goes; the words
after them are the world's constants (a map, a payoff table), the same in every row, so that rules stay pure
functions of the row and one compiled rule serves every map. Randomness comes in from outside as the index of a
chance outcome: a world can be enumerated, replayed, and compared under common random numbers.

A rule is written as a module-level function under one of the decorators of :data:`rule`, which compile it with the
fixed signature of its kind. The engines (``engine.py``) take rules as first-class function pointers: they are
compiled once for all worlds and come from numba's cache in every later process.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

import numpy as np
import numpy.typing as npt
from numba import njit

from elodrome.envs.actions import Action, refusal
from elodrome.envs.fields import trouble
from elodrome.envs.intrinsics import address_of
from elodrome.envs.signatures import CHANCE, LEGAL, OBSERVE, PLAYER, PLAYOUT, RESET, STEP
from elodrome.errors import BrokenWorld, UserError, shown

if TYPE_CHECKING:
    from elodrome.envs.enumeration import Tables
    from elodrome.envs.table import Table

Words = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Reals = npt.NDArray[np.float64]
Mask = npt.NDArray[np.uint8]
F = TypeVar("F", bound=Callable[..., Any])


def compiled(signature: Any, **options: Any) -> Callable[[F], F]:
    """``numba.njit`` with an explicit signature, cached on disk and free of the interpreter lock.

    Raises BrokenWorld, in one line, where the function does not compile.
    """

    def decorate(function: F) -> F:
        try:
            return njit(signature, cache=True, nogil=True, **options)(function)
        except Exception as error:  # numba's own errors, and what its passes raise besides
            raise BrokenWorld(_gist(error, function)) from error

    return decorate


def _gist(error: Exception, function: Callable[..., Any]) -> str:
    """A compiler's page of complaints as one line: file, line, function and the first thing it says."""
    code = function.__code__
    line = getattr(getattr(error, "loc", None), "line", code.co_firstlineno)
    said = re.sub(r"^Failed in nopython mode pipeline.*\n", "", str(error))
    said = re.split(r"\nThere are |\nDuring: |\n\s*File \"| Raised from ", said)[0]
    where = f"{Path(code.co_filename).name}, line {line}"
    return f"{where}: {function.__name__} does not compile: {' '.join(said.split())}"


def _rule(signature: Any) -> Callable[[F], F]:
    """Compile a rule without reference counts (they cost a third of a step), or with them where it makes arrays."""

    def decorate(function: F) -> F:
        try:
            return compiled(signature, _nrt=False)(function)
        except BrokenWorld:
            return compiled(signature)(function)

    return decorate


class rule:
    """The decorators under which a world's rules are written, one for each kind of rule."""

    reset = staticmethod(_rule(RESET))
    player = staticmethod(_rule(PLAYER))
    legal = staticmethod(_rule(LEGAL))
    step = staticmethod(_rule(STEP))
    observe = staticmethod(_rule(OBSERVE))
    chance = staticmethod(_rule(CHANCE))
    playout = staticmethod(_rule(PLAYOUT))


@rule.chance
def no_chance(state: Words, action: int, probs: Reals) -> int:
    """The chance rule of a world without dice."""
    probs[0] = 1.0
    return 1


@rule.playout
def no_playout(state: Words, rng: int, returns: Reals) -> int:
    """Stands where a world brings no playout of its own; engines then play by the other rules."""
    return 0


LARGEST = 1 << 20  # words of a row, outcomes of a throw
LONGEST = 2_000_000  # plies of a game: the longest of ours; a record of more is too large to keep

Kind = Literal["board", "gridworld", "matrix", "tokens", "other"]
Information = Literal["perfect", "imperfect"]


@dataclass(frozen=True)
class Look:
    """How a board or a map is drawn, for windows and replays; the rules know no pixels.

    ``cells(state)`` is an int array [rows, columns]: 0 empty, 1 + seat for a stone; in gridworlds 0 floor, 1 wall,
    2 start, 3 goal, 4 trap, 5 portal, and ``marker(state)`` the agent's (row, column).
    ``action_at(row, column, legal)`` is the action that a click on a cell means, or -1;
    ``cell_of(state_before, action)`` the cell that an action changes, or None; ``passing`` the action that passes,
    where there is one. ``score(state)`` tells the score of a finished game, where there is more to say than who won.
    """

    rows: int
    columns: int
    cells: Callable[[Words], npt.NDArray[np.int64]]
    action_at: Callable[[int, int, Mask], int]
    cell_of: Callable[[Words, int], tuple[int, int] | None]
    marker: Callable[[Words], tuple[int, int]] | None = None
    style: Literal["marks", "discs", "stones", "map"] = "marks"
    passing: int | None = None
    score: Callable[[Words], str] | None = None


@dataclass(frozen=True)
class Symmetries:
    """Transformations of a board under which the rules do not change, the first of them the identity.

    cells int64 [S, H * W] and actions int64 [S, A]: under the s-th, the transformed position shows at cell c of every
    plane what the position shows at ``cells[s, c]``, and action ``a`` there means ``actions[s, a]`` here.
    """

    cells: Words
    actions: Words


@dataclass(frozen=True, kw_only=True)
class World(ABC):
    """What every environment says of itself, whether compiled here or foreign (an adapter).

    players: P seats. actions: A, the largest number of actions at once; 0 where an action is an array of real numbers:
    then action_shape is its shape, low and high its least and greatest entries (row by row, as many as there are in
    the array). observation_shape: of what one seat sees.
    max_steps: plies after which a game is truncated. return_range: the least and greatest return of a seat.
    terminal_rewards: nothing is paid before the last step. made_as: the name under which make_env made it, if any.
    real_valued: what is seen are real numbers, hardly ever twice the same. pixels: it is pictures [planes, rows,
    columns], whole numbers from 0 to 255. layout: worlds of the same layout are seen and acted in alike, so that an
    agent trained in one may play the others; empty where there are no others.
    """

    id: str
    players: int
    actions: int = 0
    action_shape: tuple[int, ...] = ()
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    observation_shape: tuple[int, ...]
    max_steps: int
    information: Information = "perfect"
    kind: Kind = "other"
    zero_sum: bool = False
    terminal_rewards: bool = False
    simultaneous: bool = False
    real_valued: bool = False
    pixels: bool = False
    return_range: tuple[float, float] = (-1.0, 1.0)
    discount: float = 1.0
    summary: str = ""
    source: str = ""
    action_names: tuple[str, ...] = ()
    seat_names: tuple[str, ...] = ()
    layout: str = ""
    made_as: str = field(default="", init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Raises UserError where a field is not what it should be."""
        if found := trouble(self, Kind, Information):
            raise UserError(f"world {shown(self.id, 120)}: {found}")

    def note(self, name: str, *, ours: bool) -> None:
        """Remember the name under which ``make_env`` made this world, and whether it is one of ours."""
        object.__setattr__(self, "made_as", name)

    def same_as(self, other: World) -> bool:
        """Whether the other world is this one, constants included."""
        return self == other

    def __reduce__(self) -> tuple[Any, ...]:
        """A world is pickled as the name by which it is made again; one that has no such name, as its fields."""
        from elodrome.envs.registry import make_env, name_of

        name = name_of(self)
        if name is not None:
            return make_env, (name,)
        return _from_fields, (type(self), {f.name: getattr(self, f.name) for f in fields(self) if f.init})

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Nothing in a world changes: a copy of what holds one shares it."""
        return self

    @abstractmethod
    def table(self, games: int) -> Table:
        """``games`` games of this world side by side."""

    def tables(self) -> Tables | None:
        """All states and transitions, of a foreign world that tells them; None elsewhere (see ``enumerate_world``)."""
        return None

    @property
    def continuous(self) -> bool:
        """Whether an action is an array of real numbers, not one of ``actions``."""
        return bool(self.action_shape)

    def refusal(self, action: Action, legal: Mask) -> str | None:
        """Why an action may not be played where ``legal`` [A] may, for people; None where it may."""
        return refusal(self, action, legal)

    def action_name(self, action: Action) -> str:
        """The name of an action for people."""
        if isinstance(action, tuple):
            return f"({', '.join(f'{entry:.4g}' for entry in action)})"
        return self.action_names[action] if self.action_names else str(action)

    def seat_name(self, seat: int) -> str:
        """The name of a seat for people."""
        return self.seat_names[seat] if self.seat_names else f"seat {seat}"

    @property
    def observation_size(self) -> int:
        """The number of floats in one observation."""
        return int(np.prod(self.observation_shape))


def _from_fields(cls: type[World], values: dict[str, Any]) -> World:
    return cls(**values)


@dataclass(frozen=True, kw_only=True)
class Game(World):
    """A world of ours: sizes and compiled rules. Everything else is derived from it, once, for all games.

    state_words: words of the row that change. constants: words laid behind them. outcomes: the largest K.
    stroll: ``engine.random_rows`` compiled with these very rules, where that is measured to pay (1.4 times as fast).
    uniform_playout: whether ``playout`` moves uniformly among the legal actions, as the engines do without it.
    text: draws a state for people. look: for windows. describe: what a text policy is told of a state.
    Raises UserError when a rule is missing or the sizes make no sense.
    """

    state_words: int
    reset: Callable[[Words, int], None]
    player: Callable[[Words], int]
    legal: Callable[[Words, Mask], None]
    step: Callable[[Words, int, int, Reals], None]
    observe: Callable[[Words, int, Floats], None]
    chance: Callable[[Words, int, Reals], int] = no_chance
    playout: Callable[[Words, int, Reals], int] = no_playout
    uniform_playout: bool = True
    stroll: Callable[..., None] | None = field(default=None, compare=False)
    outcomes: int = 1
    constants: Words = field(default_factory=lambda: np.zeros(0, np.int64), repr=False, compare=False)
    text: Callable[[Words], str] | None = field(default=None, compare=False)
    look: Look | None = field(default=None, compare=False)
    symmetries: Symmetries | None = field(default=None, repr=False, compare=False)
    binary: bool = False
    extra: Any = field(default=None, repr=False, compare=False)
    trusted: bool = field(default=False, init=False, repr=False, compare=False)

    def note(self, name: str, *, ours: bool) -> None:
        super().note(name, ours=ours)
        object.__setattr__(self, "trusted", ours)

    def same_as(self, other: World) -> bool:
        return isinstance(other, Game) and self == other and np.array_equal(self.template, other.template)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.continuous:
            raise UserError(
                f"world {self.id!r}: compiled rules take actions by number; actions of real numbers need a World"
            )
        for name in ("reset", "player", "legal", "step", "observe", "chance", "playout"):
            if not hasattr(getattr(self, name), "nopython_signatures"):
                raise UserError(f"world {self.id!r}: {name} is not a compiled rule; write it under @rule.{name}")
        for name in ("state_words", "outcomes"):
            if not isinstance(size := getattr(self, name), int) or not 1 <= size <= LARGEST:
                raise UserError(f"world {self.id!r}: {name} must be from 1 to {LARGEST}, not {shown(size)}")
        for name, kind in (("look", Look), ("symmetries", Symmetries)):
            if not isinstance(found := getattr(self, name), (kind, type(None))):
                raise UserError(f"world {self.id!r}: {name} must be a {kind.__name__}, or None, not {shown(found)}")
        if not (self.text is None or callable(self.text)):
            raise UserError(f"world {self.id!r}: text must be a function, or None, not {shown(self.text)}")
        words = self.constants
        if not isinstance(words, np.ndarray) or words.dtype != np.int64 or words.ndim != 1:
            raise UserError(f"world {self.id!r}: constants must be a row of int64 words, not {shown(words)}")
        if self.max_steps > LONGEST:
            raise UserError(f"world {self.id!r}: max_steps must be at most {LONGEST}, not {self.max_steps}")
        cells = int(np.prod(self.observation_shape[1:]))
        if self.symmetries and (self.symmetries.cells.shape[1], self.symmetries.actions.shape[1]) != (
            cells,
            self.actions,
        ):
            raise UserError(f"world {self.id!r}: symmetries must be of {cells} cells and {self.actions} actions")

    @property
    def has_chance(self) -> bool:
        """Whether dice are rolled anywhere in this world."""
        return self.chance is not no_chance

    @property
    def row_words(self) -> int:
        """The length of a whole row, constants included."""
        return self.state_words + len(self.constants)

    @cached_property
    def template(self) -> Words:
        """A row before ``reset``: zeros and the constants."""
        row = np.zeros(self.row_words, np.int64)
        row[self.state_words :] = self.constants
        return row

    @cached_property
    def compiled(self) -> tuple[Words, Words]:
        """The pair (header, template) that every engine takes as its first argument (``signatures.WORLD``).

        Compiled loops trust the rules with their memory: those of a world that is not ours are tried first.
        Raises BrokenWorld where one of them leaves the arrays that it is given.
        """
        if not self.trusted:
            from elodrome.envs.check_rules import refuse_unsafe

            refuse_unsafe(self)
        rules = (self.reset, self.player, self.legal, self.step, self.observe, self.chance, self.playout)
        sizes = (
            self.players,
            self.actions,
            self.observation_size,
            self.state_words,
            self.max_steps,
            self.outcomes,
            int(self.has_chance),
            int(self.playout is not no_playout),
        )
        return np.array([*(address_of(r) for r in rules), *sizes], np.int64), self.template

    def table(self, games: int) -> Table:
        from elodrome.envs.table import CompiledTable

        return CompiledTable(self, games)

    def draw(self, state: Words) -> str:
        """The state as text for people."""
        return self.text(state) if self.text else str(state[: self.state_words].tolist())


def pack_floats(values: npt.ArrayLike) -> Words:
    """Float64 numbers as int64 words, bit for bit, to be laid among a world's constants."""
    return np.ascontiguousarray(values, np.float64).ravel().view(np.int64)
