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
@pytest.mark.parametrize("discount", [0.85, 1.0])
def test_action_values_satisfy_theirs(seed: int, discount: float) -> None:
    """(2.11) and (2.27), theorem 1.4 in (2.30), and the bound on returns (1.9)."""
    process = random_process(seed, discount=discount)
    policy = random_policy(process, seed)
    q = process.action_value(process.value(policy))
    following = np.einsum("sat,tb,tb->sa", process.transition, policy, q)
    assert q == pytest.approx(process.reward + discount * following, abs=1e-9)
    best = np.zeros(6)
    for _ in range(3000):
        best = process.optimality(best)
    q = process.action_value(best)
    top = np.array([max((q[s, a] for a in np.flatnonzero(process.legal[s])), default=0.0) for s in range(6)])
    assert best == pytest.approx(top, abs=1e-9)
    assert q == pytest.approx(process.reward + discount * np.einsum("sat,t->sa", process.transition, top), abs=1e-9)
    if discount < 1:
        assert np.abs(best).max() <= np.abs(process.reward).max() / (1 - discount)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_operators_shrink_by_no_more_and_no_less(seed: int) -> None:
    """Shifted by c, values come out shifted by gamma c: the factor of (2.35) is reached. From anywhere, k sweeps of
    T^pi leave gamma^k of the error at most (theorem 2.6)."""
    process, rng = random_process(seed), np.random.default_rng(seed)
    policy, value = random_policy(process, seed), rng.normal(size=6)
    for operate in (process.optimality, lambda v: process.expectation(policy, v)):
        assert operate(value + 3.0)[:-1] - operate(value)[:-1] == pytest.approx(3.0 * process.discount, abs=1e-12)
    exact, start = process.value(policy), value
    for k in range(1, 30):
        value = process.expectation(policy, value)
        assert np.abs(value - exact).max() <= process.discount**k * np.abs(start - exact).max() + 1e-12


