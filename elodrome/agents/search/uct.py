"""The tree of UCT in flat arrays, and what happens at its nodes on the way down and up (notes 4.4, eq. 4.1).

Every seat maximises its own return. Dice are nodes of their own: below an action lies one node for each outcome.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import types

from elodrome.agents.search.playing import GAME
from elodrome.envs.engine import GOLDEN, REAL_ROWS, U8, below, mix
from elodrome.envs.game import Game, compiled
from elodrome.envs.signatures import I8, MASK, REALS, WORDS

F8 = types.float64
BARE: Any = {"_nrt": False, "error_model": "numpy"}  # reference counts would cost more than the search
CHANCE = -2  # the seat of a node at which dice are rolled
TIE = 1e-9


class Nodes(NamedTuple):
    """One entry per node. The children of a node lie side by side from ``first``, ``size`` of them, ``tried`` of which
    were visited. q: the mean return from the root on of the seat that chose the node (all siblings share what came
    before), exact where proven; exact [., P] are then the returns of all seats. action: what led there; seat: who acts.

    rise, fall: c sqrt(ln N) and 1 / sqrt(n) of eq. (4.1), looked up instead of computed at every child.
    """

    q: Any
    visits: Any
    first: Any
    size: Any
    tried: Any
    action: Any
    seat: Any
    proven: Any
    exact: Any
    rise: Any
    fall: Any


_I4 = types.Array(types.int32, 1, "C")
# A game, a state [W], what a playout pays [P], the nodes of a path [2 * simulations + 2] and who chose them.
SCRATCH = types.Tuple((GAME, WORDS, REALS, WORDS, WORDS))
FOUND = types.Tuple((REAL_ROWS, REALS, WORDS))  # policy [B, A], values [B], choices [B]
NODES = types.NamedTuple((REALS, _I4, _I4, _I4, _I4, _I4, _I4, MASK, REAL_ROWS, REALS, REALS), Nodes)


def room_for(world: Game, simulations: int, c: float) -> tuple[Nodes, Any]:
    """An empty tree for one search after another with so many simulations, and scratch (``SCRATCH``)."""
    nodes = 1 + simulations * (world.actions + (world.outcomes if world.has_chance else 0))
    n = np.arange(simulations + 2)
    n[0] = 1  # is never asked for
    whole = [np.empty(nodes, np.int32) for _ in range(6)]
    proven, exact = np.empty(nodes, np.uint8), np.empty((nodes, world.players))
    tree = Nodes._make((np.empty(nodes), *whole, proven, exact, c * np.sqrt(np.log(n)), 1.0 / np.sqrt(n)))
    rewards, weights, returns, played = np.zeros((4, world.players))
    game = rewards, weights, returns, np.zeros(world.actions, np.uint8), np.zeros(world.outcomes)
    path, chooser = np.zeros((2, 2 * simulations + 2), np.int64)
    return tree, (game, world.template.copy(), played, path, chooser)


@compiled(types.void(NODES, I8), forceinline=True, **BARE)
def clear(tree: Any, node: int) -> None:
    """A node that was never visited."""
    tree.visits[node], tree.size[node], tree.tried[node], tree.proven[node], tree.q[node] = 0, 0, 0, 0, 0.0


@compiled(U8(NODES, I8, I8, MASK, U8), forceinline=True, **BARE)
def expand(tree: Any, node: int, used: int, mask: Any, rng: Any) -> Any:
    """Room behind the ``used`` nodes for one child per legal action, in random order; the stream after the draws."""
    count = 0
    for a in range(mask.size):
        if mask[a]:
            rng += GOLDEN
            swap = used + below(mix(rng), count + 1)
            tree.action[used + count] = tree.action[swap]
            tree.action[swap] = a
            clear(tree, used + count)
            count += 1
    tree.first[node], tree.size[node] = used, count
    return rng


@compiled(I8(NODES, I8, F8, I8), forceinline=True, **BARE)
def select(tree: Any, node: int, scale: float, solver: int) -> int:
    """An untried child, else that of the largest UCB (4.1); a proven child is worth what it is."""
    if tree.tried[node] < tree.size[node]:
        tree.tried[node] += 1
        return tree.first[node] + tree.tried[node] - 1
    child, best = tree.first[node], -np.inf
    bonus = tree.rise[tree.visits[node]]
    for i in range(tree.first[node], tree.first[node] + tree.size[node]):
        ucb = tree.q[i] * scale
        if not (tree.proven[i] and solver):
            ucb += bonus * tree.fall[tree.visits[i]]
        if ucb > best:
            best, child = ucb, np.int32(i)
    return child


@compiled(I8(NODES, I8, I8, I8), forceinline=True, **BARE)
def fork(tree: Any, node: int, used: int, count: int) -> int:
    """Room behind the ``used`` nodes for one child per outcome of the dice, unless there is; how many were made."""
    if tree.size[node] > 0:
        return 0
    tree.seat[node], tree.first[node], tree.size[node] = CHANCE, used, count
    for i in range(used, used + count):
        clear(tree, i)
    return count


@compiled(types.void(NODES, I8, REALS), forceinline=True, **BARE)
def seal(tree: Any, node: int, returns: Any) -> None:
    """An end of the game: its returns [P] are exact."""
    tree.proven[node] = 1
    for p in range(returns.size):
        tree.exact[node, p] = returns[p]


@compiled(types.void(NODES, WORDS, WORDS, I8, REALS), forceinline=True, **BARE)
def back_up(tree: Any, path: Any, chooser: Any, depth: int, returns: Any) -> None:
    """Visits and mean returns along a path, each node's of the seat that chose it."""
    for i in range(depth, -1, -1):
        node = path[i]
        tree.visits[node] += 1
        tree.q[node] += (returns[chooser[i]] - tree.q[node]) / tree.visits[node]


