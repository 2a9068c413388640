"""A person at the terminal: sees the position, types the name of an action."""

from __future__ import annotations

import sys

from elodrome.agents.agent import Agent, Position
from elodrome.envs.game import Game
from elodrome.errors import UserError, nearest

ABOUT = {"cls": "Human", "chapter": "people", "summary": "a person who types moves at the terminal"}


class Human(Agent):
    """Asks until the answer is the name (or the number) of a legal action. Prompts go to stderr, so that what a
    command prints on stdout stays whole. Raises UserError when the input ends."""

    def choose(self, position: Position) -> int:
        world = position.world
        legal = position.legal_actions
        names = {world.action_name(int(a)).lower(): int(a) for a in legal}
        if isinstance(world, Game) and position.state is not None:
            _say(f"\n{world.draw(position.state)}\n")
        else:
            _say(f"\nobservation: {position.observation.tolist()}\n")
        _say(f"{world.seat_name(position.seat)} to play; legal: {', '.join(names)}\n")
        while True:
            _say("> ")
            line = sys.stdin.readline()
            if not line:
                raise UserError("the input ended before the game did")
            answer = line.strip().lower()
            if answer in names:
                return names[answer]
            if answer.isdecimal() and int(answer) in names.values():
                return int(answer)
            _say(f"{answer!r} is not legal here{nearest(answer, names)}\n")


def _say(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()
