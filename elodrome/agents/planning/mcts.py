"""Monte Carlo tree search: UCT with random rollouts, over any world of ours (notes 4.4, algorithm 11, eq. 4.1).

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
from elodrome.envs.engine import GOLDEN, REAL_ROWS, ROWS, STREAMS, below, mix, pick, pick_legal, unit
from elodrome.envs.game import Game, Reals, World, compiled
from elodrome.envs.intrinsics import row, rules_of
from elodrome.envs.signatures import (
    ACTIONS,
    HAS_CHANCE,
    HAS_PLAYOUT,
    I8,
    MAX_STEPS,
    OUTCOMES,
    PLAYERS,
    REALS,
    WORDS,
    WORLD,
)
from elodrome.envs.table import thread_pool
from elodrome.errors import UserError
from elodrome.seeding import mix64

ABOUT = {
    "cls": "MCTS",
    "chapter": "4",
    "summary": "UCT tree search with random rollouts and proven wins",
    "needs": ("state", "perfect"),
}

F8 = types.float64
CHANCE = -2  # the seat of a node at which dice are rolled
TIE = 1e-9


@compiled(I8(WORLD, ROWS, WORDS, STREAMS, I8, F8, F8, F8, F8, I8, REAL_ROWS, REALS, WORDS))
def search(
    world: Any,
    roots: Any,
    plies: Any,
    seeds: Any,
    simulations: int,
    c: float,
    discount: float,
    spread: float,
    top: float,
    solver: int,
    policy: Any,
    values: Any,
    choices: Any,
) -> int:
    """Search every root for itself: roots [B, W], plies [B], seeds [B] -> policy [B, A], values [B], choices [B].

    Returns the simulations made in all, fewer than B times ``simulations`` where roots were proven.

    spread: the width of the range of returns, by which they are scaled for eq. (4.1); 0: the width seen so far in this
    search. top: a return that cannot be beaten. discount: see ``own_discount``. policy is the share of visits among the
    actions that may be best, values the mean (or proven) return of the seat to act.
    """
    header, template = world
    rules = rules_of(header)
    players, actions, dice, limit = header[PLAYERS], header[ACTIONS], header[HAS_CHANCE], header[MAX_STEPS]
    playout = header[HAS_PLAYOUT] and discount == 1.0
    room = 1 + simulations * (actions + (header[OUTCOMES] if dice else 0))

    # The tree, one entry per node. The children of a node lie side by side from ``first``; q is the mean return from
    # the root on of the seat that chose the node (all siblings share what came before), exact where proven.
    q = np.empty(room)
    visits = np.empty(room, np.int32)
    first = np.empty(room, np.int32)
    size = np.empty(room, np.int32)
    tried = np.empty(room, np.int32)
    action_of = np.empty(room, np.int32)
    seat_of = np.empty(room, np.int32)
    proven = np.empty(room, np.uint8)
    exact = np.empty((room, players))

    # sqrt(ln N) and 1 / sqrt(n) of eq. (4.1), looked up instead of computed at every child.
    rise = np.zeros(simulations + 2)
    fall = np.zeros(simulations + 2)
    for n in range(1, simulations + 2):
        rise[n] = c * np.sqrt(np.log(n))
        fall[n] = 1.0 / np.sqrt(n)

    state = template.copy()
    mask = np.zeros(actions, np.uint8)
    rewards = np.zeros(players)
    returns = np.zeros(players)
    played = np.zeros(players)
    weights = np.zeros(players)
    probs = np.zeros(header[OUTCOMES])
    depth_limit = 2 * simulations + 2
    made = 0
    path = np.zeros(depth_limit, np.int64)
    chooser = np.zeros(depth_limit, np.int64)

    for b in range(roots.shape[0]):
        root = row(roots, b)
        rng = seeds[b]
        root_seat = rules[1](root)
        visits[0], size[0], tried[0], proven[0], seat_of[0], q[0] = 0, 0, 0, 0, root_seat, 0.0
        used = 1
        low, high = np.inf, -np.inf
        scale = 1.0 / spread if spread > 0 else 1.0
        for _ in range(simulations):
            if proven[0]:
                break
            for w in range(state.size):
                state[w] = root[w]
            returns[:] = 0.0
            weights[:] = 1.0
            node, depth, ply, fresh = 0, 0, plies[b], False
            path[0], chooser[0] = 0, root_seat

            while not fresh and not proven[node]:
                seat = seat_of[node]
                # Expansion: room for one child per legal action, in random order; one is tried per simulation.
                if size[node] == 0:
                    rules[2](state, mask)
                    first[node] = used
                    for a in range(actions):
                        if mask[a]:
                            rng += GOLDEN
                            at = used - first[node]
                            swap = below(mix(rng), at + 1)
                            action_of[used] = action_of[first[node] + swap]
                            action_of[first[node] + swap] = a
                            visits[used], size[used], tried[used], proven[used], q[used] = 0, 0, 0, 0, 0.0
                            used += 1
                    size[node] = used - first[node]
                # Selection: an untried child, else the largest UCB (4.1); a proven child is worth what it is.
                if tried[node] < size[node]:
                    child = first[node] + tried[node]
                    tried[node] += 1
                    fresh = True
                else:
                    child = first[node]
                    best = -np.inf
                    bonus = rise[visits[node]]
                    for i in range(first[node], first[node] + size[node]):
                        ucb = q[i] * scale
                        if not (proven[i] and solver):
                            ucb += bonus * fall[visits[i]]
                        if ucb > best:
                            best, child = ucb, np.int32(i)
                action = action_of[child]
                outcome = 0
                if dice:
                    count = rules[5](state, action, probs)
                    if count > 1:
                        if size[child] == 0:
                            seat_of[child], first[child], size[child] = CHANCE, used, count
                            for i in range(used, used + count):
                                visits[i], size[i], tried[i], proven[i], q[i] = 0, 0, 0, 0, 0.0
                            used += count
                        rng += GOLDEN
                        outcome = pick(probs, count, unit(mix(rng)))
                        depth += 1
                        path[depth], chooser[depth] = child, seat
                        child = np.int32(first[child] + outcome)
                        fresh = visits[child] == 0
                rewards[:] = 0.0
                rules[3](state, action, outcome, rewards)
                if ply > plies[b]:
                    weights[seat] *= discount
                for p in range(players):
                    returns[p] += weights[p] * rewards[p]
                ply += 1
                depth += 1
                path[depth], chooser[depth] = child, seat
                node = child

            # Evaluation: what is proven is known; elsewhere one random rollout.
            discovered = False
            if proven[node]:
                for p in range(players):
                    returns[p] = exact[node, p]
            else:
                seat_of[node] = rules[1](state)
                if seat_of[node] < 0 or ply >= limit:
                    discovered = True
                    proven[node] = 1
                    for p in range(players):
                        exact[node, p] = returns[p]
                elif playout:
                    rng += GOLDEN
                    played[:] = 0.0
                    rules[6](state, mix(rng), played)
                    for p in range(players):
                        returns[p] += played[p]
                else:
                    while ply < limit:
                        seat = rules[1](state)
                        if seat < 0:
                            break
                        rules[2](state, mask)
                        rng += GOLDEN
                        action = pick_legal(mask, mix(rng))
                        outcome = 0
                        if dice:
                            count = rules[5](state, action, probs)
                            if count > 1:
                                rng += GOLDEN
                                outcome = pick(probs, count, unit(mix(rng)))
                        rewards[:] = 0.0
                        rules[3](state, action, outcome, rewards)
                        weights[seat] *= discount
                        for p in range(players):
                            returns[p] += weights[p] * rewards[p]
                        ply += 1

            # Backup: visits and mean returns along the path.
            for i in range(depth, -1, -1):
                node = path[i]
                visits[node] += 1
                q[node] += (returns[chooser[i]] - q[node]) / visits[node]
            if spread <= 0.0:
                low = min(low, returns[root_seat])
                high = max(high, returns[root_seat])
                scale = 1.0 / (high - low) if high > low else 1.0
            # Backup of proofs, as far up as they reach. A leaf's exact value is its mean anyway.
            if discovered and solver:
                for i in range(depth - 1, -1, -1):
                    node = path[i]
                    seat = seat_of[node]
                    if seat == CHANCE:
                        break
                    winner = path[i + 1]
                    if exact[winner, seat] < top - TIE:
                        complete = tried[node] == size[node]
                        for j in range(first[node], first[node] + size[node]):
                            if not complete or not proven[j]:
                                complete = False
                                break
                            if exact[j, seat] > exact[winner, seat]:
                                winner = j
                        if not complete:
                            break
                    proven[node] = 1
                    for p in range(players):
                        exact[node, p] = exact[winner, p]
                    q[node] = exact[node, chooser[i]]

        # The answer: the most visited action. Where the best proven one is worth no less than the most visited of the
        # others, only the best proven ones count, else only the others. A tie is broken at random.
        values[b] = q[0]
        known, hope, most = -np.inf, -np.inf, 0
        for i in range(first[0], first[0] + tried[0]):
            if proven[i] and solver:
                known = max(known, q[i])
            elif visits[i] > most:
                most, hope = visits[i], q[i]
        sure = known >= hope
        total, most, ties = 0, 0, 0
        for a in range(actions):
            policy[b, a] = 0.0
        for i in range(first[0], first[0] + tried[0]):
            certain = proven[i] and solver
            if certain != sure or (certain and q[i] < known - TIE):
                continue
            total += visits[i]
            policy[b, action_of[i]] = visits[i]
            if visits[i] > most:
                most, ties = visits[i], 0
            if visits[i] == most:
                ties += 1
                rng += GOLDEN
                if below(mix(rng), ties) == 0:
                    choices[b] = action_of[i]
        for a in range(actions):
            policy[b, a] /= total
        made += visits[0]
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
        count = len(positions)
        policy, value, choice = np.zeros((count, self.world.actions)), np.zeros(count), np.zeros(count, np.int64)
        roots = np.ascontiguousarray(positions.states)
        plies, seeds = np.ascontiguousarray(positions.plies), mix64(positions.seeds)
        world, config = self.world.compiled, self.config

        def part(lo: int, hi: int) -> int:
            return search(
                world,
                roots[lo:hi],
                plies[lo:hi],
                seeds[lo:hi],
                config.simulations,
                config.c,
                self.world.discount,
                self._spread,
                self._top,
                int(config.solver),
                policy[lo:hi],
                value[lo:hi],
                choice[lo:hi],
            )

        parts = min(config.threads or os.cpu_count() or 1, count)
        edges = [count * i // parts for i in range(parts + 1)] if parts else []
        others = [thread_pool().submit(part, lo, hi) for lo, hi in pairwise(edges[1:])]
        made = part(0, edges[1]) if parts else 0
        return policy, value, choice, made + sum(done.result() for done in others)

    def act(self, positions: Positions) -> Ints:
        return self.search(positions)[2]

    def evaluate(self, positions: Positions) -> Evaluation:
        policy, value, _ = self.search(positions)
        return Evaluation(policy, value)
