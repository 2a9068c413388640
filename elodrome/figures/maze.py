"""A maze, learned by single steps, several, and traces (notes 2.4.5, 2.5.3; Sutton & Barto, example 8.1).

Step size 0.1, epsilon 0.1, discount 0.95; one is paid at the goal alone. Q-learning hears of the goal one step further
back with each episode; n steps and traces carry the news at once. The shortest path has 14 steps.
"""

from __future__ import annotations

import numpy as np

from elodrome.agents.tabular import dynamic_programming as dp
from elodrome.agents.tabular.n_step_sarsa import NStepSarsa
from elodrome.agents.tabular.q_lambda import QLambda
from elodrome.agents.tabular.q_learning import QLearning
from elodrome.agents.tabular.sarsa_lambda import SarsaLambda
from elodrome.envs.information import InformationStates
from elodrome.figures._paths import Kinds, greedy_path, learning_curves
from elodrome.figures.figure import Figure, Tick, game

SETTINGS = {"alpha": 0.1, "epsilon": 0.1}
KINDS: Kinds = {
    "Q-learning": (QLearning, SETTINGS),
    "n-step SARSA, n = 8": (NStepSarsa, {**SETTINGS, "n": 8}),
    "SARSA(λ), λ = 0.9": (SarsaLambda, {**SETTINGS, "lam": 0.9}),
    "Q(λ), λ = 0.9": (QLambda, {**SETTINGS, "lam": 0.9}),
}
NEAR = 28  # steps: twice the shortest path


def compute(quick: bool, seed: int, tick: Tick) -> Figure:
    """300 runs (quick: 30) of 50 episodes."""
    world, runs, episodes = game("gridworld:map=maze,max_steps=10000"), 30 if quick else 300, 50
    curves, lengths, paths = learning_curves(world, KINDS, runs, episodes, seed, tick)
    states = InformationStates.of(world)
    best = dp.value_iteration(states.tables, world.discount)[0]
    shortest = greedy_path(states, best[states.first])
    remarks = [
        f"{label}: {steps[:, -10:].mean():.1f} steps in the last 10 of {episodes} episodes, fewer than {NEAR} from "
        f"episode {np.argmax(steps.mean(axis=0) < NEAR) + 1} on; the greedy path has {shortest:.0f} steps in "
        f"{(paths[label] == shortest).mean():.0%} of the runs"
        for label, steps in lengths.items()
    ]
    title = f"The maze of example 8.1 while learning: α = 0.1, ε = 0.1, {runs} runs"
    return Figure(title, "episode", "steps of the episode", curves, {"shortest path": shortest}, remarks, "y", low=11.0)
