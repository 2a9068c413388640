"""Classic control by our learners and by stable-baselines3's, in one run: the same settings, one thread, seeds in turn.

Every run is judged twice, over fresh episodes played greedily: the last agent, and the best of those met on the way
(one for every twentieth of the budget, chosen over 10 episodes of its own). Settings are rl-zoo's, written for both;
rates fall in a straight line where the zoo lets them; what the zoo clips by a falling bound has a constant one here.
Rows called "-defaults" give both sides nothing but the names of algorithm and world.
Their activations are theirs (tanh for the policy gradients, ReLU for DQN), ours are ReLU. DQN collects as it does by
default on either side: theirs 256 decisions of one game, then 128 updates, ours 8 games and 4 updates at a time; their
target network stands still meanwhile, so that ours is copied every 128 updates.

    python benchmarks/classic_control.py [--rows dqn-cartpole,...] [--seeds 5] [--out FILE] [--markdown]

Seconds are of the processor, less judging; all rows take some hours on one core. Results go into ``--out`` as they
come, and what is there is not run again. The peers are installed into an environment beside this one, kept in a cache
folder (or given by ``--python``); the first run downloads torch and them. Published scores are rl-zoo's, of one run
each. Prints a table and a JSON line.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from _peers import REPOSITORY, environment

HERE = Path(__file__).resolve()
PEERS = ["stable-baselines3", "sb3-contrib", "gymnasium[box2d]", "scipy"]
LOOKS = 20  # judgements on the way
CHOICE, FINAL = 10, 50  # episodes of each of them, and of the two at the end
SIDES = ("ours", "theirs")
SEEDS = 100  # no more are looked for


@dataclass(frozen=True)
class Row:
    """One comparison. ours: settings of ``agent``; theirs: keywords of the class of that name, of which n_envs is for
    the environment, "rate" is the step size, "falls" whether it falls to 0, "noise" the deviation of exploration."""

    agent: str
    world: str
    steps: int
    published: str
    ours: dict[str, Any] = field(default_factory=dict)
    theirs: dict[str, Any] = field(default_factory=dict)
    seeds: int | None = None  # more than others, where learning is known to be unsteady
    module: str = "stable_baselines3"
    policy: dict[str, Any] = field(default_factory=dict)  # of theirs


def dqn(
    world: str, steps: int, published: str, shared: dict[str, Any], ours: dict[str, Any], theirs: dict[str, Any]
) -> Row:
    rate, batch, capacity, warmup, exploration, end = (
        shared[name] for name in ("rate", "batch", "capacity", "warmup", "exploration", "end")
    )
    return Row(
        agent="dqn",
        world=world,
        steps=steps,
        published=published,
        ours={
            **{"rate": rate, "batch": batch, "capacity": capacity, "warmup": warmup, "exploration": exploration},
            **{"epsilon_end": end, "discount": 0.99, "huber": 1.0, "anneal": False, "hidden": [256, 256], **ours},
        },
        theirs={
            **{"rate": rate, "batch_size": batch, "buffer_size": capacity, "learning_starts": warmup},
            **{"exploration_fraction": exploration, "exploration_final_eps": end, "gamma": 0.99, **theirs},
        },
        seeds=10,
        policy={"net_arch": [256, 256]},
    )


def ppo(
    world: str,
    steps: int,
    published: str,
    envs: int,
    horizon: int,
    batch: int,
    epochs: int,
    rest: dict[str, float],
    state_noise: int = 0,
) -> Row:
    gae, gamma, entropy, rate = (rest[name] for name in ("gae", "gamma", "entropy", "rate"))
    falls = bool(rest["falls"])
    return Row(
        agent="ppo",
        world=world,
        steps=steps,
        published=published,
        ours={
            **{"envs": envs, "horizon": horizon, "minibatch": batch, "epochs": epochs, "gae_lambda": gae},
            **{"discount": gamma, "entropy": entropy, "rate": rate, "anneal": falls, "hidden": [64, 64]},
            **({"state_noise": state_noise} if state_noise else {}),
        },
        theirs={
            **{"n_envs": envs, "n_steps": horizon, "batch_size": batch, "n_epochs": epochs, "gae_lambda": gae},
            **{"gamma": gamma, "ent_coef": entropy, "rate": rate, "falls": falls},
            **({"use_sde": True, "sde_sample_freq": state_noise} if state_noise else {}),
        },
    )


ROWS = {
    "dqn-cartpole": dqn(
        *("CartPole-v1", 50_000, "500 at 50k"),
        {"rate": 2.3e-3, "batch": 64, "capacity": 100_000, "warmup": 1_000, "exploration": 0.16, "end": 0.04},
        {"envs": 8, "updates": 4, "target_every": 128},
        {"train_freq": 256, "gradient_steps": 128, "target_update_interval": 10},
    ),
    "ppo-cartpole": ppo(
        *("CartPole-v1", 100_000, "500 at 100k", 8, 32, 256, 20),
        {"gae": 0.8, "gamma": 0.98, "entropy": 0.0, "rate": 1e-3, "falls": True},
    ),
    "trpo-cartpole": Row(
        agent="trpo",
        world="CartPole-v1",
        steps=100_000,
        published="500 at 100k",
        ours={
            **{"envs": 2, "horizon": 512, "minibatch": 512, "value_epochs": 20, "gae_lambda": 0.98, "rate": 1e-3},
            **{"damping": 1e-3, "cg_steps": 15, "anneal": False, "discount": 0.99, "hidden": [64, 64]},
        },
        theirs={
            **{"n_envs": 2, "n_steps": 512, "batch_size": 512, "n_critic_updates": 20, "gae_lambda": 0.98},
            **{"rate": 1e-3, "cg_damping": 1e-3, "cg_max_steps": 15, "gamma": 0.99},
        },
        module="sb3_contrib",
    ),
    "a2c-cartpole": Row(
        agent="a2c",
        world="CartPole-v1",
        steps=500_000,
        published="500 at 500k",
        ours={
            **{"envs": 8, "horizon": 5, "rate": 7e-4, "anneal": False, "entropy": 0.0, "discount": 0.99},
            "hidden": [64, 64],
        },
        theirs={"n_envs": 8, "n_steps": 5, "rate": 7e-4, "ent_coef": 0.0, "gamma": 0.99},
    ),
    **{
        f"{agent}-cartpole-defaults": Row(agent, "CartPole-v1", steps, published, seeds=seeds, module=module)
        for agent, steps, published, seeds, module in (
            ("ppo", 50_000, "500 at 100k", None, "stable_baselines3"),
            ("dqn", 50_000, "500 at 50k", 10, "stable_baselines3"),
            ("trpo", 50_000, "500 at 100k", None, "sb3_contrib"),
        )
    },
    "ppo-acrobot": ppo(  # the zoo's million would not fit; it also normalises what is seen
        *("Acrobot-v1", 200_000, "-73.5 at 1M", 16, 256, 64, 4),
        {"gae": 0.94, "gamma": 0.99, "entropy": 0.0, "rate": 3e-4, "falls": False},
    ),
    "dqn-acrobot": dqn(
        *("Acrobot-v1", 100_000, "-76.6 at 100k"),
        {"rate": 6.3e-4, "batch": 128, "capacity": 50_000, "warmup": 1_000, "exploration": 0.12, "end": 0.1},
        {"envs": 4, "updates": 4, "target_every": 250},
        {"train_freq": 4, "gradient_steps": -1, "target_update_interval": 250},
    ),
    "ppo-pendulum": ppo(
        *("Pendulum-v1", 100_000, "-172 at 100k", 4, 1024, 64, 10),
        {"gae": 0.95, "gamma": 0.9, "entropy": 0.0, "rate": 1e-3, "falls": False},
        state_noise=4,
    ),
    "sac-pendulum": Row(
        agent="sac",
        world="Pendulum-v1",
        steps=20_000,
        published="-157 at 20k",
        ours={"rate": 1e-3, "warmup": 100},
        theirs={"rate": 1e-3},
    ),
    "td3-pendulum": Row(
        agent="td3",
        world="Pendulum-v1",
        steps=20_000,
        published="-152 at 20k",
        ours={"rate": 1e-3, "discount": 0.98, "warmup": 10_000, "hidden": (400, 300)},
        theirs={"rate": 1e-3, "gamma": 0.98, "buffer_size": 200_000, "learning_starts": 10_000, "noise": 0.1},
    ),
    "ppo-lunar": ppo(
        *("LunarLander-v3", 1_000_000, "242 at 1M (v2)", 16, 1024, 64, 4),
        {"gae": 0.98, "gamma": 0.999, "entropy": 0.01, "rate": 3e-4, "falls": False},
    ),
}


def ours(row: Row, seed: int, steps: int) -> dict[str, Any]:
    """A run of our learner."""
    from elodrome.agents.agent import Agent, Budget, Task
    from elodrome.agents.registry import make_learner
    from elodrome.arena.best import solo_returns
    from elodrome.envs.registry import make_env

    world = make_env(f"gymnasium:{row.world}")

    def judge(agent: Agent, episodes: int, seed: int) -> float:
        return float(solo_returns(world, agent, episodes, seed)[0].mean())

    learner = make_learner(row.agent, Task(world, seed), row.ours)
    seconds, before, best, best_agent = 0.0, 0, -np.inf, None
    started = time.process_time()
    for progress in learner.learn(Budget(steps)):
        if progress.step * LOOKS // steps > before * LOOKS // steps:
            seconds += time.process_time() - started
            agent = learner.agent
            score = judge(agent, CHOICE, 10_000 + seed)
            if score >= best:
                best, best_agent = score, agent
            started = time.process_time()
        before = progress.step
    seconds += time.process_time() - started
    assert best_agent is not None
    fresh = 20_000 + seed
    return {
        "steps": before,
        "seconds": seconds,
        "last": judge(learner.agent, FINAL, fresh),
        "best": judge(best_agent, FINAL, fresh),
    }


def theirs(row: Row, seed: int, steps: int) -> dict[str, Any]:
    """A run of stable-baselines3's."""
    import importlib

    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.evaluation import evaluate_policy

    settings = dict(row.theirs)
    rate, falls = settings.pop("rate", None), settings.pop("falls", False)
    env = make_vec_env(row.world, settings.pop("n_envs", 1), seed=seed)
    cls = getattr(importlib.import_module(row.module), row.agent.upper())
    if rate is not None:
        settings["learning_rate"] = (lambda left: left * rate) if falls else rate
    if (noise := settings.pop("noise", None)) is not None:
        from stable_baselines3.common.noise import NormalActionNoise

        shape = env.action_space.shape
        settings["action_noise"] = NormalActionNoise(np.zeros(shape), np.full(shape, noise))
    model = cls("MlpPolicy", env, policy_kwargs=row.policy or None, seed=seed, device="cpu", **settings)
    judges = make_vec_env(row.world, 1, seed=10_000 + seed)

    def judge(episodes: int, seed: int) -> float:
        judges.seed(seed)
        return float(evaluate_policy(model, judges, episodes, deterministic=True)[0])

    class Looks(BaseCallback):
        before, judging, best = 0, 0.0, -np.inf
        kept: dict[str, Any]

        def _on_step(self) -> bool:
            if self.num_timesteps * LOOKS // steps > self.before * LOOKS // steps:
                started = time.process_time()
                score = judge(CHOICE, 10_000 + seed)
                if score >= self.best:
                    arrays = model.policy.state_dict()
                    self.best, self.kept = score, {name: tensor.clone() for name, tensor in arrays.items()}
                self.judging += time.process_time() - started
            self.before = self.num_timesteps
            return True

    looks = Looks()
    started = time.process_time()
    model.learn(steps, callback=looks)
    seconds = time.process_time() - started - looks.judging
    last = judge(FINAL, 20_000 + seed)
    model.policy.load_state_dict(looks.kept)
    return {"steps": looks.before, "seconds": seconds, "last": last, "best": judge(FINAL, 20_000 + seed)}


