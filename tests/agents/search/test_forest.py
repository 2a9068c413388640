"""The batched search against an independent slow one, exact solutions, and the laws of its noise."""

import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from elodrome import make_agent, make_env
from elodrome.agents.agent import Positions
from elodrome.agents.parts.solve import best_play
from elodrome.agents.search import records, roots
from elodrome.agents.search.forest import CompiledEvaluator, Forest, Leaves, SearchConfig, Searcher, halving
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
    """A position of the slow search: only what was seen and how often; all else is worked out anew from that."""

    def __init__(self, world: Game, state: Any) -> None:
        self.state, self.seat = state, int(world.player(state))
        self.edges: dict[int, dict[str, Any]] = {}
        self.raw = 0.0  # the evaluator's word for the seat to act; nothing follows the end
        if self.seat >= 0:
            mask, seen = np.zeros(A, np.uint8), np.zeros(world.observation_size, np.float32)
            world.legal(state, mask)
            world.observe(state, self.seat, seen)
            logits, values = oracle(seen[None])
            weights = {a: math.exp(logits[0, a]) for a in range(A) if mask[a]}
            for a, w in weights.items():
                self.edges[a] = {"prior": w / sum(weights.values()), "visits": 0, "child": None}
            self.raw = float(values[0])


def once(method: Any) -> Any:
    """A method of ``Slow`` that works its answer out once a simulation."""

    def asked(self: "Slow", node: Node) -> Any:
        key = method.__name__, id(node)
        if key not in self.told:
            self.told[key] = method(self, node)
        return self.told[key]

    return asked


class Slow:
    """PUCT as the notes write it, one game, one simulation after another; with the wanted visits of a Gumbel root.

    What nodes are worth and which are proven follows from the whole tree by recursion, each time it is asked for.
    """

    def __init__(self, world: Game, config: SearchConfig, gumbel: dict[int, float] | None = None) -> None:
        self.world, self.config, self.gumbel = world, config, gumbel
        self.told: dict[Any, Any] = {}  # answers since the last simulation

    def run(self, root: Node) -> Node:
        self.told.clear()
        while self.visits(root) <= self.config.simulations and not self.proven(root):
            self.simulate(root, top=True)
            self.told.clear()
        return root

    def visits(self, node: Node) -> int:
        return 1 + sum(e["visits"] for e in node.edges.values())

    def simulate(self, node: Node, top: bool = False) -> None:
        scores = self.wanted(node) if top and self.gumbel is not None else self.puct(node)
        edge = node.edges[max(scores, key=lambda a: scores[a])]
        edge["visits"] += 1
        if edge["child"] is None:
            state, rewards = node.state.copy(), np.zeros(2)
            self.world.step(state, max(scores, key=lambda a: scores[a]), 0, rewards)
            edge["child"], edge["reward"] = Node(self.world, state), rewards[node.seat]
        elif edge["child"].seat >= 0:
            self.simulate(edge["child"])

    @once
    def proven(self, node: Node) -> bool:
        if not self.config.solver:
            return False
        return all(self.closed(e) for e in node.edges.values()) or self.sure(node) == 1

    def closed(self, edge: dict[str, Any]) -> bool:
        return edge["child"] is not None and self.proven(edge["child"])

    def sure(self, node: Node) -> float:
        """What the seat to act is proven to get."""
        return max((self.q(e) for e in node.edges.values() if self.closed(e)), default=-math.inf)

    def q(self, edge: dict[str, Any]) -> float:
        """What an edge that was tried is worth to who tries it; seats take turns in tic-tac-toe."""
        return float(edge["reward"]) - self.worth(edge["child"])

    def mean(self, node: Node) -> float:
        tried = [e for e in node.edges.values() if e["visits"]]
        return (node.raw + sum(e["visits"] * self.q(e) for e in tried)) / self.visits(node)

    @once
    def worth(self, node: Node) -> float:
        """To the seat to act."""
        if node.seat < 0:
            return 0.0
        return self.sure(node) if self.proven(node) else max(self.mean(node), self.sure(node))

    def open(self, node: Node) -> dict[int, dict[str, Any]]:
        return {a: e for a, e in node.edges.items() if not self.closed(e)}

    def puct(self, node: Node) -> dict[int, float]:
        c = self.config
        unseen = (self.mean(node) + 1) / 2 - c.fpu
        visits = self.visits(node)
        return {
            a: ((self.q(e) + 1) / 2 if e["visits"] else unseen)
            + c.c * e["prior"] * math.sqrt(visits) / (1 + e["visits"])
            for a, e in self.open(node).items()
        }

    def improved(self, node: Node) -> dict[int, float]:
        tried = [e for e in node.edges.values() if e["visits"]]
        mixed = node.raw
        if tried:
            n, mass = sum(e["visits"] for e in tried), sum(e["prior"] for e in tried)
            mixed = (node.raw + n * sum(e["prior"] * self.q(e) for e in tried) / mass) / (1 + n)
        sigma = (self.config.c_visit + max(e["visits"] for e in node.edges.values())) * self.config.c_scale
        return {
            a: math.log(e["prior"]) + sigma * ((self.q(e) if e["visits"] else mixed) + 1) / 2
            for a, e in node.edges.items()
        }

    def wanted(self, node: Node) -> dict[int, float]:
        assert self.gumbel is not None
        able = self.open(node)
        m, made = min(self.config.considered, len(able)), sum(e["visits"] for e in able.values())
        visits = halving(m, self.config.simulations)[m - 1, made]
        nearest = max(e["visits"] for e in able.values() if e["visits"] <= visits)
        sigma = (self.config.c_visit + max(e["visits"] for e in able.values())) * self.config.c_scale
        return {
            a: math.log(e["prior"]) + self.gumbel[a] + (sigma * (self.q(e) + 1) / 2 if nearest else 0.0)
            for a, e in able.items()
            if e["visits"] == nearest
        }

    def contenders(self, root: Node) -> dict[int, dict[str, Any]]:
        """The edges to choose from: the best that are proven, where the most visited open one promises no more."""
        able = self.open(root)
        hope = max(able.values(), key=lambda e: e["visits"], default=None)
        promise = -math.inf if hope is None else self.q(hope) if hope["visits"] else 0.0
        if self.proven(root) or self.sure(root) >= promise:
            return {a: e for a, e in root.edges.items() if self.closed(e) and self.q(e) == self.sure(root)}
        return able


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


