"""Random play, steps per second, against OpenSpiel, PettingZoo, Gymnasium, pgx and envpool, in one run.

"steps" play uniformly random legal actions and produce the legal mask and the observation at every step, as training
needs them. "playouts" play to the end and keep the result only, as a search needs it. Every figure is the median of
several repeats after a warm-up. Peers that are not installed are left out and named.

    python benchmarks/envs.py            (peers: pip install -e ".[bench]")

One core and all cores are measured in processes of their own: a peer that cannot be held to one thread (XLA) is
pinned to one core by its affinity.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from statistics import median
from typing import Any

import numpy as np

REPEATS, SECONDS = 5, 0.6


def rate(play: Callable[[], int]) -> float:
    """Steps per second of ``play``, which returns the steps it did: the median of REPEATS, each of SECONDS or more."""
    play()
    rates = []
    for _ in range(REPEATS):
        steps, start = 0, time.perf_counter()
        while time.perf_counter() - start < SECONDS / REPEATS or not steps:
            steps += play()
        rates.append(steps / (time.perf_counter() - start))
    return median(rates)


def ours_steps(world_id: str, cores: int) -> float:
    """Batched random play with mask and observation at every step."""
    from elodrome import make_env
    from elodrome.envs.game import Game
    from elodrome.envs.table import BatchEnv

    world = make_env(world_id)
    assert isinstance(world, Game)
    batch = BatchEnv(world, 4096, seed=1, threads=cores)
    seeds = iter(range(1, 10**9))
    return rate(lambda: batch.random_play(500, next(seeds)))


def ours_playouts(world_id: str, cores: int) -> float:
    """Random games in compiled loops, one call per thread."""
    from concurrent.futures import ThreadPoolExecutor

    from elodrome import make_env
    from elodrome.envs import engine
    from elodrome.envs.game import Game

    world = make_env(world_id)
    assert isinstance(world, Game)
    pool = ThreadPoolExecutor(cores)

    def some(seed: int) -> int:
        players = world.players
        return engine.playouts(world.compiled, 20_000, np.uint64(seed), np.zeros((players, 3)), np.zeros(players))

    return rate(lambda: sum(pool.map(some, range(cores))))


def openspiel_steps(name: str, cores: int) -> float:
    """A loop in Python, with the legal mask and the observation tensor at every step."""
    import pyspiel

    game = pyspiel.load_game(name)
    rng = np.random.default_rng(0)

    def play() -> int:
        steps = 0
        for _ in range(100):
            state = game.new_initial_state()
            while not state.is_terminal():
                state.observation_tensor(state.current_player())
                legal = state.legal_actions()
                state.legal_actions_mask()
                state.apply_action(legal[int(rng.random() * len(legal))])
                steps += 1
        return steps

    return rate(play)


def openspiel_playouts(name: str, cores: int) -> float:
    """A loop in Python with nothing but legal actions and moves."""
    import random

    import pyspiel

    game = pyspiel.load_game(name)
    choose = random.Random(0).choice

    def play() -> int:
        steps = 0
        for _ in range(200):
            state = game.new_initial_state()
            while not state.is_terminal():
                state.apply_action(choose(state.legal_actions()))
                steps += 1
        return steps

    return rate(play)


def pettingzoo_steps(name: str, cores: int) -> float:
    """The AEC loop of PettingZoo's own tutorials."""
    from importlib import import_module

    env = import_module(f"pettingzoo.classic.{name}").env()
    seeds = iter(range(10**9))

    def play() -> int:
        steps = 0
        env.reset(seed=next(seeds))
        for agent in env.agent_iter():
            observation, _, terminated, truncated, _ = env.last()
            if terminated or truncated:
                env.step(None)
                continue
            env.step(env.action_space(agent).sample(observation["action_mask"]))
            steps += 1
        return steps

    return rate(play)


def pgx_steps(name: str, cores: int) -> float:
    """pgx's auto-resetting step under jit, the whole roll-out inside one XLA program; the best of three batches."""
    import jax
    import jax.numpy as jnp
    import pgx
    from pgx.experimental.wrappers import auto_reset

    env: Any = pgx.make(name)  # type: ignore[arg-type]
    step = jax.vmap(auto_reset(env.step, env.init))
    best = 0.0
    for batch in (256, 1024, 4096):

        def body(_: int, carry: Any) -> Any:
            state, key, seen = carry
            key, k1, k2 = jax.random.split(key, 3)
            logits = jnp.where(state.legal_action_mask, 0.0, -1e9)
            action = jax.random.categorical(k1, logits, axis=-1)
            state = step(state, action, jax.random.split(k2, batch))  # noqa: B023
            return state, key, seen + state.observation.sum() + state.legal_action_mask.sum()

        roll = jax.jit(lambda state, key: jax.lax.fori_loop(0, 100, body, (state, key, 0.0)))
        state = jax.vmap(env.init)(jax.random.split(jax.random.PRNGKey(0), batch))
        keys = iter(range(10**9))

        def play() -> int:
            jax.block_until_ready(roll(state, jax.random.PRNGKey(next(keys))))  # noqa: B023
            return 100 * batch  # noqa: B023

        best = max(best, rate(play))
    return best


def gymnasium_steps(name: str, cores: int) -> float:
    """The plain loop."""
    import gymnasium

    env = gymnasium.make(name)
    env.reset(seed=0)
    rng = np.random.default_rng(0)

    def play() -> int:
        for action in rng.integers(0, 4, 2000):
            _, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                env.reset()
        return 2000

    return rate(play)


