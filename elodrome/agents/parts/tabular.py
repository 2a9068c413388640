"""What tabular learners share: a world as a simulator on tables, the frozen greedy agent, saving and resuming.

Action values belong to what the seat to act sees (its observation), not to the state behind it: learners get no more
than a player would. With several seats every seat learns its own values, by playing against the others as they learn
(self-play); what a decision earned is all that the seat got until its own next turn, so that the same rule
serves solo worlds, zero-sum games and games of any payoffs.
"""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from numba import types
from pydantic import Field

from elodrome.agents.agent import Agent, Budget, Config, Evaluation, Ints, Learner, Positions, Progress, Task
from elodrome.agents.parts.index import RowIndex, words_of
from elodrome.agents.parts.saved import expect
from elodrome.envs import engine
from elodrome.envs.engine import MASKS, REAL_ROWS, below
from elodrome.envs.enumeration import enumerate_world
from elodrome.envs.game import Game, Mask, Reals, World, compiled
from elodrome.envs.signatures import I8, REALS, WORDS
from elodrome.envs.table import thread_pool
from elodrome.errors import BrokenAgent, UserError
from elodrome.seeding import derive, mix64

MODEL = types.Tuple((WORDS, WORDS, MASKS, WORDS, WORDS, REALS, REAL_ROWS, WORDS, REALS))
LEAST = float(np.finfo(np.float64).min)
CHUNK = 1_000_000  # steps between two reports, at most


@compiled(I8(REALS, types.uint64, types.float64), forceinline=True)
def epsilon_greedy(q: Any, word: Any, epsilon: float) -> int:
    """An action by definition 2.12, illegal ones (-inf) aside, greedy ties at random; ``word`` is a random word."""
    explore = np.float64(word >> np.uint64(32)) < epsilon * 4294967296.0
    best, action, count = q[0], 0, 1
    if not explore:
        for a in range(1, q.size):
            if q[a] > best:
                best, action, count = q[a], a, 1
            elif q[a] == best:
                count += 1
        if count == 1:
            return action
    floor = LEAST if explore else best
    count = 0
    for a in range(q.size):
        count += q[a] >= floor
    skip = below(word << np.uint64(32), count)
    action = 0
    for a in range(q.size):
        skip -= q[a] >= floor
        action += skip >= 0
    return action


@compiled(I8(REALS, I8, I8, types.float64), forceinline=True)
def draw(quantiles: Any, lo: int, hi: int, u: float) -> int:
    """The outcome among lo .. hi - 1 in whose share of [0, 1) ``u`` lies; quantiles are running sums."""
    while lo < hi - 1 and u >= quantiles[lo]:
        lo += 1
    return lo


@dataclass(frozen=True)
class Simulator:
    """A world on tables. I information states (seat and observation), S states, E edges, A actions, P seats.

    observations float32 [I, O] and seats [I] say what an information state is. ``model`` is what the compiled
    loops take: info [S], seats [S], legal [I, A], offsets [S * A + 1], next_state [E], quantiles [E] (running sums of
    the probabilities of each state and action), rewards [E, P], starts [K], start_quantiles [K].
    """

    world: Game
    observations: npt.NDArray[np.float32]
    seats: Ints
    model: tuple[Any, ...]

    @classmethod
    def of(cls, world: Game) -> Self:
        """Enumerate ``world``. Raises UserError when it has too many states."""
        tables = enumerate_world(world)
        live = np.flatnonzero(tables.seats >= 0)
        seen = np.zeros((len(live), world.observation_size), np.float32)
        engine.batch_observe(world.compiled, tables.rows(), live, tables.seats[live], seen)
        index = RowIndex(keys_of(tables.seats[live], seen))
        info = np.full(tables.size, -1, np.int64)
        info[live] = index.numbers
        _, first = np.unique(index.numbers, return_index=True)
        quantiles = np.cumsum(tables.probability)
        before = np.concatenate([[0.0], quantiles])[tables.offsets[:-1]]
        quantiles -= np.repeat(before, np.diff(tables.offsets))
        model = (
            info,
            tables.seats,
            tables.legal[live[first]],
            tables.offsets,
            tables.next_state,
            quantiles,
            tables.reward,
            tables.starts,
            np.cumsum(tables.start_probability),
        )
        return cls(world, seen[first], tables.seats[live[first]], model)


