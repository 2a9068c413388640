"""The ``elodrome`` command. Reading commands take --json: one JSON document on stdout and nothing else there.

Everything heavy is imported inside the command that needs it, so that ``elodrome envs`` answers at once.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from elodrome.console import MatchProgress, print_json, print_leaderboard, print_table, progress_bars, say
from elodrome.errors import UserError, nearest, printable, shown, told, unknown

if TYPE_CHECKING:
    from elodrome.arena.record import GameRecord
    from elodrome.envs.game import World

app = typer.Typer(
    name="elodrome",
    help="An arena for reinforcement-learning agents: train, play, rate.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
check_app = typer.Typer(help="Conformance of a world or an agent.", no_args_is_help=True)
tournament_app = typer.Typer(help="Many agents, one world, one table.", no_args_is_help=True)
app.add_typer(check_app, name="check")
app.add_typer(tournament_app, name="tournament")

Env = Annotated[str, typer.Option("--env", help="world, as listed by `elodrome envs`")]
Seed = Annotated[int, typer.Option("--seed", help="everything random follows from it")]
AsJson = Annotated[bool, typer.Option("--json", help="one JSON document on stdout")]
Isolate = Annotated[
    bool | None,
    typer.Option(
        "--isolate/--no-isolate",
        help="agents in processes of their own, with limits; where left out, those of files and plugins are",
    ),
]
Bounds = Annotated[
    str, typer.Option("--limits", help="of isolated agents: seconds=5 (a move),load=60,memory=4096 (MiB)")
]
Spec = Annotated[str, typer.Argument(help="NAME[:key=value,...], a saved agent, or path.py:Class")]


# What is neither the user's mistake nor an agent's: a fault of ours, or of a plugin where we did not expect it.
UNEXPECTED = 70
DEBUG = "ELODROME_DEBUG"


@app.callback()
def _root(
    debug: Annotated[
        bool, typer.Option("--debug", help="show the traceback of an error; may stand anywhere, or ELODROME_DEBUG=1")
    ] = False,
) -> None:
    """An arena for reinforcement-learning agents: train, play, rate."""


def main() -> None:
    """Entry point: every error ends with one line on stderr, bad input with exit code 2, what nobody expected with 70;
    ``--debug`` or ELODROME_DEBUG=1 puts the traceback before it."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # what the locale cannot write is escaped
            stream.reconfigure(errors="backslashreplace")
    words = [word for word in sys.argv[1:] if word != "--debug"]
    if len(words) < len(sys.argv) - 1:
        os.environ[DEBUG] = "1"  # for worker processes too
    try:
        for word in words:
            if not word.isprintable() and any("\ud800" <= c <= "\udfff" for c in word):
                raise UserError(f"argument {shown(word)} is not text in the locale's encoding")
        code = app(words, standalone_mode=False)
    except BrokenPipeError:
        sys.exit(141)
    except BaseException as error:
        sys.exit(_failed(error))
    sys.exit(code if isinstance(code, int) else 0)


def _failed(error: BaseException) -> int:
    """Say what ended the command, in one line; its exit code."""
    if os.environ.get(DEBUG, "0") not in ("", "0"):
        traceback.print_exception(error)
    if isinstance(error, UserError):
        return _complain(told(error, 2000))
    if isinstance(error, (KeyboardInterrupt, EOFError)):
        return _complain("stopped", 130)
    if hasattr(error, "format_message"):
        # The command line's own errors: an unknown command or option, a bad or missing value.
        return _complain(_usage(error)) if str(error.format_message()) else 2
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return _complain(f"{error.filename}: {error.strerror}")
    last = traceback.extract_tb(error.__traceback__)[-1:]
    where = f" in {last[0].filename}, line {last[0].lineno}" if last else ""
    return _complain(f"unexpected {told(error)}{where}; --debug shows the traceback", UNEXPECTED)


def _complain(message: str, code: int = 2) -> int:
    say(f"elodrome: {printable(' '.join(message.split()), 2000)}", error=True)
    return code


