"""Every theorem of the notes on random decision processes, to the last digits."""

import numpy as np
import pytest

from elodrome.agents.parts.exact import Decisions, score, softmax
from elodrome.agents.tabular import dynamic_programming as dp
from elodrome.envs.enumeration import enumerate_world
from elodrome.envs.game import Reals
from elodrome.envs.registry import make_env
from elodrome.errors import UserError

SEEDS = range(6)


def random_process(seed: int, states: int = 6, actions: int = 3, discount: float = 0.85) -> Decisions:
    """States of which the last is the end, some actions illegal, every other state reachable from each."""
    rng = np.random.default_rng(seed)
    legal = (rng.random((states, actions)) < 0.8).astype(float)
    legal[:, 0] = 1.0
    legal[-1] = 0.0
    transition = rng.dirichlet(np.full(states, 0.5), (states, actions)) * legal[:, :, None]
    reward = rng.normal(size=(states, actions)) * legal
    start = np.append(rng.dirichlet(np.ones(states - 1)), 0.0)
    return Decisions(transition, reward, legal, start, discount)


def random_policy(process: Decisions, seed: int) -> Reals:
    return softmax(np.random.default_rng(seed + 100).normal(size=process.legal.shape), process.legal)


@pytest.mark.parametrize("seed", SEEDS)
def test_values_satisfy_their_equations(seed: int) -> None:
    process, exact = random_process(seed), 1e-9
    policy = random_policy(process, seed)
    value = process.value(policy)
    q = process.action_value(value)
    assert value == pytest.approx(process.expectation(policy, value), abs=exact)
    assert value == pytest.approx((policy * q).sum(axis=1), abs=exact)  # theorem 1.2
    assert (policy * process.advantage(policy)).sum(axis=1) == pytest.approx(0.0, abs=exact)
    # What is expected is what comes, step by step.
    reach, total = process.start, 0.0
    transition, reward = process.under(policy)
    visits = np.zeros_like(reach)
    for t in range(400):
        total += process.discount**t * float(reach @ reward)
        visits += process.discount**t * reach
        reach = reach @ transition
    assert process.performance(policy) == pytest.approx(total, abs=exact)
    assert process.visits(policy) == pytest.approx(visits, abs=exact)
    assert process.visits(policy) @ reward == pytest.approx(total, abs=exact)
    assert process.visits(policy).sum() < 1 / (1 - process.discount) + exact


@pytest.mark.parametrize("seed", SEEDS)
def test_both_operators_contract(seed: int) -> None:
    """Theorem 2.5, and that the fixed point of T* is the best that any policy has."""
    process, rng = random_process(seed), np.random.default_rng(seed)
    policy = random_policy(process, seed)
    for _ in range(20):
        one, two = rng.normal(size=(2, 6)) * 10
        gap = process.discount * np.abs(one - two).max()
        assert np.abs(process.expectation(policy, one) - process.expectation(policy, two)).max() <= gap + 1e-12
        assert np.abs(process.optimality(one) - process.optimality(two)).max() <= gap + 1e-12
    best = np.zeros(6)
    for _ in range(400):
        best = process.optimality(best)
    q = np.where(process.legal > 0, process.action_value(best), -np.inf)
    greedy = np.zeros_like(process.legal)
    greedy[np.arange(5), q[:5].argmax(axis=1)] = 1.0
    assert process.value(greedy) == pytest.approx(best, abs=1e-9)
    for other in range(20):
        assert (process.value(random_policy(process, other)) <= best + 1e-9).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_the_gradient_is_that_of_performance(seed: int) -> None:
    process = random_process(seed)
    theta = np.random.default_rng(seed).normal(size=process.legal.shape)
    gradient = process.gradient(softmax(theta, process.legal))
    numeric = np.zeros_like(theta)
    for at in np.ndindex(theta.shape):
        up, down = theta.copy(), theta.copy()
        up[at] += 1e-5
        down[at] -= 1e-5
        rise = process.performance(softmax(up, process.legal)) - process.performance(softmax(down, process.legal))
        numeric[at] = rise / 2e-5
    assert gradient == pytest.approx(numeric, abs=1e-8)


