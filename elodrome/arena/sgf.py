"""Go games as SGF files (Smart Game Format, FF[4], A. Hollosi, red-bean.com/sgf): written from records, read into them.

Read is the main line, the first variation everywhere. A handicap (AB in the root) becomes Black's first moves, with a
pass of White after each but the last; setting up or taking away stones elsewhere is refused, as no move does that.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from elodrome.agents.parts.gtp import board_of
from elodrome.arena.record import GameRecord, Termination, replay, scores_of
from elodrome.envs.game import Game, World
from elodrome.envs.registry import make_env
from elodrome.envs.table import Table
from elodrome.errors import IllegalAction, UserError
from elodrome.files import GAME, read_text

_LETTERS = "abcdefghijklmnopqrs"
_SETUP = ("AB", "AW", "AE")
# What stands behind "B+" for games that the rules did not end, and back.
_FORFEITS: dict[str, Termination] = {"R": "resign", "T": "time-out", "F": "illegal"}
_MARKS = {"resign": "R", "time-out": "T", "illegal": "F", "crash": "F"}

Node = dict[str, list[str]]


@dataclass(frozen=True)
class Sgf:
    """What a file says: size, komi, the moves (seat, action), the names of the players, and its RE."""

    size: int
    komi: float
    moves: tuple[tuple[int, int], ...]
    players: tuple[str, str]
    result: str


def go_world(world: World) -> Game:
    """``world`` if it is a Go world; else UserError."""
    if not isinstance(world, Game) or world.id.partition(":")[0] != "go":
        raise UserError(f"{world.id} is not Go; SGF files and GTP are for Go worlds, such as go:size=9")
    return world


def alternating(moves: Sequence[tuple[int, int]], size: int) -> list[int]:
    """Actions of seats that take turns, Black first, from moves of any seat: a pass stands where one is left out."""
    actions: list[int] = []
    for seat, action in moves:
        if seat != len(actions) % 2:
            actions.append(size * size)
        actions.append(action)
    return actions


# Writing


def to_sgf(record: GameRecord, world: World) -> str:
    """A record as SGF. Raises UserError when it is no game of Go or breaks the rules."""
    game = go_world(world)
    size, komi = board_of(game)
    root = {
        **{"FF": "4", "GM": "1", "CA": "UTF-8", "AP": "Elodrome", "RU": "Tromp-Taylor", "SZ": str(size)},
        **{"KM": f"{komi:g}", "PB": record.agents[0], "PW": record.agents[1], "GN": record.id},
        "RE": _result(record, game),
    }
    if record.reason:
        root["C"] = record.reason
    lines = ["(;" + "".join(f"{key}[{_escaped(value)}]" for key, value in root.items())]
    moves = [f";{'BW'[ply % 2]}[{_point(action, size)}]" for ply, action in enumerate(record.numbers())]
    lines += ["".join(moves[start : start + 10]) for start in range(0, len(moves), 10)]
    return "\n".join(lines) + ")\n"


def write_games(records: Sequence[GameRecord], world: World, folder: Path) -> None:
    """Every record as ``folder/0001.sgf`` and so on. Raises UserError when it cannot be written."""
    for number, record in enumerate(records, 1):
        write_game(record, world, folder, number)


def write_game(record: GameRecord, world: World, folder: Path, number: int) -> None:
    """One record as ``folder/0001.sgf`` where ``number`` is 1. Raises UserError when it cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number:04d}.sgf").write_text(to_sgf(record, world), encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {error.filename or folder}: {error.strerror}") from error


def score(table: Table, row: int, komi: float) -> str:
    """The score of a position by area, every stone alive: B+3.5, W+10 or 0."""
    from elodrome.envs.boards.go import area

    states: Any = table.states(np.array([row]))
    black, white = area(states[0])
    lead = black - white - komi
    return f"{'B' if lead > 0 else 'W'}+{abs(lead):g}" if lead else "0"


def _result(record: GameRecord, world: Game) -> str:
    if not record.scores:
        return "Void"
    if record.termination in _MARKS:
        return f"{'B' if record.scores[0] > record.scores[1] else 'W'}+{_MARKS[record.termination]}"
    *_, (table, _) = replay(record, world)
    return score(table, 0, board_of(world)[1])


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("]", "\\]")


