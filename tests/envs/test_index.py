"""Rows by content, against a dictionary."""

import numpy as np

from elodrome.envs.index import RowIndex, words_of


def test_numbers_are_those_of_a_dictionary() -> None:
    rows = np.random.default_rng(0).integers(0, 4, (500, 4))
    known: dict[tuple[int, ...], int] = {}
    expected = [known.setdefault(tuple(r), len(known)) for r in rows.tolist()]
    index = RowIndex(rows)
    assert index.numbers.tolist() == expected
    assert [tuple(k) for k in index.keys.tolist()] == list(known)
    others = np.random.default_rng(1).integers(0, 5, (500, 6))
    assert index.find(others).tolist() == [known.get(tuple(r[:4]), -1) for r in others.tolist()]


def test_nothing_is_known_to_an_empty_index() -> None:
    assert RowIndex(np.zeros((0, 3), np.int64)).find(np.zeros((2, 3), np.int64)).tolist() == [-1, -1]


def test_words_tell_all_floats_apart_but_the_two_zeros() -> None:
    words = words_of(np.array([[0.1], [np.float32(0.1) + np.float32(1e-8)], [0.0], [-0.0]], np.float32))
    assert words[2, 0] == words[3, 0]
    assert len({int(words[0, 0]), int(words[1, 0]), int(words[2, 0])}) == 3
