"""What figures on the 19-state random walk share (Sutton & Barto 2018, example 7.1)."""

from __future__ import annotations

from typing import Any

import numpy as np

from elodrome.agents.tabular import dynamic_programming as dp
from elodrome.agents.tabular.prediction import Prediction, value_errors
from elodrome.envs.game import Game, Reals
from elodrome.envs.information import InformationStates
from elodrome.figures.figure import Curve, Tick, game
from elodrome.seeding import derive

EPISODES = 10
AWAY = 1e3  # the error of values that ran away


def exact_values(world: Game) -> Reals:
    """V [I] of the uniform policy, by the linear equations."""
    states = InformationStates.of(world)
    value = dp.policy_evaluation(states.tables, dp.uniform_policy(states.tables), world.discount)
    found = np.zeros(len(states.seats))
    found[states.info[states.info >= 0]] = value[states.info >= 0]
    return found


def error_curves(
    cls: type[Prediction],
    settings: dict[str, list[Any]],
    x: Reals,
    runs: int,
    seed: int,
    tick: Tick,
) -> tuple[list[Curve], list[str]]:
    """The root mean square error of the values over the first episodes, a curve for each list of settings [N]; and the
    least of each."""
    world = game("random_walk")
    exact, curves, remarks, done = exact_values(world), [], [], 0
    for number, (label, configs) in enumerate(settings.items()):
        errors = np.zeros((runs, len(x)))
        for at, config in enumerate(configs):
            seeds = [derive(seed, "walk", number, at, k) for k in range(runs)]
            with np.errstate(over="ignore", invalid="ignore"):  # values run away where the steps are too long
                errors[:, at] = value_errors(cls, world, config, seeds, EPISODES, exact).mean(axis=1)
            done += 1
            tick(done, len(settings) * len(x))
        curve = Curve.of(label, x, np.nan_to_num(errors, nan=AWAY, posinf=AWAY).clip(max=AWAY))
        best = int(curve.mean.argmin())
        curves.append(curve)
        remarks.append(f"{label}: least at α = {x[best]:.2g}, {curve.mean[best]:.3f} +- {curve.error[best]:.3f}")
    return curves, remarks
