"""Many search trees grown together, in flat arrays: PUCT, Gumbel root selection, proofs (notes 4.4-4.5).

A forest has one tree per game. ``descend`` walks every tree to the next position that must be evaluated, ``absorb``
takes the network's answers for all of them at once and backs them up, ``conclude`` reads the result at the root.
Between them lies one network call for all games. Everything is compiled and free of the interpreter lock.

Values are returns of seat 0 in worlds of one seat or of two with opposite returns; an edge holds the mean return of
the seat that moves there. What is proven is exact: ends of the game, nodes where the mover has the best return there
is, and nodes whose children are all proven (MCTS-Solver, Winands et al. 2008).

Letters: B games, A actions, W words of a row, O floats of an observation, N nodes of a tree, E edges, D depth.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from elodrome.envs.engine import FLOAT_ROWS, GOLDEN, MASKS, REAL_ROWS, ROWS, STREAMS, U8, below, mix, unit
from elodrome.envs.game import compiled
from elodrome.envs.intrinsics import row, rules_of
from elodrome.envs.signatures import ACTIONS, FLOATS, I8, MASK, MAX_STEPS, REALS, WORDS, WORLD

F8 = types.float64
I4 = types.Array(types.int32, 1, "C")
I4_ROWS = types.Array(types.int32, 2, "C")
TIE = 1e-6

# The trees. Nodes [B, N]: first edge, number of edges, visits, mean return of seat 0, seat to act, whether proven.
# Edges [B, E]: prior, visits, mean return of the mover, child node or -1, action, reward of seat 0. Games [B, 4]:
# nodes used, edges used, simulations made, depth of the pending path. Paths [B, D]: edges, and the nodes they leave.
TREE = types.Tuple(
    (
        *(I4_ROWS, I4_ROWS, I4_ROWS, FLOAT_ROWS, MASKS, MASKS),
        *(FLOAT_ROWS, I4_ROWS, FLOAT_ROWS, I4_ROWS, I4_ROWS, FLOAT_ROWS),
        *(I4_ROWS, I4_ROWS, I4_ROWS),
    )
)
USED_NODES, USED_EDGES, DONE, DEPTH = range(4)

# Numbers of a search: see ``search.SearchConfig``. LOW and HIGH bound the returns that c and sigma are scaled by.
SIMULATIONS, C, FPU, DISCOUNT, SOLVER, TOP, C_VISIT, C_SCALE, ALPHA, NOISE = range(10)


@compiled(I8(I8, I8, F8, FLOATS, I4, FLOATS, FLOATS, F8, F8, F8, F8), _nrt=False, forceinline=True)
def puct(
    first: int,
    last: int,
    parent: float,
    prior: Any,
    visits: Any,
    mean: Any,
    share: Any,
    bonus: float,
    fpu: float,
    low: float,
    scale: float,
) -> int:
    """The edge of the largest Q + c P sqrt(N(s)) / (1 + N(s, a)) (notes 4.5.2), returns scaled to [0, 1].

    bonus: c sqrt(N(s)). share [.]: 1 / (1 + n). parent: mean return of the mover at the node; an action that was never
    tried is expected to return that, less ``fpu`` (first-play urgency).
    """
    unseen = (parent - low) * scale - fpu
    best, chosen = -np.inf, first
    for e in range(first, last):
        n = visits[e]
        q = (mean[e] - low) * scale if n > 0 else unseen
        score = q + bonus * prior[e] * share[n]
        if score > best:
            best, chosen = score, e
    return chosen


@compiled(F8(I8, I8, F8, FLOATS, I4, FLOATS), _nrt=False)
def mixed_value(first: int, last: int, raw: float, prior: Any, visits: Any, mean: Any) -> float:
    """v_mix: the network's value and the visited actions' returns, weighed by prior (Danihelka et al. 2022, eq. 33)."""
    total, mass, weighed = 0, 0.0, 0.0
    for e in range(first, last):
        if visits[e] > 0:
            total += visits[e]
            mass += prior[e]
            weighed += prior[e] * mean[e]
    if total == 0 or mass <= 0.0:
        return raw
    return (raw + total * weighed / mass) / (1 + total)


@compiled(types.void(I8, I8, F8, FLOATS, I4, FLOATS, F8, F8, F8, F8, REALS), _nrt=False)
def improved_logits(
    first: int,
    last: int,
    raw: float,
    prior: Any,
    visits: Any,
    mean: Any,
    low: float,
    scale: float,
    c_visit: float,
    c_scale: float,
    out: Any,
) -> None:
    """ln P + sigma(completed Q) of every edge, into out [edges] (Danihelka et al. 2022, eq. 10 and 11)."""
    most = 0
    for e in range(first, last):
        most = max(most, visits[e])
    sigma = (c_visit + most) * c_scale
    completed = mixed_value(first, last, raw, prior, visits, mean)
    for e in range(first, last):
        q = mean[e] if visits[e] > 0 else completed
        out[e - first] = np.log(max(prior[e], 1e-30)) + sigma * (q - low) * scale


@compiled(I8(I8, I8, F8, FLOATS, I4, FLOATS, FLOATS, I8, F8, F8, F8, F8, REALS), _nrt=False)
def gumbel_root(
    first: int,
    last: int,
    raw: float,
    prior: Any,
    visits: Any,
    mean: Any,
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
        most = max(most, visits[e])
    sigma = (c_visit + most) * c_scale * scale
    best, chosen = -np.inf, -1
    for e in range(first, last):
        if visits[e] == wanted:
            score = np.log(max(prior[e], 1e-30)) + gumbel[e - first]
            if wanted > 0:  # where none was tried, the completed Q is the same for all
                score += sigma * (mean[e] - low)
            if score > best:
                best, chosen = score, e
    if chosen >= 0:
        return chosen
    improved_logits(first, last, raw, prior, visits, mean, low, scale, c_visit, c_scale, scratch)
    chosen = first
    for e in range(first, last):
        score = scratch[e - first] + gumbel[e - first]
        if score > best:
            best, chosen = score, e
    return chosen


@compiled(
    types.void(I4, I4, I4, FLOATS, MASK, MASK, I4, FLOATS, I4, FLOATS, I4, I4, I8, F8, F8, I8, F8, REALS), _nrt=False
)
def back_up(
    first: Any,
    size: Any,
    count: Any,
    value: Any,
    seat: Any,
    proven: Any,
    visits: Any,
    mean: Any,
    child: Any,
    reward: Any,
    edges: Any,
    nodes: Any,
    depth: int,
    outcome: float,
    discount: float,
    solver: int,
    top: float,
    span: Any,
) -> None:
    """Visits and mean returns along the pending path, from its end to the root; then proofs, as far as they reach.

    outcome: return of seat 0 from the end of the path on. span: least and greatest return seen, kept up to date.
    """
    before = 0.0
    for i in range(depth):
        before += reward[edges[i]]
    sure = solver and depth > 0 and proven[child[edges[depth - 1]]]
    for i in range(depth - 1, -1, -1):
        e, node = edges[i], nodes[i]
        before -= reward[e]
        outcome = reward[e] + discount * outcome
        gain = outcome if seat[node] == 0 else -outcome
        visits[e] += 1
        mean[e] += (gain - mean[e]) / visits[e]
        span[0] = min(span[0], gain)
        span[1] = max(span[1], gain)
        count[node] += 1
        value[node] += (outcome - value[node]) / count[node]
        if sure:
            mean[e] = gain
            best = gain
            if best < top - (before if seat[node] == 0 else -before) - TIE:
                for j in range(first[node], first[node] + size[node]):
                    if child[j] < 0 or not proven[child[j]]:
                        sure = 0
                        break
                    best = max(best, mean[j])
            if sure:
                proven[node] = 1
                outcome = best if seat[node] == 0 else -best
                value[node] = outcome


# What ``descend`` finds, one line per game that waits for the network: [k] game, seat to act there, node to be made,
# node above and action taken there; [k, W] state (worlds only), [k, A] legal actions, [k, O] observation.
LEAVES = types.Tuple((WORDS, WORDS, WORDS, WORDS, WORDS, ROWS, MASKS, FLOAT_ROWS))


@compiled(
    I8(WORLD, TREE, LEAVES, ROWS, WORDS, REALS, REAL_ROWS, FLOATS, FLOAT_ROWS, I4_ROWS, FLOATS, REALS, REALS, I8),
    _nrt=False,
)
def descend(
    world: Any,
    tree: Any,
    leaves: Any,
    roots: Any,
    plies: Any,
    numbers: Any,
    spans: Any,
    share: Any,
    gumbels: Any,
    schedule: Any,
    raw: Any,
    rewards: Any,
    scratch: Any,
    latent: int,
) -> int:
    """Walk every tree to the next position that must be evaluated; how many there are, k.

    roots [B, W], plies [B]. numbers: see SIMULATIONS above. spans [B, 2]: least and greatest return, for scaling.
    share [n]: 1 / (1 + n). gumbels [B, A] and schedule [m, simulations] (visits wanted at each simulation when m
    actions are considered; [0, 0] for PUCT at the root). raw [B]: the network's value of the root, for its mover.
    latent: the tree stands on a learned model and no world is stepped: every action is legal below the root.
    """
    header, _template = world
    rules = rules_of(header)
    (
        first_,
        size_,
        count_,
        value_,
        seat_,
        proven_,
        prior_,
        visits_,
        mean_,
        child_,
        action_,
        reward_,
        games_,
        edges_,
        nodes_,
    ) = tree
    of, seats, fresh, above, taken, states, masks, out = leaves
    actions, seats_in_all, limit = header[ACTIONS], rewards.size, header[MAX_STEPS]
    simulations, solver, top = int(numbers[SIMULATIONS]), int(numbers[SOLVER]), numbers[TOP]
    found = 0
    for b in range(roots.shape[0]):
        games, edges, nodes, span = row(games_, b), row(edges_, b), row(nodes_, b), row(spans, b)
        first, size, count, value = row(first_, b), row(size_, b), row(count_, b), row(value_, b)
        seat, proven, child, reward = row(seat_, b), row(proven_, b), row(child_, b), row(reward_, b)
        prior, visits, mean, action = row(prior_, b), row(visits_, b), row(mean_, b), row(action_, b)
        state = row(states, found)
        waiting = games[USED_NODES] == 0
        if waiting:  # the root itself
            games[DEPTH] = 0
            for w in range(state.size):
                state[w] = roots[b, w]
            seats[found] = 0 if latent else rules[1](state)
            above[found], taken[found] = -1, -1
        while not waiting and games[DONE] < simulations and not proven[0]:
            games[DONE] += 1
            for w in range(state.size):
                state[w] = roots[b, w]
            node, depth = 0, 0
            low = span[0] if span[0] <= span[1] else 0.0  # no return was seen yet
            scale = 1.0 / (span[1] - low) if span[1] > low else 1.0
            while True:
                begin, end = first[node], first[node] + size[node]
                if node == 0 and schedule.shape[0] > 0:
                    m = min(int(size[0]), schedule.shape[0])
                    e = gumbel_root(
                        begin,
                        end,
                        raw[b],
                        prior,
                        visits,
                        mean,
                        row(gumbels, b),
                        schedule[m - 1, games[DONE] - 1],
                        low,
                        scale,
                        numbers[C_VISIT],
                        numbers[C_SCALE],
                        scratch,
                    )
                else:
                    parent = value[node] if seat[node] == 0 else -value[node]
                    bonus = numbers[C] * np.sqrt(np.float64(count[node]))
                    e = puct(begin, end, parent, prior, visits, mean, share, bonus, numbers[FPU], low, scale)
                edges[depth], nodes[depth] = e, node
                depth += 1
                if not latent:
                    for p in range(seats_in_all):
                        rewards[p] = 0.0
                    rules[3](state, action[e], 0, rewards)
                if child[e] >= 0:
                    node = child[e]
                    if proven[node]:
                        games[DEPTH] = depth
                        back_up(
                            first,
                            size,
                            count,
                            value,
                            seat,
                            proven,
                            visits,
                            mean,
                            child,
                            reward,
                            edges,
                            nodes,
                            depth,
                            np.float64(value[node]),
                            numbers[DISCOUNT],
                            solver,
                            top,
                            span,
                        )
                        break
                    continue
                if latent:
                    waiting = True
                    above[found], taken[found] = node, action[e]
                    seats[found] = seat[node] if seats_in_all == 1 else 1 - seat[node]
                else:
                    reward[e] = rewards[0]
                    mover = rules[1](state)
                    waiting = mover >= 0 and plies[b] + depth < limit
                    seats[found] = mover
                    above[found], taken[found] = node, action[e]
                    if not waiting:  # the end of the game: a proven leaf
                        node = games[USED_NODES]
                        games[USED_NODES] += 1
                        child[e] = node
                        size[node], count[node], value[node], proven[node] = 0, 1, 0.0, 1
                        back_up(
                            first,
                            size,
                            count,
                            value,
                            seat,
                            proven,
                            visits,
                            mean,
                            child,
                            reward,
                            edges,
                            nodes,
                            depth,
                            0.0,
                            numbers[DISCOUNT],
                            solver,
                            top,
                            span,
                        )
                        break
                games[DEPTH] = depth
                break
        if waiting:
            of[found], fresh[found] = b, games[USED_NODES]
            if not latent:
                rules[2](state, row(masks, found))
                rules[4](state, seats[found], row(out, found))
            elif above[found] >= 0:
                mask = row(masks, found)
                for a in range(actions):
                    mask[a] = 1
            found += 1
    return found


@compiled(U8(FLOATS, I8, I8, F8, F8, U8), _nrt=False)
def dirichlet(prior: Any, begin: int, end: int, alpha: float, share: float, rng: Any) -> Any:
    """Mix the prior of edges [begin, end) with Dirichlet(alpha) noise; the stream after the draws.

    Gamma variates by Marsaglia and Tsang (2000), for alpha + 1 and then scaled down by u ** (1 / alpha).
    """
    d = alpha + 1.0 - 1.0 / 3.0
    c = 1.0 / np.sqrt(9.0 * d)
    total = 0.0
    for e in range(begin, end):
        prior[e] *= 1.0 - share
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
                prior[e] += share * gamma / total
            else:
                total += gamma
    return rng


@compiled(types.void(TREE, LEAVES, I8, FLOAT_ROWS, FLOATS, FLOATS, REALS, REAL_ROWS, FLOATS, STREAMS), _nrt=False)
def absorb(
    tree: Any,
    leaves: Any,
    found: int,
    logits: Any,
    values: Any,
    gains: Any,
    numbers: Any,
    spans: Any,
    raw: Any,
    streams: Any,
) -> None:
    """Make the nodes that ``descend`` asked for and back their values up.

    logits [k, A] and values [k] (for the seat to act) are the network's; gains [k] the rewards of the mover on the
    way there, in latent trees. At roots the prior is mixed with Dirichlet noise where numbers[NOISE] is positive.
    """
    (
        first_,
        size_,
        count_,
        value_,
        seat_,
        proven_,
        prior_,
        visits_,
        mean_,
        child_,
        action_,
        reward_,
        games_,
        edges_,
        nodes_,
    ) = tree
    of, seats, fresh, _above, taken, _states, masks, _out = leaves
    for k in range(found):
        b = of[k]
        games, edges = row(games_, b), row(edges_, b)
        first, size, count, value = row(first_, b), row(size_, b), row(count_, b), row(value_, b)
        seat, proven, child, reward = row(seat_, b), row(proven_, b), row(child_, b), row(reward_, b)
        prior, visits, mean, action = row(prior_, b), row(visits_, b), row(mean_, b), row(action_, b)
        node, depth = fresh[k], games[DEPTH]
        begin = games[USED_EDGES]
        end = begin
        most = -np.inf
        mask, logit = row(masks, k), row(logits, k)
        for a in range(mask.size):
            if mask[a]:
                most = max(most, logit[a])
                action[end], visits[end], mean[end], child[end], reward[end] = a, 0, 0.0, -1, 0.0
                end += 1
        total = 0.0
        for e in range(begin, end):
            prior[e] = np.exp(logit[action[e]] - most)
            total += prior[e]
        for e in range(begin, end):
            prior[e] /= total
        games[USED_NODES], games[USED_EDGES] = node + 1, end
        outcome = values[k] if seats[k] == 0 else -values[k]
        first[node], size[node], count[node], value[node] = begin, end - begin, 1, outcome
        seat[node], proven[node] = seats[k], 0
        if depth == 0:
            raw[b] = values[k]
            if numbers[NOISE] > 0.0:
                streams[b] = dirichlet(prior, begin, end, numbers[ALPHA], numbers[NOISE], streams[b])
            continue
        child[edges[depth - 1]] = node
        if taken[k] >= 0 and gains.size > 0:
            reward[edges[depth - 1]] = gains[k] if seat[nodes_[b, depth - 1]] == 0 else -gains[k]
        back_up(
            first,
            size,
            count,
            value,
            seat,
            proven,
            visits,
            mean,
            child,
            reward,
            edges,
            row(nodes_, b),
            depth,
            outcome,
            numbers[DISCOUNT],
            int(numbers[SOLVER]),
            numbers[TOP],
            row(spans, b),
        )


@compiled(
    types.void(TREE, REALS, REAL_ROWS, FLOAT_ROWS, I8, FLOATS, STREAMS, REALS, REAL_ROWS, REALS, WORDS), _nrt=False
)
def conclude(
    tree: Any,
    numbers: Any,
    spans: Any,
    gumbels: Any,
    considered: int,
    raw: Any,
    streams: Any,
    scratch: Any,
    policy: Any,
    values: Any,
    choices: Any,
) -> None:
    """What the searches found: policy [B, A], value [B] of the seat to act, the action to play [B].

    PUCT (considered = 0): the share of visits, and the most visited action. Gumbel: the improved policy
    softmax(ln P + sigma(completed Q)), and of the most visited actions the best by g + ln P + sigma(Q). A proven best
    action outranks both, a proven worse one is out; ties are broken at random.
    """
    first_, size_, _count, value_, seat_, proven_, prior_, visits_, mean_, child_, action_, _r, _g, _e, _n = tree
    solver = numbers[SOLVER] > 0.0
    for b in range(policy.shape[0]):
        prior, visits, mean, child = row(prior_, b), row(visits_, b), row(mean_, b), row(child_, b)
        proven, action, span = row(proven_, b), row(action_, b), row(spans, b)
        begin, end = first_[b, 0], first_[b, 0] + size_[b, 0]
        values[b] = value_[b, 0] if seat_[b, 0] == 0 else -value_[b, 0]
        scale = 1.0 / (span[1] - span[0]) if span[1] > span[0] else 1.0
        known, hope, most, total = -np.inf, -np.inf, -1, 0
        for e in range(begin, end):
            if solver and child[e] >= 0 and proven[child[e]]:
                known = max(known, mean[e])
            else:
                total += visits[e]
                if visits[e] > most:
                    most, hope = visits[e], mean[e]
        sure = known > -np.inf and (proven[0] or known >= hope)
        improved_logits(
            begin,
            end,
            raw[b],
            prior,
            visits,
            mean,
            span[0],
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
            certain = solver and child[e] >= 0 and proven[child[e]]
            if certain != sure or (certain and mean[e] < known - TIE):
                continue
            score = 0.0
            if considered > 0:
                weight = np.exp(scratch[e - begin] - peak)
                score = scratch[e - begin] + gumbels[b, e - begin]
            else:
                weight = np.float64(visits[e]) if sure or total > 0 else np.float64(prior[e])
            policy[b, action[e]] = weight
            mass += weight
            if visits[e] > most or (visits[e] == most and score > best):
                most, best, ties = visits[e], score, 0
            if visits[e] == most and score == best:
                ties += 1
                streams[b] += GOLDEN
                if below(mix(streams[b]), ties) == 0:
                    choices[b] = action[e]
        for a in range(policy.shape[1]):
            policy[b, a] /= mass


@compiled(types.void(TREE, WORDS, WORDS, REALS, STREAMS), _nrt=False)
def advance(tree: Any, actions: Any, places: Any, numbers: Any, streams: Any) -> None:
    """Go on with the subtree below actions [B]; a tree without it, or with -1 there, starts afresh. places [N] is
    scratch. Visits that are kept count as simulations made; the new root gets noise of its own."""
    first_, size_, count_, value_, seat_, proven_, prior_, visits_, mean_, child_, action_, reward_, games_, _e, _n = (
        tree
    )
    for b in range(actions.size):
        games, child, action, reward = row(games_, b), row(child_, b), row(action_, b), row(reward_, b)
        first, size, count, value = row(first_, b), row(size_, b), row(count_, b), row(value_, b)
        seat, proven = row(seat_, b), row(proven_, b)
        prior, visits, mean = row(prior_, b), row(visits_, b), row(mean_, b)
        used, root = games[USED_NODES], -1
        if used > 0 and actions[b] >= 0:
            for e in range(first[0], first[0] + size[0]):
                # What was won on the way would count as if it lay ahead, and a proven root has no visits to go by.
                if action[e] == actions[b] and child[e] >= 0 and reward[e] == 0.0 and not proven[child[e]]:
                    root = child[e]
        games[USED_NODES], games[USED_EDGES], games[DONE], games[DEPTH] = 0, 0, 0, 0
        if root < 0:
            continue
        # Children stand behind their parents: one pass marks the subtree, one moves it to the front, in order.
        for i in range(used):
            places[i] = -1
        places[root] = 0
        nodes = 0
        for i in range(root, used):
            if places[i] >= 0:
                places[i] = nodes
                nodes += 1
                for e in range(first[i], first[i] + size[i]):
                    if child[e] >= 0:
                        places[child[e]] = 0
        edges = 0
        for i in range(root, used):
            at = places[i]
            if at < 0:
                continue
            begin, end = first[i], first[i] + size[i]
            first[at], size[at], count[at], value[at] = edges, end - begin, count[i], value[i]
            seat[at], proven[at] = seat[i], proven[i]
            for e in range(begin, end):
                prior[edges], visits[edges], mean[edges] = prior[e], visits[e], mean[e]
                action[edges], reward[edges] = action[e], reward[e]
                child[edges] = places[child[e]] if child[e] >= 0 else -1
                edges += 1
        games[USED_NODES], games[USED_EDGES], games[DONE] = nodes, edges, count[0] - 1
        if numbers[NOISE] > 0.0:
            streams[b] = dirichlet(prior, 0, size[0], numbers[ALPHA], numbers[NOISE], streams[b])
