"""The roots of search trees: noise, Gumbel selection, the result, and the subtree that is kept (notes 4.5)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import from_dtype, types

from elodrome.agents.search.records import ALPHA, C_SCALE, C_VISIT, EDGES, I4_ROWS, NODE, NODES, NOISE, TIE, TREE
from elodrome.envs.engine import GOLDEN, REAL_ROWS, STREAMS, U8, below, mix, unit
from elodrome.envs.game import compiled
from elodrome.envs.intrinsics import row
from elodrome.envs.signatures import FLOATS, I8, REALS, WORDS

F8 = types.float64


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


@compiled(I8(EDGES, from_dtype(NODE), REALS, FLOATS, I4_ROWS, REALS, F8, F8), _nrt=False)
def gumbel_root(
    edges: Any, root: Any, logits: Any, gumbel: Any, schedule: Any, numbers: Any, low: float, scale: float
) -> int:
    """Sequential halving at the root: the best, by g + ln P + sigma(Q), of the actions that have the visits wanted.

    schedule [m, t]: visits wanted when m actions compete that were tried t times in all. Proven actions no longer
    compete, as if they had never been there; where nobody then has the visits wanted, the nearest below catch up.
    """
    first, last = root.first, root.first + root.size
    most, made, competing = 0, 0, 0
    for e in range(first, last):
        edge = edges[e]
        if not edge.proven:
            competing += 1
            made += edge.visits
            most = max(most, edge.visits)
    wanted = schedule[min(competing, schedule.shape[0]) - 1, made]
    sigma = (numbers[C_VISIT] + most) * numbers[C_SCALE] * scale
    while True:  # some have no more than the visits wanted, or there would be more than ``made``
        best, chosen, nearest = -np.inf, -1, 0
        for e in range(first, last):
            edge = edges[e]
            if edge.proven or edge.visits > wanted:
                continue
            if edge.visits < wanted:
                nearest = max(nearest, edge.visits)
                continue
            score = logits[e - first] + gumbel[e - first]
            if wanted > 0:  # where none was tried, the completed Q is the same for all
                score += sigma * (edge.mean - low)
            if score > best:
                best, chosen = score, e
        if chosen >= 0:
            return chosen
        wanted = nearest


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
    for b in range(policy.shape[0]):
        nodes, edges, game, gumbel = row(nodes_, b), row(edges_, b), games[b], row(gumbels_, b)
        root = nodes[0]
        begin, end = root.first, root.first + root.size
        known = np.float64(root.sure)
        values[b] = max(known, root.value if root.seat == 0 else -root.value)
        low = game.low if game.low <= game.high else 0.0
        scale = 1.0 / (game.high - low) if game.high > low else 1.0
        hope, most, total = -np.inf, -1, 0
        for e in range(begin, end):
            edge = edges[e]
            if not edge.proven:
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
            if edge.proven != sure or (sure and edge.mean < known - TIE):
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
