"""CartPole-v1 through the Gymnasium adapter: what agents reach that are given nothing but the name of the world, as
greedy return over fresh episodes against published scores.

    python benchmarks/cartpole.py [--agents ppo,trpo,a2c,dqn] [--seeds 1] [--scale 1.0] [--device auto]

Published (rl-baselines3-zoo): PPO, TRPO and A2C 500.0 at 100k, 100k and 500k steps, DQN 488.7 +- 16.1 at 500k.
``--scale`` shortens the budgets. Prints a table and, as its last line, one JSON object.
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np
import torch

from elodrome.agents.agent import Agent, Budget, Task, check_device
from elodrome.agents.parts.vector import SeatEnv
from elodrome.agents.registry import make_learner
from elodrome.envs.game import World
from elodrome.envs.registry import make_env

WORLD = "gymnasium:CartPole-v1"
EPISODES = 20
BUDGETS = {"ppo": 100_000, "trpo": 100_000, "a2c": 500_000, "dqn": 50_000}
PUBLISHED = {"ppo": "500.0 at 100k", "trpo": "500.0 at 100k", "a2c": "500.0 at 500k", "dqn": "488.7 +- 16.1 at 500k"}


def greedy_returns(world: World, agent: Agent, seed: int) -> np.ndarray:
    """The returns of ``EPISODES`` episodes."""
    env = SeatEnv(world, EPISODES, seed, restart=False)
    total = np.zeros(EPISODES)
    while len(env.live):
        actions = np.zeros(EPISODES, np.int64)
        actions[env.live] = agent.act(env.positions(env.live))
        env.step(actions)
        total += env.reward
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", default=",".join(BUDGETS))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(1)  # small networks: more threads only wait for each other
    world, results = make_env(WORLD), []
    print(f"{'agent':6} {'seed':>4} {'steps':>8} {'seconds':>8} {'return':>8} {'s.d.':>6}   published")
    for name in options.agents.split(","):
        steps = BUDGETS[name]
        for seed in range(options.seeds):
            learner = make_learner(name, Task(world, seed, check_device(options.device)), {})
            started = time.perf_counter()
            *_, last = learner.learn(Budget(int(steps * options.scale)))
            seconds = time.perf_counter() - started
            returns = greedy_returns(world, learner.agent, seed + 1000)
            row = {"agent": name, "seed": seed, "steps": last.step, "seconds": round(seconds, 1)}
            results.append({**row, "return": float(returns.mean()), "sd": float(returns.std())})
            print(
                f"{name:6} {seed:4d} {last.step:8d} {seconds:8.1f} {returns.mean():8.1f} {returns.std():6.1f}   "
                f"{PUBLISHED[name]}",
                flush=True,
            )
    print(json.dumps({"benchmark": "cartpole", "device": options.device, "results": results}))


if __name__ == "__main__":
    main()
