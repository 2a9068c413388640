"""Monte Carlo tree search: UCT with random playouts, over any world of ours (notes 4.4, algorithm 11, eq. 4.1).

Every seat maximises its own return, so that games of one, two or more seats, zero-sum or not, are searched by the
same loop. Dice are nodes of their own: below an action lies one node for each outcome, and outcomes are sampled. What
is proven is not guessed again: an end of the game is exact, a seat that can reach the best possible return has it,
and a node whose children are all exact takes the best of them (MCTS-Solver, Winands et al. 2008).
"""

from __future__ import annotations

import os
from itertools import pairwise
from typing import Any

import numpy as np
from numba import types
from pydantic import Field

from elodrome.agents.agent import Agent, Config, Evaluation, Ints, Positions
from elodrome.agents.search import uct
from elodrome.agents.search.playing import play_on, play_out, take
from elodrome.envs.engine import GOLDEN, ROWS, STREAMS, mix, pick, unit
from elodrome.envs.game import Game, Reals, World, compiled
from elodrome.envs.intrinsics import row, rules_of
from elodrome.envs.signatures import HAS_CHANCE, HAS_PLAYOUT, I8, MAX_STEPS, PLAYERS, WORDS, WORLD
from elodrome.envs.table import thread_pool
from elodrome.errors import UserError
from elodrome.seeding import mix64

ABOUT = {
    "cls": "MCTS",
    "chapter": "4",
    "summary": "UCT tree search with random playouts and proven wins",
    "needs": ("state", "perfect"),
}

F8 = types.float64


@compiled(
    I8(WORLD, uct.NODES, uct.SCRATCH, types.Tuple((ROWS, WORDS, STREAMS)), I8, F8, F8, F8, I8, uct.FOUND), **uct.BARE
)
def search(
    world: Any,
    tree: Any,
    scratch: Any,
    given: Any,
    simulations: int,
    discount: float,
    spread: float,
    top: float,
    solver: int,
    found: Any,
) -> int:
    """Search every root for itself: roots [B, W], plies [B], seeds [B] given; policy [B, A], values [B], choices
    [B] found. Returns the simulations made in all, fewer than B times ``simulations`` where roots were proven.

    spread: the width of the range of returns, by which they are scaled for eq. (4.1); 0: the width seen so far in this
    search. top: a return that cannot be beaten. discount: see ``own_discount``. policy is the share of visits among the
    actions that may be best, values the mean (or proven) return of the seat to act.
    """
    (roots, plies, seeds), (policy, values, choices) = given, found
    header, _template = world
    rules = rules_of(header)
    players, dice, limit = header[PLAYERS], header[HAS_CHANCE], header[MAX_STEPS]
    playout = header[HAS_PLAYOUT] and discount == 1.0
    game, state, played, path, chooser = scratch
    _rewards, weights, returns, mask, probs = game
    made = 0
    for b in range(roots.shape[0]):
        root, rng = row(roots, b), seeds[b]
        root_seat = rules[1](root)
        uct.clear(tree, 0)
        tree.seat[0] = root_seat
        used, low, high = 1, np.inf, -np.inf
        scale = 1.0 / spread if spread > 0 else 1.0
        for _ in range(simulations):
            if tree.proven[0]:
                break
            for w in range(state.size):
                state[w] = root[w]
            for p in range(players):
                returns[p], weights[p] = 0.0, 1.0
            node, depth, ply, fresh = 0, 0, plies[b], False
            path[0], chooser[0] = 0, root_seat

            # Selection, to a node that was never visited or needs no more; and expansion of what is passed.
            while not fresh and not tree.proven[node]:
                seat = tree.seat[node]
                if tree.size[node] == 0:
                    rules[2](state, mask)
                    rng = uct.expand(tree, node, used, mask, rng)
                    used += tree.size[node]
                fresh = tree.tried[node] < tree.size[node]
                child = uct.select(tree, node, scale, solver)
                action, outcome = tree.action[child], 0
                if dice:
                    count = rules[5](state, action, probs)
                    if count > 1:
                        used += uct.fork(tree, child, used, count)
                        rng += GOLDEN
                        outcome = pick(probs, count, unit(mix(rng)))
                        depth += 1
                        path[depth], chooser[depth] = child, seat
                        child = tree.first[child] + outcome
                        fresh = tree.visits[child] == 0
                take(rules, state, seat, action, outcome, discount if ply > plies[b] else 1.0, game)
                ply, depth = ply + 1, depth + 1
                path[depth], chooser[depth] = child, seat
                node = child

            # Evaluation: what is proven is known; elsewhere one random playout.
            discovered = False
            if tree.proven[node]:
                for p in range(players):
                    returns[p] = tree.exact[node, p]
            else:
                tree.seat[node] = rules[1](state)
                if tree.seat[node] < 0 or ply >= limit:
                    discovered = True
                    uct.seal(tree, node, returns)
                elif playout:
                    rng += GOLDEN
                    play_out(rules, state, mix(rng), played, returns)
                else:
                    rng = play_on(rules, state, plies[b], ply, limit, discount, dice, rng, game)

            uct.back_up(tree, path, chooser, depth, returns)
            if spread <= 0.0:
                low = min(low, returns[root_seat])
                high = max(high, returns[root_seat])
                scale = 1.0 / (high - low) if high > low else 1.0
            if discovered and solver:
                uct.prove(tree, path, chooser, depth, top)

        values[b] = tree.q[0]
        choices[b] = uct.conclude(tree, solver, rng, row(policy, b))
        made += tree.visits[0]
    return made


