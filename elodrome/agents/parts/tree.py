"""Many search trees grown together, in flat arrays: PUCT, Gumbel root selection, proofs (notes 4.4-4.5).

A forest has one tree per game. ``grow`` takes the network's answers for all games at once, backs them up (``absorb``)
and walks every tree to the next position that must be evaluated (``descend``); ``conclude`` reads the result at the
root. Everything is compiled and free of the interpreter lock.

Values are returns of seat 0 in worlds of one seat or of two with opposite returns; an edge holds the mean return of
the seat that moves there. What is proven is exact: ends of the game, nodes where the mover has the best return there
is, and nodes whose children are all proven (MCTS-Solver, Winands et al. 2008).

Nodes and edges are records, so that what a walk reads at one of them shares a cache line.

Letters: B games, A actions, W words of a row, O floats of an observation, N nodes of a tree, E edges, D depth.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import from_dtype, types

from elodrome.envs.engine import FLOAT_ROWS, GOLDEN, MASKS, REAL_ROWS, ROWS, STREAMS, U8, below, mix, unit
from elodrome.envs.game import compiled
from elodrome.envs.intrinsics import function_at, row, rules_of
from elodrome.envs.signatures import ACTIONS, FLOATS, I8, MAX_STEPS, REALS, WORDS, WORLD

F8 = types.float64
I4_ROWS = types.Array(types.int32, 2, "C")
TIE = 1e-6

# first: its first edge; size: number of edges; value: mean return of seat 0; seat: that acts.
NODE = np.dtype(
    [("first", "i4"), ("size", "i4"), ("visits", "i4"), ("value", "f4"), ("seat", "u1"), ("proven", "u1")], align=True
)
# mean: return of the mover; child: its node or -1; reward: of seat 0.
EDGE = np.dtype(
    [("prior", "f4"), ("visits", "i4"), ("mean", "f4"), ("child", "i4"), ("action", "i4"), ("reward", "f4")], align=True
)
# nodes, edges: used; done: simulations made; depth: of the pending path; low, high: least and greatest return seen;
# raw: the network's value of the root, for its mover.
GAME = np.dtype(
    [("nodes", "i4"), ("edges", "i4"), ("done", "i4"), ("depth", "i4"), ("low", "f8"), ("high", "f8"), ("raw", "f4")],
    align=True,
)
STEP = np.dtype([("edge", "i4"), ("node", "i4")], align=True)  # of a path: an edge, and the node it leaves
# A game that waits for the network: node to be made, node above and action taken there.
LEAF = np.dtype([(name, "i8") for name in ("game", "node", "above", "taken")], align=True)


def _records(dtype: Any, dimensions: int) -> Any:
    return types.Array(from_dtype(dtype), dimensions, "C")


NODES, EDGES, PATH, GAMES = _records(NODE, 1), _records(EDGE, 1), _records(STEP, 1), _records(GAME, 1)
# The trees: nodes [B, N], edges [B, E], pending paths [B, D], games [B], and of the root's edges, in their order, the
# logarithm of the prior [B, A] and the Gumbel noise [B, A].
TREE = types.Tuple((_records(NODE, 2), _records(EDGE, 2), _records(STEP, 2), GAMES, REAL_ROWS, FLOAT_ROWS))
# What waits for the network: leaves [k], seats to act [k], states [k, W] (worlds only), legal actions [k, A],
# observations [k, O].
LEAVES = types.Tuple((_records(LEAF, 1), WORDS, ROWS, MASKS, FLOAT_ROWS))

# An evaluator in compiled code: (k, observations [., O], legal [., A], seats [.], states [., W], logits [., A],
# values [.]) writes the first k rows of the last two.
EVALUATE = types.void(I8, FLOAT_ROWS, MASKS, WORDS, ROWS, FLOAT_ROWS, FLOATS)
evaluator_at = function_at(EVALUATE)

# Numbers of a search: see ``search.SearchConfig``; TOP: the greatest return there is.
SIMULATIONS, C, FPU, DISCOUNT, SOLVER, TOP, C_VISIT, C_SCALE, ALPHA, NOISE = range(10)


@compiled(I8(EDGES, I8, I8, F8, FLOATS, F8, F8, F8, F8), _nrt=False, forceinline=True)
def puct(
    edges: Any, first: int, last: int, parent: float, share: Any, bonus: float, fpu: float, low: float, scale: float
) -> int:
    """The edge of the largest Q + c P sqrt(N(s)) / (1 + N(s, a)) (notes 4.5.2), returns scaled to [0, 1].

    bonus: c sqrt(N(s)). share [.]: 1 / (1 + n). parent: mean return of the mover at the node; an action that was never
    tried is expected to return that, less ``fpu`` (first-play urgency).
    """
    unseen = (parent - low) * scale - fpu
    best, chosen = -np.inf, first
    for e in range(first, last):
        edge = edges[e]
        n = edge.visits
        q = (edge.mean - low) * scale if n > 0 else unseen
        score = q + bonus * edge.prior * share[n]
        if score > best:
            best, chosen = score, e
    return chosen


@compiled(F8(EDGES, I8, I8, F8), _nrt=False)
def mixed_value(edges: Any, first: int, last: int, raw: float) -> float:
    """v_mix: the network's value and the visited actions' returns, weighed by prior (Danihelka et al. 2022, eq. 33)."""
    total, mass, weighed = 0, 0.0, 0.0
    for e in range(first, last):
        edge = edges[e]
        if edge.visits > 0:
            total += edge.visits
            mass += edge.prior
            weighed += edge.prior * edge.mean
    if total == 0 or mass <= 0.0:
        return raw
    return (raw + total * weighed / mass) / (1 + total)


@compiled(types.void(EDGES, I8, I8, F8, REALS, F8, F8, F8, F8, REALS), _nrt=False)
def improved_logits(
    edges: Any,
    first: int,
    last: int,
    raw: float,
    logits: Any,
    low: float,
    scale: float,
    c_visit: float,
    c_scale: float,
    out: Any,
) -> None:
    """ln P + sigma(completed Q) of every edge, into out [edges] (Danihelka et al. 2022, eq. 10 and 11)."""
    most = 0
    for e in range(first, last):
        most = max(most, edges[e].visits)
    sigma = (c_visit + most) * c_scale
    completed = mixed_value(edges, first, last, raw)
    for e in range(first, last):
        q = edges[e].mean if edges[e].visits > 0 else completed
        out[e - first] = logits[e - first] + sigma * (q - low) * scale


@compiled(I8(EDGES, I8, I8, F8, REALS, FLOATS, I8, F8, F8, F8, F8, REALS), _nrt=False)
def gumbel_root(
    edges: Any,
    first: int,
    last: int,
    raw: float,
    logits: Any,
    gumbel: Any,
    wanted: int,
    low: float,
    scale: float,
    c_visit: float,
    c_scale: float,
    scratch: Any,
) -> int:
    """Sequential halving at the root: the best of the actions that have ``wanted`` visits, by g + ln P + sigma(Q)."""
    most = 0
    for e in range(first, last):
        most = max(most, edges[e].visits)
    sigma = (c_visit + most) * c_scale * scale
    best, chosen = -np.inf, -1
    for e in range(first, last):
        edge = edges[e]
        if edge.visits == wanted:
            score = logits[e - first] + gumbel[e - first]
            if wanted > 0:  # where none was tried, the completed Q is the same for all
                score += sigma * (edge.mean - low)
            if score > best:
                best, chosen = score, e
    if chosen >= 0:
        return chosen
    improved_logits(edges, first, last, raw, logits, low, scale, c_visit, c_scale, scratch)
    chosen = first
    for e in range(first, last):
        score = scratch[e - first] + gumbel[e - first]
        if score > best:
            best, chosen = score, e
    return chosen


@compiled(types.void(NODES, EDGES, PATH, GAMES, I8, F8, F8, I8, F8), _nrt=False)
def back_up(
    nodes: Any, edges: Any, path: Any, games: Any, b: int, outcome: float, discount: float, solver: int, top: float
) -> None:
    """Visits and mean returns along game b's pending path, from its end to the root; then proofs, as far as they reach.

    outcome: return of seat 0 from the end of the path on. The least and greatest return seen are kept up to date.
    """
    game = games[b]
    depth = game.depth
    before = 0.0
    for i in range(depth):
        before += edges[path[i].edge].reward
    sure = solver and depth > 0 and nodes[edges[path[depth - 1].edge].child].proven
    for i in range(depth - 1, -1, -1):
        edge, node = edges[path[i].edge], nodes[path[i].node]
        before -= edge.reward
        outcome = edge.reward + discount * outcome
        gain = outcome if node.seat == 0 else -outcome
        edge.visits += 1
        edge.mean += (gain - edge.mean) / edge.visits
        game.low = min(game.low, gain)
        game.high = max(game.high, gain)
        node.visits += 1
        node.value += (outcome - node.value) / node.visits
        if sure:
            edge.mean = gain
            best = gain
            if best < top - (before if node.seat == 0 else -before) - TIE:
                for j in range(node.first, node.first + node.size):
                    if edges[j].child < 0 or not nodes[edges[j].child].proven:
                        sure = 0
                        break
                    best = max(best, edges[j].mean)
            if sure:
                node.proven = 1
                outcome = best if node.seat == 0 else -best
                node.value = outcome


@compiled(I8(WORLD, TREE, LEAVES, ROWS, WORDS, REALS, FLOATS, I4_ROWS, REALS, REALS, I8), _nrt=False)
def descend(
    world: Any,
    tree: Any,
    leaves: Any,
    roots: Any,
    plies: Any,
    numbers: Any,
    share: Any,
    schedule: Any,
    rewards: Any,
    scratch: Any,
    latent: int,
) -> int:
    """Walk every tree to the next position that must be evaluated; how many there are, k.

    roots [B, W], plies [B]. numbers: see SIMULATIONS above. share [n]: 1 / (1 + n). schedule [m, simulations]: visits
    wanted at each simulation when m actions are considered; [0, 0] for PUCT at the root.
    latent: the tree stands on a learned model and no world is stepped: every action is legal below the root.
    """
    header, _template = world
    rules = rules_of(header)
    nodes_, edges_, paths_, games, logits_, gumbels_ = tree
    waiting_, seats, states, masks, out = leaves
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
                    wanted = schedule[min(int(node.size), schedule.shape[0]) - 1, game.done - 1]
                    e = gumbel_root(
                        edges,
                        begin,
                        end,
                        game.raw,
                        row(logits_, b),
                        row(gumbels_, b),
                        wanted,
                        low,
                        scale,
                        numbers[C_VISIT],
                        numbers[C_SCALE],
                        scratch,
                    )
                else:
                    parent = node.value if node.seat == 0 else -node.value
                    bonus = numbers[C] * np.sqrt(np.float64(node.visits))
                    e = puct(edges, begin, end, parent, share, bonus, numbers[FPU], low, scale)
                edge = edges[e]
                path[depth].edge, path[depth].node = e, at
                depth += 1
                if not latent:
                    for p in range(seats_in_all):
                        rewards[p] = 0.0
                    rules[3](state, edge.action, 0, rewards)
                if edge.child >= 0:
                    at = edge.child
                    if nodes[at].proven:
                        game.depth = depth
                        worth = np.float64(nodes[at].value)
                        back_up(nodes, edges, path, games, b, worth, numbers[DISCOUNT], solver, top)
                        break
                    continue
                leaf.above, leaf.taken = at, edge.action
                if latent:
                    waiting = True
                    seats[found] = node.seat if seats_in_all == 1 else 1 - node.seat
                else:
                    edge.reward = rewards[0]
                    seats[found] = rules[1](state)
                    waiting = seats[found] >= 0 and plies[b] + depth < limit
                game.depth = depth
                if not waiting:  # the end of the game: a proven leaf
                    edge.child = game.nodes
                    last = nodes[game.nodes]
                    game.nodes += 1
                    last.size, last.visits, last.value, last.proven = 0, 1, 0.0, 1
                    back_up(nodes, edges, path, games, b, 0.0, numbers[DISCOUNT], solver, top)
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


@compiled(U8(EDGES, I8, I8, F8, F8, U8), _nrt=False)
def dirichlet(edges: Any, begin: int, end: int, alpha: float, share: float, rng: Any) -> Any:
    """Mix the prior of edges [begin, end) with Dirichlet(alpha) noise; the stream after the draws.

    Gamma variates by Marsaglia and Tsang (2000), for alpha + 1 and then scaled down by u ** (1 / alpha).
    """
    d = alpha + 1.0 - 1.0 / 3.0
    c = 1.0 / np.sqrt(9.0 * d)
    total = 0.0
    for e in range(begin, end):
        edges[e].prior *= 1.0 - share
    start = rng
    for again in range(2):  # the same draws twice: first their sum, then their shares
        rng = start
        for e in range(begin, end):
            while True:
                rng += GOLDEN
                u = 1.0 - unit(mix(rng))
                rng += GOLDEN
                x = np.sqrt(-2.0 * np.log(u)) * np.cos(2.0 * np.pi * unit(mix(rng)))
                rng += GOLDEN
                v = (1.0 + c * x) ** 3
                if v > 0.0 and np.log(1.0 - unit(mix(rng))) < 0.5 * x * x + d - d * v + d * np.log(v):
                    break
            rng += GOLDEN
            gamma = d * v * (1.0 - unit(mix(rng))) ** (1.0 / alpha) + 1e-30
            if again:
                edges[e].prior += share * gamma / total
            else:
                total += gamma
    return rng


@compiled(types.void(NODES, EDGES, REALS, REALS, STREAMS, I8), _nrt=False)
def ready_root(nodes: Any, edges: Any, logits: Any, numbers: Any, streams: Any, b: int) -> None:
    """A new root's prior gets its noise, where numbers[NOISE] is positive, and logits [A] its logarithms."""
    begin, end = nodes[0].first, nodes[0].first + nodes[0].size
    if numbers[NOISE] > 0.0:
        streams[b] = dirichlet(edges, begin, end, numbers[ALPHA], numbers[NOISE], streams[b])
    for e in range(begin, end):
        logits[e - begin] = np.log(max(edges[e].prior, 1e-30))


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
        most = -np.inf
        mask, logit = row(masks, k), row(logits, k)
        for a in range(mask.size):
            if mask[a]:
                most = max(most, logit[a])
                edge = edges[end]
                edge.action, edge.visits, edge.mean, edge.child, edge.reward = a, 0, 0.0, -1, 0.0
                end += 1
        total = 0.0
        for e in range(begin, end):
            edges[e].prior = np.exp(logit[edges[e].action] - most)
            total += edges[e].prior
        for e in range(begin, end):
            edges[e].prior /= total
        game.nodes, game.edges = leaf.node + 1, end
        outcome = values[k] if seats[k] == 0 else -values[k]
        node = nodes[leaf.node]
        node.first, node.size, node.visits, node.value = begin, end - begin, 1, outcome
        node.seat, node.proven = seats[k], 0
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
        *(ROWS, WORDS, REALS, FLOATS, I4_ROWS, REALS, REALS, I8),
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
    rewards: Any,
    scratch: Any,
    latent: int,
) -> int:
    """``absorb`` the answers to the ``found`` leaves there were, and ``descend`` to the next: one call for both, as
    every call waits for the interpreter lock when it is done."""
    absorb(tree, leaves, found, logits, values, gains, numbers, streams)
    return descend(world, tree, leaves, roots, plies, numbers, share, schedule, rewards, scratch, latent)


