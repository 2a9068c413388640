"""What tabular learners share: their settings, their memory, saving and resuming, and the frozen greedy agent.

The loops themselves stand in ``agents/tabular``, on the steps of ``parts.walk``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from elodrome.agents.agent import Agent, Budget, Config, Evaluation, Ints, Learner, Positions, Progress, Task
from elodrome.agents.parts.met import Met
from elodrome.agents.parts.saved import expect
from elodrome.agents.parts.walk import EPISODES, STEP, Schedule, Walk
from elodrome.envs import engine
from elodrome.envs.game import Floats, Game, Mask, Reals, Words, World
from elodrome.envs.index import RowIndex
from elodrome.envs.information import InformationStates, keys_of
from elodrome.envs.table import thread_pool
from elodrome.errors import BrokenAgent
from elodrome.seeding import derive, mix64

CHUNK = 1_000_000  # steps between two reports, at most
SOLO_DISCOUNT = 0.995  # the most, where a solo world has none of its own
SLOTS = 64  # decisions of an episode that there is room for at first


class Seen(NamedTuple):
    """What the rows of a table stand for: seats int64 [I], what they see float32 [I, O], what is legal uint8 [I, A]."""

    seats: Ints
    observations: Floats
    legal: Mask


class GreedyTable(Agent):
    """Plays the greatest action value of what it sees, ties at random; what it never met, uniformly at random.

    Arrays: q float64 [I, A], and of each row what it stands for, ``Seen``.
    """

    def __init__(self, world: World, config: Config, q: Reals, seen: Seen):
        super().__init__(world, config)
        self.q = q
        self._index = RowIndex(keys_of(*seen))

    def _best(self, positions: Positions) -> tuple[Mask, Reals]:
        found = self._index.find(keys_of(positions.seats, positions.observations, positions.legal))
        q = np.where(found[:, None] >= 0, self.q[found], 0.0)
        q = np.where(positions.legal > 0, q, -np.inf)
        value = q.max(axis=1)
        return (q == value[:, None]).astype(np.uint8), value

    def act(self, positions: Positions) -> Ints:
        best, _ = self._best(positions)
        actions = np.zeros(len(positions), np.int64)
        engine.batch_sample(best, mix64(positions.seeds), actions)
        return actions

    def evaluate(self, positions: Positions) -> Evaluation:
        best, value = self._best(positions)
        return Evaluation(best / best.sum(axis=1, keepdims=True), value)


class RateConfig(Config):
    """alpha: the step size; None: 1 / n ** 0.55, n the visits of the state and action. It falls to alpha_end over
    alpha_steps (0: it stays), linearly or exponentially (``fall``), and is divided by n ** alpha_power (a power in
    (0.5, 1] satisfies Robbins-Monro, theorem 2.9; None: 0 where alpha is given). discount: per decision of one's own;
    None is the world's own. initial: the first values."""

    usual_power: ClassVar[float] = 0.55

    alpha: float | None = Field(None, gt=0.0, le=1.0)
    alpha_end: float = Field(0.0, ge=0.0, le=1.0)
    alpha_steps: int = Field(0, ge=0)
    alpha_power: float | None = Field(None, ge=0.0, le=1.0)
    fall: Literal["linear", "exponential"] = "linear"
    discount: float | None = Field(None, ge=0.0, le=1.0)
    initial: float = 0.0

    @model_validator(mode="after")
    def _falls_to_something(self) -> Self:
        for name in ("alpha", "epsilon"):
            if self.fall == "exponential" and getattr(self, f"{name}_steps", 0) > 0:
                if getattr(self, f"{name}_end") == 0.0:
                    raise ValueError(f"{name} cannot fall to 0 exponentially; give {name}_end=0.01 or the like")
                if getattr(self, name) == 0.0:
                    raise ValueError(f"{name}=0 falls nowhere; start with more")
        return self

    @property
    def schedules(self) -> tuple[Schedule, Schedule]:
        """Those of alpha and of epsilon, as compiled loops take them."""
        usual = self.usual_power if self.alpha is None else 0.0
        power = usual if self.alpha_power is None else self.alpha_power
        start = 1.0 if self.alpha is None else self.alpha
        curve = float(self.fall == "exponential")
        return Schedule(start, self.alpha_end, float(self.alpha_steps), curve, power), Schedule(0.0, 0.0, 0.0, 0.0, 0.0)

    def discount_on(self, world: World) -> float:
        """The discount that is learned with on ``world``."""
        return world.discount if self.discount is None else self.discount


