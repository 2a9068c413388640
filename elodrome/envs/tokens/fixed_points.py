"""Where training with a KL as a loss comes to rest, exactly (notes 5.5 and 5.6).

A KL in the reward (5.26), or the squared log-ratio of whole answers as a loss, pulls along the gradient of the KL
between answers: these rest at the optimum (5.11). A sum of estimates token by token (5.23) does not: each state is held
near the reference for itself, and no token pays for the KL of those behind it. With Q(s, a) what answers are worth that
go on so, such a policy rests where in every state s

    k2:  pi(a|s) = ref(a|s) exp(Q(s, a) / beta) / Z(s),
    k3:  pi(a|s) = ref(a|s) beta / (beta - Q(s, a) + V(s)),  V(s) = sum_a pi(a|s) Q(s, a),

which is solved from the last tokens back. Shapes as in ``exact``: policies are tables of log-probabilities [X, N, V].
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from elodrome.envs.game import Reals
from elodrome.envs.tokens.exact import Answers
from elodrome.errors import UserError

HALVINGS = 60


def token_rest(
    answers: Answers, reference: Reals, beta: float, kl: Literal["k2", "k3"], worth: Reals | None = None
) -> Reals:
    """The policy at rest [X, N, V], where ``beta`` times the estimator of each token is taken off. worth [X, M]: of
    complete answers (their rewards)."""
    if not beta > 0:
        raise UserError(f"beta={beta!r} must be greater than 0")
    worth = answers.reward if worth is None else worth
    prompts, count, vocabulary = reference.shape
    number = {prefix: i for i, prefix in enumerate(answers.prefixes)}
    whole = {answer: i for i, answer in enumerate(answers.complete)}
    policy, value = np.zeros(reference.shape), np.zeros((prompts, count))
    for n in reversed(range(count)):  # longer prefixes stand behind shorter ones
        q = np.empty((prompts, vocabulary))
        for token in range(vocabulary):
            answer = (*answers.prefixes[n], token)
            q[:, token] = value[:, number[answer]] if answer in number else worth[:, whole[answer]]
        policy[:, n] = _tilted(reference[:, n], q, beta) if kl == "k2" else _hyperbolic(reference[:, n], q, beta)
        value[:, n] = (np.exp(policy[:, n]) * q).sum(axis=1)
    return policy


def ranks(log_prob: Reals, reward: Reals) -> Reals:
    """What an answer's advantage is on average [X, M], where groups of two are normalised by their own deviation
    (5.20): 1 for the better, -1 for the worse, 0 for both where they are equal; so P(other worse) - P(other better)."""
    order = np.sign(reward[:, :, None] - reward[:, None, :])
    found: Reals = (order * np.exp(log_prob)[:, None, :]).sum(axis=2)
    return found


def group_rest(
    answers: Answers,
    reference: Reals,
    beta: float,
    kl: Literal["k2", "k3"],
    rounds: int = 2000,
    tolerance: float = 1e-9,
) -> Reals:
    """The policy at rest [X, N, V] of ``token_rest`` where an answer's worth is its rank among the policy's own
    answers: GRPO with groups of two. Raises UserError where the rounds do not settle."""
    policy = reference
    for _ in range(rounds):
        found = token_rest(answers, reference, beta, kl, ranks(answers.log_prob(policy), answers.reward))
        if np.abs(np.exp(found) - np.exp(policy)).max() < tolerance:
            return found
        policy = np.logaddexp(policy, found) - np.log(2)
    raise UserError(f"no fixed point found within {rounds} rounds; a greater beta than {beta:g} settles sooner")


def _tilted(reference: Reals, q: Reals, beta: float) -> Reals:
    """log of ref exp(q / beta), normalised: [X, V]."""
    tilted = reference + q / beta
    top = tilted.max(axis=1, keepdims=True)
    found: Reals = tilted - top - np.log(np.exp(tilted - top).sum(axis=1, keepdims=True))
    return found


def _hyperbolic(reference: Reals, q: Reals, beta: float) -> Reals:
    """log of ref beta / (beta - q + v) [X, V], v such that it sums to 1: no less than where one token alone has all
    probability, at most the greatest q."""
    ref = np.exp(reference)
    low, high = (q - beta + beta * ref).max(axis=1, keepdims=True), q.max(axis=1, keepdims=True)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        over = (ref * beta / (beta - q + middle)).sum(axis=1, keepdims=True) > 1
        low, high = np.where(over, middle, low), np.where(over, high, middle)
    found: Reals = reference + np.log(beta / (beta - q + high))
    return found