def _usage(error: Any) -> str:
    """A usage error as one line with the nearest valid names."""
    message = " ".join(str(error.format_message()).split())
    missing = re.match(r"No such command ['\"](.*?)['\"]", message)
    if missing and error.ctx is not None:
        message = f"unknown command {missing[1]!r}{nearest(missing[1], error.ctx.command.commands)}"
    option = getattr(error, "option_name", None)
    if option and error.ctx is not None and message.startswith("No such option"):
        known = [name for parameter in error.ctx.command.params for name in parameter.opts if name.startswith("--")]
        message = f"unknown option {option!r}{nearest(option, known)}"
    return message


def _problems(what: str, problems: dict[str, str]) -> None:
    for name, reason in problems.items():
        say(f"elodrome: {what} {name} is skipped: {reason}", error=True)


@app.command()
def envs(as_json: AsJson = False) -> None:
    """List the worlds."""
    from elodrome.envs.registry import PREFIXES, entries

    found, problems = entries()
    if as_json:
        print_json(
            {
                "envs": [{"id": e.id, "summary": e.summary, "origin": e.origin} for e in found.values()],
                "prefixes": list(PREFIXES),
                "broken": problems,
            }
        )
        return
    print_table("Worlds", ["id", "what it is", "from"], [[e.id, e.summary, e.origin] for e in found.values()])
    say("and any world of others: gymnasium:CartPole-v1, pettingzoo:classic/connect_four_v3, open_spiel:kuhn_poker")
    _problems("plugin", problems)


@app.command()
def agents(
    env: Annotated[str | None, typer.Option("--env", help="only those that fit")] = None, as_json: AsJson = False
) -> None:
    """List the agents by chapter; with --env, those that fit a world, and the ones trained for it."""
    from elodrome.agents.registry import kinds

    found, problems = kinds()
    world = _world(env) if env else None
    listed = sorted(found.values(), key=lambda k: (k.about.chapter, k.id))
    if world is not None:
        from elodrome.agents.registry import unfit

        listed = [k for k in listed if unfit(k.about, world) is None]
    saved = _saved_agents(world) if world is not None else []
    if as_json:
        print_json(
            {
                "agents": [
                    {"id": k.id, "chapter": k.about.chapter, "summary": k.about.summary, "origin": k.origin}
                    for k in listed
                ],
                "trained": saved,
                "broken": problems,
            }
        )
        return
    title = f"Agents that fit {world.id}" if world is not None else "Agents"
    rows = [[k.about.chapter, k.id, k.about.summary, k.origin] for k in listed]
    print_table(title, ["chapter", "id", "what it is", "from"], rows)
    if saved:
        rows = [
            [
                *(s["name"], s["kind"], f"{s['steps']:,}", "" if s["elo"] is None else f"{s['elo']:.0f}"),
                "elodrome" if s["shipped"] else "you",
            ]
            for s in saved
        ]
        print_table("Trained for it", ["name", "kind", "steps", "Elo", "from"], rows, right=(2, 3))
    _problems("plugin", problems)


def _world(name: str) -> World:
    from elodrome.envs.registry import make_env

    return make_env(name)


def _saved_agents(world: World) -> list[dict[str, Any]]:
    from elodrome.agents.parts.saved import saved_agents

    return [
        {"name": a.name, "kind": a.card.kind, "steps": a.card.steps, "elo": a.elo, "shipped": a.shipped}
        for a in saved_agents(world)
    ]


@check_app.command("env")
def check_env_command(name: Annotated[str, typer.Argument(help="world")]) -> None:
    """Check a world: exit code 0 when it conforms, 1 with the findings when it does not."""
    from elodrome.envs.check import check_env

    _findings(f"world {name}", check_env(_world(name), name))


