"""Blackjack from whole games: what a policy is worth, and better ones (notes 2.4.2, eq. 2.51; Sutton & Barto 5.1).

Left: 13 by an ace against a two, hit below 20 (example 5.4): Monte Carlo finds the published -0.27726. Right: policies
learned by playing, each worth what its greedy play is exactly.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from elodrome.agents.parts.tabular import Run, TabularLearner
from elodrome.agents.tabular import dynamic_programming as dp
from elodrome.agents.tabular.monte_carlo_control import MonteCarloControl
from elodrome.agents.tabular.monte_carlo_prediction import MonteCarloPrediction
from elodrome.agents.tabular.q_learning import QLearning
from elodrome.envs.enumeration import Tables
from elodrome.envs.game import Floats, Mask, Reals
from elodrome.envs.information import InformationStates
from elodrome.figures.figure import Curve, Figure, Tick, game
from elodrome.seeding import derive

STICK = 20  # the policy of the book's example sticks from here on
PUBLISHED = -0.27726  # from a hundred million games
POINTS = 11
CONTROL: dict[str, tuple[type[TabularLearner], dict[str, Any]]] = {
    "Monte Carlo control": (MonteCarloControl, {"epsilon": 0.1, "discount": 1.0}),
    "Q-learning": (QLearning, {"epsilon": 0.1, "discount": 1.0}),
}


def compute(quick: bool, seed: int, tick: Tick) -> Figure:
    """40 runs (quick: 10) of 100,000 games (quick: 10,000) of the policy, of 1,000,000 (100,000) of control."""
    runs, share = (10, 0.1) if quick else (40, 1.0)
    left = _prediction(runs, round(100_000 * share), seed)
    tick(1, 1 + len(CONTROL))
    right = _control(runs, round(1_000_000 * share), seed, tick)
    remarks = left.remarks + right.remarks
    return Figure(left.title, left.x, left.y, left.curves, left.levels, remarks, left.log, beside=right)


def stick(observations: Floats, legal: Mask, seats: Any, states: Any) -> Reals:
    """The policy [B, 2] that hits below 20."""
    sticks = observations.reshape(len(observations), -1)[:, :32].argmax(axis=1) >= STICK
    return np.stack([sticks, ~sticks], axis=1).astype(np.float64)


def _prediction(runs: int, games: int, seed: int) -> Figure:
    world = game("blackjack:start=[13,2,1]")
    states, config = InformationStates.of(world), MonteCarloPrediction.config_class.model_validate({})
    after = np.unique(np.geomspace(100, games, POINTS).astype(int))
    found = np.zeros((runs, len(after)))
    start = int(states.info[states.tables.starts[0]])
    for k in range(runs):
        run = Run(states, config, derive(seed, "13", k), MonteCarloPrediction.details(config), stick)
        for at, count in enumerate(np.diff(after, prepend=0)):
            MonteCarloPrediction.advance(states, run, np.zeros((count, 1)), count * world.max_steps)
            found[k, at] = run.q[start, 0]
    curve = Curve.of("Monte Carlo prediction", after, found)
    exact = dp.policy_evaluation(states.tables, policy_on(states.tables), 1.0)[states.tables.starts[0]]
    remarks = [
        f"13 by an ace against a two: {curve.mean[-1]:.5f} +- {curve.error[-1]:.5f} after {games} games, {runs} runs; "
        f"exactly {exact:.5f}, published {PUBLISHED}"
    ]
    levels = {"exact": float(exact)}
    return Figure(
        f"Blackjack: 13 by an ace against a two, hit below {STICK}", "games", "V", [curve], levels, remarks, "x"
    )


def policy_on(tables: Tables) -> Reals:
    """The same policy on states [S, A]."""
    sticks = (tables.states[:, 0] >= STICK)[:, None]
    policy: Reals = np.where(sticks, [[1.0, 0.0]], [[0.0, 1.0]]) * tables.legal
    return policy


def _control(runs: int, games: int, seed: int, tick: Tick) -> Figure:
    world = game("blackjack")
    states = InformationStates.of(world)
    tables = states.tables
    after = np.unique(np.geomspace(1000, games, POINTS).astype(int))
    curves, remarks = [], []

    def worth(policy: Reals) -> float:
        return float(tables.start_probability @ dp.policy_evaluation(tables, policy, 1.0)[tables.starts])

    levels = {
        "best": float(tables.start_probability @ dp.value_iteration(tables, 1.0)[1][tables.starts]),
        f"hit below {STICK}": worth(policy_on(tables)),
    }
    for done, (label, (cls, settings)) in enumerate(CONTROL.items(), 2):
        config, found = cls.config_class.model_validate(settings), np.zeros((runs, len(after)))
        for k in range(runs):
            run = cls.fresh(states, config, derive(seed, label, k))
            for at, count in enumerate(np.diff(after, prepend=0)):
                cls.advance(states, run, np.zeros((count, 1)), count * world.max_steps)
                found[k, at] = worth(dp.evenly(states.on_states(dp.best_actions(cls.values(run)))))
        curves.append(Curve.of(label, after, found))
        remarks.append(
            f"{label}: {curves[-1].mean[-1]:.4f} +- {curves[-1].error[-1]:.4f}, at best {levels['best']:.4f}"
        )
        tick(done, 1 + len(CONTROL))
    return Figure("What greedy play is worth, exactly", "games", "J", curves, levels, remarks, "x")
