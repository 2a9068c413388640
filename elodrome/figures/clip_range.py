"""PPO's clip range: too narrow learns slowly, none at all falls over (notes 3.8.3, eq. 3.72, figure 3.9).

A slippery 4 x 4 grid, many passes over each batch with long steps; what the policy is worth after each batch, exactly.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from elodrome.agents.agent import Budget, Task
from elodrome.agents.parts.exact import Decisions
from elodrome.agents.parts.heads import probabilities
from elodrome.agents.parts.threads import single_threaded
from elodrome.agents.policy.ppo import PPO, PPOConfig
from elodrome.agents.tabular import dynamic_programming as dp
from elodrome.envs.game import Game, Reals
from elodrome.envs.information import InformationStates
from elodrome.figures.figure import Curve, Figure, Tick, game
from elodrome.seeding import derive

SETTINGS: dict[str, Any] = {
    "envs": 16,
    "horizon": 16,
    "epochs": 20,
    "minibatch": 256,
    "rate": 0.01,
    "hidden": (32,),
    "entropy": 0.0,
    "anneal": False,
    "max_norm": 1e6,
}
DISCOUNT = 0.95
CLIPS = {"ε = 0.02": 0.02, "ε = 0.1": 0.1, "ε = 0.2": 0.2, "ε = 0.5": 0.5, "no clipping": 1e9}


def compute(quick: bool, seed: int, tick: Tick) -> Figure:
    """10 runs (quick: 3) of 60 batches (quick: 24) of 256 decisions."""
    world, runs, batches = game("gridworld:slip=0.2"), 3 if quick else 10, 24 if quick else 60
    states = InformationStates.of(world)
    process = Decisions.of(states.tables, DISCOUNT)
    curves, remarks = [], []
    for number, (label, clip) in enumerate(CLIPS.items()):
        config = PPOConfig.model_validate({**SETTINGS, "clip": clip, "discount": DISCOUNT})
        found = np.zeros((runs, batches + 1))
        for k in range(runs):
            found[k] = learn(world, states, process, config, batches, derive(seed, "clip", k))
            tick(number * runs + k + 1, len(CLIPS) * runs)
        size = SETTINGS["envs"] * SETTINGS["horizon"]
        curve = Curve.of(label, np.arange(batches + 1) * size, found)
        curves.append(curve)
        mean = Curve.of(label, [0.0], found.mean(axis=1, keepdims=True))
        remarks.append(
            f"{label}: J {mean.mean[0]:.2f} +- {mean.error[0]:.2f} on the way, "
            f"{curve.mean[-1]:.2f} +- {curve.error[-1]:.2f} at the end"
        )
    best = dp.value_iteration(states.tables, DISCOUNT)[1][states.tables.starts[0]]
    title = f"PPO by clip range: slippery 4 x 4 grid, 20 passes a batch, {runs} runs"
    return Figure(title, "decisions", f"J, exactly (γ = {DISCOUNT})", curves, {"best": float(best)}, remarks)


def learn(
    world: Game, states: InformationStates, process: Decisions, config: PPOConfig, batches: int, seed: int
) -> Reals:
    """J before the first batch and after each [batches + 1]."""
    learner = PPO(Task(world, seed), config)
    seen = torch.from_numpy(states.observations)

    def worth() -> float:
        with torch.no_grad():
            policy = probabilities(learner.net.outputs(seen).numpy(), states.legal)
        return process.performance(states.on_states(policy))

    with single_threaded():
        budget = Budget(batches * config.envs * config.horizon)
        return np.array([worth(), *(worth() for _ in learner.learn(budget))])
