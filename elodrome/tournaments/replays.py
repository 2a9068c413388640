"""Games for the report's page: which ones are shown, and their positions as frames to step through."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from elodrome.arena.record import GameRecord, replay
from elodrome.envs.game import Game, World

SHOWN = 8  # games per world
FRAMES = 400  # of one game; a walk without end would fill the page


def featured(records: Sequence[GameRecord], ranking: Sequence[str]) -> list[tuple[GameRecord, int]]:
    """Games worth a look, each with the stream to show: the best agent against each of the others, the longest that was
    won; in solo worlds of each agent the game whose return is its median."""
    sound = [r for r in records if r.termination in ("win", "draw", "length", "resign") and r.plies]
    chosen: list[tuple[GameRecord, int]] = []
    if any(len(r.moves) == len(r.agents) for r in sound):
        for agent in ranking:
            runs = [(r, r.agents.index(agent)) for r in sound if agent in r.agents]
            runs.sort(key=lambda run: (run[0].returns[run[1]], run[0].id))
            chosen += runs[len(runs) // 2 : len(runs) // 2 + 1]
        return chosen[:SHOWN]
    for other in ranking[1:]:
        games = [r for r in sound if set(r.agents) == {ranking[0], other}]
        games.sort(key=lambda r: (r.termination in ("win", "resign"), r.plies, r.id))
        chosen += [(r, 0) for r in games[-1:]]
    return chosen[:SHOWN]


def replay_document(record: GameRecord, stream: int, world: World) -> dict[str, Any]:
    """A game as frames: the board's cells where the world has a look (given again only when they change), else text;
    what was played, by whom, and which cell that changed. Raises UserError when the record breaks the rules."""
    look = world.look if isinstance(world, Game) else None
    solo = len(record.moves) == len(record.agents)
    frames: list[dict[str, Any]] = []
    caption, mark, cells = "start", None, None
    truncated = over = False  # how this run ended, whatever became of the other one on the same dice
    row = np.zeros(1, np.int64)
    for table, action in replay(record, world, stream):
        truncated, over = bool(table.truncated[0]), int(table.seats[0]) < 0
        if len(frames) >= FRAMES:
            continue
        frame: dict[str, Any] = {"caption": caption}
        state = table.states(row) if look is not None else None
        if look is not None and state is not None:
            now = look.cells(state[0]).tolist()
            if now != cells:
                frame["cells"] = cells = now
            if mark is not None:
                frame["mark"] = mark
            if look.marker is not None:
                frame["marker"] = [int(x) for x in look.marker(state[0])]
        else:
            frame["text"] = table.draw(0) or "(this world draws nothing)"
        frames.append(frame)
        if action is None:
            break
        seat = int(table.seats[0])
        who = record.agents[stream if solo else seat]
        by = "random opening" if len(frames) <= record.opening else who
        seat_name = "" if solo else f"{world.seat_name(seat)} "
        caption = f"{len(frames)}. {seat_name}{world.action_name(action)} ({by})"
        cell = None
        if look is not None and state is not None and isinstance(action, int):
            cell = look.cell_of(state[0], action)
        mark = None if cell is None else [int(x) for x in cell]
    moves = len(record.moves[stream])
    cut = f"; the first {len(frames) - 1} of {moves} moves" if len(frames) <= moves else ""
    return {
        "title": _title(record, stream),
        "result": (_run(record, stream, truncated, over) if solo else _result(record, world)) + cut,
        "style": look.style if look else "text",
        "frames": frames,
    }


def _title(record: GameRecord, stream: int) -> str:
    if len(record.moves) == len(record.agents):
        return f"{record.agents[stream]}, return {_signed(record.returns[stream])}"
    points = " ".join("½" if score == 0.5 else f"{score:g}" for score in record.scores)
    return f"{' – '.join(record.agents)}, {points.replace(' ', '–')}"


def _signed(value: float) -> str:
    return f"{value:g}".replace("-", "\N{MINUS SIGN}")


def _run(record: GameRecord, stream: int, truncated: bool, over: bool) -> str:
    ended = "cut at the limit of steps" if truncated else "the end was reached" if over else "given up there"
    steps, value = len(record.moves[stream]), _signed(record.returns[stream])
    return f"{record.agents[stream]}: {steps} steps, return {value}; {ended}"


def _result(record: GameRecord, world: World) -> str:
    if record.termination in ("win", "resign"):
        best = int(np.argmax(record.scores))
        how = "by resignation " if record.termination == "resign" else ""
        return f"{record.agents[best]} wins as {world.seat_name(best)} {how}after {record.plies} moves"
    return f"a draw after {record.plies} moves" if record.termination == "draw" else "cut at the limit of moves"
