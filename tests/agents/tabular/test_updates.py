"""Every control loop against a slow loop of its own, written from the book, on what the compiled one went through."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from elodrome.agents.agent import Task
from elodrome.agents.parts.tabular import TabularConfig, TabularLearner
from elodrome.agents.parts.walk import CHOSEN, LAST, SEAT
from elodrome.agents.tabular.double_q_learning import DoubleQLearning
from elodrome.agents.tabular.expected_sarsa import ExpectedSarsa
from elodrome.agents.tabular.monte_carlo_control import MonteCarloConfig, MonteCarloControl
from elodrome.agents.tabular.n_step_sarsa import NStepConfig, NStepSarsa
from elodrome.agents.tabular.q_lambda import QLambda
from elodrome.agents.tabular.q_learning import QLearning
from elodrome.agents.tabular.sarsa import Sarsa
from elodrome.agents.tabular.sarsa_lambda import LambdaConfig, SarsaLambda
from elodrome.envs.registry import make_env

# No dice, so that what follows a step is known; a limit of 6 cuts off most episodes.
WORLD = "gridworld:map=S.T/.../..G,discount=0.9,max_steps={},step_reward=-1,bump_reward=-1.5,goal_reward=5"
GAMMA, ALPHA, EPSILON = 0.9, 0.3, 0.4


@dataclass
class Step:
    """One step that was taken: from i by a with r to ahead; over, or (also) last; the action chosen for ahead."""

    i: int
    a: int
    r: float
    ahead: int
    over: bool
    last: bool
    chosen: int
    q: Any


def steps_of(learner: TabularLearner, count: int) -> Iterator[Step]:
    """Let a learner take steps one by one."""
    model, run = learner.states.model, learner.run
    state_of = learner.states.first
    for _ in range(count):
        learner.advance(learner.states, run, np.zeros((9, 1)), 1)
        i, a = run.held[0].tolist()
        edge = model.offsets[state_of[i] * 4 + a]
        state = model.next_state[edge]
        over = bool(run.clock[SEAT] < 0)
        assert over == (model.seats[state] < 0)
        yield Step(
            i, a, float(model.rewards[edge, 0]), int(model.info[state]), over, bool(run.clock[LAST]),
            int(run.clock[CHOSEN]), learner.values(run).copy(),
        )  # fmt: skip


def make(cls: type[TabularLearner], config: TabularConfig, limit: int = 6) -> TabularLearner:
    return cls(Task(make_env(WORLD.format(limit)), 11), config)


BASE = {"alpha": ALPHA, "epsilon": EPSILON, "initial": 0.5}


def test_one_step_targets() -> None:
    for cls in (QLearning, Sarsa, ExpectedSarsa):
        learner = make(cls, TabularConfig(**BASE))
        q = learner.run.q.copy()
        ends = cuts = 0
        for s in steps_of(learner, 3000):
            soft = (1 - EPSILON) * q[s.ahead].max() + EPSILON * q[s.ahead].mean()
            following = {QLearning: q[s.ahead].max(), Sarsa: q[s.ahead, s.chosen], ExpectedSarsa: soft}[cls]
            target = s.r + (0.0 if s.over else GAMMA * following)
            q[s.i, s.a] += ALPHA * (target - q[s.i, s.a])
            assert q == pytest.approx(s.q, abs=1e-12)
            ends, cuts = ends + s.over, cuts + (s.last and not s.over)
        assert min(ends, cuts) > 50


def test_double_q_learning() -> None:
    learner = make(DoubleQLearning, TabularConfig(**BASE))
    run, tables = learner.run, [learner.run.q.copy(), learner.run.second.copy()]
    flips = learned = 0
    for s in steps_of(learner, 3000):
        changed = [int(not np.array_equal(old, new)) for old, new in zip(tables, (run.q, run.second), strict=True)]
        assert sum(changed) <= 1
        if sum(changed):
            k = changed.index(1)
            flips, learned = flips + k, learned + 1
            mine, judge = tables[k], tables[1 - k]
            best = mine[s.ahead].argmax()
            target = s.r + (0.0 if s.over else GAMMA * judge[s.ahead, best])
            mine[s.i, s.a] += ALPHA * (target - mine[s.i, s.a])
        assert tables[0] == pytest.approx(run.q, abs=1e-12)
        assert tables[1] == pytest.approx(run.second, abs=1e-12)
        assert s.q == pytest.approx((run.q + run.second) / 2)
        tables = [run.q.copy(), run.second.copy()]
    assert learned > 1000
    assert 0.4 < flips / learned < 0.6


@pytest.mark.parametrize("n", [1, 2, 3, 50])
def test_n_step_sarsa(n: int) -> None:
    """An episode is kept whole; each decision is learned from as soon as n rewards, or all there are, are known."""
    learner = make(NStepSarsa, NStepConfig(n=n, **BASE))
    q = learner.run.q.copy()
    episode: list[Step] = []
    learned = 0
    for s in steps_of(learner, 3000):
        episode.append(s)
        value = 0.0 if s.over else q[s.ahead, s.chosen]
        while learned < len(episode) and (s.last or learned + n <= len(episode)):
            rewards = [e.r for e in episode[learned : learned + n]]
            g = sum(GAMMA**k * r for k, r in enumerate(rewards)) + GAMMA ** len(rewards) * value
            first = episode[learned]
            q[first.i, first.a] += ALPHA * (g - q[first.i, first.a])
            learned += 1
        if s.last:
            episode, learned = [], 0
        assert q == pytest.approx(s.q, abs=1e-12)


@pytest.mark.parametrize("replacing", [False, True])
@pytest.mark.parametrize("cls", [SarsaLambda, QLambda])
def test_traces(cls: type[TabularLearner], replacing: bool) -> None:
    """With a trace for every cell of the table, and none dropped."""
    learner = make(cls, LambdaConfig(lam=0.7, replacing=replacing, **BASE))
    q = learner.run.q.copy()
    e = np.zeros_like(q)
    cuts = 0
    for s in steps_of(learner, 3000):
        following = q[s.ahead, s.chosen] if cls is SarsaLambda else q[s.ahead].max()
        delta = s.r + (0.0 if s.over else GAMMA * following) - q[s.i, s.a]
        e[s.i, s.a] = 1.0 if replacing else e[s.i, s.a] + 1.0
        greedy = not s.over and q[s.ahead, s.chosen] == q[s.ahead].max()
        q += ALPHA * delta * e
        e *= GAMMA * 0.7
        if s.last or (cls is QLambda and not greedy):
            e[:] = 0.0
            cuts += not s.last
        assert q == pytest.approx(s.q, abs=1e-11)
    assert (cuts > 50) == (cls is QLambda)


@pytest.mark.parametrize("first", [False, True])
def test_monte_carlo_control(first: bool) -> None:
    learner = make(MonteCarloControl, MonteCarloConfig(first=first, epsilon=EPSILON, initial=0.5), limit=100_000)
    returns: dict[tuple[int, int], list[float]] = {}
    q = learner.run.q.copy()
    episode: list[Step] = []
    again = 0
    for s in steps_of(learner, 4000):
        episode.append(s)
        if s.last:
            for k, e in enumerate(episode):
                before = any((b.i, b.a) == (e.i, e.a) for b in episode[:k])
                again += before
                if not (first and before):
                    g = sum(GAMMA**j * later.r for j, later in enumerate(episode[k:]))
                    returns.setdefault((e.i, e.a), []).append(g)
            for cell, found in returns.items():
                q[cell] = np.mean(found)
            episode = []
        assert q == pytest.approx(s.q, abs=1e-10)
    assert again > 50


def test_with_a_decay_of_nothing_traces_are_sarsa() -> None:
    one, other = make(Sarsa, TabularConfig(**BASE)), make(SarsaLambda, LambdaConfig(lam=0.0, **BASE))
    for a, b in zip(steps_of(one, 500), steps_of(other, 500), strict=True):
        assert a.q == pytest.approx(b.q, abs=1e-12)


@pytest.mark.parametrize("world", ["tic_tac_toe", "prisoners_dilemma:rounds=3"])
def test_in_games_each_seat_learns_from_its_own_decisions(world: str) -> None:
    """n steps that reach to the end, traces that do not fade, and every-visit returns are one and the same where no
    state comes twice: with one value for what follows, none at all."""
    shared = {"alpha": 0.2, "epsilon": 1.0}
    learners = [
        NStepSarsa(Task(make_env(world), 4), NStepConfig(n=50, **shared)),
        MonteCarloControl(Task(make_env(world), 4), MonteCarloConfig(first=False, alpha_power=0.0, **shared)),
    ]
    for learner in learners:
        learner.advance(learner.states, learner.run, np.zeros((200, 2)), 100_000)
    # The order of the random words differs by nothing: both choose once for every decision.
    assert learners[0].run.q == pytest.approx(learners[1].run.q, abs=1e-12)
    assert (learners[0].run.q[learners[0].run.legal > 0] != 0.0).any()