@pytest.mark.parametrize("solver", [False, True])
@pytest.mark.parametrize("simulations", [1, 7, 60])
def test_puct_visits_are_those_of_the_slow_search(simulations: int, solver: bool) -> None:
    world, states, plies = positions(30)
    config = SearchConfig(simulations=simulations, solver=solver)
    forest = Forest(world, len(states), config)
    found = forest.search(states, plies, streams(1, len(states)), evaluate)
    for b, state in enumerate(states):
        slow = Slow(world, config)
        root = slow.run(Node(world, state))
        visits = np.zeros(A)
        for a, edge in slow.contenders(root).items():
            visits[a] = edge["visits"]
        np.testing.assert_allclose(found.policy[b], visits / visits.sum())
        assert visits[found.choices[b]] == visits.max()
        assert found.values[b] == pytest.approx(slow.worth(root), abs=1e-5)
        assert bool(forest.tree[0][b, 0]["proven"]) == slow.proven(root)


@pytest.mark.parametrize("solver", [False, True])
def test_gumbel_roots_are_those_of_the_slow_search(solver: bool) -> None:
    world, states, plies = positions(30)
    config = SearchConfig(simulations=40, solver=solver, gumbel=True, considered=4)
    forest = Forest(world, len(states), config)
    found = forest.search(states, plies, streams(2, len(states)), evaluate, explore=True)
    for b, state in enumerate(states):
        legal = [a for a in range(A) if not (state[0] | state[1]) >> a & 1]
        gumbel = {a: float(forest.gumbels[b, i]) for i, a in enumerate(legal)}
        slow = Slow(world, config, gumbel)
        root = slow.run(Node(world, state))
        able = slow.contenders(root)
        scores = {a: score for a, score in slow.improved(root).items() if a in able}
        weights = np.zeros(A)
        for a, score in scores.items():
            weights[a] = math.exp(score - max(scores.values()))
        np.testing.assert_allclose(found.policy[b], weights / weights.sum(), rtol=1e-3, atol=1e-6)
        most = max(e["visits"] for e in able.values())
        final = {a: scores[a] + gumbel[a] for a, e in able.items() if e["visits"] == most}
        assert found.choices[b] == max(final, key=lambda a: final[a])


class Discounted(Slow):
    """The same without proofs, returns as they were seen in the simulations, each seat's by its own decisions."""

    def total(self, node: Node, seat: int) -> float:
        """The sum of what the visits of a node were worth to a seat."""
        if node.seat < 0:
            return 0.0
        total = node.raw if node.seat == seat else -node.raw
        for edge in node.edges.values():
            if edge["visits"]:
                reward = edge["reward"] if node.seat == seat else -edge["reward"]
                fade = self.world.discount if edge["child"].seat == seat else 1.0
                total += edge["visits"] * float(reward) + fade * self.total(edge["child"], seat)
        return total

    def q(self, edge: dict[str, Any]) -> float:
        return float(edge["reward"]) + self.total(edge["child"], 1 - edge["child"].seat) / edge["visits"]

    def mean(self, node: Node) -> float:
        return self.total(node, node.seat) / self.visits(node)


