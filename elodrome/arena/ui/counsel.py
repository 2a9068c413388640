"""What the agents at the table think: opinions on the position, values of a whole map, hints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from elodrome.agents.agent import Agent, Evaluation
from elodrome.arena.record import scores_of
from elodrome.arena.ui.advice import MapValues, adviser, best_action, map_values, opinion_of
from elodrome.arena.ui.session import Session, expected_score
from elodrome.arena.ui.thinker import Answer, Thinker
from elodrome.envs.actions import Action
from elodrome.envs.game import Game, Reals

Tone = Literal["calm", "good", "warn", "error"]


@dataclass(frozen=True)
class Opinion:
    """What an agent thinks of the position on the table: policy [A], value of the seat to act or None."""

    label: str
    policy: Reals
    value: float | None


class Counsel:
    """Asks through the director's worker, so that the drawing thread never waits; keeps what is to be drawn.

    share: what seat 0 of two may expect, in [0, 1], when it was last said.
    """

    def __init__(self, session: Session, thinker: Thinker, say: Callable[[str, Tone], None], overlay: bool) -> None:
        self.session, self.thinker, self.say, self.overlay = session, thinker, say, overlay
        self.opinion: Opinion | None = None
        self.share: float | None = None
        self.values: MapValues | None = None
        self.hint: Action | None = None
        self._judged = -1  # the ticket for which an opinion was asked
        self._mapped: Agent | None = None  # whose values were asked
        self._adviser: tuple[str, Agent] | None = None

    @property
    def label(self) -> str:
        """The name of whoever is asked."""
        index = self.session.opponent
        return "nobody" if index is None else self.session.drivers[index].label

    @property
    def _judge(self) -> Agent | None:
        index = self.session.opponent
        return None if index is None else self.session.drivers[index].agent

    # What changes

    def forget(self) -> None:
        """The position is another."""
        self.opinion = self.hint = None

    def forget_game(self) -> None:
        """The game is another."""
        self.share = None

    def forget_agents(self) -> None:
        """Others sit at the table, or what was asked of them is lost."""
        self.values = self._mapped = None

    def settle(self) -> None:
        """The game is over: the result is what was to be expected."""
        if self.share is not None:
            self.share = scores_of(list(self.session.returns))[0]

    def toggle(self) -> None:
        """Show or hide what the opponent thinks."""
        self.overlay = not self.overlay
        self._judged = -1
        if not self.overlay:
            self.opinion = self.share = None
        elif self.session.opponent is None:
            self.say("no agent plays here whose thoughts could be shown; choose an opponent", "warn")

    # Asking

    def with_move(self, ticket: int) -> bool:
        """Whether the agent to move is to be asked for its opinion as well."""
        wanted = self.overlay and self.session.look.marker is None
        if wanted:
            self._judged = ticket
        return wanted

    def ask_opinion(self, ticket: int) -> None:
        """Once for each position of a board."""
        judge = self._judge
        if not self.overlay or judge is None or self._judged == ticket or self.session.look.marker is not None:
            return
        self._judged = ticket
        positions = self.session.positions()
        self.thinker.submit(ticket, "opinion", lambda: opinion_of(judge, positions))

    def ask_values(self, ticket: int) -> None:
        """The values of a whole map, once for each agent."""
        judge, world = self._judge, self.session.world
        if not self.overlay or judge is None or judge is self._mapped:
            return
        if self.session.look.marker is None or not isinstance(world, Game):
            return
        self._mapped, self.values = judge, None
        self.thinker.submit(ticket, "values", lambda: (judge, map_values(judge, world)))

    def ask_hint(self, ticket: int) -> None:
        """Ask a searcher what it would play here, or the opponent where none fits."""
        if self.session.over:
            self.say("the game is over; there is nothing to play", "warn")
            return
        positions, world = self.session.positions(), self.session.world
        judge, known, label = self._judge, self._adviser, self.label

        def advise() -> Any:
            found = known or adviser(world) or (None if judge is None else (label, judge))
            return None if found is None else (found, best_action(found[1], positions))

        self.say("looking for a good move ...", "calm")
        self.thinker.submit(ticket, "hint", advise)

    # Hearing

    def hear(self, answer: Answer, ticket: int) -> None:
        """An answer to one of the questions above; what was said of an older position is dropped."""
        if answer.topic == "values":
            self._hear_values(answer)
        elif answer.ticket == ticket and answer.topic == "opinion":
            self._hear_opinion(answer)
        elif answer.ticket == ticket and answer.topic == "hint":
            self._hear_hint(answer)

    def take(self, evaluation: Evaluation, label: str) -> None:
        """An opinion on the position on the table."""
        session = self.session
        value = None if evaluation.value is None else float(evaluation.value[0])
        self.opinion = Opinion(label, evaluation.policy[0], value)
        if value is not None and session.world.players == 2 and np.isfinite(session.world.return_range).all():
            self.share = expected_score(value, session.seat, session.world)

    def _hear_values(self, answer: Answer) -> None:
        if answer.error is not None:
            self.say(f"no values to draw: {answer.error}", "warn")
        elif answer.value[0] is self._mapped:
            self.values = answer.value[1]
            if self.values is None:
                self.say(f"{self.label} has no values to draw", "warn")

    def _hear_opinion(self, answer: Answer) -> None:
        if answer.error is not None:
            self.say(f"{self.label} has no opinion: {answer.error}", "warn")
        elif answer.value is None:
            self.say(f"{self.label} has no opinion on this position", "warn")
        else:
            self.take(answer.value, self.label)

    def _hear_hint(self, answer: Answer) -> None:
        if answer.error is not None or answer.value is None:
            self.say(f"no hint: {answer.error or 'nobody here can give one'}", "warn")
            return
        self._adviser, action = answer.value
        self.hint = action
        self.say(f"{answer.value[0][0]} would play {self.session.world.action_name(action)}", "good")
