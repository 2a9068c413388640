"""Episodes of a given policy on an enumerated world, many at once: what figures of chapter 3 are estimated from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from elodrome.envs.enumeration import Tables
from elodrome.envs.game import Reals, Words


@dataclass(frozen=True)
class Episodes:
    """B episodes [T, B], time first: states, actions, rewards; live: whether the episode still ran."""

    state: Words
    action: Words
    reward: Reals
    live: Reals


def transition(tables: Tables) -> tuple[Reals, Reals]:
    """P [S, A, S] and R [S, A] of a solo world."""
    count, actions = tables.legal.shape
    p, r = np.zeros((count, actions, count)), np.zeros((count, actions))
    for at in range(count * actions):
        s, a = divmod(at, actions)
        for e in range(tables.offsets[at], tables.offsets[at + 1]):
            p[s, a, tables.next_state[e]] += tables.probability[e]
            r[s, a] += tables.probability[e] * tables.reward[e, 0]
    return p, r


def play(tables: Tables, policy: Reals, count: int, steps: int, rng: np.random.Generator) -> Episodes:
    """``count`` episodes of at most ``steps`` steps by policy [S, A]."""
    p, r = transition(tables)
    live_state = tables.seats >= 0
    ahead, choice = np.cumsum(p, axis=2), np.cumsum(policy, axis=1)
    state = np.zeros((steps, count), np.int64)
    action, reward, live = np.zeros_like(state), np.zeros(state.shape), np.zeros(state.shape)
    at = np.full(count, tables.starts[0])
    for t in range(steps):
        state[t], live[t] = at, live_state[at]
        action[t] = (rng.random(count)[:, None] * choice[at, -1:] >= choice[at]).sum(axis=1).clip(0, p.shape[1] - 1)
        reward[t] = r[at, action[t]] * live[t]
        following = (rng.random(count)[:, None] >= ahead[at, action[t]]).sum(axis=1).clip(0, len(p) - 1)
        at = np.where(live_state[at], following, at)
    return Episodes(state, action, reward, live)


def evaluate(tables: Tables, policy: Reals, discount: float) -> tuple[Reals, Reals]:
    """V [S] and Q [S, A] of a policy, by the linear equations (2.12); 0 where the episode is over."""
    p, r = transition(tables)
    live = (tables.seats >= 0).astype(np.float64)
    flow, gain = np.einsum("sa,sat->st", policy, p) * live[:, None], (policy * r).sum(axis=1) * live
    value = np.linalg.solve(np.eye(len(live)) - discount * flow * live[None, :], gain)
    return value, r + discount * p @ value
