"""The search in a learned model against an independent slow one, and against exact values of a small model."""

import math
from typing import Any

import numpy as np
import pytest

from elodrome import make_env
from elodrome.agents.search.forest import SearchConfig, halving
from elodrome.agents.search.latent import LatentForest
from elodrome.seeding import streams

PRIME = 1_000_000_007


class Arbitrary:
    """A model with arbitrary but fixed answers: a latent is the code of the path that led to it."""

    def __init__(self, actions: int) -> None:
        self.actions, self.calls = actions, 0

    def answer(self, code: float) -> tuple[Any, float, float]:
        rng = np.random.default_rng(int(code))
        return rng.normal(size=self.actions).astype(np.float32), *(np.float32(x) for x in rng.uniform(-0.4, 0.4, 2))

    def following(self, code: float, action: int) -> float:
        return (code * 31 + action + 1) % PRIME

    def root(self, observations: Any) -> tuple[Any, Any, Any]:
        codes = observations[:, 0].astype(np.float64)
        answers = [self.answer(c) for c in codes]
        return codes[:, None], np.array([a[0] for a in answers]), np.array([a[1] for a in answers])

    def step(self, latents: Any, actions: Any) -> tuple[Any, Any, Any, Any]:
        self.calls += 1
        codes = np.array([self.following(c, a) for c, a in zip(latents[:, 0], actions, strict=True)])
        answers = [self.answer(c) for c in codes]
        logits, values, gains = (np.array(x) for x in zip(*answers, strict=True))
        return codes[:, None], gains, logits, values


class Node:
    def __init__(self, model: Arbitrary, code: float, legal: list[int]) -> None:
        self.code = code
        logits, self.raw, self.gain = model.answer(code)
        weights = {a: math.exp(logits[a]) for a in legal}
        self.prior = {a: w / sum(weights.values()) for a, w in weights.items()}
        self.children: dict[int, Node] = {}
        self.visits: dict[int, int] = dict.fromkeys(legal, 0)
        self.totals: dict[int, float] = dict.fromkeys(legal, 0.0)
        self.count, self.total = 1, float(self.raw)

    def q(self, a: int) -> float:
        return self.totals[a] / self.visits[a]


class Slow:
    """One tree, one simulation after another. Of two seats each discounts by its own decisions."""

    def __init__(self, model: Arbitrary, config: SearchConfig, discount: float, players: int) -> None:
        self.model, self.config, self.discount = model, config, discount
        self.players = players
        self.low, self.high = (-1.0, 1.0) if players == 2 else (math.inf, -math.inf)

    def scaled(self, q: float) -> float:
        if self.low > self.high:
            return q
        return (q - self.low) / (self.high - self.low) if self.high > self.low else q - self.low

    def run(self, code: float, legal: list[int]) -> Node:
        root = Node(self.model, code, legal)
        for t in range(self.config.simulations):
            self.simulate(root, t)
        return root

    def simulate(self, root: Node, t: int) -> None:
        path, node = [], root
        while True:
            scores = self.wanted(node, t) if node is root and self.config.gumbel else self.puct(node)
            action = max(scores, key=lambda a: scores[a])
            path.append((node, action))
            if action not in node.children:
                break
            node = node.children[action]
        leaf = Node(self.model, self.model.following(node.code, action), list(range(self.model.actions)))
        node.children[action] = leaf
        value, other = float(leaf.raw), -float(leaf.raw)  # of the seat that acts there, and of the one that does not
        for node, action in reversed(path):
            gain = float(node.children[action].gain)
            if self.players == 2:
                value, other = gain + other, self.discount * value - gain
            else:
                value = gain + self.discount * value
            node.visits[action] += 1
            node.totals[action] += value
            node.count += 1
            node.total += value
            self.low, self.high = min(self.low, value), max(self.high, value)

    def puct(self, node: Node) -> dict[int, float]:
        parent = self.scaled(node.total / node.count) - self.config.fpu
        return {
            a: (self.scaled(node.q(a)) if node.visits[a] else parent)
            + self.config.c * p * math.sqrt(node.count) / (1 + node.visits[a])
            for a, p in node.prior.items()
        }

    def wanted(self, node: Node, t: int) -> dict[int, float]:
        tried = [a for a in node.prior if node.visits[a]]
        mixed = float(node.raw)
        if tried:
            n, mass = sum(node.visits.values()), sum(node.prior[a] for a in tried)
            mixed = (mixed + n * sum(node.prior[a] * node.q(a) for a in tried) / mass) / (1 + n)
        sigma = (self.config.c_visit + max(node.visits.values())) * self.config.c_scale
        m = min(self.config.considered, len(node.prior))
        visits = halving(m, self.config.simulations)[m - 1, t]
        return {
            a: math.log(p) + sigma * self.scaled(node.q(a) if node.visits[a] else mixed)
            for a, p in node.prior.items()
            if node.visits[a] == visits
        }


