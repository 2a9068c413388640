"""The ``elodrome`` command. Reading commands take --json: one JSON document on stdout and nothing else there.

Everything heavy is imported inside the command that needs it, so that ``elodrome envs`` answers at once.
"""

from __future__ import annotations

import os
import re
import sys
import traceback
from typing import Annotated, Any

import typer

from elodrome.cli import catalogue, drawing, playing, tournaments, training
from elodrome.cli.options import complain
from elodrome.errors import UserError, nearest, shown, told

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
for command in (
    *(catalogue.envs, catalogue.agents, training.train, playing.match, playing.strength, tournaments.ladder),
    *(playing.play, playing.watch, playing.gtp, tournaments.showdown, drawing.figures, drawing.figure),
):
    app.command()(command)
check_app.command("env")(catalogue.check_env)
check_app.command("agent")(catalogue.check_agent)
tournament_app.command("run")(tournaments.run)

# What is neither the user's mistake nor an agent's: a fault of ours, or of a plugin where we did not expect it.
UNEXPECTED = 70
UNREAD = 141  # as a shell says of one that SIGPIPE ended
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
        sys.stdout.flush()
    except BaseException as error:
        # Whoever read has gone; rich makes a SystemExit of it. What is buffered still goes nowhere.
        if isinstance(error, BrokenPipeError) or isinstance(error.__context__, BrokenPipeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(UNREAD)
        sys.exit(_failed(error))
    sys.exit(code if isinstance(code, int) else 0)


def _failed(error: BaseException) -> int:
    """Say what ended the command, in one line; its exit code."""
    if os.environ.get(DEBUG, "0") not in ("", "0"):
        traceback.print_exception(error)
    if isinstance(error, UserError):
        return complain(told(error, 2000))
    if isinstance(error, (KeyboardInterrupt, EOFError)):
        return complain("stopped", 130)
    if hasattr(error, "format_message"):
        # The command line's own errors: an unknown command or option, a bad or missing value.
        return complain(_usage(error)) if str(error.format_message()) else 2
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return complain(f"{error.filename}: {error.strerror}")
    last = traceback.extract_tb(error.__traceback__)[-1:]
    where = f" in {last[0].filename}, line {last[0].lineno}" if last else ""
    return complain(f"unexpected {told(error)}{where}; --debug shows the traceback", UNEXPECTED)


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
