"""Go against positions counted by hand, a slow referee written another way, OpenSpiel, and GNU Go where installed."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyspiel
import pytest

from elodrome import make_env
from elodrome.envs import engine
from elodrome.envs.boards.go import area
from elodrome.envs.check import check_env
from elodrome.errors import IllegalAction, UserError
from elodrome.seeding import generator

Point = tuple[int, int]


class Referee:
    """Go by flood fill on a dictionary, with the set of all boards that were: slow and plain."""

    def __init__(self, n: int) -> None:
        self.n = n
        self.board: dict[Point, int] = {}
        self.seen = {self._picture(self.board)}
        self.colour = 0
        self.simple_ko: Any = None  # the board before the last move

    def _picture(self, board: dict[Point, int]) -> frozenset[Any]:
        return frozenset(board.items())

    def near(self, point: Point) -> list[Point]:
        r, c = point
        around = [(r - 1, c), (r + 1, c), (r, c - 1), (r, c + 1)]
        return [(i, j) for i, j in around if 0 <= i < self.n and 0 <= j < self.n]

    def region(self, board: dict[Point, int], start: Point) -> tuple[set[Point], set[Point]]:
        """All points of the like connected with ``start``, and those beside them."""
        inside, edge, todo = {start}, set(), [start]
        while todo:
            for q in self.near(todo.pop()):
                if board.get(q) != board.get(start):
                    edge.add(q)
                elif q not in inside:
                    inside.add(q)
                    todo.append(q)
        return inside, edge

    def liberties(self, point: Point, board: dict[Point, int] | None = None) -> int:
        board = self.board if board is None else board
        return sum(q not in board for q in self.region(board, point)[1])

    def after(self, point: Point, colour: int) -> dict[Point, int] | None:
        """The board after a stone, or None for suicide and occupied points."""
        if point in self.board:
            return None
        board = {**self.board, point: colour}
        for q in self.near(point):
            if board.get(q) == 1 - colour and not self.liberties(q, board):
                for stone in self.region(board, q)[0]:
                    del board[stone]
        return board if self.liberties(point, board) else None

    def legal(self, point: Point, colour: int) -> bool:
        board = self.after(point, colour)
        return board is not None and self._picture(board) not in self.seen

    def long_cycle(self, point: Point, colour: int) -> bool:
        """Whether superko alone forbids a move, beyond the simple ko rule."""
        board = self.after(point, colour)
        return board is not None and self._picture(board) in self.seen and board != self.simple_ko

    def play(self, action: int) -> None:
        self.simple_ko = self.board
        if action < self.n**2:
            board = self.after(divmod(action, self.n), self.colour)
            assert board is not None
            self.board = board
            self.seen.add(self._picture(board))
        self.colour = 1 - self.colour

    def area(self) -> tuple[int, int]:
        points = [0, 0]
        for point in np.ndindex(self.n, self.n):
            around = (
                {self.board[point]}
                if point in self.board
                else {self.board[q] for q in self.region(self.board, point)[1]}
            )
            if len(around) == 1:
                points[around.pop()] += 1
        return points[0], points[1]


class Game:
    """One of our games, stepped by hand."""

    def __init__(self, name: str) -> None:
        self.world: Any = make_env(name)
        self.state = self.world.template.copy()
        self.world.reset(self.state, 0)
        self.rewards = np.zeros(2)

    @property
    def mask(self) -> np.ndarray:
        mask = np.zeros(self.world.actions, np.uint8)
        self.world.legal(self.state, mask)
        return mask

    def seen(self, seat: int) -> np.ndarray:
        out = np.zeros(self.world.observation_size, np.float32)
        self.world.observe(self.state, seat, out)
        return out.reshape(self.world.observation_shape)

    def number(self, move: str) -> int:
        return int(self.world.action_names.index(move))

    def legal(self, move: str) -> bool:
        return bool(self.mask[self.number(move)])

    def play(self, *moves: str) -> None:
        for move in moves:
            assert self.legal(move), f"{move}\n{self.world.draw(self.state)}"
            self.rewards[:] = 0
            self.world.step(self.state, self.number(move), 0, self.rewards)


def position(rows: str, seat: int, options: str = "") -> Game:
    """A position from its rows: all stones of Black, then all of White, each answered by a pass; ``seat`` to move."""
    lines = rows.split()
    game = Game(f"go:size={len(lines)}{options}")
    stones = {m: [a for a, x in enumerate("".join(lines)) if x == m] for m in "XO"}
    moves: list[str] = []
    for mark in "XO":
        for a in stones[mark]:
            moves += ["pass"] * (len(moves) % 2 != "XO".index(mark)) + [game.world.action_names[a]]
    moves += ["pass"] * (len(moves) % 2 != seat)
    game.play(*moves)
    return game


def test_ko() -> None:
    game = position("..... .XO.. X.XO. .XO.. .....", 1)
    game.play("B3")  # takes C3
    assert area(game.state) == (3, 5)  # the ko itself is White's now
    assert not game.legal("C3")
    game.play("E5", "A5", "C3")  # a threat and its answer
    assert not game.legal("B3")


def test_sending_two_returning_one() -> None:
    """White's B1 makes the position of three moves ago: superko forbids it, simple ko would not."""
    game = position("..... ..... XXXO. XXOO. .O.O.", 1)
    game.play("A1", "C1")
    assert not game.legal("B1")
    game.play("E5", "A5")
    assert game.legal("B1")