class MCTSConfig(Config):
    """simulations: per move (at most, for a proven root needs no more). c: exploration in eq. (4.1), on returns
    scaled to a range of width 1. solver: whether proofs are backed up. threads: None is one per core."""

    simulations: int = Field(1000, ge=1, le=10_000_000)
    c: float = Field(0.7, ge=0.0)
    solver: bool = True
    threads: int | None = Field(None, ge=1)


class MCTS(Agent):
    """Searches every position from scratch, each with its own seed: the answer depends on the position alone."""

    config_class = MCTSConfig
    config: MCTSConfig
    world: Game

    def __init__(self, world: World, config: Config | None = None) -> None:
        super().__init__(world, config)
        low, high = world.return_range
        # The declared range of a solo world is a bound, often a loose one; there the range seen is used.
        self._spread = high - low if world.players > 1 else 0.0
        # Discounted, what is paid early and taken away late may come to more than that.
        self._top = high if world.discount == 1.0 or (world.terminal_rewards and high >= 0.0) else np.inf

    def search(self, positions: Positions) -> tuple[Reals, Reals, Ints]:
        """(policy [B, A], value [B], choice [B]) of a batch of positions."""
        return self._search(positions)[:3]

    def count(self, positions: Positions) -> int:
        """Search them for nothing but the number of simulations made, for measuring speed."""
        return self._search(positions)[3]

    def _search(self, positions: Positions) -> tuple[Reals, Reals, Ints, int]:
        if positions.states is None:
            raise UserError(f"mcts needs the state of the game, and {self.world.id} hides it")
        count, config = len(positions), self.config
        roots, plies = np.ascontiguousarray(positions.states), np.ascontiguousarray(positions.plies)
        given = roots, plies, mix64(positions.seeds)
        found = np.zeros((count, self.world.actions)), np.zeros(count), np.zeros(count, np.int64)
        numbers: Any = config.simulations, self.world.discount, self._spread, self._top, int(config.solver)

        def part(lo: int, hi: int) -> int:
            room = uct.room_for(self.world, config.simulations, config.c)
            ours, theirs = (tuple(a[lo:hi] for a in arrays) for arrays in (given, found))
            return int(search(self.world.compiled, *room, ours, *numbers, theirs))  # type: ignore[call-arg]

        parts = min(config.threads or os.cpu_count() or 1, count)
        edges = [count * i // parts for i in range(parts + 1)] if parts else []
        others = [thread_pool().submit(part, lo, hi) for lo, hi in pairwise(edges[1:])]
        made = part(0, edges[1]) if parts else 0
        return *found, made + sum(done.result() for done in others)

    def act(self, positions: Positions) -> Ints:
        return self.search(positions)[2]

    def evaluate(self, positions: Positions) -> Evaluation:
        policy, value, _ = self.search(positions)
        return Evaluation(policy, value)
