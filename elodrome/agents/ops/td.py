"""Temporal-difference targets and updates (notes 2.4.2 to 2.5.4), one equation per function.

The names are those of rlax: ``_tm1`` is the step that is learned from, ``_t`` the one after it; ``discount_t`` is 0 on
termination (and only there). Written in plain arithmetic, the functions serve floats, NumPy arrays and torch tensors
alike, and compiled loops too. q_t [A] are action values, -inf where an action is illegal.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
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
def best_action(q_t: Any) -> Any:
    """``argmax_a q_t[a]`` of one row, the first of equals; illegal actions hold -inf."""
    best = 0
    for a in range(1, len(q_t)):
        best = a if q_t[a] > q_t[best] else best
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
    """``r + gamma sum_a' pi(a'|S') Q(S', a')``: SARSA's target in expectation over A'; probs_t [A], 0 where illegal."""
    expected = 0.0
    for a in range(len(q_t)):
        if probs_t[a] > 0.0:  # 0 times the -inf of an illegal action would be NaN
            expected += probs_t[a] * q_t[a]
    return td_target(r_t, discount_t, expected)


@equation
def cut_is_end(players: Any) -> Any:
    """Whether a game that the limit of steps cut off counts as over, for all seats, worth what it has brought.

    With one seat it does not: the limit is no part of the task, and the value of the state that was cut off stands in
    for what would have come. With several it does, as in matches, tables and tree search: the limit is a rule of the
    game. The state that was cut off is one in which another seat may have been to move, and no learner knows a
    value of what it never decides in; so nothing is bootstrapped there, by any seat.
    """
    return players > 1


@equation
def own_discount(discount: Any, seat: Any, decides: Any) -> Any:
    """What stands before the return of ``seat`` from a state on in which ``decides`` is to act: gamma where that is
    ``seat`` itself, else 1.

    That is what ``discount`` means in this house: it is applied once for each decision of the same seat, not for each
    ply. What a decision earned is all that its seat got until its own next one, whatever others did between, so that
    one more seat at the table, or a choice made at the same moment, changes nobody's horizon. Each seat counts for
    itself: below 1, even where every payment is taken from the other seat, the returns of two seats are not opposite.
    """
    return discount if seat == decides else 1.0


def own_discounts(discount: float, decides: Any, players: int) -> Any:
    """``own_discount`` of every seat: decides [...], the seats to act, -> float64 [..., players]."""
    return np.where(np.asarray(decides)[..., None] == np.arange(players), discount, 1.0)


@equation
def linear_schedule(start: Any, end: Any, steps: Any, t: Any) -> Any:
    """From ``start`` at t = 0 straight to ``end`` at t = ``steps``, constant after that; steps 0: always ``end``."""
    if t >= steps:
        return end
    return start + (end - start) * (t / steps)


@equation
def exponential_schedule(start: Any, end: Any, steps: Any, t: Any) -> Any:
    """From ``start`` at t = 0 to ``end`` > 0 at t = ``steps`` by the same factor each step, constant after that."""
    if t >= steps:
        return end
    return start * (end / start) ** (t / steps)
