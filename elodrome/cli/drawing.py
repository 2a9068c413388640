"""The textbook's figures from our own runs."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from elodrome.cli.options import AsJson, Seed
from elodrome.console import print_json, print_table, progress_bars, say

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


def figures(as_json: AsJson = False) -> None:
    """List the figures that can be drawn."""
    from elodrome.figures.figure import figures as all_figures

    if as_json:
        print_json({"figures": [{"id": name, "summary": summary} for name, summary in all_figures().items()]})
        return
    print_table("Figures", ["id", "what it shows"], [[name, summary] for name, summary in all_figures().items()])


def _tick(bars: Progress, task: TaskID, done: int, total: int) -> None:
    bars.update(task, completed=done, total=total)


def figure(
    name: Annotated[str, typer.Argument(help="as listed by `elodrome figures` (dashes will do), or all")],
    quick: Annotated[bool, typer.Option("--quick", help="fewer runs: seconds, and wider error bars")] = False,
    seed: Seed = 0,
    out: Annotated[Path, typer.Option(help="folder for NAME.png and NAME.csv")] = Path("figures"),
) -> None:
    """Draw a figure from runs of our own: a picture, and its numbers with their standard errors beside it."""
    from elodrome.agents.parts.saved import replace_file
    from elodrome.figures.figure import compute, picture, table
    from elodrome.figures.figure import figures as all_figures

    for each in all_figures() if name == "all" else (name.replace("-", "_"),):
        with progress_bars() as bars:
            task = bars.add_task(each, total=None, note="")
            drawn = compute(each, quick=quick, seed=seed, tick=partial(_tick, bars, task))
        replace_file(out / f"{each}.csv", table(drawn))
        replace_file(out / f"{each}.png", picture(drawn))
        say(drawn.title)
        for remark in drawn.remarks:
            say(f"  {remark}")
        say(f"  {out / each}.png, {out / each}.csv")
