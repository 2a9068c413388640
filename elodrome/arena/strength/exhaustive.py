"""Every reply of the opponent, from both seats: what a small game's exact solution says of an agent's whole play."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from elodrome.agents.agent import Agent
from elodrome.agents.parts.solve import Judge
from elodrome.arena.strength.measurement import Measurement, Sheet, Tick, ask
from elodrome.envs.enumeration import enumerate_world
from elodrome.envs.game import Game, Words, World
from elodrome.errors import UserError
from elodrome.seeding import derive

LIMIT = 20_000  # states; beyond, walking them all is no quick yardstick
WALKS = 4  # seeds, where nothing else is wanted
TIE = 1e-9


@dataclass
class Walk:
    """One agent seed in one seat. A line is a whole game: the opponent's replies in order. positions: distinct ones in
    which the agent was asked; blunders: those in which its move lost value; illegal: those without a legal answer."""

    lines: int = 0
    won: int = 0
    drawn: int = 0
    lost: int = 0
    positions: int = 0
    blunders: int = 0
    illegal: int = 0
    examples: list[str] = field(default_factory=list)


def fits(world: World) -> bool:
    """Two seats, nothing hidden, no dice, and few enough states."""
    if not isinstance(world, Game) or world.players != 2 or not world.zero_sum:
        return False
    if world.information != "perfect" or world.simultaneous or world.has_chance:
        return False
    try:
        enumerate_world(world, LIMIT)
    except UserError:
        return False
    return True


def walk(world: Game, agent: Agent, judge: Judge, seat: int, seed: int) -> Walk:
    """Play the agent's answer wherever ``seat`` is to act and every legal action elsewhere.

    An answer depends on the position and the seed alone, so lines that meet go on as one, counted as often as they
    are. What is no legal action loses all lines through it.
    """
    found = Walk()
    start = world.template.copy()
    world.reset(start, 0)
    level: dict[bytes, tuple[Words, int]] = {start.tobytes(): (start, 1)}
    ply = 0
    while level:
        after: dict[bytes, tuple[Words, int]] = {}
        own = [(state, lines) for state, lines in level.values() if world.player(state) == seat]
        if own:
            states = np.array([state for state, _ in own])
            q = judge.values(states)
            actions = ask(agent, world, states, np.full(len(own), ply), seed, lambda _: None)
            found.positions += len(own)
            for (state, lines), action, worth in zip(own, actions, q, strict=True):
                if action < 0:
                    found.illegal += 1
                    found.lines += lines
                    found.lost += lines
                    continue
                if worth[action] < worth.max() - TIE:
                    found.blunders += 1
                    found.examples.append(f"{world.action_name(int(action))} in\n{world.draw(state)}")
                _advance(world, state, int(action), lines, seat, after, found)
        mask = np.zeros(world.actions, np.uint8)
        for state, lines in level.values():
            if world.player(state) != seat:
                world.legal(state, mask)
                for action in np.flatnonzero(mask):
                    _advance(world, state, int(action), lines, seat, after, found)
        level = after
        ply += 1
    return found


def _advance(
    world: Game, state: Words, action: int, lines: int, seat: int, after: dict[bytes, tuple[Words, int]], found: Walk
) -> None:
    """Play an action in all lines through a position: they end, or join those of the position after it."""
    later, rewards = state.copy(), np.zeros(2)
    world.step(later, action, 0, rewards)
    if world.player(later) >= 0:
        key = later.tobytes()
        after[key] = (later, after.get(key, (later, 0))[1] + lines)
        return
    found.lines += lines
    gain = rewards[seat]
    found.won += lines * bool(gain > 0)
    found.drawn += lines * bool(gain == 0)
    found.lost += lines * bool(gain < 0)


def measure(world: Game, agent: Agent, *, count: int | None = None, seed: int = 0, tick: Tick) -> Measurement:
    """Walk both seats with ``count`` seeds. Raises UserError for an agent that remembers earlier positions."""
    if agent.stateful:
        raise UserError("remembers earlier positions; only agents that do not can be walked through every reply")
    judge = Judge(world, LIMIT)
    walks = WALKS if count is None else min(count, WALKS)
    rows, document = [], {}
    for seat in (0, 1):
        runs = []
        for k in range(walks):
            runs.append(walk(world, agent, judge, seat, derive(seed, "walk", k)))
            tick("every reply", seat * walks + k + 1, 2 * walks)
        total = {
            name: sum(getattr(run, name) for run in runs)
            for name in ("lines", "won", "drawn", "lost", "positions", "blunders", "illegal")
        }
        example = next((run.examples[0] for run in runs if run.examples), None)
        document[world.seat_name(seat)] = {**total, "walks": walks, "first_blunder": example}
        rows.append([world.seat_name(seat), *(str(value) for value in total.values())])
    columns = ("as", "lines", "won", "drawn", "lost", "positions", "value-losing", "illegal")
    sheet = Sheet(f"Every reply, {walks} seeds", columns, rows)
    return Measurement("every_reply", document, [sheet])
