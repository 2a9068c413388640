"""A best policy that is not certain: REINFORCE in a corridor whose places look the same (notes 3.1.2, algorithm 7).

Sutton & Barto, example 13.1. A policy is one probability p of going right; its return is exact. At best it is -11.657,
with p = 2 - sqrt 2; who is sure of an action never arrives. REINFORCE starts nearly sure of one, or of the other.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import torch

from elodrome.agents.agent import Budget, Task
from elodrome.agents.parts.exact import Decisions
from elodrome.agents.parts.threads import single_threaded
from elodrome.agents.policy.reinforce import Reinforce, ReinforceConfig
from elodrome.envs.enumeration import enumerate_world
from elodrome.envs.game import Game, Reals
from elodrome.figures.figure import Curve, Figure, Tick, game
from elodrome.seeding import derive

SETTINGS: dict[str, Any] = {
    "episodes": 64,
    "discount": 1.0,
    "standardise": False,
    "entropy": 0.0,
    "hidden": (16,),
    "rate": 0.02,
}
STARTS, BASELINES, BUDGET, MARKS = (0.2, 0.85), ("none", "value"), 60_000, 61
BEST = 2 - np.sqrt(2)


def compute(quick: bool, seed: int, tick: Tick) -> Figure:
    """12 runs (quick: 4, with a baseline alone) of 60,000 decisions, updated by 64 episodes at a time."""
    world, runs, baselines = game("corridor"), 4 if quick else 12, BASELINES[1:] if quick else BASELINES
    process, marks = Decisions.of(enumerate_world(world)), np.linspace(0, BUDGET, MARKS)
    best, ends, curves, remarks = worth(process, BEST), [], [], []
    for number, (start, baseline) in enumerate(product(STARTS, baselines)):
        label = f"from p = {start:g}, " + ("no baseline" if baseline == "none" else "baseline V")
        rights, config = np.zeros((runs, MARKS)), ReinforceConfig.model_validate({**SETTINGS, "baseline": baseline})
        for k in range(runs):
            rights[k] = learn(world, config, start, marks, derive(seed, label, k))
            tick(number * runs + k + 1, len(STARTS) * len(baselines) * runs)
        returns = np.array([[worth(process, p) for p in row] for row in rights])
        curves.append(Curve.of(label, marks, returns))
        last, right = Curve.of(label, [0.0], returns[:, -1:]), Curve.of(label, [0.0], rights[:, -1:])
        ends.append(replace(last, x=right.mean))
        remarks.append(
            f"{label}: p = {right.mean[0]:.3f} +- {right.error[0]:.3f}, J = {last.mean[0]:.3f} +- {last.error[0]:.3f}"
        )
    remarks.append(f"at best p = {BEST:.3f}, J = {best:.3f}")
    x = np.linspace(0.42, 0.74, 161)
    ends.append(Curve("exact", x, np.array([worth(process, p) for p in x]), 0 * x))
    beside = Figure("REINFORCE on its way", "decisions", "J, exactly", curves, {"best": best}, low=-24.0, high=-10.0)
    title = f"The corridor: J by the probability p of going right, and where {runs} runs end"
    return Figure(title, "p", "J, exactly", ends, {"best": best}, remarks, low=-13.2, high=-11.5, beside=beside)


def worth(process: Decisions, right: float) -> float:
    """J of going right with this probability wherever one is."""
    return process.performance(np.array([1 - right, right]) * process.legal)


def learn(world: Game, config: ReinforceConfig, start: float, marks: Reals, seed: int) -> Reals:
    """The probability of going right after so many decisions (marks [N], the last of them the budget), ``start`` at
    first."""
    learner = Reinforce(Task(world, seed), config)
    seen = torch.ones(1, *world.observation_shape)

    def logits() -> torch.Tensor:
        with torch.no_grad():
            return learner.net.outputs(seen)[0]

    bias: torch.Tensor = dict(learner.net.actor.named_parameters())["1.bias"]
    with torch.no_grad():  # makes up for what the fresh network says of itself
        bias.add_(torch.tensor([np.log(1 - start), np.log(start)], dtype=torch.float32) - logits())
    steps, rights = [0], [start]
    with single_threaded():
        for progress in learner.learn(Budget(int(marks[-1]))):
            steps.append(progress.step)
            rights.append(float(torch.softmax(logits(), 0)[1]))
    return np.interp(marks, steps, rights)