@compiled(types.void(NODES, WORDS, WORDS, I8, F8), **BARE)
def prove(tree: Any, path: Any, chooser: Any, depth: int, top: float) -> None:
    """Backup of proofs from the end of a path, whose exact value is its mean anyway, as far up as they reach. top: a
    return that cannot be beaten."""
    for i in range(depth - 1, -1, -1):
        node = path[i]
        seat = tree.seat[node]
        if seat == CHANCE:
            break
        winner = path[i + 1]
        if tree.exact[winner, seat] < top - TIE:
            complete = tree.tried[node] == tree.size[node]
            for j in range(tree.first[node], tree.first[node] + tree.size[node]):
                if not complete or not tree.proven[j]:
                    complete = False
                    break
                if tree.exact[j, seat] > tree.exact[winner, seat]:
                    winner = j
            if not complete:
                break
        tree.proven[node] = 1
        for p in range(tree.exact.shape[1]):
            tree.exact[node, p] = tree.exact[winner, p]
        tree.q[node] = tree.exact[node, chooser[i]]


@compiled(I8(NODES, I8, U8, REALS), **BARE)
def conclude(tree: Any, solver: int, rng: Any, policy: Any) -> int:
    """The action to play, and into policy [A] the share of visits among those that may be best.

    The most visited action. Where the best proven one is worth no less than the most visited of the others, only the
    best proven ones count, else only the others. A tie is broken at random.
    """
    known, hope, most = -np.inf, -np.inf, 0
    begin, end = tree.first[0], tree.first[0] + tree.tried[0]
    for i in range(begin, end):
        if tree.proven[i] and solver:
            known = max(known, tree.q[i])
        elif tree.visits[i] > most:
            most, hope = tree.visits[i], tree.q[i]
    sure = known >= hope
    choice, total, most, ties = 0, 0, 0, 0
    for a in range(policy.size):
        policy[a] = 0.0
    for i in range(begin, end):
        certain = tree.proven[i] and solver
        if certain != sure or (certain and tree.q[i] < known - TIE):
            continue
        total += tree.visits[i]
        policy[tree.action[i]] = tree.visits[i]
        if tree.visits[i] > most:
            most, ties = tree.visits[i], 0
        if tree.visits[i] == most:
            ties += 1
            rng += GOLDEN
            if below(mix(rng), ties) == 0:
                choice = tree.action[i]
    for a in range(policy.size):
        policy[a] /= total
    return choice
