"""Whom a learner meets that plays against itself: its self of now, its past, or an agent that stays as it is.

A choice is a word: ``self``, ``mixed`` (self and random play), ``past`` (former selves, all alike), ``prioritised``
(former selves, those above all against whom little was won), or the spec of any agent, ``random`` among them.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from pydantic import Field
from torch import nn

from elodrome.agents.agent import Config, Failure, Ints, Positions
from elodrome.agents.parts.answers import answered
from elodrome.agents.parts.networks import Arrays, load_module, module_arrays
from elodrome.agents.parts.saved import expect, under
from elodrome.agents.registry import make_agent
from elodrome.envs.actions import Actions, as_array
from elodrome.envs.game import Reals, World
from elodrome.errors import BrokenAgent, UserError
from elodrome.seeding import U64, mix64

Opponent = Callable[[Positions], Sequence[int] | Actions]  # an agent's ``act``, or a learner's own policy
Play = Callable[[Any, Positions], Actions]  # the actions [B] of a learner's policy with a network of its kind

WORDS = ("self", "mixed", "past", "prioritised")  # what an opponent may be besides the spec of an agent
MEMORY = 50  # games; of more against one self, the last count most
LEAST = 0.01  # of the greatest weight there is: whoever is always beaten is met now and then all the same


class OpponentConfig(Config):
    """opponent, in worlds of several seats: "self" (the current policy in every other seat), "mixed" (each game one of
    it and random play), "past" or "prioritised" (each game one of it and a former self), or the spec of any agent, such
    as "random". self_share: of the games against the current policy, where there is a choice. past: how many former
    selves are remembered, one every ``past_every`` games that begin."""

    opponent: str = "mixed"
    self_share: float = Field(0.8, gt=0.0, lt=1.0)
    past: int = Field(16, ge=1)
    past_every: int = Field(500, ge=1)


class Past:
    """The last ``size`` former selves of a network, and how games against each have gone of late. A self is known by
    its number, counted from the first on; one that is forgotten stands for the oldest that is not.

    Where ``prioritised``, the weight of a self in a draw is the square of what is missed of the greatest return there
    was (at 1 and -1: of the chance not to win, "hard" in Vinyals et al. 2019); one never met has the full weight.
    """

    def __init__(self, net: nn.Module, size: int, *, prioritised: bool = False) -> None:
        self.net, self.size, self.prioritised = net, size, prioritised
        self.count = 0  # selves ever noted
        self._selves: list[Arrays] = []  # oldest first
        self._games, self._mean = np.zeros(size, np.int64), np.zeros(size)  # of self i at i % size
        self._range = np.zeros(2)  # least and greatest return seen, 0 among them

    def __len__(self) -> int:
        return len(self._selves)

    @property
    def oldest(self) -> int:
        """The number of the oldest self that is remembered."""
        return self.count - len(self)

    def note(self) -> None:
        """Remember the network as it is."""
        self._selves = [*self._selves, module_arrays(self.net)][-self.size :]
        self._games[self.count % self.size] = 0
        self.count += 1

    def chances(self) -> Reals:
        """Of each remembered self, oldest first, to be drawn."""
        place = np.arange(self.oldest, self.count) % self.size
        low, high = self._range
        weights = np.ones(len(self))
        if self.prioritised and high > low:
            met = self._games[place] > 0
            weights[met] = np.maximum(((high - self._mean[place[met]]) / (high - low)) ** 2, LEAST)
        chances: Reals = weights / weights.sum()
        return chances

    def at(self, quantile: float) -> int:
        """The number of the self at a quantile in [0, 1)."""
        sums = self.chances().cumsum()
        return self.oldest + min(int(np.searchsorted(sums, quantile, "right")), len(self) - 1)

    def draw(self, rng: np.random.Generator) -> int:
        """The number of a self, at random."""
        return self.at(rng.random()) if self.prioritised else self.oldest + int(rng.integers(len(self)))

    def rival(self, number: int) -> Any:
        """The network as that self had it."""
        net = copy.deepcopy(self.net).requires_grad_(False)
        load_module(net, self._selves[max(number, self.oldest) - self.oldest])
        return net

    def tell(self, numbers: Ints, returns: Reals) -> None:
        """What the learner got in games that are over, against which selves: both [k]."""
        for number, gained in zip(numbers.tolist(), returns.tolist(), strict=True):
            self._range[:] = min(self._range[0], gained), max(self._range[1], gained)
            if number >= self.oldest:
                place = number % self.size
                self._games[place] += 1
                seen = min(int(self._games[place]), MEMORY)
                self._mean[place] = gained if seen == 1 else self._mean[place] + (gained - self._mean[place]) / seen

    def snapshot(self) -> dict[str, Any]:
        """Everything, as arrays."""
        selves = {f"{i}/{key}": array for i, past in enumerate(self._selves) for key, array in past.items()}
        tallies = {"games": self._games.copy(), "mean": self._mean.copy(), "range": self._range.copy()}
        return {**selves, **tallies, "count": self.count}

    def resume(self, snapshot: dict[str, Any]) -> None:
        """Go back to a snapshot of a past of the same size. Raises BrokenAgent where a self is none of the network."""
        self.count = int(snapshot["count"])
        shapes = {name: tuple(tensor.shape) for name, tensor in self.net.state_dict().items()}
        self._selves = [
            {name: expect(past, name, shape) for name, shape in shapes.items()}
            for past in (under(snapshot, f"{i}/") for i in range(min(self.count, self.size)))
        ]
        for name, array in (("games", self._games), ("mean", self._mean), ("range", self._range)):
            array[...] = snapshot[name]


class Opponents:
    """Who plays the other seats of a ``SeatEnv``: drawn for every game from ``choices``, pairs of a weight and a
    callable on Positions, and from the former selves of a network, where there are any: one more pair of a weight and
    a ``Past``, whose networks ``play`` lets act, and which takes in the current self every ``every`` games.

    Who is met is told by a number: its place among the choices or, behind these, that of the former self.
    """

    def __init__(
        self,
        choices: Sequence[tuple[float, Opponent]] = (),
        past: tuple[float, Past] | None = None,
        play: Play | None = None,
        every: int = 1,
    ) -> None:
        self._choices = [choice for _, choice in choices]
        self._past = None if past is None else past[1]
        self._shares = np.cumsum([weight for weight, _ in (*choices, *([] if past is None else [past]))])
        self._play, self._every = play, every
        self._begun = 0  # games since a self was noted
        self._made: dict[int, nn.Module] = {}  # networks of former selves that were met

    def __bool__(self) -> bool:
        return bool(len(self._shares))

    def meet(self, seeds: U64) -> Ints:
        """Whom the games that begin with these seeds [k] are played against [k]."""
        if len(self._shares) == 1 and self._past is None:
            return np.zeros(len(seeds), np.int64)
        share = mix64(seeds + np.uint64(1)) / 2.0**64 * self._shares[-1]
        met = np.minimum(np.searchsorted(self._shares, share, "right"), len(self._shares) - 1)
        if self._past is not None:
            if self._past.count == 0 or self._begun >= self._every:
                self._past.note()
                self._begun = 0
            self._begun += len(seeds)
            for k in np.flatnonzero(met == len(self._choices)):
                met[k] += self._past.at(float(mix64(seeds[k : k + 1] + np.uint64(2))[0] / 2.0**64))
        return met

    def act(self, who: int, positions: Positions) -> Sequence[int] | Actions:
        """The actions [B] of whom ``meet`` named."""
        number = who - len(self._choices)
        if number < 0 or self._past is None or self._play is None:
            return self._choices[who](positions)
        number = max(number, self._past.oldest)
        if number not in self._made:
            self._made = {n: net for n, net in self._made.items() if n >= self._past.oldest}
            self._made[number] = self._past.rival(number)
        return self._play(self._made[number], positions)

    def tell(self, who: Ints, returns: Reals) -> None:
        """What the learner got in games that are over, against whom: both [k]."""
        if self._past is not None:
            theirs = who >= len(self._choices)
            self._past.tell(who[theirs] - len(self._choices), returns[theirs])

    def snapshot(self) -> dict[str, Any]:
        """What is remembered; nothing where there is no past."""
        return {} if self._past is None else {**self._past.snapshot(), "begun": self._begun}

    def resume(self, snapshot: dict[str, Any]) -> None:
        """Go back to a snapshot."""
        if self._past is not None:
            self._past.resume(snapshot)
            self._begun, self._made = int(snapshot["begun"]), {}


def opponents_of(world: World, config: OpponentConfig, play: Play, net: nn.Module) -> Opponents:
    """Whom a learner meets in a ``SeatEnv`` by its settings; ``play`` is its policy with a network of the kind of
    ``net``, the one that learns. Nobody in solo worlds. Raises UserError for an opponent that is none, or one where
    there is nobody to play against."""

    def myself(positions: Positions) -> Actions:
        return play(net, positions)

    share = config.self_share
    if world.players == 1:
        if config.opponent not in WORDS:
            alone = f"{world.id} has one seat, nobody to play against; leave it out"
            raise UserError(f"opponent={config.opponent}: {alone}")
        return Opponents()
    if config.opponent == "self":
        return Opponents([(1.0, myself)])
    if config.opponent == "mixed":
        return Opponents([(share, myself), (1.0 - share, fixed("random", world))])
    if config.opponent in ("past", "prioritised"):
        past = Past(net, config.past, prioritised=config.opponent == "prioritised")
        return Opponents([(share, myself)], (1.0 - share, past), play, config.past_every)
    return Opponents([(1.0, fixed(config.opponent, world, WORDS))])


def stranger(choice: str, world: World, words: Sequence[str]) -> Opponent | None:
    """``fixed`` where a choice is none of the ``words``."""
    return None if choice in words else fixed(choice, world, words)


def fixed(spec: str, world: World, words: Sequence[str] = ()) -> Opponent:
    """The acting half of any agent; ``words`` are what could have stood in place of its spec. Raises UserError where
    there is no such agent or it remembers games, BrokenAgent, when it plays, for what is no legal action."""
    try:
        agent = make_agent(spec, world)
    except UserError as error:
        raise type(error)(f"opponent={spec}: {error}" + (f"; or choose {', '.join(words)}" if words else "")) from error
    if agent.stateful:
        raise UserError(f"opponent={spec}: it remembers its games, and here they begin and end one by one")

    def act(positions: Positions) -> Actions:
        answers, rows = agent.act(positions), np.arange(len(positions))
        if isinstance(answers, np.ndarray) and answers.dtype == np.int64 and len(answers) == len(rows):
            within = (answers >= 0) & (answers < world.actions)
            if (positions.legal[rows, answers * within] * within).all():
                return answers
        actions = []
        for answer, legal in zip(answers, positions.legal, strict=True):
            action = answered(answer, world)
            if isinstance(action, Failure):
                raise BrokenAgent(f"opponent {spec}: {action.reason}")
            if refused := world.refusal(action, legal):
                raise BrokenAgent(f"opponent {spec}: answered {refused}")
            actions.append(action)
        return as_array(world, actions)

    return act