def _point(action: int, size: int) -> str:
    return "" if action == size * size else _LETTERS[action % size] + _LETTERS[action // size]


# Reading


def read_sgf(file: Path) -> GameRecord:
    """The main line of a file as a record. Raises UserError that names the file and the trouble."""
    text = read_text(file, GAME, errors="replace")
    try:
        return record_of(parse(text), id=file.stem)
    except UserError as error:
        raise UserError(f"{file}: {error}") from error


def parse(text: str) -> Sgf:
    """The first game of an SGF text. Raises UserError with what is wrong and where."""
    nodes = _main_line(text)
    root = nodes[0]
    if root.get("GM", ["1"])[0].strip() not in ("1", ""):
        raise UserError(f"GM[{root['GM'][0]}] is not Go, which is GM[1]")
    size = _number(root, "SZ", "19")
    if not (size.is_integer() and 2 <= size <= 19):
        raise UserError(f"SZ[{root['SZ'][0]}] is no size of a board; from 2 to 19")
    n = int(size)
    moves = [(0, _action(value, n, "AB")) for value in root.get("AB", [])]
    if n * n in {action for _, action in moves}:
        raise UserError("AB[] is no point")
    for number, node in enumerate(nodes):
        for key in _SETUP:
            if key in node and (number or key != "AB"):
                where = f"node {number + 1}" if number else "the root"
                raise UserError(f"{key} in {where} changes stones without a move, which a game record cannot hold")
        played = [(seat, key) for seat, key in enumerate("BW") if key in node]
        if len(played) > 1:
            raise UserError(f"node {number + 1} has a move of both colours")
        moves += [(seat, _action(node[key][0], n, f"move {len(moves) + 1}")) for seat, key in played]
    names = (root.get("PB", ["Black"])[0].strip() or "Black", root.get("PW", ["White"])[0].strip() or "White")
    return Sgf(n, _number(root, "KM", "0"), tuple(moves), names, root.get("RE", [""])[0].strip())


def record_of(sgf: Sgf, id: str = "sgf") -> GameRecord:
    """An SGF game as a record: played through by our rules, which decide a game that they end; RE decides others.

    Raises UserError with the number of the first illegal move.
    """
    world = make_env("go", size=sgf.size, komi=sgf.komi)
    table = world.table(1)
    row = np.zeros(1, np.int64)
    table.reset(row, np.zeros(1, np.uint64))
    returns = np.zeros(2)
    actions = alternating(sgf.moves, sgf.size)
    for number, action in enumerate(actions, 1):
        if table.seats[0] < 0:
            raise UserError(f"move {number} of {len(actions)} comes after the end of the game by our rules")
        try:
            returns += table.step(row, np.array([action]))[0]
        except IllegalAction:
            named = f"{world.seat_name(int(table.seats[0]))} {world.action_name(action)}"
            raise UserError(f"move {number} ({named}) is illegal\n{table.draw(0)}") from None
    ended: dict[str, Any] = {"termination": "void", "scores": (), "reason": f"unfinished, RE[{sgf.result}]"}
    found = re.fullmatch(r"([BW])\+(\S*)", sgf.result, re.IGNORECASE)
    if table.seats[0] < 0:
        ours = score(table, 0, sgf.komi)
        ended = {"termination": "draw" if ours == "0" else "win", "scores": scores_of(returns.tolist())}
        if found and found[1].upper() != ours[0]:
            ended["reason"] = f"RE[{sgf.result}], but {ours} by our rules"
    elif found:
        winner = "BW".index(found[1].upper())
        returns[:] = (1.0, -1.0) if winner == 0 else (-1.0, 1.0)
        kind = _FORFEITS.get(found[2][:1].upper(), "win")
        ended = {"termination": kind, "scores": scores_of(returns.tolist()), "reason": f"RE[{sgf.result}]"}
        if kind in ("time-out", "illegal"):
            ended["culprit"] = 1 - winner
    elif sgf.result.lower() in ("0", "draw", "jigo"):
        ended = {"termination": "draw", "scores": (0.5, 0.5), "reason": f"RE[{sgf.result}]"}
    return GameRecord(
        id=id,
        env=world.id,
        agents=sgf.players,
        seed=0,
        agent_seed=0,
        opening=0,
        moves=(tuple(actions),),
        returns=tuple(returns.tolist()),
        **ended,
    )


def _number(root: Node, key: str, default: str) -> float:
    text = root.get(key, [default])[0].strip() or default
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        raise UserError(f"{key}[{text[:20]}] is no number")
    return value


def _action(value: str, size: int, where: str) -> int:
    text = value.strip()
    if text == "" or (text == "tt" and size < 20):
        return size * size
    column, row = (_LETTERS[:size].find(c) for c in text) if len(text) == 2 else (-1, -1)
    if column < 0 or row < 0:
        raise UserError(f"{where}: [{text[:20]}] is no point of a board of {size} x {size}")
    return row * size + column


_TOKEN = re.compile(r"\s*(?:([();])|([A-Za-z]+)\s*(?=\[)|\[((?:[^\]\\]|\\.)*)\])", re.DOTALL)


def _main_line(text: str) -> list[Node]:
    """The nodes of the first variations of the first game."""
    start = text.find("(")
    if start < 0:
        raise UserError("no SGF game in it: there is no '('")
    nodes: list[Node] = []
    depth = 0
    key = ""
    main = True  # until the first variation of all has been read
    for mark, name, value, at in _tokens(text, start):
        if mark == "(":
            depth += 1
        elif mark == ")":
            main = False
            depth -= 1
            if not depth:
                break
        elif mark == ";":
            key = ""
            if main:
                nodes.append({})
        elif name:
            key = "".join(c for c in name if c.isupper())  # FF[3] wrote GaMe for GM
        elif not key or (main and not nodes):
            raise UserError(f"line {text.count(chr(10), 0, at) + 1}: a value without a property")
        elif main:
            nodes[-1].setdefault(key, []).append(re.sub(r"\\(.)", r"\1", value, flags=re.DOTALL))
    if depth:
        raise UserError(f"the file ends before the game does: {depth} '(' without ')'")
    if not nodes:
        raise UserError("the game has no nodes")
    return nodes


def _tokens(text: str, at: int) -> Iterator[tuple[str, str, str, int]]:
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            rest = text[at:].lstrip()
            if rest:
                line = text.count("\n", 0, len(text) - len(rest)) + 1
                raise UserError(f"line {line}: {rest[:20]!r} is not SGF")
            return
        yield found[1] or "", found[2] or "", found[3] or "", at
        at = found.end()
