"""Equations of MuZero (Schrittwieser et al. 2020; the latent world model of notes 4.2.2, kind 3)."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from elodrome.agents.ops.returns import with_next
from elodrome.agents.ops.td import own_discount

EPSILON = 1e-3


def squash(x: Any) -> Any:
    """h(x) = sign(x) (sqrt(|x| + 1) - 1) + epsilon x: large returns drawn together (appendix F). NumPy array."""
    return np.sign(x) * (np.sqrt(np.abs(x) + 1.0) - 1.0) + EPSILON * x


def unsquash(y: Tensor) -> Tensor:
    """The inverse of ``squash``."""
    root = ((1.0 + 4.0 * EPSILON * (y.abs() + 1.0 + EPSILON)).sqrt() - 1.0) / (2.0 * EPSILON)
    return y.sign() * (root.square() - 1.0)


def two_hot(x: Any, atoms: Any) -> Any:
    """Each number as weights on its two neighbours among evenly spaced atoms (appendix F): x [...], atoms [Z] ->
    float32 [..., Z], rows sum to 1 and have mean x; numbers beyond the ends are moved there."""
    step = atoms[1] - atoms[0]
    place = np.clip((np.asarray(x) - atoms[0]) / step, 0.0, len(atoms) - 1.0)
    left = np.minimum(place.astype(np.int64), len(atoms) - 2)
    weights = np.zeros((*np.shape(x), len(atoms)), np.float32)
    np.put_along_axis(weights, left[..., None], (1.0 - (place - left))[..., None].astype(np.float32), -1)
    np.put_along_axis(weights, left[..., None] + 1, (place - left)[..., None].astype(np.float32), -1)
    return weights


def scaled(latent: Tensor) -> Tensor:
    """Each latent [B, H] stretched to [0, 1] (appendix G)."""
    low = latent.amin(-1, keepdim=True)
    return (latent - low) / (latent.amax(-1, keepdim=True) - low).clamp_min(1e-5)


def half_gradient(latent: Tensor) -> Tensor:
    """The same numbers with half their gradient: what stands before every step of the dynamics (appendix G)."""
    return 0.5 * latent + 0.5 * latent.detach()


def n_step_values(rewards: Any, values: Any, goes_on: Any, tails: Any, turn: float, discount: float, n: int) -> Any:
    """z_t = r_t + gamma r_{t+1} + ... + gamma^n v_{t+n} of the seat to act at t (section 3), all [T, B], time first.

    rewards: of the mover. values: of the seat to act, by search; minus that is the other's. goes_on: 0 where step t
    ended the episode; tails is then what the seat to act would have had from there on, had it not been cut off (0 where
    the rules ended it). turn: -1 where seats alternate (gamma then stands before every other step: ``own_discount``),
    1 in solo worlds. At the end of the data the newest value stands in for what comes.
    """
    size, seats = len(rewards), 1 if turn > 0 else 2
    z = np.array(values, np.float64)
    for t in range(size - 1):
        total, weight = np.zeros_like(z[t]), np.ones_like(z[t])
        last = min(t + n, size - 1)
        for i in range(t, last):
            earned = rewards[i] + discount * (1 - goes_on[i]) * tails[i]
            fade = goes_on[i] * own_discount(discount, 0, (i + 1 - t) % seats) * turn
            total, weight = with_next(total, weight, earned, fade)
        z[t] = total + weight * values[last]
    return z
