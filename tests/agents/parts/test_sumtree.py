"""The sum tree against NumPy's cumulative sums."""

import numpy as np
import pytest

from elodrome.agents.parts.sumtree import SumTree


@pytest.mark.parametrize("capacity", [1, 2, 7, 64, 1000])
def test_it_draws_as_cumulative_sums_do(capacity):
    rng = np.random.default_rng(capacity)
    tree, plain = SumTree(capacity), np.zeros(capacity)
    for _ in range(200):
        at = rng.integers(0, capacity, rng.integers(1, 20))
        values = np.where(rng.random(len(at)) < 0.2, 0.0, rng.integers(0, 1 << 20, len(at)) * 1.0)
        tree.set(at, values)
        for i, value in zip(at, values, strict=True):  # in order: of two for one entry the last
            plain[i] = value
        assert tree.total == plain.sum()  # whole numbers: sums are exact
        assert np.array_equal(tree.priorities, plain)
        if plain.sum():
            quantiles = rng.random(50)
            assert (
                tree.find(quantiles).tolist()
                == np.searchsorted(plain.cumsum(), quantiles * tree.total, "right").tolist()
            )
    assert np.array_equal(tree[at], plain[at])


def test_what_has_no_priority_is_never_drawn_whatever_rounding_does():
    tree = SumTree(11)
    tree.set(np.array([2, 5, 9]), np.array([0.1, 0.2, 1e-17]))
    found = tree.find(np.array([0.0, 0.2, 0.4, 0.9999999999999999, 1 - 2.0**-53]))
    assert set(found.tolist()) <= {2, 5, 9}
    tree.set(np.array([9]), np.array([0.0]))
    assert tree.find(np.array([1.0])).tolist() == [5]  # what a quantile may round to
    tree.set(np.array([2, 5, 9]), np.array([0.0, 0.0, 3.0]))
    assert set(tree.find(np.linspace(0, 0.999, 50)).tolist()) == {9}


def test_shares_of_draws_are_shares_of_priority():
    tree = SumTree(5)
    priorities = np.array([1.0, 0.0, 2.5, 0.5, 6.0])
    tree.set(np.arange(5), priorities)
    drawn = np.bincount(tree.find((np.arange(10_000) + 0.5) / 10_000), minlength=5) / 10_000
    assert np.abs(drawn - priorities / 10).max() <= 1e-4
