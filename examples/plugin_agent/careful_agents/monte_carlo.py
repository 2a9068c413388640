"""Every-visit Monte Carlo control by self-play, on a table keyed by what a seat sees (notes 2.4.2)."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from pydantic import Field

from elodrome.agents.agent import Agent, Budget, Config, Learner, Position, Progress, Task
from elodrome.errors import BrokenAgent
from elodrome.seeding import derive, generator

ABOUT = {"cls": "MonteCarlo", "chapter": "plugin", "summary": "every-visit Monte Carlo control on a table"}
REPORT_EVERY = 200


class MonteCarloConfig(Config):
    """epsilon: the share of random moves while learning."""

    epsilon: float = Field(0.2, gt=0, le=1)


class Greedy(Agent):
    """Plays the best known action; random where nothing is known."""

    def __init__(self, world: Any, config: Config, table: dict[bytes, np.ndarray]) -> None:
        super().__init__(world, config)
        self.table = table

    def choose(self, position: Position) -> int:
        legal = position.legal_actions
        values = self.table.get(position.observation.tobytes())
        if values is None:
            return int(position.rng.choice(legal))
        return int(legal[np.argmax(values[legal, 0])])


class MonteCarlo(Learner):
    """One step is one game; a row of the table is [A, 2]: the mean return of each action, and its visits."""

    config_class = MonteCarloConfig
    unit = "games"
    default_steps = 5_000

    def __init__(self, task: Task, config: MonteCarloConfig | None = None) -> None:
        super().__init__(task, config)
        self.table: dict[bytes, np.ndarray] = {}
        self.games = 0

    def learn(self, budget: Budget) -> Iterator[Progress]:
        board, row = self.world.table(1), np.zeros(1, np.int64)
        while self.games < budget.steps:
            rng = generator(self.task.seed, self.games)
            board.reset(row, np.array([derive(self.task.seed, "dice", self.games)], np.uint64))
            visits, rewards = [], []
            while (seat := int(board.seats[0])) >= 0:
                key, legal = board.observe(row)[0].tobytes(), np.flatnonzero(board.legal(row)[0])
                values = self.table.setdefault(key, np.zeros((self.world.actions, 2)))
                explore = rng.random() < self.config.epsilon
                action = int(rng.choice(legal)) if explore else int(legal[np.argmax(values[legal, 0])])
                visits.append((values, action, seat))
                rewards.append(board.step(row, np.array([action]))[0])
            to_go = np.cumsum(rewards[::-1], axis=0)[::-1]  # [T, P] the return from each step on
            for (values, action, seat), total in zip(visits, to_go, strict=True):
                values[action, 1] += 1
                values[action, 0] += (total[seat] - values[action, 0]) / values[action, 1]
            self.games += 1
            if self.games % REPORT_EVERY == 0 or self.games == budget.steps:
                yield Progress(self.games, {"states": float(len(self.table))})

    @property
    def agent(self) -> Greedy:
        return Greedy(self.world, self.config, {key: values.copy() for key, values in self.table.items()})

    def weights(self) -> dict[str, np.ndarray]:
        size = self.world.observation_size
        keys = np.array([np.frombuffer(key, np.float32) for key in self.table], np.float32).reshape(-1, size)
        values = np.array(list(self.table.values())).reshape(-1, self.world.actions, 2)
        return {"keys": keys, "values": values}

    @classmethod
    def restore(cls, world: Any, config: Any, weights: dict[str, np.ndarray]) -> Greedy:
        keys, values = weights["keys"], weights["values"]
        if keys.shape != (len(values), world.observation_size) or values.shape[1:] != (world.actions, 2):
            raise BrokenAgent(f"keys {keys.shape} and values {values.shape} do not fit {world.id}")
        return Greedy(world, config, {key.tobytes(): row for key, row in zip(keys, values, strict=True)})

    def snapshot(self) -> dict[str, Any]:
        return {**self.weights(), "games": self.games}

    def resume(self, snapshot: dict[str, Any]) -> None:
        self.games = int(snapshot["games"])
        restored = self.restore(self.world, self.config, {k: snapshot[k] for k in ("keys", "values")})
        self.table = {key: values.copy() for key, values in restored.table.items()}