def test_suicide() -> None:
    game = position("XX.O. X.XO. .XOO. .X.OO OOO..", 1)
    assert not game.legal("B4")  # one stone
    assert position("XX.O. X.XO. .XOO. .X.OO OOO..", 0).legal("B4")
    many = position(".O.X. OOXX. XXX.. ..... .....", 1)
    assert many.legal("A5")
    assert many.legal("C5")
    many.play("C5", "E5")
    assert not many.legal("A5")  # four stones of one's own without a liberty
    assert many.seen(1)[6, 0, 0] == 1
    assert many.seen(0)[6, 0, 0] == 0


def test_capture_before_suicide() -> None:
    game = position(".XO.. XXO.. OOO.. ..... .....", 1)
    assert game.legal("A5")  # no liberty of its own, but it takes three
    game.play("A5")
    assert game.seen(0)[0].sum() == 0
    assert area(game.state) == (0, 25)


def test_snapback() -> None:
    game = position("..... ..... XXXXX XOOOX XO..X", 0)
    game.play("C1", "D1")  # thrown in and taken
    assert game.seen(0)[0, 4, 2] == 0
    assert np.argwhere(game.seen(1)[2]).tolist() == [[3, 1], [3, 2], [3, 3], [4, 1], [4, 3]]
    game.play("C1")  # takes five back
    assert area(game.state) == (25, 0)


def test_liberties_are_shown() -> None:
    game = position("X.... O.... ..XO. ..... ...OO", 0)
    own, other = game.seen(0), game.seen(1)
    assert np.argwhere(own[2]).tolist() == [[0, 0]]
    assert np.argwhere(own[3]).tolist() == []  # C3 has three
    assert np.argwhere(own[5]).tolist() == [[1, 0]]
    np.testing.assert_array_equal(own[[0, 1, 2, 3, 4, 5]], other[[1, 0, 4, 5, 2, 3]])
    assert own[9].all()
    assert not other[9].any()


def test_last_move_and_pass_are_shown() -> None:
    game = Game("go:size=5")
    assert not game.seen(0)[7:9].any()
    game.play("B4")
    assert np.argwhere(game.seen(1)[7]).tolist() == [[1, 1]]
    game.play("pass")
    assert not game.seen(0)[7].any()
    assert game.seen(0)[8].all()


