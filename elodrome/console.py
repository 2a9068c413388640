"""What the command line prints: JSON, tables, leaderboards, progress bars; strangers' words are shown, never obeyed."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

from elodrome.errors import printable

if TYPE_CHECKING:
    from rich.progress import Progress

    from elodrome.tournaments.ratings import Leaderboard


LINES = 30.0  # seconds between two lines of progress where stderr is no terminal
CELL = 200  # characters of a cell or a bar's name; longer ones are cut in the middle


def say(text: str, error: bool = False) -> None:
    """A line or more on stdout, or on stderr."""
    print(printable(text, keep="\n"), file=sys.stderr if error else sys.stdout)


def print_json(document: Any) -> None:
    """One JSON document on stdout."""
    print(json.dumps(document, indent=2, allow_nan=False))


def print_table(title: str, columns: list[str], rows: list[list[str]], right: tuple[int, ...] = ()) -> None:
    """A table on the screen; the columns numbered in ``right`` are numbers."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD)
    for index, column in enumerate(columns):
        justify: Any = "right" if index in right else "left"
        table.add_column(Text(printable(column, CELL)), justify=justify, overflow="fold", no_wrap=index in right)
    for row in rows:
        table.add_row(*(Text(printable(cell, CELL)) for cell in row))
    console = Console()
    console.print(Text(printable(title, CELL)), style="bold")
    console.print(table)


def whole(value: float) -> str:
    """A number without decimals, and never minus zero."""
    return f"{round(value) + 0:d}"


def signed(value: float) -> str:
    """A number without decimals, with its sign, and never minus zero."""
    return f"{round(value) + 0:+d}"


def print_leaderboard(board: Leaderboard) -> None:
    """A leaderboard on the screen."""
    rows = []
    for rank, row in enumerate(board.rows, 1):
        elo = "unrated" if row.elo is None else whole(row.elo)
        spread = "" if row.high is None or row.low is None else f"+-{(row.high - row.low) / 2:.0f}"
        rows.append(
            [
                str(rank),
                row.agent,
                elo,
                spread,
                "" if row.online is None else whole(row.online),
                str(row.games),
                f"{row.wins}/{row.draws}/{row.losses}",
                "" if row.score is None else f"{100 * row.score:.1f}%",
                "" if row.mean_return is None else f"{row.mean_return:.3f}",
            ]
        )
    columns = ["", "agent", "Elo", "95%", "online", "games", "w/d/l", "score", "return"]
    print_table(f"Ratings: {board.env}", columns, rows, right=(0, 2, 3, 4, 5, 6, 7, 8))
    if board.first_move_advantage is not None:
        say(f"first seat is worth {signed(board.first_move_advantage)} Elo; {board.duplicate_games} repeated games")
    for cycle in board.cycles:
        say("cycle: " + " beats ".join([*cycle, cycle[0]]))
    for note in board.notes:
        say(note)


def progress_bars() -> Progress:
    """Progress bars on stderr, with a column for measurements."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, Task, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Words(TextColumn):
        def render(self, task: Task) -> Text:
            return Text(printable(self.text_format.format(task=task), CELL), style=self.style)

    return Progress(
        Words("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        Words("{task.fields[note]}", style="dim"),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )


class MatchProgress:
    """How far a match is: games that ended and actions played in those under way, since games that are played side by
    side end together. A bar on a terminal; elsewhere a line on stderr twice a minute."""

    def __init__(self, what: str, games: int, done: int = 0) -> None:
        self.games, self.done, self.played = games, done, 0
        self.start = self.last = time.monotonic()
        self.bars = progress_bars()
        self.task = self.bars.add_task(what, total=games, completed=done, note="")

    def __enter__(self) -> MatchProgress:
        self.bars.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.bars.stop()

    def game(self) -> None:
        """A game has ended."""
        self.done += 1
        self.bars.update(self.task, completed=self.done)

    def plies(self, count: int) -> None:
        """``count`` more actions were played."""
        self.played += count
        self.bars.update(self.task, note=f"{self.played:,} moves")
        now = time.monotonic()
        if self.bars.disable and now - self.last > LINES:
            self.last = now
            told = f"{self.done} of {self.games} games, {self.played:,} moves after {now - self.start:.0f} s"
            print(f"elodrome: {told}", file=sys.stderr, flush=True)
