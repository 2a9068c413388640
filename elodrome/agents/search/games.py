"""Whole games of any who choose, as arrays to learn from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from elodrome.agents.agent import Ints, Positions
from elodrome.agents.parts.heads import pick, probabilities, quantiles_of
from elodrome.agents.search.boardnet import BoardNet, NetEvaluator
from elodrome.agents.search.selfplay import to_go
from elodrome.envs.game import Floats, Mask, World
from elodrome.seeding import derive, generator, streams

Choose = Callable[[Positions], Any]  # actions [B]


class Played(NamedTuple):
    """n decisions of finished games: observations float32 [n, *shape], legal uint8 [n, A], actions, seats and games
    int64 [n], outcome float32 [n] (return of the seat that decided, from there to the end)."""

    observations: Floats
    legal: Mask
    actions: Ints
    seats: Ints
    games: Ints
    outcome: Floats


def play_games(world: World, games: int, seed: int, opening: int, choose: Choose) -> Played:
    """Play whole games; what happened before a game's random opening was over is left out."""
    table = world.table(games)
    table.reset(np.arange(games), streams(derive(seed, "dice"), games))
    plies = generator(seed, "opening").integers(0, opening + 1, games)
    words = streams(derive(seed, "agents"), games)
    rewards, movers = np.zeros((games, world.max_steps, world.players)), np.zeros((games, world.max_steps), np.int64)
    parts: list[tuple[Any, ...]] = []
    while len(rows := np.flatnonzero(table.seats >= 0)):
        at = Positions.at(table, rows, words[rows])
        random = at.plies < plies[rows]
        actions = pick(at.legal.astype(np.float64), quantiles_of(at))
        meant = np.flatnonzero(~random)
        if len(meant):
            chosen = Positions.at(table, rows[meant], words[rows[meant]])
            actions[meant] = np.asarray(choose(chosen), np.int64)
            parts.append((chosen.observations, chosen.legal, actions[meant], chosen.seats, rows[meant], chosen.plies))
        movers[rows, at.plies], rewards[rows, at.plies] = at.seats, table.step(rows, actions)
    observations, legal, taken, seats, of, plies = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    last = table.plies.max()
    outcome = to_go(rewards[:, :last], movers[:, :last], world.discount)[of, plies, seats]
    return Played(observations, legal, taken, seats, of, outcome.astype(np.float32))


def sampler(net: BoardNet, device: str) -> Choose:
    """Actions drawn from the policy of a network as it is now."""
    evaluator = NetEvaluator(net, device)

    def choose(positions: Positions) -> Ints:
        logits, _ = evaluator.answer(positions.observations)
        return pick(probabilities(logits, positions.legal), quantiles_of(positions))

    return choose
