"""What baselines do: the variance of REINFORCE's gradient while a policy gets better (notes 3.4, figure 3.5).

A softmax policy on a 4 x 4 grid, its logits beta Q*: from random (beta = 0) to nearly the best. The gradient of one
episode with respect to all logits, without a baseline, with the mean return, with V (3.33) and with the baseline of
least variance (3.34); the sum of the variances of all its components.
"""

from __future__ import annotations

import numpy as np

from elodrome.agents.ops.returns import discounted_returns
from elodrome.agents.parts.exact import Decisions, softmax
from elodrome.agents.tabular import dynamic_programming as dp
from elodrome.envs.enumeration import enumerate_world
from elodrome.envs.game import Reals, Words
from elodrome.figures._episodes import play
from elodrome.figures.figure import Curve, Figure, Tick, game
from elodrome.seeding import derive, generator

DISCOUNT, STEPS, GROUPS = 0.95, 100, 10
BETAS = np.array([0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0])
NAMES = ("none", "mean return", "V(s)", "least variance")


def compute(quick: bool, seed: int, tick: Tick) -> Figure:
    """10 groups of 1,000 episodes (quick: 200) a point."""
    world = game("gridworld:max_steps=100")
    tables, count, betas = enumerate_world(world), 200 if quick else 1000, BETAS[::3] if quick else BETAS
    process, q = Decisions.of(tables, DISCOUNT), dp.value_iteration(tables, DISCOUNT)[0]
    found = np.zeros((len(NAMES), GROUPS, len(betas)))
    for at, beta in enumerate(betas):
        policy = softmax(beta * np.where(q > -np.inf, q, 0.0), process.legal)
        for group in range(GROUPS):
            rng = generator(derive(seed, "baselines", at, group), "episodes")
            found[:, group, at] = variances(process, policy, count, rng)
        tick(at + 1, len(betas))
    curves = [Curve.of(f"baseline: {name}", betas, found[i]) for i, name in enumerate(NAMES)]
    means = found.mean(axis=1)
    remarks = [
        f"{name}: {means[i, 0]:.1f} at β = 0, {means[i, -1]:.2f} at β = {betas[-1]:g}" for i, name in enumerate(NAMES)
    ]
    title = f"Variance of one episode's policy gradient, by baseline (4 x 4 grid, γ = {DISCOUNT})"
    return Figure(
        title, "β: policy = softmax(β Q*)", "sum of the variances of all components", curves, {}, remarks, "y"
    )


def variances(process: Decisions, policy: Reals, count: int, rng: np.random.Generator) -> Reals:
    """The total variance [4] of the gradient of one episode, for each baseline, from ``count`` episodes."""
    played = play(process, policy, count, STEPS, rng)
    live, continues = played.live, played.continues
    returns = discounted_returns(played.reward, DISCOUNT * continues, np.zeros(live.shape), continues) * live
    value = process.value(policy)
    chosen = policy[played.state, played.action]
    square = (1 - 2 * chosen + (policy**2).sum(axis=1)[played.state]) * live
    weight = np.bincount(played.state.ravel(), square.ravel(), len(policy))
    least = np.bincount(played.state.ravel(), (square * returns).ravel(), len(policy)) / np.maximum(weight, 1e-12)
    mean = returns.sum() / live.sum()
    return np.array(
        [
            _spread(policy, played.state, played.action, (returns - baseline) * live)
            for baseline in (0.0, mean, value[played.state], least[played.state])
        ]
    )


def _spread(policy: Reals, state: Words, action: Words, advantage: Reals) -> float:
    """Of ``sum_t grad log pi(a_t | s_t) A_t`` [B, S, A] of every episode: the sum of the variances."""
    steps, count = advantage.shape
    gradient = np.zeros((count, *policy.shape))
    rows = np.arange(count)
    for t in range(steps):
        gradient[rows, state[t]] -= advantage[t][:, None] * policy[state[t]]
        gradient[rows, state[t], action[t]] += advantage[t]
    return float(gradient.var(axis=0, ddof=1).sum())