def keys_of(seats: Ints, observations: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """Information states as rows of words [B, 1 + O]."""
    return np.concatenate([np.asarray(seats, np.int64)[:, None], words_of(observations)], axis=1)


class GreedyTable(Agent):
    """Plays the greatest action value of what it sees, ties at random; what it never met, uniformly at random.

    Arrays: q float64 [I, A], observations float32 [I, O], seats int64 [I].
    """

    def __init__(self, world: World, config: Config, q: Reals, observations: npt.NDArray[np.float32], seats: Ints):
        super().__init__(world, config)
        self.q = q
        self._index = RowIndex(keys_of(seats, observations))

    def _best(self, positions: Positions) -> tuple[Mask, Reals]:
        found = self._index.find(keys_of(positions.seats, positions.observations))
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


class TabularConfig(Config):
    """alpha: the step size; with alpha_power p it is alpha / n(s, a) ** p after n updates of that action (p in
    (0.5, 1] satisfies Robbins-Monro, theorem 2.9). epsilon: exploration, falling in a straight line to epsilon_end
    over epsilon_steps steps (0: constant at epsilon). discount: None is the world's own. initial: the first values."""

    alpha: float = Field(0.2, gt=0.0, le=1.0)
    alpha_power: float = Field(0.0, ge=0.0, le=1.0)
    epsilon: float = Field(0.1, ge=0.0, le=1.0)
    epsilon_end: float = Field(0.0, ge=0.0, le=1.0)
    epsilon_steps: int = Field(0, ge=0)
    discount: float | None = Field(None, ge=0.0, le=1.0)
    initial: float = 0.0


class Run:
    """One learner's memory between two calls of its loop; everything that resuming needs.

    q (-inf where illegal) and visits [I, A]; clock [4]: state (-1: start an episode), plies, steps so far, the
    action already chosen (SARSA); rng [1]; held int64 [P, 2]: each seat's last information state (-1: none) and
    action; sums [P, 3]: what that seat got since, the discount to date, the return of the episode.
    """

    def __init__(self, simulator: Simulator, config: TabularConfig, seed: int) -> None:
        legal, players = simulator.model[2], simulator.world.players
        self.q = np.where(legal > 0, config.initial, -np.inf)
        self.visits = np.zeros(legal.shape)
        self.clock = np.array([-1, 0, 0, -1], np.int64)
        self.rng = np.array([derive(seed, "learn")], np.uint64)
        self.held = np.full((players, 2), -1, np.int64)
        self.sums = np.zeros((players, 3))
        constant = config.epsilon_steps == 0
        self.settings = np.array(
            [
                config.alpha,
                config.alpha_power,
                simulator.world.discount if config.discount is None else config.discount,
                config.epsilon,
                config.epsilon if constant else config.epsilon_end,
                float(config.epsilon_steps),
            ]
        )

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """All that changes, by name."""
        return {name: getattr(self, name) for name in ("q", "visits", "clock", "rng", "held", "sums")}


@dataclass(frozen=True)
class Runs:
    """Many runs side by side: returns float64 [K, episodes, P], q float64 [K, I, A], steps in all."""

    returns: Reals
    q: Reals
    steps: int


class TabularLearner(Learner):
    """Drives a compiled loop of its own; see ``loop`` and the module of each learner."""

    config_class = TabularConfig
    config: TabularConfig
    default_steps: ClassVar[int] = 2_000_000

    def __init__(self, task: Task, config: Config | None = None) -> None:
        super().__init__(task, config)
        if not isinstance(task.world, Game):
            raise UserError(f"a tabular learner needs the rules of a world of ours; {task.world.id} has none")
        self.simulator = Simulator.of(task.world)
        self.run = Run(self.simulator, self.config, task.seed)

    @staticmethod
    @abstractmethod
    def loop(
        model: Any, q: Reals, visits: Reals, settings: Reals, clock: Ints, rng: Any, held: Ints, sums: Reals,
        finished: Reals, limit: int, steps: int,
    ) -> int:  # fmt: skip
        """Learn for ``steps`` steps, or until ``finished`` [N, P] holds the returns of N episodes; how many it holds.

        The other arguments are those of ``Simulator`` and ``Run``; ``limit`` is the world's max_steps.
        """

    @classmethod
    def advance(cls, simulator: Simulator, run: Run, finished: Reals, steps: int) -> int:
        """One call of the loop on a run."""
        limit = simulator.world.max_steps
        return int(
            cls.loop(
                simulator.model,
                run.q,
                run.visits,
                run.settings,
                run.clock,
                run.rng,
                run.held,
                run.sums,
                finished,
                limit,
                steps,
            )
        )

    def learn(self, budget: Budget) -> Iterator[Progress]:
        chunk = min(CHUNK, max(1000, budget.steps // 50))
        finished = np.zeros((16384, self.world.players))
        while (done := int(self.run.clock[2])) < budget.steps:
            target = min(budget.steps, (done // chunk + 1) * chunk)
            totals, episodes = np.zeros(self.world.players), 0
            while (done := int(self.run.clock[2])) < target:
                count = self.advance(self.simulator, self.run, finished, target - done)
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
        q = np.where(self.simulator.model[2] > 0, self.run.q, 0.0)  # saved agents hold finite numbers only
        return {"q": q, "observations": self.simulator.observations, "seats": self.simulator.seats}

    @classmethod
    def restore(cls, world: World, config: Any, weights: dict[str, npt.NDArray[Any]]) -> Agent:
        count = len(weights["q"]) if "q" in weights else 0
        q = expect(weights, "q", (count, world.actions))
        observations = expect(weights, "observations", (count, world.observation_size))
        seats = expect(weights, "seats", (count,))
        if count == 0 or not np.isfinite(q).all():
            raise BrokenAgent("q is empty or not finite")
        return GreedyTable(world, config, q.astype(np.float64), observations.astype(np.float32), seats.astype(np.int64))

    def snapshot(self) -> dict[str, Any]:
        return {**{name: array.copy() for name, array in self.run.arrays().items()}, "q": self.weights()["q"]}

    def resume(self, snapshot: dict[str, Any]) -> None:
        for name, array in self.run.arrays().items():
            array[...] = expect(snapshot, name, array.shape)
        self.run.q[self.simulator.model[2] == 0] = -np.inf

    @classmethod
    def run_control(
        cls, world: Game, config: TabularConfig, seeds: Sequence[int], episodes: int, threads: int | None = None
    ) -> Runs:
        """Learn ``episodes`` episodes from scratch for every seed, over all cores: for figures and benchmarks."""
        simulator = Simulator.of(world)
        runs = [Run(simulator, config, seed) for seed in seeds]
        returns = np.zeros((len(runs), episodes, world.players))

        def part(lo: int, hi: int) -> None:
            for k in range(lo, hi):
                cls.advance(simulator, runs[k], returns[k], episodes * world.max_steps)

        parts = max(1, min(threads or os.cpu_count() or 1, len(runs)))
        edges = [len(runs) * i // parts for i in range(parts + 1)]
        others = [thread_pool().submit(part, lo, hi) for lo, hi in pairwise(edges[1:])]
        part(0, edges[1])
        for done in others:
            done.result()
        return Runs(returns, np.array([run.q for run in runs]), sum(int(run.clock[2]) for run in runs))
