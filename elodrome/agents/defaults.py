"""Settings for a kind of world, where they differ from an agent's own and a person names no others.

An agent's own settings serve board and token games, whose episodes are short. Control tasks of others (Gymnasium's) are
long, and every reward is much like the next: those rows were chosen on CartPole, 50,000 steps, and the rows
``-defaults`` of ``benchmarks/classic_control.py`` measure them again. PPO reached 500 with each of three seeds. DQN has
rl-zoo's settings with a rate that falls: the best on the way, which is what is kept, had 500 with the three seeds
tried, the last 500, 378, 500; the settings before kept 272 with the one seed that was run. In our own worlds of one
seat and long episodes the goal is far and what lies between may be dear: with its own settings either agent stood still
on cliff walking (-1000) by seed; with these both walk it in -13 over five seeds of 200,000 steps.
"""

from __future__ import annotations

from typing import Any

from elodrome.envs.game import Game, World

CONTROL: dict[str, dict[str, Any]] = {
    "ppo": {"envs": 8, "horizon": 128, "minibatch": 256, "epochs": 10, "rate": 1e-3, "entropy": 0.0},
    "dqn": {
        "discount": 0.99,
        "envs": 8,
        "updates": 4,
        "batch": 64,
        "hidden": (256, 256),
        "target_every": 128,
        "exploration": 0.16,
        "epsilon_end": 0.04,
        "rate": 2.3e-3,
        "huber": 1.0,
    },
    "reinforce": {"episodes": 8, "max_norm": 20.0, "entropy": 0.0},
    "trpo": {"envs": 8, "horizon": 128},
}

# Where actions are real numbers (Pendulum-v1): what happens now hardly matters after some twenty steps.
REAL: dict[str, dict[str, Any]] = {
    "ppo": {"envs": 4, "horizon": 1024, "minibatch": 64, "epochs": 10, "rate": 1e-3, "discount": 0.9, "entropy": 0.0},
}

# Pictures: rl-zoo's settings for Atari's games, eight of them stepped together. Atoms reach as far as the papers have
# them for clipped rewards.
PIXELS: dict[str, dict[str, Any]] = {
    "ppo": {
        **{"envs": 8, "horizon": 128, "minibatch": 256, "hidden": (512,), "rate": 2.5e-4, "clip": 0.1},
        **{"entropy": 0.01, "clip_rewards": True},
    },
    "a2c": {"horizon": 5, "hidden": (512,), "rate": 7e-4, "entropy": 0.01, "clip_rewards": True},
    "dqn": {
        **{"discount": 0.99, "envs": 8, "updates": 2, "batch": 32, "hidden": (512,), "warmup": 10_000},
        **{"target_every": 1_000, "exploration": 0.1, "epsilon_end": 0.01, "rate": 1e-4, "huber": 1.0},
        **{"anneal": False, "clip_rewards": True},
    },
    "c51": {"v_min": -10.0, "v_max": 10.0},
    "rainbow": {"v_min": -10.0, "v_max": 10.0, "target_every": 2_000, "rate": 6.25e-5},
}

# Measured on tic-tac-toe, three seeds, as the share of points against random play. REINFORCE's own rate is too slow for
# its budget: 88 % with this one (90, 85, 89), 83 % without (84, 81, 84). The own noise of noisy networks is too faint
# to try other moves: 90 % with this (91, 91, 89), 85 % without (one seed).
BOARDS: dict[str, dict[str, Any]] = {
    "reinforce": {"rate": 3e-3},
    "noisy_dqn": {"noisy": 2.0},
    "rainbow": {"noisy": 2.0},
}


LONG = 100  # decisions that an episode may take

ALONE: dict[str, dict[str, Any]] = {
    "ppo": {"rate": 1e-3, "entropy": 0.1},
    "dqn": {"exploration": 0.7},
}


def defaults_for(kind: str, world: World) -> dict[str, Any]:
    """What an agent of this kind is set to on ``world`` where nothing is said; empty where its own settings are meant.
    A preset has what the kind that it is one of has, and over its settings what stands under its own name."""
    if world.players > 1:
        return BOARDS.get(kind, {}) if world.kind == "board" else {}
    if isinstance(world, Game):
        return ALONE.get(kind, {}) if world.max_steps >= LONG else {}
    if world.pixels and not world.continuous:
        return PIXELS.get(kind, {})
    return REAL.get(kind, {}) if world.continuous else CONTROL.get(kind, {})
