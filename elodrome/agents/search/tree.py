"""Many search trees grown together, in flat arrays: PUCT, Gumbel root selection, proofs (notes 4.4-4.5).

A forest has one tree per game. ``grow`` takes the network's answers for all games at once, backs them up (``absorb``)
and walks every tree to the next position that must be evaluated (``descend``); ``conclude`` reads the result at the
root. Everything is compiled and free of the interpreter lock.

Values are returns of seat 0 in worlds of one seat or of two that pay each other; an edge holds the mean return of the
seat that moves there. Each seat's are discounted by its own decisions (``own_discount``). An evaluator judges for the
seat to act; minus that is taken for its word on the other's. What is proven is exact: ends of the game, nodes where
the mover has the best return there is, and nodes whose children are all proven (MCTS-Solver, Winands et al. 2008).

The records and their letters are in ``records.py``, what happens at the root in ``roots.py``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from elodrome.agents.ops.td import own_discount
from elodrome.agents.search.endgame import POSITIONS, solved
from elodrome.agents.search.records import (
    DISCOUNT,
    EDGES,
    ENDGAME,
    FPU,
    GAMES,
    I4_ROWS,
    LEAVES,
    NODES,
    PATH,
    SIMULATIONS,
    SOLVER,
    TIE,
    TOP,
    TREE,
    C,
    evaluator_at,
)
from elodrome.agents.search.roots import gumbel_root, ready_root
from elodrome.envs.engine import FLOAT_ROWS, MASKS, ROWS, STREAMS
from elodrome.envs.game import compiled
from elodrome.envs.intrinsics import row, rules_of
from elodrome.envs.signatures import ACTIONS, FLOATS, I8, MAX_STEPS, REALS, WORDS, WORLD

F8 = types.float64
# Rewards of all seats; and to solve endgames: states and legal actions by ply, positions left to look at.
SCRATCH = types.Tuple((REALS, ROWS, MASKS, WORDS))


@compiled(I8(EDGES, I8, I8, F8, FLOATS, F8, F8, F8, F8, types.boolean), _nrt=False, forceinline=True)
def puct(
    edges: Any,
    first: int,
    last: int,
    parent: float,
    share: Any,
    bonus: float,
    fpu: float,
    low: float,
    scale: float,
    some: bool,
) -> int:
    """The edge of the largest Q + c P sqrt(N(s)) / (1 + N(s, a)) (notes 4.5.2), returns scaled to [0, 1].

    bonus: c sqrt(N(s)). share [.]: 1 / (1 + n). parent: mean return of the mover at the node; an action that was never
    tried is expected to return that, less ``fpu`` (first-play urgency). Proven edges, if there are ``some``, are passed
    over: nothing more can be learned there.
    """
    unseen = (parent - low) * scale - fpu
    best, chosen = -np.inf, first
    for e in range(first, last):
        edge = edges[e]
        if some and edge.proven:
            continue
        n = edge.visits
        q = (edge.mean - low) * scale if n > 0 else unseen
        score = q + bonus * edge.prior * share[n]
        if score > best:
            best, chosen = score, e
    return chosen


@compiled(types.void(NODES, EDGES, PATH, GAMES, I8, F8, F8), _nrt=False)
def fade_up(nodes: Any, edges: Any, path: Any, games: Any, b: int, outcome: float, discount: float) -> None:
    """As ``back_up``, without proofs and with a discount, which stands before each seat's own decisions."""
    game = games[b]
    decides = nodes[edges[path[game.depth - 1].edge].child].seat
    first, second = outcome, outcome  # the return of seat 0, and minus that of seat 1
    low, high = game.low, game.high
    for i in range(game.depth - 1, -1, -1):
        edge, node = edges[path[i].edge], nodes[path[i].node]
        first = edge.reward + own_discount(discount, 0, decides) * first
        second = edge.reward + own_discount(discount, 1, decides) * second
        outcome, decides = first if node.seat == 0 else second, node.seat
        mine = outcome if node.seat == 0 else -outcome
        low, high = min(low, mine), max(high, mine)
        edge.visits += 1
        edge.mean += (mine - edge.mean) / edge.visits
        node.visits += 1
        node.value += (outcome - node.value) / node.visits
    game.low, game.high = low, high


