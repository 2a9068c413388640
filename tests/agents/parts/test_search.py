"""The batched search against an independent slow one, exact solutions, and the laws of its noise."""

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from elodrome import make_env
from elodrome.agents.parts import records, roots
from elodrome.agents.parts.search import CompiledEvaluator, Forest, Leaves, SearchConfig, Searcher, halving
from elodrome.agents.parts.solve import best_play
from elodrome.envs.enumeration import enumerate_world
from elodrome.envs.game import Game
from elodrome.seeding import generator, streams

A = 9


def oracle(observations: Any) -> tuple[Any, Any]:
    """Arbitrary but fixed logits and values of a position, from a hash of its observation."""
    logits, values = np.zeros((len(observations), A), np.float32), np.zeros(len(observations), np.float32)
    for k, seen in enumerate(observations):
        rng = np.random.default_rng(int("".join(str(int(v)) for v in seen.ravel()), 2))
        logits[k], values[k] = rng.normal(size=A), rng.uniform(-0.9, 0.9)
    return logits, values


def evaluate(leaves: Leaves) -> tuple[Any, Any]:
    logits, values = oracle(leaves.observations)
    return logits[:, : leaves.legal.shape[1]], values


class Node:
    """A position of the slow search: plain lists, recursion, 64-bit floats."""

    def __init__(self, world: Game, state: Any) -> None:
        self.state, self.seat = state, int(world.player(state))
        self.edges: dict[int, dict[str, Any]] = {}
        self.visits, self.total = 1, 0.0  # total: summed returns of the seat to act
        if self.seat >= 0:
            mask, seen = np.zeros(A, np.uint8), np.zeros(world.observation_size, np.float32)
            world.legal(state, mask)
            world.observe(state, self.seat, seen)
            logits, values = oracle(seen[None])
            weights = {a: math.exp(logits[0, a]) for a in range(A) if mask[a]}
            for a, w in weights.items():
                self.edges[a] = {"prior": w / sum(weights.values()), "visits": 0, "total": 0.0, "child": None}
            self.raw = self.total = float(values[0])


class Slow:
    """PUCT as the notes write it, one game, one simulation after another; with the wanted visits of a Gumbel root."""

    def __init__(self, world: Game, config: SearchConfig, gumbel: dict[int, float] | None = None) -> None:
        self.world, self.config, self.gumbel = world, config, gumbel

    def run(self, state: Any) -> Node:
        root = Node(self.world, state.copy())
        for t in range(self.config.simulations):
            self.simulate(root, t, top=True)
        return root

    def simulate(self, node: Node, t: int, top: bool = False) -> float:
        """Return of the seat to act at ``node``."""
        scores = self.wanted(node, t) if top and self.gumbel is not None else self.puct(node)
        action = max(scores, key=lambda a: scores[a])
        edge = node.edges[action]
        rewards = np.zeros(2)
        if edge["child"] is None:
            state = node.state.copy()
            self.world.step(state, action, 0, rewards)
            edge["child"], edge["reward"] = Node(self.world, state), rewards[node.seat]
            child = edge["child"]
            gain = edge["reward"] - (child.raw if child.seat >= 0 else 0.0)
        elif edge["child"].seat < 0:
            gain = edge["reward"]
        else:
            gain = edge["reward"] - self.simulate(edge["child"], t)
        edge["visits"] += 1
        edge["total"] += gain
        node.visits += 1
        node.total += gain
        return float(gain)

    def puct(self, node: Node) -> dict[int, float]:
        c = self.config
        unseen = (node.total / node.visits + 1) / 2 - c.fpu
        return {
            a: ((e["total"] / e["visits"] + 1) / 2 if e["visits"] else unseen)
            + c.c * e["prior"] * math.sqrt(node.visits) / (1 + e["visits"])
            for a, e in node.edges.items()
        }

    def improved(self, node: Node) -> dict[int, float]:
        tried = [e for e in node.edges.values() if e["visits"]]
        mixed = node.raw
        if tried:
            n, mass = sum(e["visits"] for e in tried), sum(e["prior"] for e in tried)
            mixed = (node.raw + n * sum(e["prior"] * e["total"] / e["visits"] for e in tried) / mass) / (1 + n)
        sigma = (self.config.c_visit + max(e["visits"] for e in node.edges.values())) * self.config.c_scale
        return {
            a: math.log(e["prior"]) + sigma * ((e["total"] / e["visits"] if e["visits"] else mixed) + 1) / 2
            for a, e in node.edges.items()
        }

    def wanted(self, node: Node, t: int) -> dict[int, float]:
        assert self.gumbel is not None
        m = min(self.config.considered, len(node.edges))
        visits = halving(m, self.config.simulations)[m - 1, t]
        scores = self.improved(node)
        return {a: scores[a] + self.gumbel[a] for a, e in node.edges.items() if e["visits"] == visits}


