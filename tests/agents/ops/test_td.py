"""Targets and updates on values worked out by hand."""

from itertools import pairwise

import numpy as np
import pytest
from numba import njit

from elodrome.agents.ops import td

Q_T = np.array([1.0, -np.inf, 4.0])


def test_targets_by_hand() -> None:
    assert td.td_target(2.0, 0.5, 4.0) == 4.0
    assert td.q_learning_target(2.0, 0.5, Q_T) == 4.0
    assert td.sarsa_target(2.0, 0.5, Q_T, 0) == 2.5
    assert td.expected_sarsa_target(2.0, 0.5, Q_T, np.array([0.25, 0.0, 0.75])) == 3.625
    compiled = njit(lambda q, probs: td.expected_sarsa_target(2.0, 0.5, q, probs))
    assert compiled(Q_T, np.array([0.25, 0.0, 0.75])) == 3.625


def test_on_termination_nothing_follows() -> None:
    assert td.td_target(-3.0, 0.0, 100.0) == -3.0


def test_error_and_update_by_hand() -> None:
    assert td.td_error(1.0, 4.0) == 3.0
    assert td.td_update(1.0, 4.0, 0.5) == 2.5


def test_arrays_are_taken_elementwise() -> None:
    found = td.td_target(np.array([1.0, 2.0]), np.array([0.5, 0.0]), np.array([4.0, 4.0]))
    assert found.tolist() == [3.0, 2.0]


@pytest.mark.parametrize(("t", "value"), [(0, 1.0), (5, 0.55), (10, 0.1), (99, 0.1)])
def test_linear_schedule(t: int, value: float) -> None:
    assert td.linear_schedule(1.0, 0.1, 10, t) == pytest.approx(value)


def test_without_steps_a_schedule_is_constant() -> None:
    assert td.linear_schedule(1.0, 0.3, 0, 0) == 0.3


def test_compiled_loops_can_call_them() -> None:
    compiled = njit(lambda q: td.td_update(1.0, td.q_learning_target(2.0, 0.5, q), 0.5))
    assert compiled(Q_T) == 2.5


def test_the_best_action_is_the_first_of_equals_and_never_an_illegal_one() -> None:
    assert td.best_action(np.array([-np.inf, 1.0, 3.0, 3.0])) == 2
    assert td.best_action(np.array([-np.inf, -np.inf, -5.0])) == 2


def test_an_exponential_schedule_falls_by_the_same_factor_each_step() -> None:
    values = [td.exponential_schedule(1.0, 0.01, 10, t) for t in range(13)]
    assert values[0] == 1.0
    assert [b / a for a, b in pairwise(values[:11])] == pytest.approx([0.01**0.1] * 10)
    assert values[10:] == [0.01] * 3