@compiled(types.void(NODES, EDGES, PATH, GAMES, I8, F8, F8, I8, F8), _nrt=False)
def back_up(
    nodes: Any, edges: Any, path: Any, games: Any, b: int, outcome: float, discount: float, solver: int, top: float
) -> None:
    """Visits and mean returns along game b's pending path, from its end to the root, and proofs, as far as they reach.

    outcome: return of seat 0 from the end of the path on, and minus that of seat 1. The least and greatest return seen
    are kept up to date.

    An edge is worth what its child is; where nothing is proven, that is the mean of the outcomes seen there. A proof
    counts at once for all visits an edge has had, and no node is worth less to its mover than what is proven there.
    """
    if discount != 1.0:
        fade_up(nodes, edges, path, games, b, outcome, discount)
        return
    game = games[b]
    depth = game.depth
    sure = solver and depth > 0 and nodes[edges[path[depth - 1].edge].child].proven
    before = 0.0
    if sure:
        for i in range(depth):
            before += edges[path[i].edge].reward
    low, high = game.low, game.high
    added = outcome  # to the sum of what the visits of the next edge are worth
    for i in range(depth - 1, -1, -1):
        edge, node = edges[path[i].edge], nodes[path[i].node]
        mine = 1.0 if node.seat == 0 else -1.0
        outcome = edge.reward + outcome
        added = edge.reward + added
        low, high = min(low, mine * outcome), max(high, mine * outcome)
        visits, value = node.visits, np.float64(node.value)
        edge.visits += 1
        edge.mean += (mine * added - edge.mean) / edge.visits
        node.visits = visits + 1
        node.value = value + (added - value) / (visits + 1)
        if not sure and node.sure == -np.inf:
            continue
        worth = mine * max(mine * value, node.sure)
        if sure:
            before -= edge.reward
            edge.proven = 1
            node.sure = max(node.sure, edge.mean)
            if node.sure < top - mine * before - TIE:
                for j in range(node.first, node.first + node.size):
                    if not edges[j].proven:
                        sure = 0
                        break
            if sure:
                node.proven = 1
                node.value = mine * node.sure
        added = mine * max(mine * node.value, node.sure) * (visits + 1) - worth * visits
    game.low, game.high = low, high


@compiled(I8(WORLD, TREE, LEAVES, ROWS, WORDS, REALS, FLOATS, I4_ROWS, SCRATCH, I8), _nrt=False)
def descend(
    world: Any,
    tree: Any,
    leaves: Any,
    roots: Any,
    plies: Any,
    numbers: Any,
    share: Any,
    schedule: Any,
    scratch: Any,
    latent: int,
) -> int:
    """Walk every tree to the next position that must be evaluated; how many there are, k.

    roots [B, W], plies [B]. numbers: see ``records.SIMULATIONS``. share [n]: 1 / (1 + n). schedule [m, t]: see
    ``gumbel_root``; [0, 0] for PUCT at the root.
    latent: the tree stands on a learned model and no world is stepped: every action is legal below the root.
    """
    header, _template = world
    rules = rules_of(header)
    nodes_, edges_, paths_, games, logits_, gumbels_ = tree
    waiting_, seats, states, masks, out = leaves
    rewards, ahead, allowed, quota = scratch
    actions, seats_in_all, limit = header[ACTIONS], rewards.size, header[MAX_STEPS]
    simulations, solver, top = int(numbers[SIMULATIONS]), int(numbers[SOLVER]), numbers[TOP]
    found = 0
    for b in range(roots.shape[0]):
        nodes, edges, path, game = row(nodes_, b), row(edges_, b), row(paths_, b), games[b]
        state, leaf = row(states, found), waiting_[found]
        waiting = game.nodes == 0
        if waiting:  # the root itself
            game.depth = 0
            for w in range(state.size):
                state[w] = roots[b, w]
            seats[found] = 0 if latent else rules[1](state)
            leaf.above, leaf.taken = -1, -1
        while not waiting and game.done < simulations and not nodes[0].proven:
            game.done += 1
            for w in range(state.size):
                state[w] = roots[b, w]
            at, depth = 0, 0
            low = game.low if game.low <= game.high else 0.0  # no return was seen yet
            scale = 1.0 / (game.high - low) if game.high > low else 1.0
            while True:
                node = nodes[at]
                begin, end = node.first, node.first + node.size
                if at == 0 and schedule.shape[0] > 0:
                    e = gumbel_root(edges, node, row(logits_, b), row(gumbels_, b), schedule, numbers, low, scale)
                else:
                    parent = node.value if node.seat == 0 else -node.value
                    bonus = numbers[C] * np.sqrt(np.float64(node.visits))
                    e = puct(edges, begin, end, parent, share, bonus, numbers[FPU], low, scale, node.sure > -np.inf)
                edge = edges[e]
                path[depth].edge, path[depth].node = e, at
                depth += 1
                if not latent:
                    for p in range(seats_in_all):
                        rewards[p] = 0.0
                    rules[3](state, int(edge.action), 0, rewards)
                if edge.child >= 0:
                    at = edge.child
                    if nodes[at].proven:  # without the solver: the end of the game once more
                        game.depth = depth
                        back_up(nodes, edges, path, games, b, 0.0, numbers[DISCOUNT], solver, top)
                        break
                    continue
                leaf.above, leaf.taken = at, int(edge.action)
                if latent:
                    waiting = True
                    seats[found] = node.seat if seats_in_all == 1 else 1 - node.seat
                else:
                    edge.reward = rewards[0]
                    seats[found] = rules[1](state)
                    waiting = seats[found] >= 0 and plies[b] + depth < limit
                game.depth = depth
                gain: Any = 0.0
                follow = limit - plies[b] - depth
                if waiting and not latent and follow <= numbers[ENDGAME]:
                    quota[0] = POSITIONS
                    for w in range(state.size):
                        ahead[0, w] = state[w]
                    gain = solved(rules, ahead, allowed, rewards, quota, 0, follow, -top, top)
                    gain = gain if seats[found] == 0 else -gain
                    waiting = quota[0] < 0
                if not waiting:  # the end of the game, or as good as that: a proven leaf
                    edge.child = game.nodes
                    last = nodes[game.nodes]
                    game.nodes += 1
                    last.size, last.visits, last.value, last.proven = 0, 1, gain, 1
                    back_up(nodes, edges, path, games, b, gain, numbers[DISCOUNT], solver, top)
                break
        if waiting:
            leaf.game, leaf.node = b, game.nodes
            if not latent:
                rules[2](state, row(masks, found))
                rules[4](state, seats[found], row(out, found))
            elif leaf.above >= 0:
                mask = row(masks, found)
                for a in range(actions):
                    mask[a] = 1
            found += 1
    return found


