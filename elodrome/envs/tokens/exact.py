"""Small token worlds exactly: all answers, Z, pi*, KL, J and gradients in closed form (notes 5.4.3, (5.10)-(5.11)).

Shapes: X prompts, M complete answers, N prefixes (answers that are not complete), V tokens, H horizon. A policy is a
table of log-probabilities [X, N, V]; the distribution it gives over complete answers is [X, M]. All in float64.

Both stand in order of length, then of their tokens. So the prefixes of length n are C^n in a row, C = V - 1, each
followed on the next level by its own C; of the complete answers the first ones belong to the prefixes that end with
EOS, one to each, and the last C^(H - 1) V to those of length H - 1. What a policy says is passed along these levels,
with no table of who follows whom: in memory a few times the policy's own [X, N, V], about 8 (1 + 2 / C) bytes for each
of the X M pairs of prompt and answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import types

from elodrome.envs.engine import REAL_ROWS
from elodrome.envs.game import Floats, Game, Reals, compiled
from elodrome.envs.intrinsics import row, rules_of
from elodrome.envs.signatures import ACTIONS, MAX_STEPS, WORLD
from elodrome.envs.tokens.rows import Tokens
from elodrome.errors import UserError

Answer = tuple[int, ...]
MOST = 4_000_000  # pairs of prompt and answer


@dataclass(frozen=True)
class Answers:
    """All that can be said in a token world.

    reward: float64 [X, M], asked from the world's own rules. prefixes: N tuples of tokens, the empty one first;
    complete: M tuples, EOS included where it was said.
    """

    world: Game
    tokens: Tokens
    reward: Reals

    @cached_property
    def prefixes(self) -> tuple[Answer, ...]:
        """The N prefixes."""
        return tuple(_tuples(self.prefix_tokens))

    @cached_property
    def complete(self) -> tuple[Answer, ...]:
        """The M complete answers."""
        return tuple(_tuples(self.complete_tokens))

    @cached_property
    def prefix_tokens(self) -> npt.NDArray[np.int16]:
        """The prefixes as rows int16 [N, H - 1], -1 behind their ends."""
        content = self.tokens.vocabulary - 1
        out = np.full((sum(size for _, size in self._levels()), self.tokens.horizon - 1), -1, np.int16)
        for n, (at, size) in enumerate(self._levels()):
            number = np.arange(size)
            for t in reversed(range(n)):
                out[at : at + size, t] = number % content
                number //= content
        return out

    @cached_property
    def complete_tokens(self) -> npt.NDArray[np.int16]:
        """The complete answers as rows int16 [M, H], -1 behind their ends."""
        v, before = self.tokens.vocabulary, self.prefix_tokens
        (at, size) = list(self._levels())[-1]
        out = np.full((at + size * v, self.tokens.horizon), -1, np.int16)
        out[:at, :-1] = before[:at]
        out[np.arange(at), (before[:at] >= 0).sum(1)] = self.tokens.eos
        out[at:, :-1] = np.repeat(before[at:], v, axis=0)
        out[at:, -1] = np.tile(np.arange(v), size)
        return out

    @cached_property
    def steps(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """For each answer and time the number of the prefix and the token: int64 [M, H] twice, padded with -1."""
        token = self.complete_tokens.astype(np.int64)
        at, number = np.full_like(token, -1), np.zeros(len(token), np.int64)
        for t, (begin, _) in enumerate(self._levels()):
            at[:, t] = np.where(token[:, t] >= 0, begin + number, -1)
            number = number * (self.tokens.vocabulary - 1) + token[:, t]
        return at, token

    def _levels(self) -> Iterator[tuple[int, int]]:
        """For each length of prefix where they begin, and how many they are."""
        at, size = 0, 1
        for _ in range(self.tokens.horizon):
            yield at, size
            at, size = at + size, size * (self.tokens.vocabulary - 1)

    def observations(self, prompt: int) -> Floats:
        """What the world shows at each prefix of an answer to the prompt of that number: float32 [N, O]."""
        state, start = self.world.template.copy(), np.zeros(self.world.observation_size, np.float32)
        self.world.reset(state, prompt)
        self.world.observe(state, 0, start)
        out = np.repeat(start[None], len(self.prefix_tokens), axis=0)
        said = out.shape[1] - self.tokens.horizon
        out[:, said:-1] = self.prefix_tokens + 1
        return out

    def uniform(self) -> Reals:
        """The uniform policy, log-probabilities [X, N, V]."""
        v = self.tokens.vocabulary
        return np.full((self.tokens.prompts, sum(size for _, size in self._levels()), v), -np.log(v))

    def table(self, policy: Callable[[Answer, Answer], Any]) -> Reals:
        """The table [X, N, V] of ``policy(prompt tokens, prefix) -> log-probabilities [V]``."""
        return np.array([[policy(x, prefix) for prefix in self.prefixes] for x in self.tokens.prompt_tokens], float)

    def log_prob(self, policy: Reals) -> Reals:
        """log pi(y|x) [X, M]: the sum over tokens of a policy table [X, N, V]."""
        out = np.empty((len(policy), self.reward.shape[1]))
        reached = np.zeros((len(policy), 1))
        for at, size in self._levels():
            told = policy[:, at : at + size] + reached[:, :, None]
            out[:, at : at + size] = told[..., -1]
            reached = told[..., :-1].reshape(len(policy), -1)
        out[:, at:] = told.reshape(len(policy), -1)
        return out

    def through(self, values: Reals) -> Reals:
        """For each prefix and next token the sum of values [X, M] over all answers that begin so: [X, N, V]."""
        out = np.empty((len(values), sum(size for _, size in self._levels()), self.tokens.vocabulary))
        below: Reals | None = None
        for at, size in reversed(list(self._levels())):
            here = out[:, at : at + size]
            if below is None:
                here[:] = values[:, at:].reshape(here.shape)
            else:
                here[..., -1] = values[:, at : at + size]
                here[..., :-1] = below.reshape(len(values), size, -1)
            below = here.sum(-1)
        return out

    def log_z(self, reference: Reals, beta: float) -> Reals:
        """log Z(x) [X], Z(x) = sum_y pi_ref(y|x) exp(r(x, y) / beta)."""
        return _logsumexp(self.log_prob(reference) + self.reward / beta)

    def optimal(self, reference: Reals, beta: float) -> Reals:
        """log pi*(y|x) [X, M] of (5.11), which maximises E[r] - beta KL(pi || pi_ref); greatest value beta log Z."""
        if not beta > 0:
            raise UserError(f"beta={beta!r} must be greater than 0")
        tilted = self.log_prob(reference) + self.reward / beta
        return tilted - _logsumexp(tilted)[:, None]

    def conditionals(self, log_prob: Reals) -> Reals:
        """The policy table [X, N, V] that gives the distribution [X, M] over complete answers; uniform where it never
        comes."""
        mass = self.through(np.exp(log_prob))
        total = mass.sum(-1, keepdims=True)
        with np.errstate(divide="ignore"):
            share = np.divide(mass, total, out=np.full_like(mass, 1 / mass.shape[-1]), where=total > 0)
            return np.log(share, out=share)

    def expected_reward(self, log_prob: Reals) -> Reals:
        """E over y of r(x, y), [X]."""
        return (np.exp(log_prob) * self.reward).sum(-1)

    def objective(self, log_prob: Reals, reference: Reals, beta: float) -> Reals:
        """J [X] = E[r] - beta KL(pi || pi_ref); log_prob [X, M], reference a policy table [X, N, V]."""
        return self.expected_reward(log_prob) - beta * kl(log_prob, self.log_prob(reference))

    def gradient(self, policy: Reals, weights: Reals) -> Reals:
        """sum_y weights(x, y) d log pi(y|x) / d logits, [X, N, V], for a policy table that is the softmax of logits.

        The chain rule for all that depends on a policy through its answers alone: ``weights`` [X, M] are the
        derivatives by log pi(y|x). Of E[g(y)] these are pi(y|x) g(y), and a constant added to g changes nothing; of the
        cross entropy -sum_y q(y) log pi(y|x) they are -q; of a loss on pairs, its own slope in either answer.
        """
        through = self.through(weights)
        return through - np.exp(policy) * through.sum(-1, keepdims=True)

    def kl_gradient(self, policy: Reals, reference: Reals) -> Reals:
        """d KL(pi(.|x) || pi_ref(.|x)) / d logits, [X, N, V], of two policy tables."""
        log_prob = self.log_prob(policy)
        return self.gradient(policy, _times_prob(log_prob, log_prob, self.log_prob(reference)))

    def objective_gradient(self, policy: Reals, reference: Reals, beta: float) -> Reals:
        """dJ / d logits, [X, N, V], J = E[r] - beta KL(pi || pi_ref) of two policy tables (notes 5.4.3)."""
        log_prob = self.log_prob(policy)
        weights = np.exp(log_prob) * self.reward - beta * _times_prob(log_prob, log_prob, self.log_prob(reference))
        return self.gradient(policy, weights)


def kl(log_p: Reals, log_q: Reals) -> Reals:
    """KL(p || q) [X] of distributions over answers [X, M]; 0 log 0 = 0."""
    return _times_prob(log_p, log_p, log_q).sum(-1)


def _times_prob(log_p: Reals, first: Reals, second: Reals) -> Reals:
    """p (first - second), 0 where p is 0."""
    p = np.exp(log_p)
    with np.errstate(invalid="ignore"):
        return np.where(p > 0, p * (first - second), 0.0)


@compiled(types.void(WORLD, REAL_ROWS))
def answer_rewards(world: Any, reward: Any) -> None:
    """What each complete answer is paid, summed over its tokens: reward [X, M], the answers in the order above."""
    header, template = world
    rules = rules_of(header)
    vocabulary, horizon = header[ACTIONS], header[MAX_STEPS]
    content = vocabulary - 1
    begin = np.zeros(horizon, np.int64)  # the first prefix of each length
    size = 1
    for n in range(1, horizon):
        begin[n] = begin[n - 1] + size
        size *= content
    stack = np.empty((horizon + 1, template.size), np.int64)
    number, token = np.zeros(horizon, np.int64), np.zeros(horizon, np.int64)
    paid, rewards = np.zeros(horizon + 1), np.zeros(1)
    for x in range(reward.shape[0]):
        stack[0] = template
        rules[0](row(stack, 0), x)
        token[0] = 0
        n = 0
        while n >= 0:
            if token[n] == vocabulary:
                n -= 1
                continue
            action = token[n]
            token[n] += 1
            stack[n + 1] = stack[n]
            rewards[0] = 0.0
            rules[3](row(stack, n + 1), action, 0, rewards)
            paid[n + 1] = paid[n] + rewards[0]
            if n == horizon - 1:
                reward[x, begin[n] + number[n] * vocabulary + action] = paid[n + 1]
            elif action == content:
                reward[x, begin[n] + number[n]] = paid[n + 1]
            else:
                n += 1
                number[n] = number[n - 1] * content + action
                token[n] = 0


def enumerate_answers(world: Game, limit: int = MOST) -> Answers:
    """Every prefix and complete answer of a token world, with the rewards its rules give.

    Raises UserError when the world is not a token world, or has more than ``limit`` pairs of prompt and answer.
    """
    tokens = world.extra
    if not isinstance(tokens, Tokens):
        raise UserError(f"{world.id} is not a token world; exact answers need one, such as token_mdp")
    content = tokens.vocabulary - 1
    complete = sum(content**n for n in range(tokens.horizon + 1))
    if tokens.prompts * complete > limit:
        pairs = f"{tokens.prompts * complete} pairs of prompt and answer"
        raise UserError(f"{world.id} has {pairs}; more than {limit} are not enumerated")
    reward = np.empty((tokens.prompts, complete))
    answer_rewards(world.compiled, reward)
    return Answers(world, tokens, reward)


def _tuples(tokens: npt.NDArray[np.int16]) -> Iterator[Answer]:
    lengths = (tokens >= 0).sum(1)
    return (tuple(said[:length]) for said, length in zip(tokens.tolist(), lengths.tolist(), strict=True))


def _logsumexp(values: Reals) -> Reals:
    top = values.max(-1, keepdims=True)
    return (top + np.log(np.exp(values - top).sum(-1, keepdims=True)))[..., 0]
