"""The maximisation bias, on the world of Sutton & Barto's example 6.7."""

from typing import Any

import numpy as np
import pytest

from elodrome.agents.agent import Task
from elodrome.agents.parts.tabular import TabularConfig
from elodrome.agents.tabular.double_q_learning import DoubleQLearning
from elodrome.agents.tabular.q_learning import QLearning
from elodrome.envs.game import Game, rule

ARMS = 10  # ways to go on from B, each worth -0.1 on average: +1 with probability 0.45, else -1


@rule.reset
def reset(state: Any, chance: int) -> None:
    state[0] = 0


@rule.player
def player(state: Any) -> int:
    return -1 if state[0] == 2 else 0


@rule.legal
def legal(state: Any, mask: Any) -> None:
    for a in range(mask.size):
        mask[a] = state[0] == 1 or (state[0] == 0 and a < 2)


@rule.step
def step(state: Any, action: int, chance: int, rewards: Any) -> None:
    if state[0] == 0:
        state[0] = 1 if action == 0 else 2  # left to B, right to the end, for nothing
    else:
        state[0] = 2
        rewards[0] = 1.0 - 2.0 * chance


@rule.observe
def observe(state: Any, seat: int, out: Any) -> None:
    out[0] = 1.0 - state[0]
    out[1] = state[0]


@rule.chance
def chance(state: Any, action: int, probs: Any) -> int:
    if action < 0 or state[0] == 0:
        probs[0] = 1.0
        return 1
    probs[0], probs[1] = 0.45, 0.55
    return 2


WORLD = Game(
    id="bias", players=1, actions=ARMS, observation_shape=(2,), max_steps=10, state_words=1, outcomes=2, reset=reset,
    player=player, legal=legal, step=step, observe=observe, chance=chance, return_range=(-1.0, 1.0),
)  # fmt: skip


@pytest.fixture(scope="module")
def bias() -> dict[str, tuple[float, float]]:
    """The greatest value of B that is believed on the way, and the share of episodes that went left, over 300 runs."""
    found = {}
    for cls in (QLearning, DoubleQLearning):
        believed, left = [], []
        for seed in range(300):
            learner = cls(Task(WORLD, seed), TabularConfig(alpha=0.1, epsilon=0.1, discount=1.0))
            for _ in range(100):
                learner.advance(learner.states, learner.run, np.zeros((1, 1)), 10)
                believed.append(cls.values(learner.run)[learner.states.info[1]].max())
                left.append(learner.run.clock[1] == 2)
        found[cls.__name__] = float(np.mean(believed)), float(np.mean(left))
    return found


def test_two_tables_overestimate_less(bias: dict[str, tuple[float, float]]) -> None:
    """Truth: -0.1 for B; 5 % of the episodes go left where nothing but exploring leads there."""
    plain, double = bias["QLearning"], bias["DoubleQLearning"]
    assert plain[1] > 0.3  # B looks good
    assert double[1] < plain[1] - 0.1
    assert double[0] < plain[0]
