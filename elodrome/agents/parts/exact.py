"""What a policy is worth, exactly, on any world whose states fit in dense matrices (notes 1.2 to 1.4, 2.2, 3.2, A.3).

S states, A actions. Learners are measured against these numbers, and each theorem of the notes is an identity between
them. A policy is an array [S, A] of probabilities; its rows are 0 where the episode is over, where nothing more is
paid. Everything is for one seat; what other seats do belongs to the world.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from elodrome.envs.enumeration import Tables
from elodrome.envs.game import Reals
from elodrome.errors import UserError


@dataclass(frozen=True)
class Decisions:
    """A Markov decision process (definition 1.1): transition float64 [S, A, S] and reward [S, A], zeros where an action
    is illegal or the episode over; legal [S, A] of 0 and 1; start [S]; discount."""

    transition: Reals
    reward: Reals
    legal: Reals
    start: Reals
    discount: float

    @classmethod
    def of(cls, tables: Tables, discount: float | None = None) -> Self:
        """The process of an enumerated world of one seat. Raises UserError where it has several."""
        if tables.game.players != 1:
            raise UserError(f"one seat decides here; {tables.game.id} has {tables.game.players}")
        transition, reward = tables.dense()
        start = np.zeros(tables.size)
        np.add.at(start, tables.starts, tables.start_probability)
        legal = tables.legal.astype(np.float64)
        return cls(transition, reward, legal, start, tables.game.discount if discount is None else discount)

    def under(self, policy: Reals) -> tuple[Reals, Reals]:
        """P_pi [S, S] and r_pi [S]: where a policy leads, and what it is paid."""
        return np.einsum("sa,sat->st", policy, self.transition), (policy * self.reward).sum(axis=1)

    def _solve(self, system: Reals, right: Reals) -> Reals:
        """Where discount and policy leave the system singular, the episode need not end. Raises UserError."""
        if self.discount == 1.0 and np.abs(np.linalg.eigvals(system - np.eye(len(system)))).max() > 1.0 - 1e-12:
            raise UserError("without discount this policy's episodes need not end, so that it has no value")
        return np.asarray(np.linalg.solve(system, right), np.float64)

    def value(self, policy: Reals) -> Reals:
        """V [S] of eq. (1.11), from ``(I - gamma P_pi) V = r_pi``."""
        transition, reward = self.under(policy)
        return self._solve(np.eye(len(reward)) - self.discount * transition, reward)

    def action_value(self, value: Reals) -> Reals:
        """Q [S, A] of eq. (1.12): one step, then V [S]."""
        return self.reward + self.discount * self.transition @ value

    def advantage(self, policy: Reals) -> Reals:
        """A [S, A] = Q - V of eq. (3.35), 0 where illegal."""
        value = self.value(policy)
        return (self.action_value(value) - value[:, None]) * self.legal

    def visits(self, policy: Reals, steps: int | None = None) -> Reals:
        """``sum_t gamma^t P(s_t = s)`` [S]; times (1 - gamma) it is the distribution d_pi of appendix A.3. Of the first
        ``steps`` decisions alone, where an episode is cut off after so many."""
        transition, _ = self.under(policy)
        if steps is not None:
            total, weight = 0.0 * self.start, self.start
            for _ in range(steps):
                total, weight = total + weight, self.discount * (weight @ transition)
                if weight.sum() < 1e-15:  # hardly anybody is still under way
                    break
            return total
        return self._solve((np.eye(len(transition)) - self.discount * transition).T, self.start)

    def performance(self, policy: Reals) -> float:
        """``J(pi) = E[sum_t gamma^t r_t]`` (eq. 3.1)."""
        return float(self.start @ self.value(policy))

    def expectation(self, policy: Reals, value: Reals) -> Reals:
        """The Bellman expectation operator ``T^pi V`` [S] (eq. 2.33)."""
        transition, reward = self.under(policy)
        return reward + self.discount * transition @ value

    def optimality(self, value: Reals) -> Reals:
        """The Bellman optimality operator ``T* V`` [S] (eq. 2.34); 0 where the episode is over."""
        q = np.where(self.legal > 0, self.action_value(value), -np.inf).max(axis=1)
        return np.where(self.legal.any(axis=1), q, 0.0)

    def probability(self, policy: Reals, states: Sequence[int], actions: Sequence[int]) -> float:
        """``p(tau) = p(s_0) prod_t pi(a_t|s_t) P(s_t+1|s_t, a_t)`` (eq. 1.3): one state more than actions."""
        p = float(self.start[states[0]])
        for s, a, to in zip(states[:-1], actions, states[1:], strict=True):
            p *= float(policy[s, a] * self.transition[s, a, to])
        return p

    def trajectories(self, policy: Reals, steps: int) -> Iterator[tuple[float, list[int], list[int]]]:
        """All trajectories of ``steps`` decisions (fewer where the episode ends): probability, states, actions."""
        open_ends = [(float(p), [s], list[int]()) for s, p in enumerate(self.start) if p > 0]
        while open_ends:
            p, states, actions = open_ends.pop()
            s = states[-1]
            if len(actions) == steps or not self.legal[s].any():
                yield p, states, actions
                continue
            for a in np.flatnonzero(policy[s] > 0):
                for to in np.flatnonzero(self.transition[s, a] > 0):
                    ahead = p * float(policy[s, a] * self.transition[s, a, to])
                    open_ends.append((ahead, [*states, int(to)], [*actions, int(a)]))

    def gradient(self, policy: Reals) -> Reals:
        """``dJ / d theta`` [S, A] of the policy softmax(theta): ``sum_t gamma^t P(s_t = s) pi(a|s) A(s, a)``.

        Theorem 3.2 with the factor gamma^t that (3.8) leaves out: without it the sum is no gradient of J.
        """
        return self.visits(policy)[:, None] * policy * self.advantage(policy)

    def surrogate(self, old: Reals, new: Reals) -> float:
        """``L = E_{s ~ d_old, a ~ new}[A_old(s, a)] / (1 - gamma)``: what appendix A.3.3 has for J(new) - J(old)."""
        return float(self.visits(old) @ (new * self.advantage(old)).sum(axis=1))

    def surrogate_error(self, old: Reals, new: Reals) -> float:
        """The most by which ``surrogate`` errs (A.33): ``2 gamma eps / (1 - gamma)^2 max_s KL(old || new)``, where eps
        is the largest advantage; below discount 1."""
        both = (old > 0) & (self.legal > 0)
        with np.errstate(divide="ignore"):
            ratio = np.log(np.where(both, old, 1.0)) - np.log(np.where(both, new, 1.0))
        divergence = (old * ratio).sum(axis=1).max()
        largest = np.abs(self.advantage(old)).max()
        return float(2 * self.discount * largest / (1 - self.discount) ** 2 * divergence)


def softmax(theta: Reals, legal: Reals) -> Reals:
    """The policy [S, A] of preferences theta [S, A] (eq. 3.2) over the legal actions; rows without any are 0."""
    top = np.where(legal > 0, theta, -np.inf).max(axis=1, keepdims=True)
    weight = np.exp(theta - np.where(np.isfinite(top), top, 0.0)) * legal
    policy: Reals = weight / np.maximum(weight.sum(axis=1, keepdims=True), 1e-300)
    return policy


def score(policy: Reals, s: int, a: int) -> Reals:
    """``grad log pi(a|s)`` [S, A] with respect to the preferences of ``softmax``: the score of lemma 3.3."""
    gradient = np.zeros_like(policy)
    gradient[s] = -policy[s]
    gradient[s, a] += 1.0
    return gradient
