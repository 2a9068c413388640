"""Temporal-difference targets and updates (notes 2.4.2 to 2.5.4), one equation per function.

The names are those of rlax: ``_tm1`` is the step that is learned from, ``_t`` the one after it; ``discount_t`` is 0 on
termination (and only there). Written in plain arithmetic, the functions serve floats, NumPy arrays and torch tensors
alike, and compiled loops too. q_t [A] are action values, -inf where an action is illegal.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from numba.extending import register_jitable

F = TypeVar("F", bound=Callable[..., Any])


def equation(function: F) -> F:
    """The function as it is; compiled loops may call it, too."""
    return register_jitable(function)


@equation
def td_target(r_t: Any, discount_t: Any, v_t: Any) -> Any:
    """What TD(0) moves V(S_tm1) towards: ``r + gamma V(S')`` (the TD target of eq. 2.52)."""
    return r_t + discount_t * v_t


@equation
def td_error(v_tm1: Any, target_tm1: Any) -> Any:
    """``delta``, how far a value lies below its target (eq. 2.53)."""
    return target_tm1 - v_tm1


@equation
def td_update(v_tm1: Any, target_tm1: Any, alpha: Any) -> Any:
    """The value after a step of size ``alpha`` towards its target."""
    return v_tm1 + alpha * td_error(v_tm1, target_tm1)


@equation
def max_value(q_t: Any) -> Any:
    """``max_a q_t[a]`` of one row; illegal actions hold -inf."""
    best = q_t[0]
    for a in range(1, len(q_t)):
        best = q_t[a] if q_t[a] > best else best
    return best


@equation
def sarsa_target(r_t: Any, discount_t: Any, q_t: Any, a_t: Any) -> Any:
    """``r + gamma Q(S', A')`` (eq. 2.59) with the action that is really taken next."""
    return td_target(r_t, discount_t, q_t[a_t])


@equation
def q_learning_target(r_t: Any, discount_t: Any, q_t: Any) -> Any:
    """``r + gamma max_a' Q(S', a')`` (eq. 2.60), whatever is done next."""
    return td_target(r_t, discount_t, max_value(q_t))


@equation
def expected_sarsa_target(r_t: Any, discount_t: Any, q_t: Any, probs_t: Any) -> Any:
    """``r + gamma sum_a' pi(a'|S') Q(S', a')``: SARSA's target in expectation over A'; probs_t [A]."""
    return td_target(r_t, discount_t, (probs_t * q_t).sum())


@equation
def linear_schedule(start: Any, end: Any, steps: Any, t: Any) -> Any:
    """From ``start`` at t = 0 straight to ``end`` at t = ``steps``, constant after that; steps 0: always ``end``."""
    if t >= steps:
        return end
    return start + (end - start) * (t / steps)