DISCOUNTS = [("tic_tac_toe", 1.0), ("tic_tac_toe", 0.8), ("gridworld", 0.9), ("gridworld", 1.0)]


@pytest.mark.parametrize("gumbel", [False, True])
@pytest.mark.parametrize(("world_id", "discount"), DISCOUNTS)
@pytest.mark.parametrize("simulations", [1, 2, 50])
def test_visits_and_values_are_those_of_the_slow_search(
    world_id: str, discount: float, gumbel: bool, simulations: int
) -> None:
    world = make_env(world_id)
    size, actions = 20, world.actions
    rng = np.random.default_rng(5)
    seen = rng.integers(1, 10**6, (size, world.observation_size)).astype(np.float32)
    legal = (rng.random((size, actions)) < 0.6).astype(np.uint8)
    legal[np.arange(size), rng.integers(0, actions, size)] = 1
    config = SearchConfig(simulations=simulations, solver=False, gumbel=gumbel, considered=4, c_scale=0.1)
    model = Arbitrary(actions)
    forest = LatentForest(world, size + 3, config, discount)
    for _ in range(2):  # a used forest answers as a new one
        found = forest.dream(seen, legal, streams(1, size), model)
    assert model.calls == 2 * simulations
    for b in range(size):
        root = Slow(model, config, discount, world.players).run(
            float(seen[b, 0]), [a for a in range(actions) if legal[b, a]]
        )
        visits = [root.visits.get(a, 0) for a in range(actions)]
        if not gumbel:
            np.testing.assert_allclose(found.policy[b], np.array(visits) / simulations, atol=1e-12)
        assert visits[found.choices[b]] == max(visits)
        assert legal[b, found.choices[b]]
        assert found.values[b] == pytest.approx(root.total / root.count, abs=2e-5)


class Corridor:
    """Cells 0 .. 4 in a line, latents their numbers: action 1 goes right, everything else stays; -1 for each step until
    cell 4 is reached, nothing there. Told nothing of values or policies."""

    def root(self, observations: Any) -> tuple[Any, Any, Any]:
        cells = observations[:, :1].astype(np.float64)
        return cells, np.zeros((len(cells), 4)), np.zeros(len(cells))

    def step(self, latents: Any, actions: Any) -> tuple[Any, Any, Any, Any]:
        gains = np.where(latents[:, 0] >= 4, 0.0, -1.0)
        following = np.minimum(4, latents + (actions == 1)[:, None])
        return following, gains, np.zeros((len(latents), 4)), np.zeros(len(latents))


@pytest.mark.parametrize("gumbel", [False, True])
def test_planning_in_a_right_model_finds_the_way(gumbel: bool) -> None:
    world = make_env("gridworld")
    config = SearchConfig(simulations=600, solver=False, gumbel=gumbel)
    seen = np.zeros((4, world.observation_size), np.float32)
    seen[:, 0] = [0, 1, 2, 3]
    legal = np.ones((4, 4), np.uint8)
    found = LatentForest(world, 4, config, 1.0).dream(seen, legal, streams(3, 4), Corridor())
    assert found.choices.tolist() == [1, 1, 1, 1]
