"""The Elo scale against values worked out by hand."""

import math

import pytest

from elodrome.arena.elo import elo_difference, expected_score, from_score


def test_four_hundred_points_are_ten_to_one() -> None:
    assert expected_score(400.0) == pytest.approx(10 / 11)
    assert expected_score(0.0) == 0.5
    assert from_score(10 / 11) == pytest.approx(400.0)
    assert expected_score(5000.0) <= 1.0


def test_no_games_give_no_rating() -> None:
    assert elo_difference(0, 0, 0).value is None


@pytest.mark.parametrize("result", [(10, 0, 0), (0, 0, 10), (1, 0, 0), (0, 10, 0), (5000, 0, 0)])
def test_extreme_scores_stay_finite_and_wide(result: tuple[int, int, int]) -> None:
    elo = elo_difference(*result)
    assert elo.value is not None
    assert all(math.isfinite(x) for x in (elo.value, elo.low, elo.high))
    assert elo.low <= elo.value <= elo.high
    assert elo.high - elo.low > 1


def test_the_interval_is_that_of_a_binomial_share() -> None:
    elo = elo_difference(6000, 0, 4000)
    half = 1.96 * math.sqrt(0.6 * 0.4 / 10_000)
    assert elo.value == pytest.approx(from_score(0.6), abs=0.1)
    assert elo.low == pytest.approx(from_score(0.6 - half), abs=0.3)
    assert elo.high == pytest.approx(from_score(0.6 + half), abs=0.3)


def test_draws_narrow_the_interval_and_repeats_do_not() -> None:
    decisive, drawish = elo_difference(500, 0, 500), elo_difference(100, 800, 100)
    assert drawish.high - drawish.low < 0.6 * (decisive.high - decisive.low)
    assert elo_difference(500, 0, 500, distinct=10).high > 5 * decisive.high
