"""The fit against closed forms, an independent optimiser, and simulated tournaments of known ratings (FAULTS 32-34)."""

import time
from itertools import permutations

import numpy as np
import pytest
from scipy.optimize import minimize

from elodrome.arena.elo import SCALE, from_score
from elodrome.tournaments.bradley_terry import (
    PRIOR,
    PRIOR_FIRST,
    Counts,
    Fit,
    find_cycles,
    find_groups,
    fit_bradley_terry,
)


def counts(n: int, *cells: tuple[int, int, int, int, int], distinct: float | None = None) -> Counts:
    """Cells (first, second, wins, draws, losses); all games distinct unless said."""
    score, games, draws = (np.zeros((n, n)) for _ in range(3))
    for i, j, wins, drawn, losses in cells:
        score[i, j], games[i, j], draws[i, j] = wins + drawn / 2, wins + drawn + losses, drawn
    return Counts(score, games, draws, games if distinct is None else np.minimum(games, distinct))


def lead(fit: Fit) -> float:
    """How far agent 0 is ahead of agent 1, in Elo."""
    return float(SCALE * (fit.theta[0] - fit.theta[1]))


@pytest.mark.parametrize(("wins", "draws", "losses"), [(300, 0, 100), (150, 300, 50), (1, 0, 3), (0, 7, 0)])
def test_two_players_stand_where_the_score_says(wins: int, draws: int, losses: int) -> None:
    """n (s - sigma(d)) = d / (2 PRIOR^2), and information n p (1 - p), by hand."""
    n, points = wins + draws + losses, wins + draws / 2
    fit = fit_bradley_terry(counts(2, (0, 1, wins, draws, losses)), seats=False)
    d = float(fit.theta[0] - fit.theta[1])
    p = 1 / (1 + np.exp(-d))
    assert points - n * p == pytest.approx(d / (2 * PRIOR**2), abs=1e-7)
    if n > 100:
        assert lead(fit) == pytest.approx(from_score(points / n), rel=0.002)
    if not draws:  # the variance of d: 1 / (information + the prior on the half-difference)
        assert 4 * fit.covariance[0, 0] == pytest.approx(1 / (n * p * (1 - p) + 1 / (2 * PRIOR**2)), rel=1e-9)


def test_the_error_bar_of_a_score_with_draws_is_that_of_its_variance() -> None:
    """200 wins, 400 draws, 200 losses: each game's score varies by 1/8, not 1/4; by the delta method, the error of d
    is sqrt(1/8 / 800) / (1/4)."""
    fit = fit_bradley_terry(counts(2, (0, 1, 200, 400, 200)), seats=False)
    assert 2 * fit.deviation[0] == pytest.approx(np.sqrt(0.125 / 800) / 0.25, rel=0.01)


def simulate(truth: np.ndarray, first: float, each: int, drawn: float, rng: np.random.Generator) -> Counts:
    """Every ordered pair plays ``each`` games; a share ``drawn`` of the lesser of p and 1 - p become draws, so that the
    mean score stays what the ratings say."""
    n = len(truth)
    cells = []
    for i, j in permutations(range(n), 2):
        p = 1 / (1 + 10 ** (-(truth[i] - truth[j] + first) / 400))
        halves = 2 * drawn * min(p, 1 - p)
        wins, draws, losses = rng.multinomial(each, [p - halves / 2, halves, 1 - p - halves / 2])
        cells.append((i, j, int(wins), int(draws), int(losses)))
    return counts(n, *cells)


def test_an_independent_optimiser_finds_the_same() -> None:
    rng = np.random.default_rng(3)
    truth = rng.normal(0, 200, 7)
    played = simulate(truth, 60, 12, 0.5, rng)
    fit = fit_bradley_terry(played, seats=True)

    def loss(x: np.ndarray) -> float:
        total = (x[:7] ** 2).sum() / (2 * PRIOR**2) + x[7] ** 2 / (2 * PRIOR_FIRST**2)
        for i, j in permutations(range(7), 2):
            p = 1 / (1 + np.exp(-(x[i] - x[j] + x[7])))
            total -= played.score[i, j] * np.log(p) + (played.games[i, j] - played.score[i, j]) * np.log(1 - p)
        return float(total)

    found = minimize(loss, np.zeros(8), method="BFGS", options={"gtol": 1e-9})
    np.testing.assert_allclose(fit.theta, found.x[:7] - found.x[:7].mean(), atol=1e-5)
    assert fit.first == pytest.approx(found.x[7], abs=1e-5)


def test_the_covariance_is_the_inverse_of_the_measured_curvature() -> None:
    """Without draws and repeats: second differences of the likelihood, inverted."""
    played = simulate(np.array([0.0, 100, 250]), 40, 30, 0.0, np.random.default_rng(0))
    fit = fit_bradley_terry(played, seats=True)

    def loss(x: np.ndarray) -> float:
        total = (x[:3] ** 2).sum() / (2 * PRIOR**2) + x[3] ** 2 / (2 * PRIOR_FIRST**2)
        for i, j in permutations(range(3), 2):
            d = x[i] - x[j] + x[3]
            total += played.score[i, j] * np.log1p(np.exp(-d)) + (30 - played.score[i, j]) * np.log1p(np.exp(d))
        return float(total)

    at, step, eye = np.append(fit.theta, fit.first), 1e-3, np.eye(4)
    curvature = np.array(
        [
            [
                (
                    loss(at + step * (a + b))
                    - loss(at + step * (a - b))
                    - loss(at + step * (b - a))
                    + loss(at - step * (a + b))
                )
                / (4 * step**2)
                for b in eye
            ]
            for a in eye
        ]
    )
    inverse, centre = np.linalg.inv(curvature), np.eye(3) - 1 / 3
    np.testing.assert_allclose(fit.covariance, centre @ inverse[:3, :3] @ centre, rtol=1e-3, atol=1e-6)
    assert fit.first_deviation == pytest.approx(np.sqrt(inverse[3, 3]), rel=1e-3)