class TabularConfig(RateConfig):
    """epsilon: the share of random actions. It falls to epsilon_end over epsilon_steps as alpha does, and is divided by
    n ** epsilon_power, n the visits of the state. discount: None is the world's own, in solo worlds at most 0.995:
    without any, waiting where it is safe is as good as arriving. The rest: ``RateConfig``."""

    epsilon: float = Field(0.2, ge=0.0, le=1.0)
    epsilon_end: float = Field(0.0, ge=0.0, le=1.0)
    epsilon_steps: int = Field(0, ge=0)
    epsilon_power: float = Field(0.0, ge=0.0, le=1.0)

    @property
    def schedules(self) -> tuple[Schedule, Schedule]:
        curve = float(self.fall == "exponential")
        steps = float(self.epsilon_steps)
        return super().schedules[0], Schedule(self.epsilon, self.epsilon_end, steps, curve, self.epsilon_power)

    def discount_on(self, world: World) -> float:
        own = min(world.discount, SOLO_DISCOUNT) if world.players == 1 else world.discount
        return own if self.discount is None else self.discount


@dataclass(frozen=True)
class Details:
    """What a kind of loop needs beside the settings of all: lambda_, span and once are those of ``Walk``; second: what
    its second table holds; trail: how many decisions of a seat it remembers (-1: those of the whole episode)."""

    lambda_: float = 0.0
    span: int = 1
    once: bool = False
    second: Literal["none", "values", "marks"] = "none"
    trail: int = 0


Policy = Callable[[Floats, Mask, Ints, Words | None], Reals]  # observations, legal, seats, states: probabilities


class Run:
    """One learner's memory between two calls of its loop; everything that resuming needs. See ``Walk`` for the arrays.

    policy is given for a prediction. ``legal`` [I, C] says which values there are.
    """

    def __init__(
        self, states: InformationStates | Met, config: RateConfig, seed: int, details: Details, policy: Policy | None
    ) -> None:
        world = states.world
        self.config, self.details, self.limit = config, details, world.max_steps
        self.discount = config.discount_on(world)
        players, slots = world.players, SLOTS if details.trail < 0 else details.trail
        self.tell = policy
        self.policy = np.zeros((0, world.actions))
        self.legal = states.legal
        if policy is not None:
            self.legal = np.ones((len(states.legal), 1), np.uint8)
            self.policy = np.zeros((len(states.legal), world.actions))
            if isinstance(states, InformationStates):
                told = policy(states.observations, states.legal, states.seats, states.rows())
                self.policy[:] = _running_sums(told)
        self.q = np.where(self.legal > 0, config.initial, -np.inf)
        self.visits = np.zeros(self.q.shape)
        self.second = {"none": np.zeros((0, 0)), "values": self.q.copy(), "marks": np.zeros(self.q.shape)}[
            details.second
        ]
        self.clock = np.array([-1, 0, 0, -1, -1, 0, 0, 0], np.int64)
        self.rng = np.array([derive(seed, "learn")], np.uint64)
        self.held = np.full((players, 2), -1, np.int64)
        self.sums = np.zeros((players, 3))
        self.counts = np.zeros(players, np.int64)
        self.trail = np.zeros((players, slots), np.int64)
        self.gains = np.zeros((players, slots))
        self.fades = np.zeros((players, slots))

    def admit(self, met: Met, row: int) -> None:
        """Take up what was met: its values where there are none yet, and the policy there."""
        legal = met.legal[row]
        if self.tell is not None:
            at = slice(row, row + 1)
            self.policy[at] = _running_sums(self.tell(met.observations[at], met.legal[at], met.seats[at], None))
            return
        for table in (self.q, self.second) if self.details.second == "values" else (self.q,):
            values = np.where(np.isfinite(table[row]), table[row], self.config.initial)
            table[row] = np.where(legal > 0, values, -np.inf)

    def resize(self, met: Met) -> None:
        """As many rows as there is room for in what was met."""
        rows = len(met.legal)
        for name in ("q", "visits", "second", "policy"):
            old = getattr(self, name)
            if old.size:
                new = np.full((rows, old.shape[1]), -np.inf if name == "q" and self.tell is None else 0.0)
                new[: len(old)] = old[:rows]
                setattr(self, name, new)
        self.legal = met.legal if self.tell is None else np.ones((rows, 1), np.uint8)

    def walk(self, finished: Reals) -> Walk:
        """All of it as compiled loops take it; ``finished`` [N, P] is where the returns of N episodes go."""
        (alpha, epsilon), d = self.config.schedules, self.details
        steady = alpha.steps == alpha.power == epsilon.steps == epsilon.power == 0.0
        return Walk(
            steady, self.discount, self.limit, alpha, epsilon, d.lambda_, d.span, int(d.once),
            self.clock, self.rng, self.held, self.sums, finished, self.q, self.visits, self.second, self.policy,
            self.counts, self.trail, self.gains, self.fades, np.zeros(self.q.shape[1]),
        )  # fmt: skip

    def make_room(self) -> None:
        """Twice as many slots where an episode has filled them."""
        if self.details.trail < 0 and self.counts.max() >= self.trail.shape[1]:
            for name in ("trail", "gains", "fades"):
                array = getattr(self, name)
                setattr(self, name, np.concatenate([array, np.zeros_like(array)], axis=1))

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """All that changes, by name."""
        names = ("q", "visits", "second", "clock", "rng", "held", "sums", "counts", "trail", "gains", "fades")
        return {name: getattr(self, name) for name in names}

    def snapshot(self) -> dict[str, npt.NDArray[Any]]:
        """Copies of what changes, finite throughout."""
        copies = {name: array.copy() for name, array in self.arrays().items()}
        for name in ("q", "second"):
            copies[name][~np.isfinite(copies[name])] = 0.0
        return copies

    def resume(self, snapshot: dict[str, Any]) -> None:
        """Go back to a snapshot."""
        slots = snapshot["trail"].shape[1] if "trail" in snapshot and snapshot["trail"].ndim == 2 else 0
        for name, array in self.arrays().items():
            grown = name in ("trail", "gains", "fades") and self.details.trail < 0
            shape = (len(array), slots) if grown else array.shape
            setattr(self, name, expect(snapshot, name, shape).astype(array.dtype))
        self.q[self.legal == 0] = -np.inf
        if self.details.second == "values":
            self.second[self.legal == 0] = -np.inf