def envpool_steps(name: str, cores: int) -> float:
    """envpool's batched stepping; the best of three batches."""
    import envpool

    best = 0.0
    for batch in (256, 1024, 4096):
        env = envpool.make_gymnasium(name, num_envs=batch, num_threads=cores)
        env.reset()
        actions = np.random.default_rng(0).integers(0, 4, (64, batch)).astype(np.int32)

        def play() -> int:
            for row in actions:  # noqa: B023
                env.step(row)  # noqa: B023
            return 64 * batch  # noqa: B023

        best = max(best, rate(play))
    return best


PEERS: dict[str, Callable[[str, int], float]] = {
    "ours_steps": ours_steps,
    "ours_playouts": ours_playouts,
    "openspiel_steps": openspiel_steps,
    "openspiel_playouts": openspiel_playouts,
    "pettingzoo_steps": pettingzoo_steps,
    "pgx_steps": pgx_steps,
    "gymnasium_steps": gymnasium_steps,
    "envpool_steps": envpool_steps,
}
NEEDS = {
    "openspiel": "pyspiel",
    "pettingzoo": "pettingzoo",
    "pgx": "pgx",
    "gymnasium": "gymnasium",
    "envpool": "envpool",
}

# (what is measured, our function and world, the peers with their names for it, on one core and on all?)
ROWS: list[tuple[str, str, str, list[tuple[str, str, bool]]]] = [
    ("tic-tac-toe, steps", "ours_steps", "tic_tac_toe",
     [("pgx_steps", "tic_tac_toe", True), ("openspiel_steps", "tic_tac_toe", False),
      ("pettingzoo_steps", "tictactoe_v3", False)]),
    ("Connect Four, steps", "ours_steps", "connect_four",
     [("pgx_steps", "connect_four", True), ("openspiel_steps", "connect_four", False),
      ("pettingzoo_steps", "connect_four_v3", False)]),
    ("cliff walking, steps", "ours_steps", "cliff_walking",
     [("envpool_steps", "CliffWalking-v1", True), ("gymnasium_steps", "CliffWalking-v1", False)]),
    ("Go 9 x 9, steps", "ours_steps", "go",
     [("pgx_steps", "go_9x9", True), ("openspiel_steps", "go(board_size=9)", False)]),
    ("tic-tac-toe, playouts", "ours_playouts", "tic_tac_toe", [("openspiel_playouts", "tic_tac_toe", False)]),
    ("Connect Four, playouts", "ours_playouts", "connect_four", [("openspiel_playouts", "connect_four", False)]),
    ("Go 9 x 9, playouts", "ours_playouts", "go", [("openspiel_playouts", "go(board_size=9)", False)]),
]  # fmt: skip


def measure(function: str, name: str, cores: int) -> float | None:
    """One figure, in a process of its own that is pinned to ``cores`` cores; None where the peer is missing."""
    needed = NEEDS.get(function.partition("_")[0])
    if needed and find_spec(needed) is None:
        return None
    flags = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1" if cores == 1 else ""
    done = subprocess.run(
        [sys.executable, __file__, "--one", function, name, str(cores)],
        capture_output=True, text=True, env={**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
    )  # fmt: skip
    if done.returncode:
        print(f"{function} {name}: failed\n{done.stderr[-600:]}", file=sys.stderr)
        return None
    return float(done.stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--one", nargs=3, metavar=("FUNCTION", "NAME", "CORES"), help=argparse.SUPPRESS)
    parser.add_argument("--only", default="", metavar="TEXT", help="only the rows whose title holds this")
    arguments = parser.parse_args()
    if arguments.one:
        function, name, cores = arguments.one
        if int(cores) == 1 and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        print(PEERS[function](name, int(cores)))
        return
    everything = os.cpu_count() or 1
    lines = []
    print(f"{'':24}{'who':18}{'1 core':>12}{'ratio':>8}{f'{everything} cores':>12}{'ratio':>8}   (million steps/s)")
    for title, function, world, peers in (row for row in ROWS if arguments.only in row[0]):
        ours = {cores: measure(function, world, cores) or 0.0 for cores in sorted({1, everything})}
        print(f"{title:24}{'elodrome':18}{ours[1] / 1e6:12.3f}{'':8}{ours[everything] / 1e6:12.3f}")
        for peer, name, scales in peers:
            one = measure(peer, name, 1)
            every = measure(peer, name, everything) if scales else one
            if one is None or every is None:
                print(f"{'':24}{peer:18} not installed")
                continue
            # A peer that runs on one core is compared with one core of ours, and with all of ours beside it.
            ratios = ours[1] / one, ours[everything] / every
            print(f"{'':24}{peer:18}{one / 1e6:12.3f}{ratios[0]:7.1f}x{every / 1e6:12.3f}{ratios[1]:7.1f}x")
            lines.append(
                {"what": title, "peer": peer, "ours": ours, "theirs": {1: one, everything: every}, "ratio": ratios}
            )
    print(
        "what limits it: writing the observation at every step (tic-tac-toe 18, Connect Four 84, cliff walking 48, "
        "Go 810 floats); playouts write none. Ours of Go fill no eyes and pass last; OpenSpiel's pick any legal move."
    )
    print(json.dumps({"benchmark": "envs", "cores": everything, "rows": lines}))


if __name__ == "__main__":
    main()