@pytest.mark.parametrize(
    ("rows", "points"),
    [
        ("..... ..... ..... ..... .....", (0, 0)),
        ("..... ..... ..X.. ..... .....", (25, 0)),
        (".X.O. .X.O. .X.O. .X.O. .X.O.", (10, 10)),  # five neutral points between the walls
        (".XO.O XXOOO OOXXX .OX.X OOXX.", (4 + 2 + 6 + 2 - 1, 12)),
        ("X.O.. XXO.. OOO.. ..... .....", (3, 21)),
        (".OX.. OOX.. XXX.. ..... .....", (21, 4)),
    ],
)
def test_area(rows: str, points: tuple[int, int]) -> None:
    """Stones and surrounded points; what both touch (B5 of the fifth) counts for nobody."""
    assert area(position(rows, 0).state) == points


def test_seki_counts_stones_alone() -> None:
    """A1 and D1 are liberties of both; whoever plays there is taken. The six stones of Black live without territory."""
    game = position("....... ....... ....... ....... OOOOOO. XXXXXO. .OO.XO.", 0)
    assert area(game.state) == (6, 41)
    game.play("A1", "D1")
    assert area(game.state) == (0, 49)


@pytest.mark.parametrize(("komi", "rewards"), [(24.5, [1, -1]), (25, [0, 0]), (25.5, [-1, 1])])
def test_komi_decides(komi: float, rewards: list[float]) -> None:
    game = Game(f"go:size=5,komi={komi}")
    game.play("C3", "pass", "pass")
    assert game.rewards.tolist() == rewards
    assert game.world.player(game.state) < 0
    assert not game.mask.any()


def test_endless_games_end() -> None:
    """Whoever has a move on 2 x 2 plays it; the 12th ply is the last and the board is scored as it stands."""
    reached = 0
    for seed in range(60):
        game, rng = Game("go:size=2,komi=0"), generator(seed, "endless")
        while game.world.player(game.state) >= 0:
            stones = np.flatnonzero(game.mask[:4])
            before, action = game.state[2], int(rng.choice(stones)) if len(stones) else 4
            game.world.step(game.state, action, 0, game.rewards)
        if not before == action == 4:
            reached += 1
            assert game.state[1] == 12
            black, white = area(game.state)
            assert game.rewards[0] == np.sign(black - white)
    assert reached


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("go", "go"),
        ("go:size=9", "go"),
        ("go:size=9,komi=7.5", "go"),
        ("go:komi=7", "go:komi=7"),
        ("go:size=5,komi=24.5", "go:size=5"),
        ("go:komi=0.25,size=7", "go:size=7,komi=0.25"),
        ("go:size=7,komi=8.5", "go:size=7"),
        ("go:size=19", "go:size=19"),
        ("go:komi=-0.0", "go:komi=0"),
    ],
)
def test_names_have_one_form(name: str, right: str) -> None:
    assert make_env(name).id == right
    assert make_env(right).id == right


@pytest.mark.parametrize("name", ["go:size=1", "go:size=20", "go:size=5.5", "go:size=true", "go:komi=much", "go:kom=1"])
def test_bad_options(name: str) -> None:
    with pytest.raises(UserError):
        make_env(name)


@pytest.mark.parametrize("size", [2, 3, 4, 5, 7, 9, 19])
def test_conforms(size: int) -> None:
    assert check_env(make_env(f"go:size={size}")) == []


def test_points_have_names() -> None:
    names = make_env("go").action_names
    assert (names[0], names[8], names[72], names[80], names[81]) == ("A9", "J9", "A1", "J1", "pass")


def test_drawing() -> None:
    game = Game("go:size=3")
    game.play("B2", "C3")
    assert game.world.draw(game.state) == "   A B C\n 3 . .(O)3\n 2 . X . 2\n 1 . . . 1\n   A B C"


def random_game(n: int, seed: int, pass_share: float = 0.02) -> Iterator[tuple[Game, Referee]]:
    """A random game beside its referee, yielded at every ply."""
    game, referee = Game(f"go:size={n}"), Referee(n)
    rng = generator(seed, "random go", str(n))
    while game.world.player(game.state) >= 0:
        yield game, referee
        points = np.flatnonzero(game.mask[: n * n])
        action = n * n if not len(points) or rng.random() < pass_share else int(rng.choice(points))
        game.world.step(game.state, action, 0, game.rewards)
        referee.play(action)
    yield game, referee