def test_with_a_discount_visits_are_those_of_the_slow_search() -> None:
    world, states, plies = positions(30)
    world = replace(world, discount=0.8)
    config = SearchConfig(simulations=60)
    found = Forest(world, len(states), config).search(states, plies, streams(1, len(states)), evaluate)
    for b, state in enumerate(states):
        slow = Discounted(world, config.model_copy(update={"solver": False}))
        root = slow.run(Node(world, state))
        visits = np.array([root.edges[a]["visits"] if a in root.edges else 0 for a in range(A)])
        np.testing.assert_allclose(found.policy[b], visits / visits.sum())
        assert found.values[b] == pytest.approx(slow.mean(root), abs=1e-5)


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


@pytest.mark.parametrize("solver", [False, True])
def test_a_kept_tree_is_the_subtree(solver: bool) -> None:
    world, states, plies = positions(60, seed=7)
    config = SearchConfig(simulations=40, solver=solver)
    forest = Forest(world, len(states), config)
    found = forest.search(states, plies, streams(8, len(states)), evaluate)
    slow = Slow(world, config)
    children = [
        slow.run(Node(world, state)).edges[int(action)]["child"]
        for state, action in zip(states, found.choices, strict=True)
    ]
    on = np.array([child is not None and child.seat >= 0 for child in children])
    forest.advance(np.where(on, found.choices, -1), streams(9, len(states)))
    kept = 0
    for b, child in enumerate(children):
        nodes, edges = forest.tree[0][b], forest.tree[1][b]
        count = int(forest.summaries["nodes"][b])
        if not on[b] or slow.proven(child):
            assert count == 0
            continue
        kept += 1
        assert nodes[0]["visits"] == slow.visits(child)
        own = edges[nodes[0]["first"] :][: nodes[0]["size"]]
        assert dict(zip(own["action"], own["visits"], strict=True)) == {a: e["visits"] for a, e in child.edges.items()}
        # Every node that is left hangs below the root, each once.
        below = edges["child"][: forest.summaries["edges"][b]]
        below = below[below >= 0].tolist()
        assert sorted(below) == list(range(1, count))
    assert kept > 12
    # The next search goes on in it, as the slow one does.
    after = states.copy()
    for b in np.flatnonzero(on):
        world.step(after[b], int(found.choices[b]), 0, np.zeros(2))
    after[~on] = states[~on]
    found = forest.search(after, plies + on, streams(10, len(states)), evaluate, keep=True)
    for b in np.flatnonzero(on):
        root = slow.run(Node(world, after[b]) if slow.proven(children[b]) else children[b])
        visits = np.zeros(A)
        for a, edge in slow.contenders(root).items():
            visits[a] = edge["visits"]
        np.testing.assert_allclose(found.policy[b], visits / visits.sum())


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


def endings(count: int, empty: int) -> tuple[Positions, Any]:
    """Endings of Connect Four from random play, and by alpha-beta to the end, which actions [count, A] keep the value.
    In each some action loses value, and none wins at once."""
    world = make_env("connect_four")
    assert isinstance(world, Game)
    rng = generator(3, "endings")
    table, plies = world.table(count), rng.integers(42 - empty, 40, count)
    table.reset(np.arange(count), streams(0, count))
    for _ in range(40):
        live = np.flatnonzero((table.seats >= 0) & (table.plies < plies))
        table.step(live, (rng.random((len(live), 7)) * table.legal(live)).argmax(axis=1))
    rows = np.flatnonzero(table.seats >= 0)
    values = [make_agent(f"minimax:depth={depth}", world).values(table.states(rows)) for depth in (1, empty)]
    best = values[1] >= values[1].max(axis=1, keepdims=True)
    chosen = (values[0].max(axis=1) < 1) & (best != (table.legal(rows) > 0)).any(axis=1)
    return Positions.at(table, rows[chosen], streams(4, int(chosen.sum()))), best[chosen]


def test_no_ending_is_misplayed() -> None:
    positions, best = endings(80_000, 12)
    assert len(best) > 300
    agent = make_agent("alphazero-strong", make_env("connect_four"))
    assert best[np.arange(len(best)), agent.act(positions)].all()


def test_a_drawn_ending_is_held_with_every_seed() -> None:
    """Selection that kept walking into proven children lost it with every seed."""
    world = make_env("connect_four")
    table, rows = world.table(10), np.arange(10)
    table.reset(rows, streams(0, 10))
    for column in "73337267741442232214473741513516265":
        table.step(rows, np.full(10, int(column) - 1))
    for settings in ("", ":endgame=0"):
        agent = make_agent(f"alphazero-strong{settings}", world)
        assert agent.act(Positions.at(table, rows, streams(5, 10))).tolist() == [0] * 10
