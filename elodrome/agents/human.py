"""A person at the terminal: sees the position, types the name of an action."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from elodrome.agents.agent import Agent, Position
from elodrome.envs.actions import as_array, kind_of_action
from elodrome.envs.game import Game
from elodrome.errors import UserError, nearest

ABOUT = {
    "cls": "Human",
    "chapter": "people",
    "summary": "a person who types moves at the terminal",
    "actions": ("discrete", "continuous"),
}


class Human(Agent):
    """Asks until the answer is the name (or the number) of a legal action, or as many numbers as an action has. Prompts
    go to stderr, so that what a command prints on stdout stays whole. Raises UserError when the input ends."""

    def choose(self, position: Position) -> Any:
        world = position.world
        names = {world.action_name(int(a)).lower(): int(a) for a in position.legal_actions}
        if isinstance(world, Game) and position.state is not None:
            _say(f"\n{world.draw(position.state)}\n")
        else:
            _say(f"\nobservation: {position.observation.tolist()}\n")
        wanted = kind_of_action(world) if world.continuous else f"legal: {', '.join(names)}"
        _say(f"{world.seat_name(position.seat)} to play; {wanted}\n")
        while True:
            _say("> ")
            line = sys.stdin.readline()
            if not line:
                raise UserError("the input ended before the game did")
            answer = line.strip().lower()
            if world.continuous:
                numbers = _numbers(answer)
                refused = f"not {wanted}" if numbers is None else world.refusal(numbers, position.legal)
                if numbers is not None and not refused:
                    return as_array(world, [numbers])[0]
                _say(f"{answer!r}: {refused}\n")
                continue
            if answer in names:
                return names[answer]
            if answer.isdecimal() and int(answer) in names.values():
                return int(answer)
            _say(f"{answer!r} is not legal here{nearest(answer, names)}\n")


def _numbers(line: str) -> tuple[float, ...] | None:
    """Numbers with blanks or commas between them; None where they are none."""
    try:
        return tuple(float(np.float32(word)) for word in line.replace(",", " ").split())
    except ValueError:
        return None


def _say(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()
