"""Episodes of a given policy on an enumerated world, many at once: what figures of chapter 3 are estimated from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from elodrome.agents.parts.exact import Decisions
from elodrome.envs.game import Reals, Words


@dataclass(frozen=True)
class Episodes:
    """B episodes [T, B], time first: states, actions, rewards; live: 1 while the episode runs; continues: 1 where it
    goes on after the step."""

    state: Words
    action: Words
    reward: Reals
    live: Reals

    @property
    def continues(self) -> Reals:
        return np.concatenate([self.live[1:], 0.0 * self.live[:1]])


def play(process: Decisions, policy: Reals, count: int, steps: int, rng: np.random.Generator) -> Episodes:
    """``count`` episodes of at most ``steps`` steps by policy [S, A], from the first of the start states."""
    running = process.legal.sum(axis=1) > 0
    ahead, choice = np.cumsum(process.transition, axis=2), np.cumsum(policy, axis=1)
    states, actions = policy.shape
    state = np.zeros((steps, count), np.int64)
    action, reward, live = np.zeros_like(state), np.zeros(state.shape), np.zeros(state.shape)
    at = np.full(count, process.start.argmax())
    for t in range(steps):
        state[t], live[t] = at, running[at]
        action[t] = (rng.random(count)[:, None] * choice[at, -1:] >= choice[at]).sum(axis=1).clip(0, actions - 1)
        reward[t] = process.reward[at, action[t]] * live[t]
        following = (rng.random(count)[:, None] >= ahead[at, action[t]]).sum(axis=1).clip(0, states - 1)
        at = np.where(running[at], following, at)
    return Episodes(state, action, reward, live)