def run(python: Path, name: str, side: str, seed: int, scale: float) -> dict[str, Any]:
    """One run, in a process of its own. Raises RuntimeError with the last that it said where it fails."""
    done = subprocess.run(
        [str(python), str(HERE), "--one", name, side, str(seed), "--scale", str(scale)],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"{name}, {side}, seed {seed}: {(done.stderr.strip().splitlines() or ['no word'])[-1]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def interval(values: list[float]) -> str:
    """Mean and 95 % interval of the mean, by Student's t."""
    from scipy.stats import t

    mean, count = float(np.mean(values)), len(values)
    if count < 2:
        return f"{mean:.0f}"
    half = float(t.ppf(0.975, count - 1) * np.std(values, ddof=1) / count**0.5)
    return f"{mean:.0f} ± {half:.0f}"


def summary(results: dict[str, dict[str, Any]], names: list[str], scale: float) -> list[list[str]]:
    """The table's lines: of each row the seeds that both sides have run."""
    lines = []
    for name in names:
        runs = {side: [results.get(key_of(name, side, seed, scale)) for seed in range(SEEDS)] for side in SIDES}
        pairs = [(a, b) for a, b in zip(*runs.values(), strict=True) if a and b]
        if not pairs:
            continue
        scores = [interval([pair[i][what] for pair in pairs]) for what in ("last", "best") for i in (0, 1)]
        speed = [sum(pair[i]["steps"] for pair in pairs) / sum(pair[i]["seconds"] for pair in pairs) for i in (0, 1)]
        row = ROWS[name]
        title = f"{row.agent} {row.world} {int(row.steps * scale) // 1000}k" + name.partition("-defaults")[1].replace(
            "-", ", "
        )
        rates = [f"{speed[0]:,.0f}", f"{speed[1]:,.0f}", f"{speed[0] / speed[1]:.1f}x"]
        lines.append([title, str(len(pairs)), *scores, row.published, *rates])
    return lines


def key_of(name: str, side: str, seed: int, scale: float) -> str:
    """Under which a result stands."""
    return f"{name}/{side}/{seed}" + (f"/{scale:g}" if scale != 1 else "")


HEADINGS = [
    "",
    "seeds",
    "last: ours",
    "sb3",
    "best kept: ours",
    "sb3",
    "published",
    "decisions/s: ours",
    "sb3",
    "ratio",
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default=",".join(ROWS), help="which, of " + ", ".join(ROWS))
    parser.add_argument("--seeds", type=int, help="how many (5, for DQN 10)")
    parser.add_argument("--scale", type=float, default=1.0, help="of the budgets")
    parser.add_argument("--out", type=Path, default=Path("classic_control.json"))
    parser.add_argument("--python", type=Path, help="an interpreter that has the peers and what we need")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown too")
    parser.add_argument("--one", nargs=3, metavar=("ROW", "SIDE", "SEED"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        import torch

        torch.set_num_threads(1)
        name, side, seed = options.one
        row = ROWS[name]
        print(json.dumps((ours if side == "ours" else theirs)(row, int(seed), int(row.steps * options.scale))))
        return
    names = options.rows.split(",")
    if wrong := [name for name in names if name not in ROWS]:
        parser.error(f"no row {wrong[0]}; there are {', '.join(ROWS)}")
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "elodrome-classic-control"
    python = options.python or environment(cache, PEERS)
    results: dict[str, dict[str, Any]] = json.loads(options.out.read_text()) if options.out.exists() else {}
    failed = []
    for name in names:
        for seed in range(options.seeds or ROWS[name].seeds or 5):
            for side in SIDES if seed % 2 == 0 else SIDES[::-1]:
                key = key_of(name, side, seed, options.scale)
                if key in results:
                    continue
                try:
                    results[key] = run(python, name, side, seed, options.scale)
                except RuntimeError as error:
                    failed.append(str(error))
                    print(error, file=sys.stderr)
                    continue
                part = options.out.with_suffix(".part")
                part.write_text(json.dumps(results, indent=1))
                part.replace(options.out)
                r = results[key]
                print(
                    f"{key:24} last {r['last']:8.1f} best {r['best']:8.1f} {r['steps'] / r['seconds']:8.0f}/s",
                    flush=True,
                )
    lines = summary(results, names, options.scale)

    from rich.console import Console
    from rich.table import Table

    table = Table(*HEADINGS)
    for line in lines:
        table.add_row(*line)
    Console(width=160).print(table)
    if options.markdown:
        for line in (HEADINGS, ["---"] * len(HEADINGS), *lines):
            print("| " + " | ".join(line) + " |")
    print(json.dumps({"benchmark": "classic_control", "scale": options.scale, "results": results, "failed": failed}))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
