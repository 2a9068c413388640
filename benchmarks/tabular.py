"""Q-learning on cliff walking, steps per second, against tuned loops in plain Python, in one run.

All learn the same thing with the same settings (alpha 0.5, epsilon 0.1, no discount). One Python loop steps Gymnasium's
environment, as people do; the other has the world as nested lists made beforehand, the most that plain Python can do.
Both hold Q in lists and look nothing up twice; they break ties by the first action, ours at random. Figures are medians
of several repeats after a warm-up, which take turns so that all meet the same machine.

    python benchmarks/tabular.py
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable
from statistics import median

import gymnasium
import numpy as np

from elodrome import make_env
from elodrome.agents.parts.tabular import TabularConfig
from elodrome.agents.tabular.q_learning import QLearning
from elodrome.agents.tabular.sarsa import Sarsa
from elodrome.envs.enumeration import enumerate_world
from elodrome.envs.game import Game

REPEATS = 7
CONFIG = TabularConfig(alpha=0.5, epsilon=0.1, discount=1.0)


def python_q_learning(world: Game, episodes: int, seed: int) -> tuple[int, float]:
    """Algorithm 5 as a careful Python programmer writes it: (steps, mean return of the last 100 episodes)."""
    tables = enumerate_world(world)
    next_state = tables.next_state.reshape(-1, 4).tolist()
    reward = tables.reward[:, 0].reshape(-1, 4).tolist()
    # Ended states have no outcomes; they are numbered behind the others here.
    live = np.flatnonzero(tables.seats >= 0)
    number = np.full(tables.size, len(live))
    number[live] = np.arange(len(live))
    next_state = number[np.array(next_state)].tolist()
    end = len(live)
    q = [[0.0] * 4 for _ in range(end + 1)]
    rng = random.Random(seed)
    draw = rng.random
    steps, returns = 0, []
    start = int(number[tables.starts[0]])
    for _ in range(episodes):
        state, total = start, 0.0
        values = q[state]
        while state != end:
            u = draw()
            action = int(u * 40.0) if u < 0.1 else values.index(max(values))
            r = reward[state][action]
            state = next_state[state][action]
            ahead = q[state]
            values[action] += 0.5 * (r + max(ahead) - values[action])
            values = ahead
            total += r
            steps += 1
        returns.append(total)
    return steps, sum(returns[-100:]) / 100


def gymnasium_q_learning(episodes: int, seed: int) -> tuple[int, float]:
    """The same loop on Gymnasium's environment, its wrappers taken off: (steps, mean return of the last 100)."""
    env = gymnasium.make("CliffWalking-v1").unwrapped
    q = [[0.0] * 4 for _ in range(48)]
    draw = random.Random(seed).random
    step = env.step
    steps, returns = 0, []
    for episode in range(episodes):
        state, _ = env.reset(seed=seed if episode == 0 else None)
        values, total, over = q[int(state)], 0.0, False
        while not over:
            u = draw()
            action = int(u * 40.0) if u < 0.1 else values.index(max(values))
            state, r, over, _, _ = step(action)
            ahead = q[int(state)]
            values[action] += 0.5 * (r + max(ahead) - values[action])
            values = ahead
            total += r
            steps += 1
        returns.append(total)
    return steps, sum(returns[-100:]) / 100


def main() -> None:
    world = make_env("cliff_walking")
    assert isinstance(world, Game)
    cores = os.cpu_count() or 1
    rates: dict[str, list[float]] = {}
    levels: dict[str, list[float]] = {}

    def ours(cls: type[QLearning] | type[Sarsa], threads: int, repeat: int) -> tuple[int, float]:
        runs = cls.run_control(world, CONFIG, range(64 * repeat, 64 * repeat + 64), 10_000, threads=threads)
        return runs.steps, float(runs.returns[:, 400:500].mean())

    work: dict[str, Callable[[int], tuple[int, float]]] = {
        "Python on Gymnasium": lambda repeat: gymnasium_q_learning(500, repeat),
        "Python on lists": lambda repeat: python_q_learning(world, 500, repeat),
        "elodrome, 1 thread": lambda repeat: ours(QLearning, 1, repeat),
        f"elodrome, {cores} threads": lambda repeat: ours(QLearning, cores, repeat),
        f"elodrome SARSA, {cores} threads": lambda repeat: ours(Sarsa, cores, repeat),
    }
    for repeat in range(REPEATS + 1):
        for name, learn in work.items():
            began = time.perf_counter()
            steps, level = learn(repeat)
            if repeat:  # the first time round is the warm-up
                rates.setdefault(name, []).append(steps / (time.perf_counter() - began))
                levels.setdefault(name, []).append(level)

    base = median(rates["Python on Gymnasium"])
    lists = median(rates["Python on lists"])
    print(f"{'Q-learning on cliff walking':<28}{'steps/s':>14}{'x Gymnasium':>13}{'x lists':>9}{'late return':>13}")
    for name, found in rates.items():
        rate, level = median(found), np.mean(levels[name])
        print(f"{name:<28}{rate:>14,.0f}{rate / base:>13.1f}{rate / lists:>9.1f}{level:>13.1f}")
    print(
        "Limit: each step waits for the one before it (greedy action, table of moves, update of the same row), some\n"
        "20 ns of latency and mispredicted branches, not bandwidth; seeds side by side are what more cores are for."
    )
    result = {name: round(median(found)) for name, found in rates.items()}
    fastest = median(rates[f"elodrome, {cores} threads"])
    ratios = {"gymnasium": round(fastest / base, 1), "lists": round(fastest / lists, 1)}
    print(json.dumps({"benchmark": "tabular", "cores": cores, "steps_per_second": result, "ratio": ratios}))


if __name__ == "__main__":
    main()
