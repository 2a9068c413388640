"""What each part of Rainbow is worth alone, and what it costs: DQN with one of its switches on, and with all of them
(notes 2.6.6), on three worlds.

    python benchmarks/dqn_parts.py [--worlds chain,cartpole,connect_four] [--kinds dqn,...] [--seeds 5] [--scale 1.0]
                                   [--out dqn_parts.json]

chain: a row of cells, two steps to the left of the start a reward of 0.1, ten to the right one of 1; who is not curious
ends on the left. Small networks, many updates for each decision. cartpole: CartPole-v1, best return 500. connect_four:
learned in self-play as usual; the share of points against a fixed opponent, ``RIVAL``, which never learns. The settings
of the latter two are those that a person gets who names none.

The mean over seeds of what the greedy agent reaches, with its standard error; gradient updates for each second of the
processor, against plain DQN with the same seed. A row is kept in ``--out`` as it ends: stopped, run it again. Prints a
table and, as its last line, one JSON object.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from elodrome.agents.agent import Budget, Task
from elodrome.agents.parts.saved import replace_file
from elodrome.agents.registry import make_agent, make_learner
from elodrome.arena.best import solo_returns
from elodrome.arena.match import play_match
from elodrome.envs.registry import make_env

KINDS = ("dqn", "double_dqn", "dueling_dqn", "per_dqn", "n_step_dqn", "c51", "noisy_dqn", "rainbow")
CHAIN = "gridworld:map=T.S.........G,step_reward=0.0,trap_reward=0.1,goal_reward=1.0,bump_reward=0.0,max_steps=100"
BRISK = {"envs": 8, "updates": 2, "target_every": 50, "batch": 64, "hidden": [64]}
# The world, its budget, settings.
WORLDS: dict[str, tuple[str, int, dict[str, Any]]] = {
    "chain": (CHAIN, 50_000, BRISK),
    "cartpole": ("gymnasium:CartPole-v1", 50_000, {}),
    "connect_four": ("connect_four", 100_000, {}),
}
RIVAL = "mcts:simulations=25"
EPISODES, GAMES = 20, 200


def measure(where: str, kind: str, seed: int, scale: float) -> dict[str, Any]:
    """One training, what came of it, and what it cost."""
    name, steps, settings = WORLDS[where]
    world = make_env(name)
    learner = make_learner(kind, Task(world, seed), settings)
    start = time.process_time()
    for _ in learner.learn(Budget(int(steps * scale))):
        pass
    seconds = time.process_time() - start
    if world.players == 1:
        returns, _ = solo_returns(world, learner.agent, EPISODES, seed + 1000)
        value = float(returns.mean())
    else:
        tally = play_match(world, learner.agent, make_agent(RIVAL, world), GAMES, seed=seed, opening=2).tally()
        value = (tally["wins"] + 0.5 * tally["draws"]) / GAMES
    row = {"world": where, "kind": kind, "seed": seed, "scale": scale, "value": value}
    return {**row, "updates": learner.updates, "seconds": round(seconds, 2)}


def summary(rows: list[dict[str, Any]], where: str, kind: str) -> dict[str, Any]:
    """The mean of a kind on a world, its standard error, and its speed relative to plain DQN."""
    of = {row["seed"]: row for row in rows if (row["world"], row["kind"]) == (where, kind)}
    plain = {row["seed"]: row for row in rows if (row["world"], row["kind"]) == (where, "dqn")}
    values = np.array([row["value"] for row in of.values()])
    speed = {seed: row["updates"] / row["seconds"] for seed, row in of.items()}
    relative = [speed[seed] * plain[seed]["seconds"] / plain[seed]["updates"] for seed in of if seed in plain]
    return {
        "world": where,
        "kind": kind,
        "seeds": len(values),
        "mean": float(values.mean()),
        "error": float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None,
        "values": values.tolist(),
        "updates_per_second": float(np.mean(list(speed.values()))),
        "relative": float(np.mean(relative)) if relative else None,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", default=",".join(WORLDS))
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--out", type=Path, default=Path("dqn_parts.json"))
    given = parser.parse_args()
    torch.set_num_threads(1)  # small networks: more threads only wait for each other
    worlds, kinds = given.worlds.split(","), given.kinds.split(",")
    rows: list[dict[str, Any]] = json.loads(given.out.read_text()) if given.out.is_file() else []
    done = {(row["world"], row["kind"], row["seed"], row["scale"]) for row in rows}
    for where in worlds:
        for seed in range(given.seeds):
            for kind in kinds:  # one after the other, so that all of them meet the same neighbours
                if (where, kind, seed, given.scale) not in done:
                    rows.append(measure(where, kind, seed, given.scale))
                    replace_file(given.out, json.dumps(rows, indent=1).encode())
                    print("{world} {kind} seed {seed}: {value:.3f} in {seconds} s".format(**rows[-1]), flush=True)
    rows = [row for row in rows if row["scale"] == given.scale and row["seed"] < given.seeds]
    results = [summary(rows, where, kind) for where in worlds for kind in kinds]
    by = {(r["world"], r["kind"]): r for r in results}
    print("| | " + " | ".join(f"{where} | updates/s" for where in worlds) + " |")
    print("| --- |" + " ---: | ---: |" * len(worlds))
    for kind in kinds:
        cells = []
        for where in worlds:
            r, digits = by[where, kind], 1 if where == "cartpole" else 3
            error = "" if r["error"] is None else f" ± {r['error']:.{digits}f}"
            cells += [f"{r['mean']:.{digits}f}{error}", "" if r["relative"] is None else f"{r['relative']:.2f}"]
        print(f"| {kind} | " + " | ".join(cells) + " |")
    print(json.dumps({"benchmark": "dqn_parts", "rival": RIVAL, "results": results}))


if __name__ == "__main__":
    main()