@pytest.mark.parametrize("drawn", [0.0, 0.8])
def test_true_ratings_and_the_first_move_are_recovered_within_error_bars_that_are_right(drawn: float) -> None:
    """A spread of 600 Elo, 300 replicates: no bias to speak of, 95 % of intervals hold the truth (standard error of
    that share over 6 x 300 intervals: 0.5 to 1.3 %)."""
    truth = np.array([-300.0, -150, -50, 50, 150, 300])
    rng = np.random.default_rng(11)
    inside, spreads, firsts, first_inside = [], [], [], []
    for _ in range(300):
        fit = fit_bradley_terry(simulate(truth, 50, 20, drawn, rng), seats=True)
        elo, error = SCALE * fit.theta, SCALE * fit.deviation
        inside += (np.abs(elo - truth) < 1.96 * error).tolist()
        spreads.append(elo[-1] - elo[0])
        firsts.append(SCALE * fit.first)
        first_inside.append(abs(firsts[-1] - 50) < 1.96 * SCALE * fit.first_deviation)
    assert np.mean(spreads) == pytest.approx(600, abs=12)
    assert np.mean(firsts) == pytest.approx(50, abs=4)
    assert 0.92 < np.mean(inside) < 0.98
    assert 0.91 < np.mean(first_inside) < 0.985


def test_repeated_games_move_the_estimate_but_not_the_error_bars() -> None:
    once = counts(2, (0, 1, 6, 0, 2), (1, 0, 4, 0, 4))
    often = counts(2, (0, 1, 600, 0, 200), (1, 0, 400, 0, 400), distinct=8)
    all_new = counts(2, (0, 1, 600, 0, 200), (1, 0, 400, 0, 400))
    few, repeated, many = (fit_bradley_terry(c, seats=True) for c in (once, often, all_new))
    np.testing.assert_allclose(repeated.theta, many.theta)
    assert repeated.deviation[0] == pytest.approx(few.deviation[0], rel=0.02)
    assert many.deviation[0] < repeated.deviation[0] / 8


def test_a_clean_sweep_is_finite_with_a_wide_bar() -> None:
    fit = fit_bradley_terry(counts(2, (0, 1, 100, 0, 0), (1, 0, 0, 0, 100)), seats=True)
    assert 600 < lead(fit) < 2000
    bar = 2 * 1.96 * SCALE * fit.deviation[0]
    assert bar > 300
    assert lead(fit) - bar < from_score(0.98)  # what 200 games of 200 leave possible


def test_one_repeated_game_says_little() -> None:
    fit = fit_bradley_terry(counts(2, (0, 1, 500, 0, 0), distinct=1), seats=True)
    assert 2 * SCALE * fit.deviation[0] > 500


def test_all_draws_are_equal_ratings() -> None:
    cells = [(i, j, 0, 10, 0) for i, j in permutations(range(4), 2)]
    fit = fit_bradley_terry(counts(4, *cells), seats=True)
    np.testing.assert_allclose(fit.theta, 0, atol=1e-9)
    assert (fit.deviation > 0.01).all()


def test_groups_that_never_met_and_agents_without_games_stay_finite() -> None:
    played = counts(5, (0, 1, 50, 0, 10), (2, 3, 30, 0, 30))
    fit = fit_bradley_terry(played, seats=False)
    assert np.isfinite(fit.theta).all()
    assert (SCALE * 1.96 * fit.deviation > 400).all()
    assert SCALE * 1.96 * fit.deviation[4] > 900
    assert find_groups(played.games) == [[0, 1], [2, 3], [4]]
    large = np.zeros((300, 300))
    large[np.arange(299), np.arange(1, 300)] = 1  # a chain
    assert find_groups(large) == [list(range(300))]


def test_a_cycle_is_found_and_noise_is_not() -> None:
    names = ["rock", "paper", "scissors", "random"]
    cycle = counts(4, (0, 2, 9, 0, 1), (2, 1, 9, 0, 1), (1, 0, 9, 0, 1), (3, 0, 5, 0, 5), (3, 1, 5, 0, 5))
    assert find_cycles(names, cycle) == [["rock", "scissors", "paper"]]
    fit = fit_bradley_terry(cycle, seats=False)
    np.testing.assert_allclose(fit.theta[:3], fit.theta[0], atol=1e-9)
    noise = counts(3, (0, 1, 6, 0, 4), (1, 2, 6, 0, 4), (2, 0, 6, 0, 4))
    assert find_cycles(names[:3], noise) == []
    order = counts(3, (0, 1, 10, 0, 0), (1, 2, 10, 0, 0), (0, 2, 10, 0, 0))
    assert find_cycles(names[:3], order) == []


def test_a_hundred_agents_and_a_million_games_are_fitted_in_milliseconds() -> None:
    rng = np.random.default_rng(0)
    truth = np.sort(rng.normal(0, 250, 100))
    played = simulate(truth, 30, 101, 0.3, rng)
    assert played.games.sum() > 999_000
    start = time.perf_counter()
    fit = fit_bradley_terry(played, seats=True)
    assert time.perf_counter() - start < 1.0  # 20 ms on a free core
    assert np.abs(SCALE * fit.theta - (truth - truth.mean())).max() < 25