def _running_sums(policy: Reals) -> Reals:
    """Quantiles [I, A] of probabilities [I, A], exactly 1 from the last possible action on: no other is drawn."""
    sums = np.cumsum(policy, axis=1)
    possible = np.cumsum(policy[:, ::-1] > 0, axis=1)[:, ::-1] > 0  # this action, or one behind it
    sums[np.concatenate([~possible[:, 1:], np.ones((len(policy), 1), np.bool_)], axis=1)] = 1.0
    return sums


@dataclass(frozen=True)
class Runs:
    """Many runs side by side: returns float64 [K, episodes, P], q float64 [K, I, C], steps in all."""

    returns: Reals
    q: Reals
    steps: int


class TabularLearner(Learner):
    """Drives a compiled loop ``(model, walk, steps)`` of its own; see ``parts.walk`` and the learner's module."""

    config_class: ClassVar[type[Config]] = TabularConfig
    config: Any
    default_steps: ClassVar[int] = 2_000_000
    loop: ClassVar[Any]

    def __init__(self, task: Task, config: Config | None = None) -> None:
        super().__init__(task, config)
        self.states: InformationStates | Met
        if isinstance(self.world, Game) or self.world.tables() is not None:
            self.states = InformationStates.of(self.world)
            self.run = self.fresh(self.states, self.config, task.seed)
        else:
            self.states = met = Met(self.world, lambda row: self.run.admit(met, row))
            self.run = self.fresh(met, self.config, task.seed)
            met.begin(derive(task.seed, "first"))

    @classmethod
    def details(cls, config: Any) -> Details:
        """What its loop needs beside the settings of all."""
        return Details()

    @classmethod
    def fresh(cls, states: InformationStates | Met, config: Any, seed: int) -> Run:
        """The memory of one who has learned nothing yet."""
        return Run(states, config, seed, cls.details(config), None)

    @classmethod
    def advance(cls, states: InformationStates | Met, run: Run, finished: Reals, steps: int) -> int:
        """Learn for ``steps`` steps, or until ``finished`` [N, P] holds the returns of N episodes; how many."""
        end, run.clock[EPISODES] = run.clock[STEP] + steps, 0
        while (left := int(end - run.clock[STEP])) > 0 and run.clock[EPISODES] < len(finished):
            cls.loop(states.model, run.walk(finished), left)
            run.make_room()
            if isinstance(states, Met):
                states.check()
                if states.full:
                    states.resize(2 * len(states.legal))
                    run.resize(states)
        return int(run.clock[EPISODES])

    def learn(self, budget: Budget) -> Iterator[Progress]:
        chunk = min(CHUNK, max(1000, budget.steps // 50))
        finished = np.zeros((16384, self.world.players))
        while (done := int(self.run.clock[STEP])) < budget.steps:
            target = min(budget.steps, (done // chunk + 1) * chunk)
            totals, episodes = np.zeros(self.world.players), 0
            while (done := int(self.run.clock[STEP])) < target:
                count = self.advance(self.states, self.run, finished, target - done)
                totals += finished[:count].sum(axis=0)
                episodes += count
            metrics = {"episodes": float(episodes)}
            if episodes:
                names = ["return"] if self.world.players == 1 else [f"return/{p}" for p in range(self.world.players)]
                metrics |= dict(zip(names, (totals / episodes).tolist(), strict=True))
            yield Progress(target, metrics)

    @property
    def agent(self) -> Agent:
        return self.restore(self.world, self.config, self.weights())

    def weights(self) -> dict[str, npt.NDArray[Any]]:
        q = np.where(self.run.legal > 0, self.values(self.run), 0.0)  # saved agents hold finite numbers only
        return {"q": q[: len(self.states.seats)], **self.seen()}

    def seen(self) -> dict[str, npt.NDArray[Any]]:
        """What the rows of the table stand for."""
        count = len(self.states.seats)
        arrays = Seen(self.states.seats, self.states.observations, self.states.legal[:count])
        return {name: array.copy() for name, array in arrays._asdict().items()}

    @classmethod
    def values(cls, run: Run) -> Reals:
        """What was learned, [I, C]."""
        return run.q

    @classmethod
    def restore(cls, world: World, config: Any, weights: dict[str, npt.NDArray[Any]]) -> Agent:
        q, seen = restored(world, weights, "q", (world.actions,))
        return GreedyTable(world, config, q, seen)

    def snapshot(self) -> dict[str, Any]:
        return {**self.run.snapshot(), **(self.states.snapshot() if isinstance(self.states, Met) else {})}

    def resume(self, snapshot: dict[str, Any]) -> None:
        if isinstance(self.states, Met):
            self.states.resume(snapshot, len(snapshot["q"]) if "q" in snapshot else 0)
            self.run.resize(self.states)
            for row in range(self.states.known):
                self.run.admit(self.states, row)
        self.run.resume(snapshot)

    @classmethod
    def run_control(
        cls, world: Game, config: RateConfig, seeds: Sequence[int], episodes: int, threads: int | None = None
    ) -> Runs:
        """Learn ``episodes`` episodes from scratch for every seed, over all cores: for figures and benchmarks."""
        states = InformationStates.of(world)
        runs = [cls.fresh(states, config, seed) for seed in seeds]
        returns = np.zeros((len(runs), episodes, world.players))

        def part(lo: int, hi: int) -> None:
            for k in range(lo, hi):
                cls.advance(states, runs[k], returns[k], episodes * world.max_steps)

        parts = max(1, min(threads or os.cpu_count() or 1, len(runs)))
        edges = [len(runs) * i // parts for i in range(parts + 1)]
        others = [thread_pool().submit(part, lo, hi) for lo, hi in pairwise(edges[1:])]
        part(0, edges[1])
        for done in others:
            done.result()
        return Runs(returns, np.array([cls.values(run) for run in runs]), sum(int(run.clock[STEP]) for run in runs))


def restored(
    world: World, weights: dict[str, npt.NDArray[Any]], name: str, shape: tuple[int, ...]
) -> tuple[Reals, Seen]:
    """``weights[name]`` [I, *shape] and what its rows stand for. Raises BrokenAgent where they are none."""
    count = len(weights[name]) if name in weights else 0
    found = expect(weights, name, (count, *shape))
    observations = expect(weights, "observations", (count, world.observation_size))
    seats = expect(weights, "seats", (count,))
    legal = expect(weights, "legal", (count, world.actions))
    if count == 0 or not np.isfinite(found).all():
        raise BrokenAgent(f"{name} is empty or not finite")
    return found.astype(np.float64), Seen(seats.astype(np.int64), observations.astype(np.float32), legal)