@pytest.mark.parametrize("seed", SEEDS)
def test_a_policy_that_looks_better_is_better(seed: int) -> None:
    """Theorem 2.7: where ``Q(s, pi') >= V(s)`` everywhere, V' >= V, however little of it is taken; and theorem 2.8:
    greedy improvement ends, after less rounds than there are policies, with the best."""
    process, rng = random_process(seed), np.random.default_rng(seed)
    policy = random_policy(process, seed)
    best = np.zeros(6)
    for _ in range(400):
        best = process.optimality(best)
    for _ in range(20):
        value = process.value(policy)
        q = np.where(process.legal > 0, process.action_value(value), -1e9)
        greedy = np.zeros_like(policy)
        greedy[np.arange(5), q[:5].argmax(axis=1)] = 1.0
        share = rng.random((6, 1))  # of the way, in each state another one
        for better in (greedy, share * greedy + (1 - share) * policy):
            assert ((q * better).sum(axis=1) >= value - 1e-12).all()
            assert (process.value(better) >= value - 1e-12).all()
        if np.array_equal(greedy, policy):
            break
        assert (process.value(greedy) > value + 1e-12).any()
        policy = greedy
    assert np.array_equal(greedy, policy)
    assert process.value(policy) == pytest.approx(best, abs=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_importance_weights_of_trajectories(seed: int) -> None:
    """(3.62) to (3.64): the dynamics cancel, and what one policy played tells what another is worth; decisions' own
    weights (3.65) do not."""
    process, steps = random_process(seed, states=4, actions=2), 4
    old, new = random_policy(process, seed), random_policy(process, seed + 1)
    reach, wanted = process.start, 0.0
    transition, reward = process.under(new)
    for t in range(steps):
        wanted += process.discount**t * float(reach @ reward)
        reach = reach @ transition
    by_episode = by_decision = 0.0
    for p, states, actions in process.trajectories(old, steps):
        ratio = [new[s, a] / old[s, a] for s, a in zip(states, actions, strict=False)]
        assert process.probability(new, states, actions) == pytest.approx(p * np.prod(ratio), rel=1e-12)
        paid = [
            process.discount**t * process.reward[s, a] for t, (s, a) in enumerate(zip(states, actions, strict=False))
        ]
        by_episode += p * float(np.prod(ratio)) * sum(paid)
        by_decision += p * sum(r * x for r, x in zip(ratio, paid, strict=True))
    assert by_episode == pytest.approx(wanted, abs=1e-12)
    assert abs(by_decision - wanted) > 1e-3


@pytest.mark.parametrize("seed", SEEDS)
def test_both_corrections_make_one_policys_data_anothers(seed: int) -> None:
    """(A.29) for any f; with the score and the advantage it is the gradient (3.67, A.30), without the ratio of states
    it is not (3.66)."""
    process, rng = random_process(seed), np.random.default_rng(seed)
    old, new, f = random_policy(process, seed), random_policy(process, seed + 1), rng.normal(size=(6, 3))
    d_old, d_new = ((1 - process.discount) * process.visits(policy) for policy in (old, new))
    met = d_old > 0
    state_ratio = np.where(met, d_new / np.where(met, d_old, 1.0), 0.0)
    action_ratio = np.where(old > 0, new / np.where(old > 0, old, 1.0), 0.0)
    live = process.legal.any(axis=1)
    assert met[live].all()
    corrected = (d_old * state_ratio)[:, None] * old * action_ratio * f
    reach, total = process.start, 0.0
    transition, _ = process.under(new)
    for t in range(400):
        total += (1 - process.discount) * process.discount**t * float(reach @ (new * f).sum(axis=1))
        reach = reach @ transition
    assert corrected.sum() == pytest.approx(total, abs=1e-9)
    gradients = []
    for ratio in (state_ratio, np.ones(6)):
        gradient, advantage = np.zeros_like(new), process.advantage(new)
        for s, a in zip(*np.nonzero(process.legal), strict=True):
            weight = d_old[s] * ratio[s] * old[s, a] * action_ratio[s, a] * advantage[s, a]
            gradient += weight * score(new, s, a) / (1 - process.discount)
        gradients.append(gradient)
    assert gradients[0] == pytest.approx(process.gradient(new), abs=1e-9)
    assert np.abs(gradients[1] - process.gradient(new)).max() > 1e-3


@pytest.mark.parametrize("seed", SEEDS)
def test_the_baseline_of_least_variance_is_not_v(seed: int) -> None:
    """Theorem 3.6 as (3.34) has it, over all trajectories: no other baseline in the first decision has less variance,
    V among them."""
    process, steps = random_process(seed, states=4, actions=3), 3
    policy = random_policy(process, seed)
    played = []
    for p, states, actions in process.trajectories(policy, steps):
        paid = [
            process.discount**t * process.reward[s, a] for t, (s, a) in enumerate(zip(states, actions, strict=False))
        ]
        played.append((p, states[0], score(policy, states[0], actions[0]), sum(paid)))
    best, value = np.zeros(4), np.zeros(4)
    for s in range(3):
        weights = [(p, float((grad**2).sum()), g) for p, start, grad, g in played if start == s]
        total = sum(p * w for p, w, g in weights)  # 0 where there is nothing to choose
        best[s] = sum(p * w * g for p, w, g in weights) / total if total else 0.0
        value[s] = sum(p * g for p, w, g in weights) / sum(p for p, w, g in weights)

    def variance(baseline: Reals) -> float:
        mean = sum(p * grad * (g - baseline[s]) for p, s, grad, g in played)
        assert mean == pytest.approx(sum(p * grad * g for p, s, grad, g in played), abs=1e-12)  # (3.26)
        return sum(p * float(((grad * (g - baseline[s]) - mean) ** 2).sum()) for p, s, grad, g in played)

    least = variance(best)
    for other in (value, np.zeros(4), *(best + np.random.default_rng(seed).normal(size=(10, 4)))):
        assert least < variance(other)


@pytest.mark.parametrize("seed", SEEDS)
def test_without_discount_the_same_holds_where_episodes_end(seed: int) -> None:
    process = random_process(seed, discount=1.0)
    theta = np.random.default_rng(seed).normal(size=process.legal.shape)
    policy, other = softmax(theta, process.legal), random_policy(process, seed)
    gain = process.performance(other) - process.performance(policy)
    by_lemma = process.visits(other) @ (other * process.advantage(policy)).sum(axis=1)
    assert gain == pytest.approx(by_lemma, abs=1e-9)
    length = 0.0
    reach, (transition, _) = process.start, process.under(policy)
    for _ in range(3000):
        length += reach[:-1].sum()
        reach = reach @ transition
    assert process.visits(policy)[:-1].sum() == pytest.approx(length, abs=1e-9)
    gradient, at = process.gradient(policy), np.unravel_index(seed, theta.shape)
    up, down = theta.copy(), theta.copy()
    up[at] += 1e-5
    down[at] -= 1e-5
    rise = process.performance(softmax(up, process.legal)) - process.performance(softmax(down, process.legal))
    assert gradient[at] == pytest.approx(rise / 2e-5, abs=1e-7)


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