@pytest.mark.parametrize("seed", SEEDS)
def test_trajectories_and_what_their_scores_estimate(seed: int) -> None:
    """Over all trajectories of four decisions: probabilities (1.3), the log-derivative trick (3.5), reward-to-go (3.8)
    and baselines (3.26) have one and the same mean, the gradient; the last alone lowers the variance."""
    process, steps = random_process(seed, states=4, actions=2), 4
    theta = np.random.default_rng(seed).normal(size=process.legal.shape)
    policy = softmax(theta, process.legal)

    def performance(policy: Reals) -> float:
        return sum(p * sum(discounted(s, a)) for p, s, a in process.trajectories(policy, steps))

    def discounted(states: list[int], actions: list[int]) -> list[float]:
        return [
            process.discount**t * process.reward[s, a] for t, (s, a) in enumerate(zip(states, actions, strict=False))
        ]

    numeric = np.zeros_like(theta)
    for at in np.ndindex(theta.shape):
        up, down = theta.copy(), theta.copy()
        up[at] += 1e-5
        down[at] -= 1e-5
        numeric[at] = performance(softmax(up, process.legal)) - performance(softmax(down, process.legal))
    numeric /= 2e-5

    value = process.value(policy)
    total = 0.0
    means = {name: np.zeros_like(theta) for name in ("return", "to go", "baseline", "without gamma^t")}
    squares = dict.fromkeys(means, 0.0)
    for p, states, actions in process.trajectories(policy, steps):
        assert p == pytest.approx(process.probability(policy, states, actions), abs=1e-15)
        total += p
        paid = discounted(states, actions)
        found = {name: np.zeros_like(theta) for name in means}
        for t, (s, a) in enumerate(zip(states, actions, strict=False)):
            to_go = sum(paid[t:])  # from t on, discounted from the start: gamma^t G_t
            found["return"] += score(policy, s, a) * sum(paid)
            found["to go"] += score(policy, s, a) * to_go
            found["baseline"] += score(policy, s, a) * (to_go - process.discount**t * value[s])
            found["without gamma^t"] += score(policy, s, a) * to_go / process.discount**t
        for name, one in found.items():
            means[name] += p * one
            squares[name] += p * float((one**2).sum())
    assert total == pytest.approx(1.0, abs=1e-12)
    for name in ("return", "to go", "baseline"):
        assert means[name] == pytest.approx(numeric, abs=1e-8), name
    assert not np.allclose(means["without gamma^t"], numeric, atol=1e-3)
    assert squares["baseline"] < squares["return"]


def test_scores_have_no_mean() -> None:
    """Lemma 3.3."""
    process = random_process(0)
    policy = random_policy(process, 0)
    for s in range(5):
        mean = sum(policy[s, a] * score(policy, s, a) for a in np.flatnonzero(process.legal[s]))
        assert mean == pytest.approx(0.0, abs=1e-15)


@pytest.mark.parametrize("seed", SEEDS)
def test_performance_difference_and_its_approximation(seed: int) -> None:
    """(A.23) exactly; the surrogate's error within (A.33), and of second order in how far the policies are apart."""
    process = random_process(seed)
    old = random_policy(process, seed)
    theta = np.random.default_rng(seed + 100).normal(size=process.legal.shape)
    step = np.random.default_rng(seed + 200).normal(size=theta.shape)
    errors = []
    for size in (1.0, 0.1, 0.05, 0.0):
        new = softmax(theta + size * step, process.legal)
        gain = process.performance(new) - process.performance(old)
        by_lemma = process.visits(new) @ (new * process.advantage(old)).sum(axis=1)
        assert gain == pytest.approx(by_lemma, abs=1e-9)
        errors.append(abs(gain - process.surrogate(old, new)))
        assert errors[-1] <= process.surrogate_error(old, new) + 1e-12
    assert errors[3] == pytest.approx(0.0, abs=1e-12)
    assert errors[2] < errors[1] / 2.5  # halving the step takes three quarters of it, or so


def test_the_bound_is_the_formula() -> None:
    process = random_process(3)
    old, new = random_policy(process, 3), random_policy(process, 4)
    divergences = [
        sum(old[s, a] * np.log(old[s, a] / new[s, a]) for a in np.flatnonzero(process.legal[s])) for s in range(6)
    ]
    largest = np.abs(process.advantage(old)).max()
    assert process.surrogate_error(old, new) == pytest.approx(
        2 * 0.85 * largest / 0.15**2 * max(divergences), rel=1e-12
    )


def test_on_worlds_of_ours() -> None:
    tables = enumerate_world(make_env("gridworld:map=S.T/.#./..G,slip=0.3,discount=0.8,goal_reward=4"))
    process = Decisions.of(tables)
    policy = dp.uniform_policy(tables)
    assert process.value(policy) == pytest.approx(dp.policy_evaluation(tables, policy, 0.8), abs=1e-9)
    cliff = enumerate_world(make_env("cliff_walking"))
    soft, _, _ = dp.policy_iteration(cliff, 1.0, epsilon=0.1)
    assert Decisions.of(cliff).performance(soft) == pytest.approx(-20.71, abs=0.005)
    up = np.zeros(cliff.legal.shape)
    up[:, 0] = cliff.seats >= 0
    with pytest.raises(UserError, match="episodes need not end"):
        Decisions.of(cliff).value(up)
    with pytest.raises(UserError, match="one seat decides here; tic_tac_toe has 2"):
        Decisions.of(enumerate_world(make_env("tic_tac_toe")))
