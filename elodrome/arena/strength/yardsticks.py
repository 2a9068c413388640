"""All yardsticks that fit an agent's world, one after the other."""

from __future__ import annotations

from elodrome.agents.agent import Agent
from elodrome.arena.strength import connect_four, exhaustive, go, rivals
from elodrome.arena.strength.measurement import Measurement, Tick
from elodrome.envs.game import Game, World
from elodrome.errors import UserError


def measure_strength(
    agent: Agent, world: World, *, count: int | None = None, seed: int = 0, tick: Tick = lambda *_: None
) -> list[Measurement]:
    """What every yardstick that fits ``world`` says of ``agent``, the sharpest first.

    count: games against each opponent, and positions of each class; each yardstick's own number where left out.
    Raises UserError where none fits.
    """
    if count is not None and count < 1:
        raise UserError(f"--games {count}: at least 1 is needed")
    found = []
    if isinstance(world, Game):
        if connect_four.fits(world):
            found.append(connect_four.measure(world, agent, count=count, seed=seed, tick=tick))
        if exhaustive.fits(world) and not agent.stateful:
            found.append(exhaustive.measure(world, agent, count=count, seed=seed, tick=tick))
        if go.fits(world):
            found.append(go.measure(world, agent, count=count, seed=seed, tick=tick))
    if rivals.fits(world):
        found.append(rivals.measure(world, agent, count=count, seed=seed, tick=tick))
    if not found:
        raise UserError(f"no yardstick fits {world.id}: it has {world.players} seats; play a tournament instead")
    return found
