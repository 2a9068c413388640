"""Returns and advantages of trajectories (notes 1.3, 3.5 and 3.6), one equation per function.

Trajectories are arrays [T, B], time first. ``discount_t`` is gamma, and 0 where the step terminated the episode (and
only there); ``continues`` is 0 where the episode ended in any way, truncation included, and 1 elsewhere: nothing is
summed across that border, but the value of the state that truncation cut off still counts. ``v_tm1`` is the value of
the state that a decision was taken in, ``v_t`` of the state that it led to (before any restart).
Plain arithmetic: NumPy arrays and torch tensors alike.
"""

from __future__ import annotations

from typing import Any


def with_next(total: Any, weight: Any, r_t: Any, discount_t: Any) -> tuple[Any, Any]:
    """A sum ``r_1 + gamma r_2 + ...`` (eq. 2.55) with the next reward in it, and the weight of the one after: what
    sums over n steps are made of, forwards. They begin as 0 and 1."""
    return total + weight * r_t, weight * discount_t


def discounted_returns(r_t: Any, discount_t: Any, v_t: Any, continues: Any) -> Any:
    """``G_t = r_t + gamma G_{t+1}`` (eq. 1.8), backwards from the end [T, B]; v_t stands in for what was cut off."""
    returns = 0.0 * r_t  # floats, also where rewards are integers
    following = 0.0 * r_t[0]
    for t in range(len(r_t) - 1, -1, -1):
        last = t == len(r_t) - 1
        goes_on = 0 * continues[t] if last else continues[t]
        following = r_t[t] + discount_t[t] * (goes_on * following + (1 - goes_on) * v_t[t])
        returns[t] = following
    return returns


def td_residuals(r_t: Any, discount_t: Any, v_tm1: Any, v_t: Any) -> Any:
    """``delta_t = r_t + gamma V(s_{t+1}) - V(s_t)`` [T, B], of which (3.47) is a sum."""
    return r_t + discount_t * v_t - v_tm1


def n_step_advantages(r_t: Any, discount_t: Any, v_tm1: Any, v_t: Any, continues: Any, n: int) -> Any:
    """``A^(n)_t``, the sum of the next n residuals, discounted (eq. 3.49) [T, B]; fewer where an episode ends."""
    delta = td_residuals(r_t, discount_t, v_tm1, v_t)
    decay = discount_t * continues
    advantages = 0.0 * delta
    for t in range(len(r_t)):
        weight = 1.0
        for k in range(t, min(t + n, len(r_t))):
            advantages[t], weight = with_next(advantages[t], weight, delta[k], decay[k])
    return advantages


def gae(r_t: Any, discount_t: Any, v_tm1: Any, v_t: Any, continues: Any, lambda_: float) -> Any:
    """Generalised advantage estimates ``A_t = delta_t + gamma lambda A_{t+1}`` (eq. 3.59) [T, B]."""
    delta = td_residuals(r_t, discount_t, v_tm1, v_t)
    decay = discount_t * continues * lambda_
    advantages = 0.0 * delta
    following = 0.0 * delta[0]
    for t in range(len(r_t) - 1, -1, -1):
        following = delta[t] + decay[t] * following
        advantages[t] = following
    return advantages
