"""What agents think, for the window: who can be chosen, whom to ask for a hint, the values of a whole map."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from elodrome.agents.agent import About, Agent, Evaluation, Failure, Learner, Positions
from elodrome.agents.parts.answers import answered
from elodrome.agents.parts.saved import saved_agents
from elodrome.agents.registry import make_agent
from elodrome.agents.specs import kinds, unfit
from elodrome.arena.ui.session import HUMAN, look_of
from elodrome.envs import engine
from elodrome.envs.actions import Action
from elodrome.envs.enumeration import enumerate_world
from elodrome.envs.game import Game, Reals, World
from elodrome.errors import UserError

SOLVERS = ("minimax", "value_iteration")  # exact where all states fit in tables
SMALL = About(cls="", chapter="", summary="", needs=("enumerable",))
PLANNED = 200_000  # states; larger worlds are searched, not solved, for a hint


@dataclass(frozen=True)
class Choice:
    """One line of the opponent menu."""

    spec: str
    summary: str


def choices(world: World) -> list[Choice]:
    """Everybody who can play ``world`` at once: agents saved for it, kinds that need no training, another person.

    Kinds are imported to know whether they learn: call it off the drawing thread.
    """
    found = []
    if world.players > 1:
        found.append(Choice(HUMAN, "another person at this screen"))
    for saved in saved_agents(world):
        measured = "" if saved.elo is None else f", Elo {saved.elo:.0f}"
        found.append(Choice(saved.name, f"trained, {saved.card.steps:,} steps{measured}"))
    for kind in kinds()[0].values():
        if kind.about.chapter == "people" or unfit(kind.about, world):
            continue
        try:
            if not issubclass(kind.load(), Learner):
                found.append(Choice(kind.id, kind.about.summary))
        except UserError:
            continue
    return found


def strongest(world: World) -> list[str]:
    """Who plays ``world`` without being trained first, strongest first: exact solvers where all states fit in tables,
    what ships with the package, tree search, chance. Raises UserError when there is none."""
    shipped = [agent.name for agent in saved_agents(world) if agent.shipped][:1]
    order = (*SOLVERS, *shipped, "mcts") if unfit(SMALL, world) is None else (*shipped, "mcts", *SOLVERS)
    known = kinds()[0]
    fit = [
        name
        for name in (*order, "random")
        if name in shipped or (name in known and unfit(known[name].about, world) is None)
    ]
    if not fit:
        raise UserError(f"no agent can play {world.id} untrained; name one with --against")
    return fit


def adviser(world: World) -> tuple[str, Agent] | None:
    """Whom to ask for a hint, by name: the strongest that fits; None where only chance would answer."""
    for name in strongest(world):
        if name != "random":
            try:
                return name, make_agent(name, world)
            except UserError:
                continue
    return None


def opinion_of(agent: Agent, positions: Positions) -> Evaluation | None:
    """``agent.evaluate``, checked: a policy [B, A] of numbers from 0 to 1, finite values [B]. Raises UserError."""
    evaluation = agent.evaluate(positions)
    if evaluation is None:
        return None
    policy = np.asarray(evaluation.policy, np.float64)
    value = None if evaluation.value is None else np.asarray(evaluation.value, np.float64)
    if policy.shape != positions.legal.shape or not ((policy >= 0) & (policy <= 1 + 1e-6)).all():
        raise UserError(f"its policy is no array {list(positions.legal.shape)} of probabilities")
    if value is not None and (value.shape != (len(positions),) or not np.isfinite(value).all()):
        raise UserError(f"its value is no array [{len(positions)}] of finite numbers")
    return Evaluation(policy, value)


def best_action(agent: Agent, positions: Positions) -> Action:
    """The action that ``agent`` advises in a batch of one: the likeliest of its policy, or what it would play."""
    evaluation = opinion_of(agent, positions)
    if evaluation is None or positions.world.continuous:
        answer = answered(agent.act(positions)[0], positions.world)
        if isinstance(answer, Failure):
            raise UserError(str(answer))
        return answer
    return int(np.argmax(np.where(positions.legal[0] > 0, evaluation.policy[0], -1.0)))


@dataclass(frozen=True)
class MapValues:
    """An agent's thoughts on a whole map. value float64 [rows, columns], NaN where there is none or no state;
    policy float64 [rows, columns, A], 0 where there is no state."""

    value: Reals
    policy: Reals

    @property
    def greedy(self) -> npt.NDArray[np.bool_]:
        """bool [rows, columns, A]: the likeliest actions of each cell."""
        best = self.policy.max(axis=2, keepdims=True)
        likeliest: npt.NDArray[np.bool_] = (self.policy >= best - 1e-9) & (best > 0)
        return likeliest


def map_values(agent: Agent, world: Game, seed: int = 0) -> MapValues | None:
    """``agent.evaluate`` at every state that goes on, laid on the cells of the map; None where it has no opinion.

    States that share a cell (a map with a memory) are averaged. Raises UserError for a world too large to list.
    """
    look = look_of(world)
    if look.marker is None:
        return None
    tables = enumerate_world(world, PLANNED)
    going = np.flatnonzero(tables.seats >= 0)
    rows = np.ascontiguousarray(tables.rows()[going])
    count = len(going)
    index = np.arange(count)
    seats = np.ascontiguousarray(tables.seats[going])
    seen = np.zeros((count, world.observation_size), np.float32)
    engine.batch_observe(world.compiled, rows, index, seats, seen)
    positions = Positions(
        world=world,
        observations=seen.reshape(count, *world.observation_shape),
        legal=tables.legal[going].copy(),
        seats=seats,
        states=rows,
        seeds=np.full(count, seed, np.uint64),
        games=index,
        plies=np.zeros(count, np.int64),
    )
    evaluation = opinion_of(agent, positions)
    if evaluation is None:
        return None
    cells = np.array([look.marker(row) for row in rows])
    policy = np.zeros((look.rows, look.columns, world.actions))
    total, visits = np.zeros((look.rows, look.columns)), np.zeros((look.rows, look.columns))
    np.add.at(policy, (cells[:, 0], cells[:, 1]), evaluation.policy)
    np.add.at(visits, (cells[:, 0], cells[:, 1]), 1.0)
    policy /= np.maximum(visits, 1.0)[:, :, None]
    if evaluation.value is None:
        return MapValues(np.full_like(total, np.nan), policy)
    np.add.at(total, (cells[:, 0], cells[:, 1]), evaluation.value)
    return MapValues(np.where(visits > 0, total / np.maximum(visits, 1.0), np.nan), policy)
