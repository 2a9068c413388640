"""Make the Connect Four positions that `elodrome strength` asks agents about, solved by bitbully.

    pip install bitbully
    python tools/connect_four_positions.py [--count 500] [--seed 0] [--out FILE]

Two sets, each with ``count`` positions of each class of P. Pons (``elodrome/arena/strength/connect_four.py``): after
random play, and after play in which half of the moves are perfect. No position twice, none with a win at once.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from bitbully import BitBully, Board

from elodrome.agents.parts.saved import pack, replace_file
from elodrome.arena.strength.connect_four import CLASSES, FILE, ILLEGAL, SETS, STAGES, class_of
from elodrome.seeding import generator


def solved(solver: BitBully, board: Board) -> np.ndarray:
    """Scores [7] of a position's moves, ILLEGAL where a column is full."""
    scores = np.full(7, ILLEGAL, np.int8)
    for column, score in solver.score_all_moves(board).items():
        scores[column] = score
    return scores


def stones(board: Board) -> tuple[int, int]:
    """The squares of both seats as bits, in the layout of our Connect Four."""
    bits = [0, 0]
    for column, squares in enumerate(board.to_array()):
        for height, owner in enumerate(squares):
            if owner:
                bits[owner - 1] |= 1 << (column * 7 + height)
    return bits[0], bits[1]


class Collection:
    """The positions of one set, by class."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.seen: set[tuple[int, int]] = set()
        self.found: dict[int, list[tuple[tuple[int, int], np.ndarray]]] = {c: [] for c in range(len(CLASSES))}

    def open(self) -> list[int]:
        """The classes that are not full."""
        return [c for c, positions in self.found.items() if len(positions) < self.count]

    def offer(self, board: Board, scores: np.ndarray) -> None:
        """Keep a position if its class has room for it."""
        position = stones(board)
        kind = class_of(int(board.count_tokens()), int(scores.max()))
        if kind in self.open() and position not in self.seen:
            self.seen.add(position)
            self.found[kind].append((position, scores))


def walk(rng: np.random.Generator, plies: int) -> Board | None:
    """The position after ``plies`` random moves, or None where the game is over or a win stands open."""
    board = Board()
    for _ in range(plies):
        if board.can_win_next():
            return None  # so that no game runs past an open win: such positions are rarely met
        board.play(int(rng.choice(board.legal_moves())))
    return None if board.is_game_over() or board.can_win_next() else board


def random_positions(solver: BitBully, kept: Collection, rng: np.random.Generator) -> None:
    """Fill a set from random play: a class that has room, a ply of its stage, a position there."""
    while kept.open():
        low, high = STAGES[CLASSES[int(rng.choice(kept.open()))][0]]
        board = walk(rng, int(rng.integers(low, high + 1)))
        if board is not None and stones(board) not in kept.seen:
            kept.offer(board, solved(solver, board))


def noisy_positions(solver: BitBully, kept: Collection, rng: np.random.Generator) -> None:
    """Fill a set from games in which every move is, by a coin, random or one of the best."""
    while kept.open():
        last = max(STAGES[CLASSES[c][0]][1] for c in kept.open())
        board = Board()
        while not board.is_game_over() and board.count_tokens() <= last:
            moves = board.legal_moves()
            if rng.random() < 0.5:
                scores = solved(solver, board)
                if board.count_tokens() and not board.can_win_next():
                    kept.offer(board, scores)
                moves = np.flatnonzero(scores == scores.max()).tolist()
            board.play(int(rng.choice(moves)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=FILE)
    given = parser.parse_args()
    solver = BitBully()
    boards, scores, sets, kinds = [], [], [], []
    for number, (name, fill) in enumerate(zip(SETS, (random_positions, noisy_positions), strict=True)):
        start, kept = time.perf_counter(), Collection(given.count)
        fill(solver, kept, generator(given.seed, "connect four", name))
        for kind, positions in kept.found.items():
            boards += [position for position, _ in positions]
            scores += [score for _, score in positions]
            sets += [number] * len(positions)
            kinds += [kind] * len(positions)
        print(f"{name}: {sum(map(len, kept.found.values()))} positions in {time.perf_counter() - start:.0f} s")
    arrays = {
        "stones": np.array(boards, np.int64),
        "scores": np.array(scores, np.int8),
        "set": np.array(sets, np.uint8),
        "class": np.array(kinds, np.uint8),
    }
    replace_file(given.out, pack(arrays))


if __name__ == "__main__":
    main()