@check_app.command("agent")
def check_agent_command(spec: Spec, env: Env) -> None:
    """Check an agent on a world: exit code 0 when it conforms, 1 with the findings when it does not."""
    from elodrome.agents.check import check_agent
    from elodrome.agents.registry import runs_code

    if origin := runs_code(spec):
        say(f"{origin} runs with your rights: it can read, change and send whatever you can; load only what you trust")
    _findings(f"agent {spec} on {env}", check_agent(spec, _world(env)))


def _findings(what: str, findings: list[str]) -> None:
    for finding in findings:
        say(f"- {finding}")
    say(f"{what}: {'conforms' if not findings else f'{len(findings)} finding(s)'}")
    if findings:
        raise typer.Exit(1)


@app.command()
def train(
    agent: Annotated[str, typer.Argument(help="a kind of agent that learns")],
    env: Env,
    steps: Annotated[int | None, typer.Option(help="in the learner's own unit; its default where left out")] = None,
    seed: Seed = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "auto",
    settings: Annotated[list[str] | None, typer.Option("--set", help="key=value, may be repeated")] = None,
    out: Annotated[Path | None, typer.Option(help="folder of the run")] = None,
    resume: Annotated[bool, typer.Option(help="go on from the last checkpoint")] = False,
    checkpoint: Annotated[float, typer.Option(help="seconds between two checkpoints; 0: at every report")] = 20.0,
    keep: Annotated[int | None, typer.Option(help="every so many steps, keep the agent as it is then", min=1)] = None,
    examine: Annotated[int | None, typer.Option(help="every so many steps, play against --rivals", min=1)] = None,
    rivals: Annotated[str, typer.Option(help="specs, separated by commas; and the best of its own past")] = "random",
) -> None:
    """Train an agent and save it, with curves on the screen and in TensorBoard."""
    from elodrome.agents.agent import check_device
    from elodrome.agents.registry import split_specs
    from elodrome.arena.training import train as run
    from elodrome.envs.registry import parse_options

    world = _world(env)
    options: dict[str, Any] = {}
    for setting in settings or []:
        options |= parse_options("--set", setting)
    with progress_bars() as bars:
        task = bars.add_task(f"{agent} on {world.id}", total=None, note="")
        result = run(
            agent,
            world,
            steps=steps,
            seed=seed,
            device=check_device(device),
            options=options,
            out=out,
            resume=resume,
            checkpoint=checkpoint,
            keep=keep,
            examine=examine,
            rivals=split_specs(rivals),
            on_progress=lambda p, total: bars.update(
                task, completed=p.step, total=total, note="  ".join(f"{k} {v:.4g}" for k, v in p.metrics.items())
            ),
        )
    if result.already_done:
        say(f"{agent} on {world.id}: already trained for {result.steps} {result.unit}; nothing to do")
    else:
        say(f"{agent} on {world.id}: {result.steps} {result.unit} in {result.seconds:.1f} s; saved in {result.folder}")
    for remark in result.remarks:
        say(f"elodrome: {remark}", error=True)


@app.command()
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
    from elodrome.arena.match import hopeless, play_match
    from elodrome.arena.store import Store, default_store
    from elodrome.seeding import derive
    from elodrome.tournaments.runner import identity

    if resume and not keep:
        raise UserError("--resume goes on with games that were kept; it excludes --no-keep")
    world = _world(env)
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
    if _shortcomings([*keeper.troubles, *hopeless(result.records)]):
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
        say(f"Elo difference {summary['elo_difference']:+.0f}, 95 % from {low:+.0f} to {high:+.0f}")
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


def _shortcomings(lines: list[str]) -> bool:
    """Say on stderr why a result is not whole; whether there was anything to say (exit code 1)."""
    for line in lines:
        _complain(line)
    return bool(lines)


