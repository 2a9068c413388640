"""Whether an agent plays a recorded game again as it did: a match is worth no more than its agents are repeatable."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from elodrome.agents.agent import Agent, Positions
from elodrome.agents.parts.answers import answered
from elodrome.arena.record import GameRecord, replay
from elodrome.envs.game import World

_WORD = 0xFFFFFFFFFFFFFFFF
_ROW = np.zeros(1, np.int64)


def stray(agent: Agent, record: GameRecord, label: str, world: World) -> int | None:
    """The first ply at which ``agent``, asked alone, answers otherwise than the one called ``label`` did in the record;
    None where it repeats all of them."""
    seed = np.array([record.agent_seed & _WORD], np.uint64)
    solo = len(record.moves) > 1
    agent.forget()
    for stream in range(len(record.moves)):
        if solo and record.agents[stream] != label:
            continue
        for ply, (table, action) in enumerate(replay(record, world, stream)):
            mine = action is not None and (solo or record.agents[int(table.seats[0])] == label)
            if not mine or ply < record.opening:
                continue
            (answer,) = agent.act(Positions.at(table, _ROW, seed))
            if answered(answer, world) != action:
                return ply + 1
    return None


def remarks_on(agent: Agent, label: str, records: Sequence[GameRecord], world: World) -> list[str]:
    """What is to be said of an agent that does not play its first or last game of ``records`` again as it did.

    Give a fresh agent: one that keeps something from game to game strays in the last."""
    sound = [r for r in records if label in r.agents and r.termination in ("win", "draw", "length")]
    for record in _ends(sound):
        try:
            ply = stray(agent, record, label, world)
        except Exception as error:  # it worked before
            return [f"{label} is not repeatable: asked again for game {record.id} it raised {type(error).__name__}"]
        if ply is not None:
            return [
                f"{label} is not repeatable: game {record.id}, played again from the same seed by a fresh one, "
                f"goes otherwise from move {ply} on; draw from position.rng and keep nothing from game to game"
            ]
    return []


def _ends(records: Sequence[GameRecord]) -> Iterable[GameRecord]:
    return {id(record): record for record in (*records[:1], *records[-1:])}.values()
