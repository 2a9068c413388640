"""Between the session and its agents: asks them off the drawing thread, carries out commands, says what happened.

Nothing here draws. The window calls ``tick`` often and a command when a person wants something; every change of the
position takes a new ticket, so that what an agent says of an older one is dropped.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from elodrome.agents.agent import RESIGN, Agent, Evaluation, Failure, Positions
from elodrome.agents.isolation.isolated import Isolation, seat_agent
from elodrome.agents.parts.answers import answered
from elodrome.arena.ui.advice import Choice, choices, opinion_of
from elodrome.arena.ui.archive import Archive, snapshot
from elodrome.arena.ui.counsel import Counsel, Tone
from elodrome.arena.ui.session import HUMAN, Driver, Session
from elodrome.arena.ui.thinker import Answer, Thinker
from elodrome.errors import IllegalAction, UserError

PACES = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)  # plies per second of agents that are watched
LASTS = 6.0
REPLY = 0.45  # seconds between a person's move and the agent's at the least: so that both are seen


@dataclass(frozen=True)
class Message:
    """The status line. What went wrong stays; the rest is gone after ``LASTS`` seconds."""

    text: str
    tone: Tone
    at: float

    def shown(self, now: float) -> bool:
        return bool(self.text) and (self.tone == "error" or now - self.at < LASTS)


class Director:
    """One game at the window. ``changed`` counts up with everything that is worth drawing again."""

    def __init__(
        self,
        session: Session,
        archive: Archive | None = None,
        *,
        overlay: bool = False,
        paused: bool = False,
        clock: Callable[[], float] = time.monotonic,
        isolation: Isolation | None = None,
    ) -> None:
        self.session, self.archive, self.clock, self.isolation = session, archive, clock, isolation
        self.paused = paused
        self.pace = 2
        self.thinker, self.clerk = Thinker("elodrome agent"), Thinker("elodrome clerk")
        self.counsel = Counsel(session, self.thinker, self.say, overlay)
        self.ticket = 0
        self.changed = 0
        self.message = Message("", "calm", clock())
        self.failure: str | None = None  # why the agent to move did not; cleared by whatever changes the game
        self.menu: list[Choice] | None = None
        self.refused: tuple[int, int] | None = None  # the cell of the last refused click
        self.moved_at = clock()
        self._asked_at: float | None = None
        self._answer: Answer | None = None
        self._single = False
        self._waking = False  # a newly chosen agent is being made; the old one is asked no more
        self._kept = True
        self._fresh()

    # State that the window shows

    @property
    def thinking(self) -> float | None:
        """For how many seconds the agent to move has been thinking, or None."""
        return None if self._asked_at is None else self.clock() - self._asked_at

    @property
    def people_to_move(self) -> bool:
        mover = self.session.mover
        return mover is not None and mover.human

    @property
    def active(self) -> bool:
        """Whether an answer is awaited, or an agent is about to be asked."""
        asked = self.thinker.busy or self.clerk.busy
        mover = self.session.mover
        due = mover is not None and not mover.human and not self.failure and (not self.paused or self._single)
        return asked or due

    def say(self, text: str, tone: Tone = "calm") -> None:
        """Put a line into the status bar."""
        self.message = Message(text, tone, self.clock())
        self.changed += 1

    # The loop

    def tick(self) -> None:
        """Collect what was answered and ask what is due; never waits."""
        for answer in self.clerk.answers():
            self._hear_clerk(answer)
        for answer in self.thinker.answers():
            self._hear(answer)
        if self._answer is not None and self.clock() >= self.moved_at + self._delay():
            answer, self._answer = self._answer, None
            self._move(answer)
        self._ask()

    def _delay(self) -> float:
        if self._single:
            return 0.0
        return 1.0 / PACES[self.pace] if self.session.watching or self.session.world.players == 1 else REPLY

    def _ask(self) -> None:
        if self._waking:
            return
        session, mover = self.session, self.session.mover
        self.counsel.ask_values(self.ticket)
        if mover is None:
            return
        if mover.agent is None or (self.paused and not self._single) or self.failure:
            self.counsel.ask_opinion(self.ticket)
            return
        if self._asked_at is None:
            self._asked_at = self.clock()
            positions, agent, wanted = session.positions(), mover.agent, self.counsel.with_move(self.ticket)
            self.thinker.submit(self.ticket, "move", lambda: _decide(agent, positions, wanted))
            self.changed += 1

    def _hear(self, answer: Answer) -> None:
        self.changed += 1
        if answer.topic == "agent":
            self._seat_agent(answer)
        elif answer.topic != "move":
            self.counsel.hear(answer, self.ticket)
        elif answer.ticket == self.ticket:
            self._answer = answer
            if answer.error is None and answer.value[0] is not None:
                self.counsel.take(answer.value[0], self.session.driver(self.session.seat).label)

    def _hear_clerk(self, answer: Answer) -> None:
        self.changed += 1
        if answer.topic == "menu":
            self.menu = answer.value or []
            if answer.error is not None:
                self.say(f"the agents could not be listed: {answer.error}", "error")
        elif answer.error is not None:
            self.say(f"the game could not be saved: {answer.error}", "error")

    def _move(self, answer: Answer) -> None:
        """The agent to move has answered: play it, or keep the game and say what is wrong."""
        self._asked_at = None
        mover = self.session.mover
        label = mover.label if mover else ""
        self._single = False
        if answer.error is not None:
            self._fail(f"{label} failed: {answer.error}")
            return
        action = answered(answer.value[1], self.session.world)
        if isinstance(action, Failure):
            self._fail(f"{label} {action}" if action.kind == "illegal" else f"{label} failed: {action}")
            return
        if action == RESIGN:
            if self.session.may_resign:
                self._give_up(label)
            else:
                self._fail(f"{label} resigns, which nobody can here")
            return
        try:
            self.session.play(action)
        except IllegalAction:
            known = isinstance(action, tuple) or 0 <= action < self.session.world.actions
            name = self.session.world.action_name(action) if known else str(action)
            self._fail(f"{label} answered {name}, which is not legal here")
            return
        self._advanced()
        if action == self.session.look.passing:
            self.say(f"{label} passes")

    def _give_up(self, label: str) -> None:
        """The seat to move resigns."""
        self.session.resign()
        self._advanced()
        self.say(f"{label} resign{'' if label == 'you' else 's'}")

    def _fail(self, reason: str) -> None:
        self.failure = reason
        self.say(reason, "error")

    # What changes the position

    def _fresh(self) -> None:
        """The position is another: whatever was asked of the old one is stale."""
        self.ticket += 1
        self._asked_at = self._answer = None
        self.failure = None
        self.refused = None
        self.counsel.forget()
        self.changed += 1

    def _advanced(self) -> None:
        """An action was played."""
        self.moved_at = self.clock()
        self._fresh()
        self._kept = False
        if self.session.over:
            self.counsel.settle()
        if self.message.tone != "calm" or not self.session.watching:
            self.say("")
        if self.session.over or not self.session.watching:
            self.save()

    def save(self) -> None:
        """Have the clerk write the game: into the results when it is over, into a file of its own while it goes on,
        or for good where the results do not count it (agents alone leave no file)."""
        if self.archive is None or self._kept:
            return
        self._kept = True
        archive, session = self.archive, self.session
        if session.over and session.counts:
            record = session.record()
            self.clerk.submit(0, "save", lambda: archive.finish(record))
        elif not session.watching:
            game = snapshot(session, "over" if session.over else "open")
            self.clerk.submit(0, "save", lambda: archive.keep(game))

    # Commands

    def click(self, row: int, column: int) -> bool:
        """A person plays on a cell; False, with the reason in the status line, when it is refused."""
        session = self.session
        if not self._may_play((row, column)):
            return False
        try:
            action = session.action_at(row, column)
        except IllegalAction as error:
            return self._refuse(str(error), (row, column))
        return self.act(action)

    def act(self, action: int) -> bool:
        """A person plays an action by its number (the arrow keys on a map)."""
        if not self._may_play(None):
            return False
        try:
            self.session.play(action)
        except IllegalAction:
            return self._refuse(f"{self.session.world.action_name(action)} is not legal here", None)
        self._advanced()
        return True

    def pass_turn(self) -> None:
        """A person passes, where the game knows it."""
        passing = self.session.look.passing
        if passing is not None and self.act(passing):
            self.say("you pass")

    def resign(self) -> None:
        """A person gives the game up."""
        if self._may_play(None):
            self._give_up("you")

    def _may_play(self, cell: tuple[int, int] | None) -> bool:
        mover = self.session.mover
        if mover is None:
            return self._refuse("the game is over; press N for a new one", cell)
        if self.session.watching:
            return self._refuse("the agents play here; choose yourself as a player to join in", cell)
        if not mover.human:
            return self._refuse(f"it is {mover.label}'s turn", cell)
        return True

    def _refuse(self, reason: str, cell: tuple[int, int] | None) -> bool:
        self.refused = cell
        self.say(reason, "warn")
        return False

    def undo(self) -> None:
        """Take back both plies (with agents alone: one, and pause)."""
        try:
            gone = self.session.undo()
        except UserError as error:
            self.say(str(error), "warn")
            return
        if self.session.watching:
            self.paused = True
        self._fresh()
        self._kept = False
        self.save()
        self.say("the game goes on" if gone == 0 else "took back one move" if gone == 1 else f"took back {gone} moves")

    def new_game(self) -> None:
        """Start again; a game in the middle is kept as it is."""
        playing = self.session.history and not self.session.over and not self.session.watching
        if self.archive is not None and playing:
            archive, game = self.archive, snapshot(self.session, "left")
            self.clerk.submit(0, "save", lambda: archive.keep(game))
        self.session.new_game()
        self._kept = True
        self._fresh()
        self.counsel.forget_game()
        self.moved_at = self.clock()
        self.say("new game")

    def switch_sides(self) -> None:
        """Change seats with the opponent; in a solo world hand the controls over."""
        self.session.switch_sides()
        self._fresh()
        self.moved_at = self.clock()
        drivers = [self.session.driver(seat) for seat in range(self.session.world.players)]
        who = ", ".join(
            f"{'you play' if d.human else d.label + ' plays'} {self.session.world.seat_name(s)}"
            for s, d in enumerate(drivers)
        )
        self.say(who)

    def ask_hint(self) -> None:
        """Ask what to play here."""
        self.counsel.ask_hint(self.ticket)

    def toggle_overlay(self) -> None:
        """Show or hide what the opponent thinks."""
        self.counsel.toggle()
        self.changed += 1

    def toggle_pause(self) -> None:
        self.paused = not self.paused
        self.moved_at = self.clock()
        self.say("paused" if self.paused else "")

    def step_once(self) -> None:
        """One ply of the agents, then pause."""
        self.paused = self._single = True
        self.changed += 1

    def change_pace(self, by: int) -> None:
        self.pace = min(max(self.pace + by, 0), len(PACES) - 1)
        self.say(f"{PACES[self.pace]:g} moves a second")

    def open_menu(self) -> None:
        """Have the list of opponents made, if it is not there yet."""
        if self.menu is None:
            world = self.session.world
            self.clerk.submit(0, "menu", lambda: choices(world))

    def choose(self, spec: str) -> None:
        """Give the opponent's place to ``spec``. A worker that is stuck in the old one is left behind."""
        index = self._place()
        if self.thinker.busy:
            self.thinker.abandon()
            self.counsel.forget_agents()
            self._waking = False
        if spec == HUMAN:
            self._put(index, Driver(HUMAN))
            return
        self._fresh()
        self._waking = True
        world, isolation = self.session.world, self.isolation
        self.say(f"waking {spec} ...")
        self.thinker.submit(self.ticket, "agent", lambda: (index, spec, seat_agent(spec, world, isolation)))

    def _place(self) -> int:
        """Whose place a newly chosen opponent takes."""
        index = self.session.opponent
        if index is not None:
            return index
        return 1 if len(self.session.drivers) > 1 else 0

    def _seat_agent(self, answer: Answer) -> None:
        self._waking = False
        if answer.error is not None:
            self.say(answer.error, "error")
            return
        index, label, agent = answer.value
        self._put(index, Driver(label, agent))

    def _put(self, index: int, driver: Driver) -> None:
        self.session.replace_driver(index, driver)
        self._fresh()
        self.counsel.forget_agents()
        self.moved_at = self.clock()
        self.say(f"{'another person' if driver.human else driver.label} sits down")

    def close(self, timeout: float = 5.0) -> None:
        """Write what is not written and leave; an agent in the middle of a search is not waited for."""
        self.save()
        self.thinker.close(0.0)
        self.clerk.close(timeout)


def _decide(agent: Agent, positions: Positions, wanted: bool) -> tuple[Evaluation | None, Any]:
    """(what the agent thinks where wanted, what it plays)."""
    try:
        opinion = opinion_of(agent, positions) if wanted else None
    except Exception:
        opinion = None  # a bad opinion is told when a person is to move; it must not cost the agent its move
    answers = agent.act(positions)
    if len(answers) != 1:
        raise UserError(f"act returned {len(answers)} actions for 1 position")
    return opinion, answers[0]
