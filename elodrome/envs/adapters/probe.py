"""OpenSpiel's games, loaded; and tried out first in a process of their own where parameters may be bad.

A bad parameter (``go(board_size=-5)``, ``hex(board_size=100000)``) may end the process from inside OpenSpiel's C++, eat
its memory or never come back, and OpenSpiel writes to stderr what it raises besides: none of this can be caught here.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from importlib import import_module
from typing import Any

import pyspiel

from elodrome.errors import BadOption

SECONDS, MEMORY, PLIES = 30, 8 << 30, 30


def load(name: str, options: dict[str, Any]) -> Any:
    """The game in which seats take turns (mean-field games come as they are)."""
    if name.startswith("python_"):
        import_module("open_spiel.python.games")  # registers those that are written in Python
    game = pyspiel.load_game(name, options) if options else pyspiel.load_game(name)
    simultaneous = game.get_type().dynamics == pyspiel.GameType.Dynamics.SIMULTANEOUS
    return pyspiel.convert_to_turn_based(game) if simultaneous else game


@cache
def probe(name: str, options: str, id: str) -> None:
    """Load and play a little in a process of its own. options: JSON. Raises BadOption with what went wrong there."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", f"from {__name__} import main; main()", name, options],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=SECONDS,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
    except subprocess.TimeoutExpired:
        raise BadOption(f"{id}: OpenSpiel did not make this game within {SECONDS} s") from None
    if done.returncode:
        # The last line it wrote, without the list of all games or parameters that may stand behind it.
        said = (done.stderr.strip().splitlines() or [f"OpenSpiel ended with code {done.returncode}"])[-1]
        raise BadOption(f"{id}: OpenSpiel refuses it: {said[:300]}")


def main() -> None:
    """In the process of its own: load the game, look at it, play its first legal actions."""
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    name, options = sys.argv[1:]
    try:
        game = load(name, json.loads(options))
        if game.get_type().dynamics == pyspiel.GameType.Dynamics.MEAN_FIELD:
            return
        state = game.new_initial_state()
        for _ in range(PLIES):
            if state.is_terminal():
                break
            if not state.is_chance_node() and game.get_type().provides_observation_tensor:
                state.observation_tensor(state.current_player())
            actions = state.legal_actions()
            if not actions:
                sys.exit("a game in which nothing can be done")
            state.apply_action(actions[0])
    except Exception as error:
        sys.exit(" ".join(str(error).split()) or type(error).__name__)
