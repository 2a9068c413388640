"""The symmetries of rectangular boards: what a learner may turn and mirror without changing the game."""

from __future__ import annotations

import numpy as np

from elodrome.envs.game import Symmetries


def square(size: int, passes: bool = False) -> Symmetries:
    """The eight of a size x size board whose actions are its cells; with ``passes`` one more action, which stays."""
    board = np.arange(size * size).reshape(size, size)
    turned = [np.rot90(b, k).ravel() for b in (board, board.T) for k in range(4)]
    cells = np.ascontiguousarray(turned, np.int64)
    stays = np.full((len(cells), int(passes)), size * size)
    return Symmetries(cells, np.ascontiguousarray(np.hstack([cells, stays])))


def mirrored(rows: int, columns: int) -> Symmetries:
    """Left and right exchanged, on a board whose actions are its columns."""
    board = np.arange(rows * columns).reshape(rows, columns)
    cells = np.stack([board.ravel(), board[:, ::-1].ravel()])
    return Symmetries(cells, np.stack([np.arange(columns), np.arange(columns)[::-1]]))
