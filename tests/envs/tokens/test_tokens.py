"""The token MDP's rules by hand, and its exact quantities against an independent recursion."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np
import pytest

from elodrome import make_env
from elodrome.envs.tokens.exact import Answers, enumerate_answers, kl
from elodrome.envs.tokens.generation import modes
from elodrome.errors import UserError

BETA = 0.3


def reward_of(world: Any, prompt: int, answer: tuple[int, ...]) -> float:
    row, paid = world.template.copy(), np.zeros(1)
    world.reset(row, prompt)
    for t, token in enumerate(answer):
        assert world.player(row) == 0
        paid[:] = 0
        world.step(row, token, 0, paid)
        assert t == len(answer) - 1 or paid[0] == 0
    assert world.player(row) < 0
    return float(paid[0])


RIGHT = {
    "copy": lambda x, content: x,
    "reverse": lambda x, content: x[::-1],
    "sorted": lambda x, content: tuple(sorted(x)),
    "count": lambda x, content: (x.count(0) % content,),
    "sum": lambda x, content: (sum(x) % content,),
}


@pytest.mark.parametrize("name", RIGHT)
def test_rules_verify(name: str) -> None:
    """Every complete answer to every prompt: 1 for the right one alone."""
    world = make_env(f"token_mdp:reward={name},vocabulary=4,prompts=9,prompt_length=3,horizon=4,seed=3")
    answers = enumerate_answers(world)
    assert len(set(answers.tokens.prompt_tokens)) == 9
    for x, prompt in enumerate(answers.tokens.prompt_tokens):
        right = RIGHT[name](prompt, 3)
        for m, answer in enumerate(answers.complete):
            content = answer[:-1] if answer[-1] == 3 else answer
            assert answers.reward[x, m] == (content == right), (prompt, answer)


def test_an_answer_at_the_horizon_needs_no_eos() -> None:
    world = make_env("token_mdp:reward=copy,horizon=2")
    for x, prompt in enumerate(world.extra.prompt_tokens):
        assert reward_of(world, x, prompt) == 1


def test_observation() -> None:
    world = make_env("token_mdp:horizon=10")
    row, out = world.template.copy(), np.full(12, 9, np.float32)
    world.reset(row, 2)
    for token in (0, 2, 1, 0, 0, 1, 2, 2, 1):
        world.step(row, token, 0, np.zeros(1))
    world.observe(row, 0, out)
    assert out.tolist() == [*(t + 1 for t in world.extra.prompt_tokens[2]), 1, 3, 2, 1, 1, 2, 3, 3, 2, 0]
    world.step(row, 3, 0, np.zeros(1))
    world.observe(row, 0, out)
    assert out[-1] == 4
    assert world.draw(row).endswith("answer: 0 2 1 0 0 1 2 2 1 EOS")


def test_table_rewards_depend_on_seed_prompt_and_answer() -> None:
    answers = enumerate_answers(make_env("token_mdp:seed=1"))
    other = enumerate_answers(make_env("token_mdp:seed=2"))
    assert len(np.unique(answers.reward)) == answers.reward.size == 4 * 121
    assert not np.intersect1d(answers.reward, other.reward).size
    assert abs(answers.reward.mean() - 0.5) < 4 / math.sqrt(12 * 484)  # uniform on [0, 1)
    np.testing.assert_array_equal(answers.reward, enumerate_answers(make_env("token_mdp:seed=1")).reward)


def test_structured_rewards_are_a_sum_over_tokens_and_neighbours() -> None:
    """Least squares on a few random answers tells the reward of all; with the neighbours left out it does not."""
    answers = enumerate_answers(make_env("token_mdp:reward=structured,horizon=5,seed=3"))
    assert 0 <= answers.reward.min() < answers.reward.max() < 1
    rng = np.random.default_rng(0)

    def features(x: int, answer: tuple[int, ...], *, neighbours: bool) -> np.ndarray:
        of_prompt, of_pair = np.zeros((4, 4)), np.zeros((5, 4))
        for before, token in zip((4, *answer), answer, strict=False):
            of_prompt[x, token] += 1
            of_pair[before, token] += neighbours
        return np.concatenate([[1.0], of_prompt.ravel(), of_pair.ravel()])

    for neighbours in (True, False):
        rows = np.array([[features(x, y, neighbours=neighbours) for y in answers.complete] for x in range(4)])
        every, reward = rows.reshape(-1, rows.shape[-1]), answers.reward.ravel()
        seen = rng.permutation(len(every))[:200]
        told = every @ np.linalg.lstsq(every[seen], reward[seen], rcond=None)[0]
        assert (np.abs(told - reward).max() < 1e-9) == neighbours
    other = enumerate_answers(make_env("token_mdp:reward=structured,horizon=5,seed=4"))
    assert not np.isclose(answers.reward, other.reward).any()
    assert len({row.tobytes() for row in answers.reward.round(12)}) == 4  # each prompt has its own


@pytest.mark.parametrize(("vocabulary", "horizon"), [(3, 4), (5, 3), (4, 1)])
def test_two_modes_are_equal_far_apart_and_low_between(vocabulary: int, horizon: int) -> None:
    world = make_env(f"token_mdp:reward=two_mode,vocabulary={vocabulary},horizon={horizon},prompts=3")
    answers = enumerate_answers(world)
    found = set()
    for x in range(3):
        first, second = modes(world, x)
        found.add(first)
        assert len(first) == horizon
        assert all(a != b and max(a, b) < vocabulary - 1 for a, b in zip(first, second, strict=True))
        for m, answer in enumerate(answers.complete):
            shared = [sum(a == b for a, b in zip(mode, answer, strict=False)) / horizon for mode in (first, second)]
            assert answers.reward[x, m] == pytest.approx(max(shared) ** 3, abs=1e-12)
        best = {answers.complete[m] for m in np.flatnonzero(answers.reward[x] == 1)}
        assert best == {first, second}
    assert len(found) > 1
    star = answers.optimal(answers.uniform(), 0.05)
    for x in range(3):  # the optimum loves both alike
        p = [np.exp(star[x, answers.complete.index(mode)]) for mode in modes(world, x)]
        assert p[0] == pytest.approx(p[1])


def policy_at(prompt: tuple[int, ...], prefix: tuple[int, ...]) -> list[float]:
    """Some policy that depends on everything, as log-probabilities of 4 tokens."""
    scores = [
        math.sin(1 + 3 * a + sum((t + 2) * (i + 1) for i, t in enumerate((*prompt, 7, *prefix)))) for a in range(4)
    ]
    total = math.log(sum(math.exp(s) for s in scores))
    return [s - total for s in scores]


def recursion(world: Any, x: int, prefix: tuple[int, ...], log_p: float) -> list[tuple[tuple[int, ...], float, float]]:
    """(answer, log-probability, reward) below a prefix, by plain recursion."""
    found = []
    for token, log_q in enumerate(policy_at(world.extra.prompt_tokens[x], prefix)):
        answer = (*prefix, token)
        if token == 3 or len(answer) == world.extra.horizon:
            found.append((answer, log_p + log_q, reward_of(world, x, answer)))
        else:
            found += recursion(world, x, answer, log_p + log_q)
    return found


def test_exact_quantities_against_recursion() -> None:
    world = make_env("token_mdp:seed=4,horizon=3")
    answers = enumerate_answers(world)
    reference = answers.table(policy_at)
    log_ref = answers.log_prob(reference)
    for x in range(4):
        slow = sorted(recursion(world, x, (), 0.0))
        order = sorted(range(len(answers.complete)), key=lambda m: answers.complete[m])
        assert [answers.complete[m] for m in order] == [s[0] for s in slow]
        np.testing.assert_allclose(log_ref[x, order], [s[1] for s in slow], atol=1e-12)
        z = sum(math.exp(lp) * math.exp(r / BETA) for _, lp, r in slow)
        assert math.isclose(answers.log_z(reference, BETA)[x], math.log(z), abs_tol=1e-12)
        star = [math.exp(lp) * math.exp(r / BETA) / z for _, lp, r in slow]
        np.testing.assert_allclose(np.exp(answers.optimal(reference, BETA)[x, order]), star, atol=1e-12)
        divergence = sum(p * (math.log(p) - lp) for p, (_, lp, _) in zip(star, slow, strict=True))
        assert math.isclose(kl(answers.optimal(reference, BETA), log_ref)[x], divergence, abs_tol=1e-12)
        expected = sum(p * r for p, (_, _, r) in zip(star, slow, strict=True))
        assert math.isclose(
            answers.objective(answers.optimal(reference, BETA), reference, BETA)[x],
            expected - BETA * divergence,
            abs_tol=1e-12,
        )


@pytest.fixture(scope="module")
def small() -> Answers:
    return enumerate_answers(make_env("token_mdp:horizon=3"))


def test_pi_star_is_the_best(small: Answers) -> None:
    """J(pi*) = beta log Z, and no perturbed policy reaches it (5.11); sequence conditionals give it back."""
    reference = small.uniform()
    star = small.optimal(reference, BETA)
    best = small.objective(star, reference, BETA)
    np.testing.assert_allclose(best, BETA * small.log_z(reference, BETA), atol=1e-12)
    table = small.conditionals(star)
    np.testing.assert_allclose(np.exp(table).sum(-1), 1, atol=1e-12)
    np.testing.assert_allclose(small.log_prob(table), star, atol=1e-12)
    rng = np.random.default_rng(0)
    for size in (1e-3, 0.1, 1.0, 3.0):
        for _ in range(25):
            other = table + size * rng.normal(size=table.shape)
            other -= np.log(np.exp(other).sum(-1, keepdims=True))
            assert (small.objective(small.log_prob(other), reference, BETA) < best).all()


def test_kl_is_the_sum_of_the_tokens_kl(small: Answers) -> None:
    """KL over answers against the KL of next tokens, weighted by how often a prefix is reached."""
    rng = np.random.default_rng(1)
    one, other = (logits(rng, small) for _ in range(2))
    reach = np.array(
        [
            [np.exp(sum(one[x, small.prefixes.index(p[:t]), a] for t, a in enumerate(p))) for p in small.prefixes]
            for x in range(4)
        ]
    )
    by_token = (reach * (np.exp(one) * (one - other)).sum(-1)).sum(1)
    np.testing.assert_allclose(kl(small.log_prob(one), small.log_prob(other)), by_token, atol=1e-12)


def logits(rng: np.random.Generator, answers: Answers) -> np.ndarray:
    """A random policy table."""
    scores = rng.normal(size=(4, len(answers.prefixes), 4))
    return scores - np.log(np.exp(scores).sum(-1, keepdims=True))


def test_gradients_against_differences(small: Answers) -> None:
    """Every logit of one prompt nudged by itself: J, the KL, and a loss on one pair of answers."""
    rng, step = np.random.default_rng(2), 1e-6
    policy, reference = logits(rng, small), logits(rng, small)

    def dpo(log_prob: Any) -> Any:  # -log sigmoid of the difference of two answers
        return np.log1p(np.exp(log_prob[:, 7] - log_prob[:, 20]))

    log_prob = small.log_prob(policy)
    slope = 1 / (1 + np.exp(log_prob[:, 20] - log_prob[:, 7]))
    weights = np.zeros_like(log_prob)
    weights[:, 7], weights[:, 20] = slope, -slope
    cases = [
        (small.objective_gradient(policy, reference, BETA), lambda lp: small.objective(lp, reference, BETA)),
        (small.kl_gradient(policy, reference), lambda lp: kl(lp, small.log_prob(reference))),
        (small.gradient(policy, np.exp(log_prob) * small.reward), small.expected_reward),
        (small.gradient(policy, weights), dpo),
    ]
    for exact, value in cases:
        assert np.abs(exact).max() > 1e-3
        for s in range(len(small.prefixes)):
            for a in range(4):
                ends = []
                for sign in (1, -1):
                    moved = policy.copy()
                    moved[:, s, a] += sign * step
                    moved -= np.log(np.exp(moved).sum(-1, keepdims=True))
                    ends.append(value(small.log_prob(moved)))
                np.testing.assert_allclose(exact[:, s, a], (ends[0] - ends[1]) / (2 * step), atol=1e-8)
    # At the optimum nothing is to be gained.
    star = small.conditionals(small.optimal(reference, BETA))
    np.testing.assert_allclose(small.objective_gradient(star, reference, BETA), 0, atol=1e-12)


def test_steps_lead_from_prefix_to_prefix(small: Answers) -> None:
    at, token = small.steps
    for answer, prefixes, tokens in zip(small.complete, at.tolist(), token.tolist(), strict=True):
        padding = [-1] * (3 - len(answer))
        assert tokens == [*answer, *padding]
        assert prefixes == [*(small.prefixes.index(answer[:t]) for t in range(len(answer))), *padding]


def test_what_is_shown_at_each_prefix(small: Answers) -> None:
    for x in range(4):
        shown = small.observations(x)
        for i, prefix in enumerate(small.prefixes):
            row, out = small.world.template.copy(), np.zeros(small.world.observation_size, np.float32)
            small.world.reset(row, x)
            for token in prefix:
                small.world.step(row, token, 0, np.zeros(1))
            small.world.observe(row, 0, out)
            np.testing.assert_array_equal(shown[i], out)


def test_millions_are_enumerated_in_a_moment() -> None:
    """3.9 million pairs: totals by hand, and single answers asked of the rules."""
    world = make_env("token_mdp:vocabulary=9,prompts=13,horizon=6")
    answers = enumerate_answers(world)
    assert answers.reward.shape == (13, sum(8**n for n in range(7)))
    assert abs(answers.reward.mean() - 0.5) < 4 / math.sqrt(12 * answers.reward.size)
    np.testing.assert_allclose(np.exp(answers.log_prob(answers.uniform())).sum(1), 1, atol=1e-9)
    for m in np.random.default_rng(0).integers(answers.reward.shape[1], size=200):
        answer = tuple(a for a in answers.complete_tokens[m].tolist() if a >= 0)
        assert answers.reward[m % 13, m] == reward_of(world, int(m % 13), answer)


def test_greedy_policies_have_finite_kl(small: Answers) -> None:
    certain = np.full((4, len(small.complete)), -np.inf)
    certain[:, 0] = 0.0
    np.testing.assert_allclose(kl(certain, small.log_prob(small.uniform())), math.log(4), atol=1e-12)


def test_all_answers_are_there(small: Answers) -> None:
    by_hand = {y for n in range(3) for y in ((*c, 3) for c in product(range(3), repeat=n))}
    by_hand |= set(product(range(3), repeat=3))
    assert set(small.complete) == by_hand
    assert len(small.complete) == len(by_hand) == 40
    np.testing.assert_allclose(np.exp(small.log_prob(small.uniform())).sum(1), 1, atol=1e-12)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"vocabulary": 1}, "vocabulary=1 is not between"),
        ({"prompts": 10, "prompt_length": 2}, "there are only 9"),
        ({"reward": "sort"}, "did you mean 'sorted'"),
        ({"reward": "copy", "horizon": 1}, "too short to copy"),
        ({"horizon": 2.5}, "not a whole number"),
        ({"prompt_length": 0}, "prompt_length=0"),
        ({"reward": "two_mode", "vocabulary": 2, "prompts": 1}, "needs a vocabulary of 3 at least"),
    ],
)
def test_refusals(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError) as caught:
        make_env("token_mdp", **options)
    assert words in str(caught.value)


def test_too_large_to_enumerate() -> None:
    with pytest.raises(UserError, match="more than 4000000"):
        enumerate_answers(make_env("token_mdp:horizon=30"))
    with pytest.raises(UserError, match="484 pairs of prompt and answer; more than 483 are"):
        enumerate_answers(make_env("token_mdp"), limit=483)
    with pytest.raises(UserError, match="not a token world"):
        enumerate_answers(make_env("tic_tac_toe"))
