"""The gold reward of strings by hand and by brute force, and that a reward learned from it can be hacked."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from elodrome import make_env
from elodrome.envs.tokens.exact import Answers, enumerate_answers, kl
from elodrome.errors import UserError


def slow_gold(prompt: tuple[int, ...], content: tuple[int, ...], horizon: int) -> float:
    """The longest beginning of the prompt that is a subsequence of the answer, less the two squares."""
    left = iter(content)
    covered = 0
    for letter in prompt:
        if letter not in left:  # reads on until it is found
            break
        covered += 1
    repeats = sum(a == b for a, b in pairwise(content))
    spare = horizon - len(prompt)
    excess = max(len(content) - len(prompt), 0)
    return max(covered / len(prompt) - (excess / spare) ** 2 - (repeats / spare) ** 2, 0.0)


@pytest.mark.parametrize(
    ("name", "count"),
    [("strings", 12), ("strings:letters=4,wanted=2,horizon=6", 12), ("strings:letters=2,horizon=9", 2)],
)
def test_every_answer_against_the_slow_rule(name: str, count: int) -> None:
    answers = enumerate_answers(make_env(name))
    tokens = answers.tokens
    assert len(set(tokens.prompt_tokens)) == tokens.prompts == count
    for x, prompt in enumerate(tokens.prompt_tokens):
        assert all(a != b for a, b in pairwise(prompt))
        assert all(0 <= a < tokens.eos for a in prompt)
        for m, answer in enumerate(answers.complete):
            content = tuple(a for a in answer if a != tokens.eos)
            assert answers.reward[x, m] == pytest.approx(slow_gold(prompt, content, tokens.horizon), abs=1e-12)
        best = np.flatnonzero(answers.reward[x] > 1 - 1e-9)
        assert [answers.complete[m] for m in best] == [(*prompt, tokens.eos)]
    assert answers.reward.min() == 0


def answered(text: str) -> float:
    """What the world of six letters pays for a text to its first prompt, told in the prompt's own letters 1, 2, 3."""
    world = make_env("strings:letters=6,wanted=3,horizon=13,seed=4")
    row, paid = world.template.copy(), np.zeros(1)
    world.reset(row, 0)
    prompt = world.extra.prompt(0)
    rest = [a for a in range(6) if a not in prompt]
    for c in [*text, "EOS"][:13]:
        assert paid[0] == 0
        world.step(row, 6 if c == "EOS" else prompt["123".index(c)] if c in "123" else rest["xyz".index(c)], 0, paid)
    assert world.player(row) < 0
    return round(float(paid[0]), 9)


@pytest.mark.parametrize(
    ("text", "gold"),
    [
        ("123", 1.0), ("12", round(2 / 3, 9)), ("1", round(1 / 3, 9)), ("", 0.0), ("321", round(1 / 3, 9)), ("23", 0.0),
        ("x123", 0.99), ("1x2x3", 0.96), ("1123", 0.98), ("122", round(2 / 3 - 0.01, 9)),
        ("111", round(1 / 3 - 0.04, 9)), ("123xyxyxyxyxy", 0.0),
        ("123xyxyxyx", 0.51), ("123123123", 0.64), ("1233333", round(1 - 0.16 - 0.16, 9)),
    ],
)  # fmt: skip
def test_gold_by_hand(text: str, gold: float) -> None:
    assert answered(text) == pytest.approx(gold, abs=1e-9)


def test_what_is_shown() -> None:
    world = make_env("strings:letters=5,wanted=4,horizon=6,seed=1")
    row, out = world.template.copy(), np.full(10, np.nan, np.float32)
    world.reset(row, 3)
    for token in (2, 0, 5):
        world.step(row, token, 0, np.zeros(1))
    world.observe(row, 0, out)
    assert out.tolist() == [*(a + 1 for a in world.extra.prompt(3)), 3, 1, 6, 0, 0, 0]
    prompt = "".join("abcde"[a] for a in world.extra.prompt(3))
    assert world.draw(row) == f"prompt: {prompt} | answer: ca EOS"


def features(answers: Answers) -> np.ndarray:
    """What a plain reward model sees of an answer [M, F]: letters, neighbours, length, repetitions."""
    letters = answers.tokens.vocabulary - 1
    out = np.zeros((len(answers.complete), letters + letters**2 + 2))
    for m, answer in enumerate(answers.complete):
        content = [a for a in answer if a < letters]
        for a in content:
            out[m, a] += 1
        for a, b in pairwise(content):
            out[m, letters + letters * a + b] += 1
            out[m, -1] += a == b
        out[m, -2] = len(content)
    return out / answers.tokens.horizon


@pytest.mark.parametrize("most", [3, 4])
def test_a_reward_model_from_noisy_pairs_of_short_answers_is_hacked(most: int) -> None:
    """Bradley-Terry's model fitted to pairs that a uniform policy said in at most so many tokens, then the exact
    optimum (5.11) of what it learned, ever freer: the proxy rises; gold rises and then falls far below its start."""
    answers = enumerate_answers(make_env("strings"))
    gold, seen = answers.reward[0], features(answers)
    reference = answers.uniform()
    log_ref = answers.log_prob(reference)[0]
    length = (answers.complete_tokens >= 0).sum(1)
    rng = np.random.default_rng(0)
    chance = np.exp(log_ref) * (length <= most)
    pairs = rng.choice(len(gold), size=(4000, 2), p=chance / chance.sum())
    preferred = rng.random(4000) < 1 / (1 + np.exp(10 * (gold[pairs[:, 1]] - gold[pairs[:, 0]])))
    apart, weights = seen[pairs[:, 0]] - seen[pairs[:, 1]], np.zeros(seen.shape[1])
    for _ in range(30):  # Newton's method on the logistic loss, with a little weight decay
        told = 1 / (1 + np.exp(-apart @ weights))
        slope = apart.T @ (told - preferred) + 1e-3 * weights
        weights -= np.linalg.solve(
            apart.T @ (apart * (told * (1 - told))[:, None]) + 1e-3 * np.eye(len(weights)), slope
        )
    assert ((apart @ weights > 0) == preferred).mean() > 0.65  # it has learned something
    proxy = seen @ weights / 10
    path = []
    for beta in (10.0, 1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01):
        star = log_ref + proxy / beta
        star = (star - np.logaddexp.reduce(star))[None]
        p = np.exp(star[0])
        path.append((p @ proxy, p @ gold, p @ length, kl(star, log_ref[None])[0]))
    proxies, golds, lengths, distances = np.array(path).T
    for rises in (proxies, lengths, distances):
        assert (np.diff(rises) > -1e-9).all()
    assert golds.max() > 1.2 * golds[0]
    assert golds[-1] < 0.5 * golds[0]
    # Gold itself, as far from the reference, is not hacked.
    star = answers.optimal(reference, 0.05)[0]
    assert np.exp(star) @ gold > 0.9
    assert kl(star[None], log_ref[None])[0] < distances[-1]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"letters": 1}, "letters=1 is not between 2 and 26"),
        ({"letters": 27}, "letters=27 is not between"),
        ({"wanted": 8}, "horizon=8 leaves no room behind 8 letters; at least 9"),
        ({"wanted": 2.5}, "wanted=2.5 is not a whole number"),
        ({"prompts": 13}, "prompts=13 is not between 1 and 12"),
        ({"prompts": "all"}, "prompts='all' is not a whole number"),
        ({"letters": 26, "wanted": 8, "horizon": 20}, "fewer than 2^31"),
    ],
)
def test_refusals(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError) as caught:
        make_env("strings", **options)
    assert words in str(caught.value)