def positions(count: int, seed: int = 0) -> tuple[Game, Any, Any]:
    """Random unfinished positions of tic-tac-toe: states and plies."""
    world = make_env("tic_tac_toe")
    assert isinstance(world, Game)
    table = world.table(count)
    table.reset(np.arange(count), streams(seed, count))
    rng = generator(seed, "positions")
    for ply in range(5):
        rows = np.flatnonzero((table.seats >= 0) & (np.arange(count) % 6 > ply))
        legal = table.legal(rows)
        table.step(rows, np.array([rng.choice(np.flatnonzero(mask)) for mask in legal], np.int64))
    rows = np.flatnonzero(table.seats >= 0)
    return world, table.states(rows), table.plies[rows].copy()


@pytest.mark.parametrize("simulations", [1, 7, 60])
def test_puct_visits_are_those_of_the_slow_search(simulations: int) -> None:
    world, states, plies = positions(30)
    config = SearchConfig(simulations=simulations, solver=False)
    forest = Forest(world, len(states), config)
    found = forest.search(states, plies, streams(1, len(states)), evaluate)
    for b, state in enumerate(states):
        root = Slow(world, config).run(state)
        visits = np.zeros(A)
        for a, edge in root.edges.items():
            visits[a] = edge["visits"]
        np.testing.assert_allclose(found.policy[b], visits / simulations)
        assert found.values[b] == pytest.approx(root.total / root.visits, abs=1e-5)


def test_gumbel_roots_are_those_of_the_slow_search() -> None:
    world, states, plies = positions(30)
    config = SearchConfig(simulations=24, solver=False, gumbel=True, considered=4)
    forest = Forest(world, len(states), config)
    found = forest.search(states, plies, streams(2, len(states)), evaluate, explore=True)
    for b, state in enumerate(states):
        legal = [a for a in range(A) if not (state[0] | state[1]) >> a & 1]
        gumbel = {a: float(forest.gumbels[b, i]) for i, a in enumerate(legal)}
        slow = Slow(world, config, gumbel)
        root = slow.run(state)
        scores = slow.improved(root)
        weights = np.zeros(A)
        for a, score in scores.items():
            weights[a] = math.exp(score - max(scores.values()))
        np.testing.assert_allclose(found.policy[b], weights / weights.sum(), rtol=1e-3, atol=1e-6)
        most = max(e["visits"] for e in root.edges.values())
        final = {a: scores[a] + gumbel[a] for a, e in root.edges.items() if e["visits"] == most}
        assert found.choices[b] == max(final, key=lambda a: final[a])


def test_halving_by_hand() -> None:
    assert halving(1, 5)[0].tolist() == [0, 1, 2, 3, 4]
    # 16 simulations among 4: two each, then four each for the better two.
    assert halving(4, 16)[3].tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    # 3 actions, 2 rounds: one visit each, then the better two to the end.
    assert halving(3, 8)[2].tolist() == [0, 0, 0, 1, 1, 2, 2, 3]


def test_gumbel_noise_has_the_gumbel_distribution() -> None:
    world, states, plies = positions(6)
    rows = np.repeat(states[:1], 2000, axis=0)
    forest = Forest(world, 2000, SearchConfig(simulations=1, gumbel=True))
    forest.search(rows, np.repeat(plies[:1], 2000), streams(3, 2000), evaluate, explore=True)
    noise = forest.gumbels.ravel()
    assert noise.mean() == pytest.approx(0.5772, abs=4 * 1.2825 / math.sqrt(len(noise)))
    assert noise.var() == pytest.approx(math.pi**2 / 6, rel=0.05)


@pytest.mark.parametrize("alpha", [0.3, 1.0])
def test_noise_at_the_root_is_dirichlet(alpha: float) -> None:
    draws, k = 4000, 5
    shares = np.zeros((draws, k))
    rng = streams(4, draws)
    for i in range(draws):
        edges = np.zeros(k, records.EDGE)
        edges["prior"] = 0.2
        roots.dirichlet(edges, 0, k, alpha, 1.0, rng[i])
        shares[i] = edges["prior"]
    np.testing.assert_allclose(shares.sum(axis=1), 1.0, rtol=1e-5)
    variance = (1 / k) * (1 - 1 / k) / (k * alpha + 1)
    np.testing.assert_allclose(shares.mean(axis=0), 1 / k, atol=4 * math.sqrt(variance / draws))
    np.testing.assert_allclose(shares.var(axis=0), variance, rtol=0.12)