@pytest.mark.parametrize(("n", "games"), [(2, 200), (3, 60), (4, 16), (5, 8), (7, 2), (9, 1)])
def test_against_the_referee(n: int, games: int) -> None:
    """Every point at every ply: legality, the planes of the observation, the score at the end."""
    cycles = ended = 0
    for seed in range(games):
        for game, referee in random_game(n, seed):
            over = game.world.player(game.state) < 0
            colour, mask = referee.colour, game.mask
            cells = game.world.look.cells(game.state)
            for point in np.ndindex(n, n):
                assert cells[point] == referee.board.get(point, -1) + 1
                if not over:
                    a = point[0] * n + point[1]
                    assert mask[a] == referee.legal(point, colour), f"{point}\n{game.world.draw(game.state)}"
                    cycles += referee.long_cycle(point, colour)
            if n < 7 or game.state[1] % 8 == 0:
                _compare_planes(game, referee)
            assert area(game.state) == referee.area()
        ended += 1
        black, white = referee.area()
        lead = black - white - {5: 24.5, 7: 8.5}.get(n, 7.5)
        assert game.rewards.tolist() == [np.sign(lead), -np.sign(lead)]
    assert ended == games
    assert n > 4 or cycles > 0, "no game came to a cycle that superko alone forbids"


def _compare_planes(game: Game, referee: Referee) -> None:
    n = referee.n
    for seat in range(2):
        right = np.zeros((7, n, n), np.float32)
        for point in np.ndindex(n, n):
            if point in referee.board:
                theirs = int(referee.board[point] != seat)
                right[theirs][point] = 1
                liberties = referee.liberties(point)
                if liberties < 3:
                    right[1 + 2 * theirs + liberties][point] = 1
            else:
                right[6][point] = not referee.legal(point, seat)
        np.testing.assert_array_equal(game.seen(seat)[:7], right)


