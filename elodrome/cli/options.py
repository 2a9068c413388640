"""What the commands share: options, worlds by name, and errors of one line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from elodrome.console import say
from elodrome.errors import printable

if TYPE_CHECKING:
    from elodrome.envs.game import World

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
    str,
    typer.Option(
        "--limits",
        help="of isolated agents: seconds=5 (a move),load=60,memory=4096 (MiB); limit_seconds=... in a spec: its own",
    ),
]
Spec = Annotated[
    str,
    typer.Argument(
        help="NAME[:key=value,...], a saved agent, or path.py:Class; limit_seconds=... there goes before --limits"
    ),
]


def the_world(name: str) -> World:
    """The world called ``name``."""
    from elodrome.envs.registry import make_env

    return make_env(name)


def complain(message: str, code: int = 2) -> int:
    """Say on stderr what is wrong, in one line; the exit code."""
    say(f"elodrome: {printable(' '.join(message.split()), 2000)}", error=True)
    return code


def shortcomings(lines: list[str]) -> bool:
    """Say on stderr why a result is not whole; whether there was anything to say (exit code 1)."""
    for line in lines:
        complain(line)
    return bool(lines)