def test_proofs_are_the_exact_values() -> None:
    """Won and lost positions are proven; what is proven is worth what it is worth; no choice gives value away."""
    world, states, plies = positions(40, seed=5)
    late = plies >= 3
    states, plies = states[late], plies[late]
    tables = enumerate_world(world)
    exact = {tuple(s[:3].tolist()): v for s, v in zip(tables.states, best_play(tables)[1], strict=True)}
    forest = Forest(world, len(states), SearchConfig(simulations=3000))
    nodes = forest.tree[0]
    found = forest.search(states, plies, streams(6, len(states)), evaluate)
    assert len(states) > 10
    for b, state in enumerate(states):
        worth = exact[tuple(state[:3].tolist())][state[2]]
        if nodes[b, 0]["proven"] or worth:
            assert found.values[b] == worth
        after, rewards = state.copy(), np.zeros(2)
        world.step(after, int(found.choices[b]), 0, rewards)
        assert (rewards + exact[tuple(after[:3].tolist())])[state[2]] == worth


def test_a_kept_tree_is_the_subtree() -> None:
    world, states, plies = positions(30, seed=7)
    config = SearchConfig(simulations=40, solver=False)
    forest = Forest(world, len(states), config)
    found = forest.search(states, plies, streams(8, len(states)), evaluate)
    forest.advance(found.choices, streams(9, len(states)))
    kept = 0
    for b, state in enumerate(states):
        child = Slow(world, config).run(state).edges[int(found.choices[b])]["child"]
        nodes, edges = forest.tree[0][b], forest.tree[1][b]
        count = int(forest.summaries["nodes"][b])
        if child.seat < 0:
            assert count == 0
            continue
        kept += 1
        assert nodes[0]["visits"] == child.visits
        own = edges[nodes[0]["first"] :][: nodes[0]["size"]]
        assert dict(zip(own["action"], own["visits"], strict=True)) == {a: e["visits"] for a, e in child.edges.items()}
        # Every node that is left hangs below the root, each once.
        below = edges["child"][: forest.summaries["edges"][b]]
        below = below[below >= 0].tolist()
        assert sorted(below) == list(range(1, count))
    assert kept > 20


def test_a_shard_answers_for_itself_whatever_the_threads() -> None:
    world, states, plies = positions(60, seed=10)
    config = SearchConfig(simulations=30)
    seeds = streams(11, len(states))
    results = [Searcher(world, config, evaluate, shard=7, threads=t).search(states, plies, seeds) for t in (1, 2, 5)]
    for one, other in pairwise(results):
        for x, y in zip(one, other, strict=True):
            np.testing.assert_array_equal(x, y)


def test_batches_may_grow_and_shrink() -> None:
    """Sizes at which shards become wider while their number grows and falls: the trees must always be wide enough."""
    world = make_env("connect_four")
    table = world.table(120)
    table.reset(np.arange(120), streams(0, 120))
    states, plies, seeds = table.states(np.arange(120)), table.plies, streams(3, 120)
    config = SearchConfig(simulations=6)
    used = Searcher(world, config, evaluate, shard=32, threads=2)
    for size in (10, 16, 20, 3, 40, 64, 15, 30, 120, 17):
        fresh = Searcher(world, config, evaluate, shard=32, threads=2)
        given = states[:size], plies[:size], seeds[:size]
        for one, other in zip(used.search(*given), fresh.search(*given), strict=True):
            np.testing.assert_array_equal(one, other)
    with pytest.raises(ValueError, match="5 positions in a forest of 4 trees"):
        Forest(world, 4, config).search(states[:5], plies[:5], seeds[:5], evaluate)


@CompiledEvaluator
def piled(k: int, observations: Any, legal: Any, seats: Any, states: Any, logits: Any, values: Any) -> None:
    """Prefers actions by what the observation and the words of the state say."""
    for i in range(k):
        for a in range(legal.shape[1]):
            logits[i, a] = ((states[i, 0] * 7 + states[i, 1] * 3 + a * 5) % 11) / 11 + observations[i, a]
        values[i] = ((states[i, 0] * 5 + states[i, 1]) % 13) / 13 - 0.5 + 0.01 * seats[i]


@pytest.mark.parametrize("gumbel", [False, True])
def test_a_compiled_evaluator_is_an_evaluator(gumbel: bool) -> None:
    world, states, plies = positions(50, seed=12)
    config, seeds = SearchConfig(simulations=40, gumbel=gumbel), streams(13, len(states))
    one = Searcher(world, config, piled, shard=16).search(states, plies, seeds, explore=True)
    other = Searcher(world, config, lambda leaves: piled(leaves), shard=16).search(states, plies, seeds, explore=True)
    for mine, yours in zip(one, other, strict=True):
        np.testing.assert_array_equal(mine, yours)


def test_answers_of_another_shape_are_refused() -> None:
    world, states, plies = positions(5)
    for answer in (
        (np.zeros((5, A - 1)), np.zeros(5)),
        (np.zeros((4, A)), np.zeros(4)),
        (np.zeros((5, A)), 0 * plies[:4]),
    ):
        with pytest.raises(ValueError, match="the evaluator answered with logits"):
            Forest(world, 5, SearchConfig()).search(states[:5], plies[:5], streams(1, 5), lambda _, a=answer: a)