@pytest.mark.parametrize("n", [3, 5, 9])
def test_against_openspiel(n: int) -> None:
    """Same moves and the same score. OpenSpiel forbids suicide and simple ko, and ends a game at the first position
    that came before: where it offers more moves than we do, each of them must be such an end."""
    rng = generator(n, "openspiel")
    theirs = pyspiel.load_game(f"go(board_size={n},komi={7.5},max_game_length={3 * n * n})")
    more = 0
    for _ in range(60 if n == 3 else 4):
        game, state = Game(f"go:size={n},komi=7.5"), theirs.new_initial_state()
        while game.world.player(game.state) >= 0:
            assert not state.is_terminal()
            mask = game.mask
            there = {(n - 1 - a // n) * n + a % n if a < n * n else a for a in state.legal_actions()}
            ours = set(np.flatnonzero(mask).tolist())
            assert ours <= there
            for extra in there - ours:
                more += 1
                child = state.clone()
                child.apply_action((n - 1 - extra // n) * n + extra % n)
                assert child.is_terminal()
            action = int(rng.choice(np.flatnonzero(mask)))
            game.world.step(game.state, action, 0, game.rewards)
            state.apply_action((n - 1 - action // n) * n + action % n if action < n * n else action)
        assert state.is_terminal()
        assert state.returns() == game.rewards.tolist()
    assert n > 3 or more > 0


def quiet_game(n: int, seed: int) -> tuple[Game, Referee, list[int]]:
    """A game in which nobody fills an eye of one point, played to the end by the referee alone."""
    game, referee = Game(f"go:size={n}"), Referee(n)
    rng = generator(seed, "quiet go", str(n))
    actions: list[int] = []
    while game.world.player(game.state) >= 0:
        moves = [
            r * n + c
            for r, c in np.ndindex(n, n)
            if referee.legal((r, c), referee.colour) and not _is_eye(referee, (r, c))
        ]
        actions.append(int(rng.choice(moves)) if moves else n * n)
        game.world.step(game.state, actions[-1], 0, game.rewards)
        referee.play(actions[-1])
    return game, referee, actions


def _is_eye(referee: Referee, point: Point) -> bool:
    me, (r, c), n = referee.colour, point, referee.n
    if any(referee.board.get(q) != me for q in referee.near(point)):
        return False
    corners = [(r + i, c + j) for i in (-1, 1) for j in (-1, 1)]
    inside = [q for q in corners if 0 <= q[0] < n and 0 <= q[1] < n]
    return sum(referee.board.get(q) == 1 - me for q in inside) < (2 if len(inside) == 4 else 1)


def test_playouts_against_slow_ones() -> None:
    """Share of wins and mean length on 3 x 3 against playouts by the referee (4 standard errors)."""
    slow, fast = 300, 100_000
    tallies = np.zeros((2, 3))
    world: Any = make_env("go:size=3,komi=2.5")
    steps = engine.playouts(world.compiled, fast, np.uint64(5), tallies, np.zeros(2))
    games = [quiet_game(3, seed) for seed in range(slow)]
    leads = np.array([np.subtract(*referee.area()) > 2.5 for _, referee, _ in games])
    share = tallies[0, 0] / fast
    assert abs(leads.mean() - share) < 4 * np.sqrt(share * (1 - share) / slow)
    lengths = np.array([len(actions) for *_, actions in games])
    assert abs(lengths.mean() - steps / fast) < 4 * lengths.std() / np.sqrt(slow)


def test_playout_goes_on_after_a_pass() -> None:
    game = position("XX.XX X.XXX XXXX. .XXXX XXX.X", 1, ",komi=0.5")
    returns = np.zeros(2)
    assert game.world.playout(game.state.copy(), np.uint64(1), returns) == 2
    assert returns.tolist() == [1, -1]


def test_refusals_are_readable() -> None:
    table = make_env("go:size=5").table(1)
    table.reset(np.array([0]), np.array([1], np.uint64))
    table.step(np.array([0]), np.array([12]))
    with pytest.raises(IllegalAction, match="action 12 is not legal here; legal: A5, B5"):
        table.step(np.array([0]), np.array([12]))


GNUGO = shutil.which("gnugo") or shutil.which("gnugo", path="/usr/games")


class Gtp:
    """GNU Go as a referee."""

    def __init__(self, n: int, komi: float) -> None:
        rules = ["--chinese-rules", "--positional-superko", "--forbid-suicide"]
        self.process = subprocess.Popen(
            [str(GNUGO), "--mode", "gtp", *rules], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.ask(f"boardsize {n}")
        self.ask(f"komi {komi}")

    def ask(self, command: str) -> str:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer.startswith("="), f"{command}: {answer}"
        self.process.stdout.readline()
        return answer[1:].strip()

    def __enter__(self) -> Gtp:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate("quit\n", timeout=10)


@pytest.mark.skipif(GNUGO is None, reason="GNU Go is not installed (Debian: apt-get install gnugo)")
@pytest.mark.parametrize("n", [5, 9])
def test_against_gnugo(n: int) -> None:
    """Every point at every fourth ply, and the score of a game in which only eyes are left empty."""
    _, referee, actions = quiet_game(n, 1)
    game = Game(f"go:size={n},komi=0.5")
    with Gtp(n, 0.5) as gnugo:
        for ply, action in enumerate(actions):
            colour = ("black", "white")[ply % 2]
            if ply % 4 == 0:
                names, mask = game.world.action_names, game.mask
                for a in range(n * n):
                    assert gnugo.ask(f"is_legal {colour} {names[a]}") == str(mask[a]), names[a]
            game.world.step(game.state, action, 0, game.rewards)
            gnugo.ask(f"play {colour} {game.world.action_names[action]}")
        black, white = area(game.state)
        assert (black, white) == referee.area()
        lead = black - white - 0.5
        assert gnugo.ask("final_score") == f"{'B' if lead > 0 else 'W'}+{abs(lead):.1f}"