@app.command()
def strength(
    spec: Spec,
    env: Env,
    games: Annotated[
        int | None, typer.Option(help="against each opponent, and positions of each class; sensible where left out")
    ] = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Measure an agent: against exact solutions, other programs and fixed opponents, whatever its world has."""
    from elodrome.agents.registry import make_agent
    from elodrome.arena.strength.yardsticks import measure_strength

    world = _world(env)
    with progress_bars() as bars:
        task = bars.add_task(spec, total=None, note="")
        found = measure_strength(
            make_agent(spec, world),
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


@tournament_app.command("run")
def tournament_run(
    env: Env,
    agents: Annotated[
        str, typer.Option("--agents", help="specs, separated by commas outside of options: a,b:x=1,y=2,c")
    ],
    out: Annotated[Path, typer.Option(help="folder of results and report")],
    games: Annotated[int, typer.Option(help="per pairing")] = 100,
    format: Annotated[
        str, typer.Option("--format", help="round-robin or gauntlet (the first against the rest)")
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
    from elodrome.agents.registry import split_specs
    from elodrome.tournaments.ratings import leaderboard
    from elodrome.tournaments.report import Section, build_report
    from elodrome.tournaments.runner import TournamentConfig, run_tournament
    from elodrome.tournaments.schedule import FORMATS
    from elodrome.tournaments.showdown import default_workers

    if format not in FORMATS:
        raise unknown("format", format, FORMATS)
    world = _world(env)
    specs = split_specs(agents)
    config = _validated(
        TournamentConfig,
        env=world.id,
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
    if _shortcomings(result.shortcomings):
        raise typer.Exit(1)


def _validated(model: Any, **values: Any) -> Any:
    """A pydantic object, or its first complaint as one line."""
    from pydantic import ValidationError

    try:
        return model(**values)
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"{first['loc'][0]}={first['input']!r}: {first['msg'].lower()}") from None


@app.command()
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

    boards = ladders(source or default_store(), _world(env).id if env else None)
    if as_json:
        documents = [board.document() for board in boards]
        print_json(documents[0] if env else {"ladders": documents})
        return
    for board in boards:
        print_leaderboard(board)


@app.command()
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

    run(_world(env), against, seat, isolation=Isolation.parse(isolate, limits))


@app.command()
def watch(
    env: Annotated[str, typer.Argument(help="world")],
    specs: Annotated[list[str], typer.Argument(help="one or two agents")],
    isolate: Isolate = None,
    limits: Bounds = "",
) -> None:
    """Open the window and watch agents play."""
    from elodrome.agents.isolation.isolated import Isolation
    from elodrome.arena.ui.window import watch as run

    run(_world(env), specs, isolation=Isolation.parse(isolate, limits))


@app.command()
def gtp(
    spec: Spec,
    env: Annotated[str, typer.Option("--env", help="Go world to begin with; `boardsize` and `komi` change it")] = "go",
    seed: Seed = 0,
) -> None:
    """Make an agent a Go engine: the Go Text Protocol on stdin and stdout."""
    from contextlib import redirect_stdout

    from elodrome.arena.gtp import GtpServer, lines_of, serve

    out = sys.stdout
    with redirect_stdout(sys.stderr):  # whatever an agent prints is no answer
        serve(GtpServer(spec, env, seed), lines_of(sys.stdin.buffer), out)


@app.command()
def showdown(
    out: Annotated[Path, typer.Option(help="folder of agents, results and report")] = Path("showdown"),
    workers: Annotated[int | None, typer.Option(help="processes; one per core where left out")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "auto",
) -> None:
    """Train agents of every chapter on six worlds, rank them, write the report. Run again, it goes on."""
    from elodrome.agents.agent import check_device
    from elodrome.tournaments.showdown import default_workers, run_showdown

    with progress_bars() as bars:
        result = run_showdown(out, default_workers() if workers is None else workers, check_device(device), bars)
    for board in result.boards:
        print_leaderboard(board)
    for remark in result.remarks:
        say(remark)
    say(f"trained {result.trained} agents; played {result.played} games now, {result.kept} in all")
    say(f"report: {result.page} ({result.seconds:.0f} s)")
    if _shortcomings(result.shortcomings):
        raise typer.Exit(1)
