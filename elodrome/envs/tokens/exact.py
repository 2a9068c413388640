"""Small token worlds exactly: all answers, Z, pi*, KL and J in closed form (notes 5.3 and 5.4, equation 5.11).

Shapes: X prompts, M complete answers, N prefixes (answers that are not complete), V tokens, H horizon. A policy is a
table of log-probabilities [X, N, V]; the distribution it gives over complete answers is [X, M]. All in float64.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from elodrome.envs.game import Game, Reals
from elodrome.envs.tokens.generation import Tokens
from elodrome.errors import UserError

Answer = tuple[int, ...]


@dataclass(frozen=True)
class Answers:
    """All that can be said in a token world.

    prefixes: N tuples of tokens, the empty one first; complete: M tuples, EOS included where it was said;
    reward float64 [X, M], asked from the world's own rules.
    """

    world: Game
    tokens: Tokens
    prefixes: tuple[Answer, ...]
    complete: tuple[Answer, ...]
    reward: Reals

    @cached_property
    def steps(self) -> Any:
        """For each answer and time the number of the prefix and the token: int64 [M, H] twice, padded with -1."""
        number = {prefix: i for i, prefix in enumerate(self.prefixes)}
        at = np.full((len(self.complete), self.tokens.horizon), -1)
        token = np.full_like(at, -1)
        for m, answer in enumerate(self.complete):
            for t, said in enumerate(answer):
                at[m, t], token[m, t] = number[answer[:t]], said
        return at, token

    def uniform(self) -> Reals:
        """The uniform policy, log-probabilities [X, N, V]."""
        v = self.tokens.vocabulary
        return np.full((self.tokens.prompts, len(self.prefixes), v), -np.log(v))

    def table(self, policy: Callable[[Answer, Answer], Any]) -> Reals:
        """The table [X, N, V] of ``policy(prompt tokens, prefix) -> log-probabilities [V]``."""
        return np.array([[policy(x, prefix) for prefix in self.prefixes] for x in self.tokens.prompt_tokens], float)

    def log_prob(self, policy: Reals) -> Reals:
        """log pi(y|x) [X, M]: the sum over tokens of a policy table [X, N, V]."""
        at, token = self.steps
        said = token >= 0
        return np.where(said, policy[:, np.where(said, at, 0), np.where(said, token, 0)], 0.0).sum(-1)

    def log_z(self, reference: Reals, beta: float) -> Reals:
        """log Z(x) [X], Z(x) = sum_y pi_ref(y|x) exp(r(x, y) / beta)."""
        return _logsumexp(self.log_prob(reference) + self.reward / beta)

    def optimal(self, reference: Reals, beta: float) -> Reals:
        """log pi*(y|x) [X, M] of (5.11), which maximises E[r] - beta KL(pi || pi_ref); greatest value beta log Z."""
        if not beta > 0:
            raise UserError(f"beta={beta!r} must be greater than 0")
        return self.log_prob(reference) + self.reward / beta - self.log_z(reference, beta)[:, None]

    def conditionals(self, log_prob: Reals) -> Reals:
        """The policy table [X, N, V] that gives the distribution [X, M] over complete answers."""
        at, token = self.steps
        mass = np.zeros((len(log_prob), len(self.prefixes), self.tokens.vocabulary))
        prob = np.exp(log_prob)
        for t in range(self.tokens.horizon):
            m = np.flatnonzero(token[:, t] >= 0)
            for x in range(len(log_prob)):
                np.add.at(mass[x], (at[m, t], token[m, t]), prob[x, m])
        total = mass.sum(-1, keepdims=True)
        v = self.tokens.vocabulary
        with np.errstate(divide="ignore"):
            return np.log(np.divide(mass, total, out=np.full_like(mass, 1 / v), where=total > 0))

    def expected_reward(self, log_prob: Reals) -> Reals:
        """E over y of r(x, y), [X]."""
        return (np.exp(log_prob) * self.reward).sum(-1)

    def objective(self, log_prob: Reals, reference: Reals, beta: float) -> Reals:
        """J [X] = E[r] - beta KL(pi || pi_ref); log_prob [X, M], reference a policy table [X, N, V]."""
        return self.expected_reward(log_prob) - beta * kl(log_prob, self.log_prob(reference))


def kl(log_p: Reals, log_q: Reals) -> Reals:
    """KL(p || q) [X] of distributions over answers [X, M]; 0 log 0 = 0."""
    p = np.exp(log_p)
    return np.where(p > 0, p * (np.where(p > 0, log_p, 0.0) - np.where(p > 0, log_q, 0.0)), 0.0).sum(-1)


def enumerate_answers(world: Game, limit: int = 100_000) -> Answers:
    """Every prefix and complete answer of a token world, with the rewards its rules give.

    Raises UserError when the world is not a token world, or has more than ``limit`` pairs of prompt and answer.
    """
    tokens = world.extra
    if not isinstance(tokens, Tokens):
        raise UserError(f"{world.id} is not a token world; exact answers need one, such as token_mdp")
    content = tokens.vocabulary - 1
    count = tokens.prompts * sum(content**n for n in range(tokens.horizon + 1))
    if count > limit:
        raise UserError(f"{world.id} has {count} pairs of prompt and answer; more than {limit} are not enumerated")
    prefixes: list[Answer] = [()]
    complete: list[Answer] = []
    for prefix in prefixes:  # grows as it is read: breadth first
        for token in range(tokens.vocabulary):
            answer = (*prefix, token)
            done = token == tokens.eos or len(answer) == tokens.horizon
            (complete if done else prefixes).append(answer)
    reward = np.zeros((tokens.prompts, len(complete)))
    paid = np.zeros(1)
    for x in range(tokens.prompts):
        for m, answer in enumerate(complete):
            state = world.template.copy()
            world.reset(state, x)
            for token in answer:
                paid[:] = 0.0
                world.step(state, token, 0, paid)
                reward[x, m] += paid[0]
    return Answers(world, tokens, tuple(prefixes), tuple(complete), reward)


def _logsumexp(values: Reals) -> Reals:
    top = values.max(-1, keepdims=True)
    return (top + np.log(np.exp(values - top).sum(-1, keepdims=True)))[..., 0]
