"""Q-learning and SARSA on cliff walking, 50 runs of 500 episodes, as a table and a figure (notes 2.5.5).

Writes ``benchmarks/out/cliff.png``: the return of each episode while learning, averaged over the runs and smoothed,
with the exact returns of the best path, of epsilon-greedy play on Q*, and of the best epsilon-soft policy.

    python benchmarks/cliff.py
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import matplotlib as mpl
import numpy as np

from elodrome import make_env
from elodrome.agents.parts.tabular import Runs, TabularConfig
from elodrome.agents.tabular import dynamic_programming as dp
from elodrome.agents.tabular.q_learning import QLearning
from elodrome.agents.tabular.sarsa import Sarsa
from elodrome.envs.enumeration import enumerate_world
from elodrome.envs.game import Game

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

RUNS, EPISODES, LAST, SMOOTH = 50, 500, 100, 10
# What another program found: mean of the last 100 episodes over 50 runs, standard errors 1.0 and 0.8.
REFERENCE = {"Q-learning": -51.4, "SARSA": -27.4}
COLOURS = {"Q-learning": "#c8553d", "SARSA": "#2b6f8f"}


def main() -> None:
    world = make_env("cliff_walking")
    assert isinstance(world, Game)
    config = TabularConfig(alpha=0.5, epsilon=0.1, discount=1.0)
    began = time.perf_counter()
    runs = {
        "Q-learning": QLearning.run_control(world, config, range(RUNS), EPISODES),
        "SARSA": Sarsa.run_control(world, config, range(RUNS), EPISODES),
    }
    seconds = time.perf_counter() - began
    tables = enumerate_world(world)
    q, value, _ = dp.value_iteration(tables, 1.0)
    greedy = dp.best_actions(q)
    greedy /= np.maximum(greedy.sum(axis=1, keepdims=True), 1)
    bold = dp.policy_evaluation(tables, 0.9 * greedy + 0.1 * dp.uniform_policy(tables), 1.0)
    _, soft, _ = dp.policy_iteration(tables, 1.0, epsilon=0.1)
    start = tables.starts[0]
    exact = {"best path": value[start], "ε-greedy on Q*": bold[start], "best ε-soft policy": soft[start]}

    print(f"{'last 100 of 500 episodes':<26}{'mean':>8}{'s.e.':>7}{'reference':>11}")
    summary = {}
    for name, found in runs.items():
        last = found.returns[:, -LAST:, 0].mean(axis=1)
        mean, error = last.mean(), last.std(ddof=1) / np.sqrt(RUNS)
        summary[name] = {"mean": round(float(mean), 2), "standard_error": round(float(error), 2)}
        print(f"{name:<26}{mean:>8.1f}{error:>7.1f}{REFERENCE[name]:>11.1f}")
    for name, level in exact.items():
        print(f"{name + ' (exact)':<26}{level:>8.2f}")
    file = Path(__file__).parent / "out" / "cliff.png"
    draw(runs, exact, file)
    print(file)
    print(json.dumps({"benchmark": "cliff", "runs": RUNS, "seconds": round(seconds, 3), **summary}))


def draw(runs: dict[str, Runs], exact: dict[str, float], file: Path) -> None:
    """The learning curves, moving averages over SMOOTH episodes of the mean of all runs, with two standard errors."""
    file.parent.mkdir(parents=True, exist_ok=True)
    plt.rcParams.update({"font.size": 11, "axes.spines.top": False, "axes.spines.right": False})
    figure, axes = plt.subplots(figsize=(9.2, 5.0), dpi=150, layout="constrained")
    episodes = np.arange(SMOOTH, EPISODES + 1)
    for name, found in runs.items():
        returns = found.returns[:, :, 0]
        smooth = np.apply_along_axis(np.convolve, 1, returns, np.full(SMOOTH, 1 / SMOOTH), "valid")
        mean, error = smooth.mean(axis=0), smooth.std(axis=0, ddof=1) / np.sqrt(len(smooth))
        axes.fill_between(episodes, mean - 2 * error, mean + 2 * error, color=COLOURS[name], alpha=0.15, linewidth=0)
        axes.plot(episodes, mean, color=COLOURS[name], linewidth=1.8, label=name)
        axes.hlines(REFERENCE[name], EPISODES - LAST, EPISODES, color=COLOURS[name], linewidth=3.2, alpha=0.9)
        beside(axes, f"{REFERENCE[name]} reference", REFERENCE[name], COLOURS[name], "top")
    for name, level in exact.items():
        axes.axhline(level, color="#888888", linewidth=0.9, linestyle=(0, (4, 3)))
        beside(axes, f"{level:.1f} {name}", level, "#555555", "bottom")
    axes.set(xlim=(0, EPISODES), ylim=(-100, -5), xlabel="episode", ylabel="return of the episode")
    axes.set_title(f"Cliff walking while learning: α = 0.5, ε = 0.1, {RUNS} runs", loc="left", fontsize=12)
    axes.legend(frameon=False, loc="lower right")
    figure.savefig(file)


def beside(axes: Axes, text: str, level: float, colour: str, side: str) -> None:
    """A label at the right edge of the axes, above or below its level."""
    axes.annotate(text, (EPISODES + 5, level), color=colour, va=side, fontsize=9.5, annotation_clip=False)


if __name__ == "__main__":
    main()