@compiled(
    types.void(
        *(I8, WORLD, TREE, LEAVES, FLOAT_ROWS, FLOATS, FLOATS, STREAMS),
        *(ROWS, WORDS, REALS, FLOATS, I4_ROWS, REALS, REALS),
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
    rewards: Any,
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
            rewards,
            scratch,
            0,
        )
        if found == 0:
            return
        evaluate(found, seen, masks, seats, states, logits, values)


@compiled(types.void(TREE, REALS, I8, STREAMS, REALS, REAL_ROWS, REALS, WORDS), _nrt=False)
def conclude(
    tree: Any, numbers: Any, considered: int, streams: Any, scratch: Any, policy: Any, values: Any, choices: Any
) -> None:
    """What the searches found: policy [B, A], value [B] of the seat to act, the action to play [B].

    PUCT (considered = 0): the share of visits, and the most visited action. Gumbel: the improved policy
    softmax(ln P + sigma(completed Q)), and of the most visited actions the best by g + ln P + sigma(Q). A proven best
    action outranks both, a proven worse one is out; ties are broken at random.
    """
    nodes_, edges_, _paths, games, logits_, gumbels_ = tree
    solver = numbers[SOLVER] > 0.0
    for b in range(policy.shape[0]):
        nodes, edges, game, gumbel = row(nodes_, b), row(edges_, b), games[b], row(gumbels_, b)
        root = nodes[0]
        begin, end = root.first, root.first + root.size
        values[b] = root.value if root.seat == 0 else -root.value
        low = game.low if game.low <= game.high else 0.0
        scale = 1.0 / (game.high - low) if game.high > low else 1.0
        known, hope, most, total = -np.inf, -np.inf, -1, 0
        for e in range(begin, end):
            edge = edges[e]
            if solver and edge.child >= 0 and nodes[edge.child].proven:
                known = max(known, edge.mean)
            else:
                total += edge.visits
                if edge.visits > most:
                    most, hope = edge.visits, edge.mean
        sure = known > -np.inf and (root.proven or known >= hope)
        improved_logits(
            edges,
            begin,
            end,
            game.raw,
            row(logits_, b),
            low,
            scale,
            numbers[C_VISIT],
            numbers[C_SCALE],
            scratch,
        )
        peak = -np.inf
        for e in range(begin, end):
            peak = max(peak, scratch[e - begin])
        for a in range(policy.shape[1]):
            policy[b, a] = 0.0
        mass, best, most, ties = 0.0, -np.inf, -1, 0
        for e in range(begin, end):
            edge = edges[e]
            certain = solver and edge.child >= 0 and nodes[edge.child].proven
            if certain != sure or (certain and edge.mean < known - TIE):
                continue
            score = 0.0
            if considered > 0:
                weight = np.exp(scratch[e - begin] - peak)
                score = scratch[e - begin] + gumbel[e - begin]
            else:
                weight = np.float64(edge.visits) if sure or total > 0 else np.float64(edge.prior)
            policy[b, edge.action] = weight
            mass += weight
            if edge.visits > most or (edge.visits == most and score > best):
                most, best, ties = edge.visits, score, 0
            if edge.visits == most and score == best:
                ties += 1
                streams[b] += GOLDEN
                if below(mix(streams[b]), ties) == 0:
                    choices[b] = edge.action
        for a in range(policy.shape[1]):
            policy[b, a] /= mass


@compiled(types.void(TREE, WORDS, WORDS, REALS, STREAMS), _nrt=False)
def advance(tree: Any, actions: Any, places: Any, numbers: Any, streams: Any) -> None:
    """Go on with the subtree below actions [B]; a tree without it, or with -1 there, starts afresh. places [N] is
    scratch. Visits that are kept count as simulations made; the new root gets noise of its own."""
    nodes_, edges_, _paths, games, logits_, _gumbels = tree
    for b in range(actions.size):
        nodes, edges, game = row(nodes_, b), row(edges_, b), games[b]
        used, root = game.nodes, -1
        if used > 0 and actions[b] >= 0:
            for e in range(nodes[0].first, nodes[0].first + nodes[0].size):
                edge, child = edges[e], edges[e].child
                # What was won on the way would count as if it lay ahead, and a proven root has no visits to go by.
                if edge.action == actions[b] and child >= 0 and edge.reward == 0.0 and not nodes[child].proven:
                    root = child
        game.nodes, game.edges, game.done, game.depth = 0, 0, 0, 0
        if root < 0:
            continue
        # Children stand behind their parents: one pass marks the subtree, one moves it to the front, in order.
        for i in range(used):
            places[i] = -1
        places[root] = 0
        count = 0
        for i in range(root, used):
            if places[i] >= 0:
                places[i] = count
                count += 1
                for e in range(nodes[i].first, nodes[i].first + nodes[i].size):
                    if edges[e].child >= 0:
                        places[edges[e].child] = 0
        end = 0
        for i in range(root, used):
            if places[i] < 0:
                continue
            begin = end
            for e in range(nodes[i].first, nodes[i].first + nodes[i].size):
                edges[end] = edges[e]
                if edges[e].child >= 0:
                    edges[end].child = places[edges[e].child]
                end += 1
            nodes[places[i]] = nodes[i]
            nodes[places[i]].first = begin
        game.nodes, game.edges, game.done = count, end, nodes[0].visits - 1
        ready_root(nodes, edges, row(logits_, b), numbers, streams, b)
