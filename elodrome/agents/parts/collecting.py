"""Collecting experience: a policy plays many games side by side, and what happened comes back as arrays, time first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from elodrome.agents.parts.heads import onto
from elodrome.agents.parts.vector import SeatEnv
from elodrome.envs.actions import Actions
from elodrome.envs.game import Floats, Mask, Reals

Flags = npt.NDArray[np.bool_]
Sample = Callable[[Floats, Mask, Reals], Actions]  # of a policy, from observations, masks and quantiles


@dataclass(frozen=True)
class Experience:
    """T decisions in each of B games.

    observation float32 [T + 1, B, *shape], the last of what is to be decided next; legal bool [T, B, A]; action int64
    [T, B], or float64 [T, B, *action_shape] as drawn, in units of the bounds (``heads.onto``); reward float64 [T, B];
    terminated and truncated bool [T, B], see ``SeatEnv``. live bool [T, B]: where there was a decision; a game that is
    over rests, and its entries mean nothing. final float32 [k, *shape]: what was seen where truncation cut off, in the
    order of ``truncated``. returns, lengths [n]: of the n episodes that ended.
    """

    observation: Floats
    legal: Flags
    action: Actions
    reward: Reals
    terminated: Flags
    truncated: Flags
    live: Flags
    final: Floats
    returns: Reals
    lengths: Reals

    @property
    def continues(self) -> Flags:
        """Where the next decision is of the same episode [T, B]."""
        return ~(self.terminated | self.truncated)

    @property
    def metrics(self) -> dict[str, float]:
        """Mean return and length of the episodes that ended, nothing where none has."""
        return episode_metrics(self.returns, self.lengths)


def episode_metrics(returns: Reals, lengths: Reals) -> dict[str, float]:
    """Mean return and length of n episodes, nothing where n is 0."""
    if not len(returns):
        return {}
    return {"return": float(returns.mean()), "length": float(lengths.mean())}


def collect(
    env: SeatEnv,
    sample: Sample,
    rng: np.random.Generator,
    horizon: int | None = None,
    chance: tuple[int, ...] | None = None,
    every: int = 1,
) -> Experience:
    """Play ``horizon`` decisions in every game, or, where it is None, one new episode in each from start to end (in
    an environment that does not restart its games). chance: shape of the quantiles of a decision, the action's where
    nothing is said; ``every`` so many decisions, counted from here, a game is given new ones."""
    chance = env.world.action_shape if chance is None else chance
    if horizon is None:
        env.reset()
    steps: list[dict[str, Any]] = []
    cuts, episodes = [], [np.zeros((2, 0))]
    while len(env.live) and (horizon is None or len(steps) < horizon):
        live, seen, legal = env.live, env.observation, env.legal
        playing = np.zeros(env.size, np.bool_)
        playing[live] = True
        if len(steps) % every == 0:
            quantiles = np.zeros((env.size, *chance))
            quantiles[live] = rng.random((len(live), *chance))
        drawn = sample(seen[live], legal[live], quantiles[live])
        action = np.zeros((env.size, *drawn.shape[1:]), drawn.dtype)
        action[live] = drawn
        env.step(onto(env.world, action))
        steps.append(
            {
                "observation": seen,
                "legal": legal > 0,
                "action": action,
                "reward": env.reward,
                "terminated": env.terminated,
                "truncated": env.truncated,
                "live": playing,
            }
        )
        if env.truncated.any():
            cuts.append(env.final_observation[env.truncated])
        if len(env.returns):
            episodes.append(np.stack([env.returns, env.lengths]))
    columns = {name: np.stack([step[name] for step in steps]) for name in steps[0]}
    columns["observation"] = np.concatenate([columns["observation"], env.observation[None]])
    final = np.concatenate(cuts) if cuts else np.zeros((0, *env.world.observation_shape), np.float32)
    returns, lengths = np.concatenate(episodes, axis=1)
    return Experience(**columns, final=final, returns=returns, lengths=lengths)
