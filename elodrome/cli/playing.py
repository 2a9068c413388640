"""Two agents, or an agent and a person: matches, the window, the Go Text Protocol, measurements."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from elodrome.cli.options import AsJson, Bounds, Env, Isolate, Seed, Spec, shortcomings, the_world
from elodrome.console import MatchProgress, print_json, print_table, progress_bars, say, signed
from elodrome.errors import UserError

if TYPE_CHECKING:
    from elodrome.arena.record import GameRecord


def match(
    env: Annotated[str, typer.Argument(help="world")],
    spec_a: Spec,
    spec_b: Spec,
    games: Annotated[int, typer.Option(help="in pairs with the seats swapped")] = 100,
    seed: Seed = 0,
    opening: Annotated[int, typer.Option(help="random plies before the agents take over, as many for each seat")] = 0,
    keep: Annotated[bool, typer.Option(help="keep the games for `elodrome ladder`")] = True,
    sgf: Annotated[Path | None, typer.Option(help="folder for the games as SGF files (Go)")] = None,
    resume: Annotated[bool, typer.Option(help="go on: games of this match that are kept are not played again")] = False,
    isolate: Isolate = None,
    limits: Bounds = "",
    as_json: AsJson = False,
) -> None:
    """Play two agents against each other. Games are kept as they end.

    Exit code 1: games or results could not be kept, or an agent crashed or ran out of time in all of its games.
    """
    from elodrome.agents.isolation.isolated import Isolation
    from elodrome.arena.keeping import Keeper
    from elodrome.arena.match import play_match
    from elodrome.arena.result import hopeless
    from elodrome.arena.store import Store, default_store
    from elodrome.seeding import derive
    from elodrome.tournaments.runner import identity

    if resume and not keep:
        raise UserError("--resume goes on with games that were kept; it excludes --no-keep")
    world = the_world(env)
    # The ids know which agents these were: one that was trained again plays new games.
    who = [identity(spec, world) for spec in (spec_a, spec_b)]
    prefix = f"match:{world.id}:{spec_a}:{spec_b}:{derive(seed, opening, *who):016x}:"
    keeper = Keeper(world, Store(default_store()) if keep else None, sgf)
    before = keeper.played_before(prefix) if resume else []
    before = [record for record in before if record.number < games]
    progress = MatchProgress(f"{spec_a} - {spec_b}", games, len(before))

    def on_game(record: GameRecord) -> None:
        keeper(record)
        progress.game()

    try:
        with progress:
            result = play_match(
                env,
                spec_a,
                spec_b,
                games,
                seed=seed,
                opening=opening,
                prefix=prefix,
                played=before,
                on_game=on_game,
                on_plies=progress.plies,
                isolation=Isolation.parse(isolate, limits),
            )
    except KeyboardInterrupt:
        keeper.close()
        raise UserError(_stopped(keeper, games)) from None
    keeper.close()
    summary = result.summary()
    if as_json:
        print_json(summary)
    else:
        _print_match(result, summary, len(before))
    if shortcomings([*keeper.troubles, *hopeless(result.records)]):
        raise typer.Exit(1)


def _stopped(keeper: Any, games: int) -> str:
    """What a match that was interrupted says: how many games are kept, and how to go on."""
    troubles = "".join(f"; {trouble}" for trouble in keeper.troubles)
    if keeper.store is None:
        return f"stopped; {keeper.finished} of {games} games were finished, and none is kept (--no-keep){troubles}"
    words = [word for word in sys.argv[1:] if word != "--resume"]
    go_on = shlex.join(["elodrome", *words, "--resume"])
    return f"stopped; {len(keeper.kept)} of {games} games are kept in {keeper.store.path}{troubles}; to go on: {go_on}"


def _print_match(result: Any, summary: dict[str, Any], before: int) -> None:
    first, second = result.agents
    rows = []
    for label, tally in (
        ("in all", summary),
        *((f"as {result.world.seat_name(seat)}", t) for seat, t in enumerate(summary["by_seat"])),
    ):
        rows.append([label, str(tally["wins"]), str(tally["draws"]), str(tally["losses"])])
    print_table(f"{first} against {second} on {result.env}", [first, "wins", "draws", "losses"], rows, right=(1, 2, 3))
    if before:
        say(f"{before} games had been kept before; {summary['games'] - before} played now")
    if summary["elo_difference"] is not None:
        low, high = summary["elo_interval"]
        say(f"Elo difference {signed(summary['elo_difference'])}, 95 % from {signed(low)} to {signed(high)}")
    means = " and ".join(f"{m:.3f}" for m in summary["mean_return"])
    say(f"mean returns {means}; terminations {summary['terminations']}; {summary['duplicate_games']} repeated games")
    for who, reasons in summary["failures"].items():
        say(f"{who} failed: " + "; ".join(f"{reason} ({count} x)" for reason, count in reasons.items()))
    for remark, count in summary.get("remarks", {}).items():
        say(f"{remark} ({count} x)")
    for remark in summary.get("unrepeatable", ()):
        say(remark)
    if "note" in summary:
        say(summary["note"])


def strength(
    spec: Spec,
    env: Env,
    games: Annotated[
        int | None, typer.Option(help="against each opponent, and positions of each class; sensible where left out")
    ] = None,
    seed: Seed = 0,
    isolate: Isolate = None,
    limits: Bounds = "",
    as_json: AsJson = False,
) -> None:
    """Measure an agent: against exact solutions, other programs and fixed opponents, whatever its world has."""
    from elodrome.agents.isolation.isolated import Isolation, seat_agent
    from elodrome.arena.strength.yardsticks import measure_strength

    world = the_world(env)
    with progress_bars() as bars:
        task = bars.add_task(spec, total=None, note="")
        found = measure_strength(
            seat_agent(spec, world, Isolation.parse(isolate, limits)),
            world,
            count=games,
            seed=seed,
            tick=lambda what, done, of: bars.update(task, description=what, completed=done, total=of),
        )
    if as_json:
        print_json({"agent": spec, "env": world.id, "seed": seed, **{m.name: m.document for m in found}})
        return
    say(f"{spec} on {world.id}")
    for sheet in (sheet for measurement in found for sheet in measurement.sheets):
        numbers = tuple(range(sheet.right, len(sheet.columns)))
        print_table(sheet.title, list(sheet.columns), sheet.rows, right=numbers)
    for remark in (remark for measurement in found for remark in measurement.remarks):
        say(remark)


def play(
    env: Annotated[str, typer.Argument(help="world")],
    against: Annotated[str | None, typer.Option(help="spec of the opponent")] = None,
    seat: Annotated[int, typer.Option(help="your seat, 0 moves first")] = 0,
    isolate: Isolate = None,
    limits: Bounds = "",
) -> None:
    """Open the window and play."""
    from elodrome.agents.isolation.isolated import Isolation
    from elodrome.arena.ui.window import play as run

    run(the_world(env), against, seat, isolation=Isolation.parse(isolate, limits))


def watch(
    env: Annotated[str, typer.Argument(help="world")],
    specs: Annotated[list[str], typer.Argument(help="one or two agents")],
    isolate: Isolate = None,
    limits: Bounds = "",
) -> None:
    """Open the window and watch agents play."""
    from elodrome.agents.isolation.isolated import Isolation
    from elodrome.arena.ui.window import watch as run

    run(the_world(env), specs, isolation=Isolation.parse(isolate, limits))


def gtp(
    spec: Spec,
    env: Annotated[str, typer.Option("--env", help="Go world to begin with; `boardsize` and `komi` change it")] = "go",
    seed: Seed = 0,
    isolate: Isolate = None,
    limits: Bounds = "",
) -> None:
    """Make an agent a Go engine: the Go Text Protocol on stdin and stdout."""
    from contextlib import redirect_stdout

    from elodrome.agents.isolation.isolated import Isolation
    from elodrome.arena.gtp import GtpServer, lines_of, serve

    out = sys.stdout
    with redirect_stdout(sys.stderr):  # whatever an agent prints is no answer
        serve(GtpServer(spec, env, seed, Isolation.parse(isolate, limits)), lines_of(sys.stdin.buffer), out)