@compiled(types.void(TREE, LEAVES, I8, FLOAT_ROWS, FLOATS, FLOATS, REALS, STREAMS), _nrt=False)
def absorb(
    tree: Any, leaves: Any, found: int, logits: Any, values: Any, gains: Any, numbers: Any, streams: Any
) -> None:
    """Make the nodes that ``descend`` asked for and back their values up.

    logits [k, A] and values [k] (for the seat to act) are the network's; gains [k] the rewards of the mover on the
    way there, in latent trees.
    """
    nodes_, edges_, paths_, games, logits_, _gumbels = tree
    waiting_, seats, _states, masks, _out = leaves
    for k in range(found):
        leaf = waiting_[k]
        b = leaf.game
        nodes, edges, path, game = row(nodes_, b), row(edges_, b), row(paths_, b), games[b]
        begin = game.edges
        end = begin
        mask, logit = row(masks, k), row(logits, k)
        most = np.float32(-np.inf)
        for a in range(mask.size):
            if mask[a]:
                most = max(most, logit[a])
                edge = edges[end]
                edge.action, edge.visits, edge.mean, edge.child, edge.reward = a, 0, 0.0, -1, 0.0
                edge.proven = 0
                end += 1
        total = np.float32(0.0)
        for e in range(begin, end):
            edges[e].prior = np.exp(logit[edges[e].action] - most)
            total += edges[e].prior
        for e in range(begin, end):
            edges[e].prior /= total
        game.nodes, game.edges = leaf.node + 1, end
        outcome = values[k] if seats[k] == 0 else -values[k]
        node = nodes[leaf.node]
        node.first, node.size, node.visits, node.value = begin, end - begin, 1, outcome
        node.seat, node.proven, node.sure = seats[k], 0, -np.inf
        if game.depth == 0:
            game.raw = values[k]
            ready_root(nodes, edges, row(logits_, b), numbers, streams, b)
            continue
        last = path[game.depth - 1]
        edges[last.edge].child = leaf.node
        if leaf.taken >= 0 and gains.size > 0:
            edges[last.edge].reward = gains[k] if nodes[last.node].seat == 0 else -gains[k]
        back_up(nodes, edges, path, games, b, outcome, numbers[DISCOUNT], int(numbers[SOLVER]), numbers[TOP])


@compiled(
    I8(
        *(WORLD, TREE, LEAVES, I8, FLOAT_ROWS, FLOATS, FLOATS, STREAMS),
        *(ROWS, WORDS, REALS, FLOATS, I4_ROWS, SCRATCH, I8),
    ),
    _nrt=False,
)
def grow(
    world: Any,
    tree: Any,
    leaves: Any,
    found: int,
    logits: Any,
    values: Any,
    gains: Any,
    streams: Any,
    roots: Any,
    plies: Any,
    numbers: Any,
    share: Any,
    schedule: Any,
    scratch: Any,
    latent: int,
) -> int:
    """``absorb`` the answers to the ``found`` leaves there were, and ``descend`` to the next: one call for both, as
    every call waits for the interpreter lock when it is done."""
    absorb(tree, leaves, found, logits, values, gains, numbers, streams)
    return descend(world, tree, leaves, roots, plies, numbers, share, schedule, scratch, latent)


@compiled(
    types.void(
        *(I8, WORLD, TREE, LEAVES, FLOAT_ROWS, FLOATS, FLOATS, STREAMS),
        *(ROWS, WORDS, REALS, FLOATS, I4_ROWS, SCRATCH),
    ),
    _nrt=False,
)
def run(
    address: int,
    world: Any,
    tree: Any,
    leaves: Any,
    logits: Any,
    values: Any,
    gains: Any,
    streams: Any,
    roots: Any,
    plies: Any,
    numbers: Any,
    share: Any,
    schedule: Any,
    scratch: Any,
) -> None:
    """The whole search with a compiled evaluator, without once coming back to Python. logits [B, A] and values [B] are
    scratch, gains is empty."""
    evaluate = evaluator_at(address)
    _waiting, seats, states, masks, seen = leaves
    found = 0
    while True:
        found = grow(
            world,
            tree,
            leaves,
            found,
            logits,
            values,
            gains,
            streams,
            roots,
            plies,
            numbers,
            share,
            schedule,
            scratch,
            0,
        )
        if found == 0:
            return
        evaluate(found, seen, masks, seats, states, logits, values)
