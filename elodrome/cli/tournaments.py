"""Many agents: tournaments, their tables, and the showdown."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from elodrome.cli.options import AsJson, Bounds, Env, Isolate, Seed, shortcomings, the_world
from elodrome.console import print_json, print_leaderboard, print_table, progress_bars, say
from elodrome.errors import UserError, unknown


def run(
    env: Env,
    agents: Annotated[
        str, typer.Option("--agents", help="specs, separated by commas outside of options: a,b:x=1,y=2,c")
    ],
    out: Annotated[Path, typer.Option(help="folder of results and report")],
    games: Annotated[int, typer.Option(help="per pairing")] = 100,
    format: Annotated[
        str,
        typer.Option("--format", help="round-robin, gauntlet (the first against the rest) or alone (one seat)"),
    ] = "round-robin",
    workers: Annotated[int | None, typer.Option(help="processes; one per core where left out")] = None,
    seed: Seed = 0,
    opening: Annotated[
        int | None, typer.Option(help="random plies, as many for each seat; the world's default where left out")
    ] = None,
    resume: Annotated[bool, typer.Option(help="go on where it was")] = False,
    merge: Annotated[bool, typer.Option(help="with --resume: more agents or games than before")] = False,
    strict: Annotated[bool, typer.Option(help="play nothing when an agent cannot be seated")] = False,
    isolate: Isolate = None,
    limits: Bounds = "",
) -> None:
    """Play a tournament, print its table and write OUT/report.html.

    Exit code 1: an agent could not be seated, games could not be played, or an agent crashed or ran out of time in all
    of its games.
    """
    from elodrome.agents.isolation.isolated import Isolation
    from elodrome.agents.specs import split_specs
    from elodrome.envs.registry import call_name
    from elodrome.tournaments.ratings import leaderboard
    from elodrome.tournaments.report import Section, build_report
    from elodrome.tournaments.runner import TournamentConfig, run_tournament
    from elodrome.tournaments.schedule import FORMATS
    from elodrome.tournaments.showdown import default_workers

    if format not in FORMATS:
        raise unknown("format", format, FORMATS)
    world = the_world(env)
    specs = split_specs(agents)
    config = _validated(
        TournamentConfig,
        env=call_name(world),
        agents=specs,
        format=format,
        games=games,
        seed=seed,
        opening=opening,
        isolation=Isolation.parse(isolate, limits),
    )
    with progress_bars() as bars:
        task = bars.add_task(f"games on {world.id}", total=None, note="")
        result = run_tournament(
            config,
            out,
            workers=default_workers() if workers is None else workers,
            resume=resume,
            merge=merge,
            strict=strict,
            on_total=lambda total, already: bars.update(task, total=total, completed=already),
            on_games=lambda records: bars.advance(task, len(records)),
            on_left_out=lambda agent, reason: bars.console.print(
                f"elodrome: {agent} is left out: {reason}", markup=False, highlight=False, soft_wrap=True
            ),
        )
    board = leaderboard(result.records, world.id, config.names(), result.unplayed, result.left_out)
    print_leaderboard(board)
    for remark in result.remarks:
        say(remark)
    page = build_report([Section(world, board, result.records)], out)
    say(f"{result.played} games played now, {result.kept} in all; report: {page}")
    if shortcomings(result.shortcomings):
        raise typer.Exit(1)


def _validated(model: Any, **values: Any) -> Any:
    """A pydantic object, or its first complaint as one line."""
    from pydantic import ValidationError

    try:
        return model(**values)
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"{first['loc'][0]}={first['input']!r}: {first['msg'].lower()}") from None


def ladder(
    env: Annotated[str | None, typer.Option("--env", help="one world; all where left out")] = None,
    source: Annotated[
        Path | None, typer.Option("--from", help="a tournament's or showdown's folder, or a results file")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Ratings from the results kept so far."""
    from elodrome.arena.store import default_store
    from elodrome.tournaments.ladder import ladders

    boards = ladders(source or default_store(), the_world(env).id if env else None)
    if as_json:
        documents = [board.document() for board in boards]
        print_json(documents[0] if env else {"ladders": documents})
        return
    for board in boards:
        print_leaderboard(board)


def showdown(
    full: Annotated[
        bool, typer.Option("--full", help="every agent there is on every world it fits: an hour or two on two cores")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="folder of agents, results and report; showdown or showdown-full where left out"),
    ] = None,
    worlds: Annotated[
        list[str] | None, typer.Option("--world", help="this one of its worlds alone; may be repeated")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="processes; one per core where left out")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "auto",
) -> None:
    """Train agents of every family on six worlds, rank them, write the report. Run again, it goes on.

    With --full all kinds and presets on all worlds; tables as Markdown in OUT/showdown.md.
    """
    from elodrome.agents.agent import check_device
    from elodrome.tournaments.plans import SHORT, full_plan
    from elodrome.tournaments.showdown import default_workers, run_showdown

    plan, out = full_plan() if full else SHORT, out or Path("showdown-full" if full else "showdown")
    if worlds:
        plan = plan.only(worlds)
    with progress_bars() as bars:
        result = run_showdown(out, default_workers() if workers is None else workers, check_device(device), bars, plan)
    for section in result.sections:
        if section.table is None:
            print_leaderboard(section.board)
        else:
            print_table(
                section.world.id, list(section.table.columns), section.table.cells(), right=(0, 3, 4, 5, 6, 7, 8)
            )
    for remark in result.remarks:
        say(remark)
    say(f"trained {result.trained} agents; played {result.played} games now, {result.kept} in all")
    say(f"report: {result.page} ({result.seconds:.0f} s)" + (f"; tables: {result.tables}" if full else ""))
    if shortcomings(result.shortcomings):
        raise typer.Exit(1)
