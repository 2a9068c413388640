"""Dynamic programming on the tables of a solo world (notes 2.3, algorithms 1 to 3), and evaluation in games.

S states, A actions. Sweeps go through the states in place, as in the book; an ended episode is worth 0. Without
discount the sweeps converge where the episode is sure to end, for value iteration where it is worth ending it. What is
best then may be to stay where it is safe, for ever, and never to arrive: see ``arriving``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from elodrome.agents.ops.td import own_discounts, td_target
from elodrome.envs.engine import MASKS, REAL_ROWS
from elodrome.envs.enumeration import Tables
from elodrome.envs.game import Mask, Reals, compiled
from elodrome.envs.signatures import I8, REALS, WORDS
from elodrome.errors import UserError

F8 = types.float64
THETA = 1e-12  # relative to the largest value
TIE = 1e-9  # relative too: actions whose values differ by less are equally good
SWEEPS = 1_000_000
MOST = 1 << 28  # plies, states and actions that a plan of every ply may have
MODEL = types.Tuple((WORDS, MASKS, WORDS, WORDS, REALS, REAL_ROWS))


@compiled(F8(MODEL, I8, I8, F8, REALS), inline="always")
def expected(model: Any, state: int, action: int, discount: float, value: Any) -> float:
    """``R(s, a) + gamma sum_s' P(s'|s, a) V(s')``, from the outcomes of one state and action."""
    _, legal, offsets, next_state, probability, reward = model
    at = state * legal.shape[1] + action
    total = 0.0
    for e in range(offsets[at], offsets[at + 1]):
        total += probability[e] * td_target(reward[e, 0], discount, value[next_state[e]])
    return total


@compiled(F8(MODEL, REAL_ROWS, F8, REALS))
def expectation_sweep(model: Any, policy: Any, discount: float, value: Any) -> float:
    """One sweep of the Bellman expectation equation (2.40) in place; the largest change."""
    seats, legal = model[0], model[1]
    delta = 0.0
    for s in range(seats.size):
        if seats[s] < 0:
            continue
        new = 0.0
        for a in range(legal.shape[1]):
            if policy[s, a] > 0.0:
                new += policy[s, a] * expected(model, s, a, discount, value)
        delta = max(delta, abs(new - value[s]))
        value[s] = new
    return delta


@compiled(F8(MODEL, F8, REALS))
def optimality_sweep(model: Any, discount: float, value: Any) -> float:
    """One sweep of the Bellman optimality equation (algorithm 3, line 6) in place; the largest change."""
    seats, legal = model[0], model[1]
    delta = 0.0
    for s in range(seats.size):
        if seats[s] < 0:
            continue
        new = -np.inf
        for a in range(legal.shape[1]):
            if legal[s, a]:
                new = max(new, expected(model, s, a, discount, value))
        delta = max(delta, abs(new - value[s]))
        value[s] = new
    return delta


@compiled(types.void(MODEL, F8, REALS, REAL_ROWS))
def fill_action_values(model: Any, discount: float, value: Any, q: Any) -> None:
    """Q [S, A] of one step ahead of V [S] where legal; the rest of ``q`` is left as it is."""
    seats, legal = model[0], model[1]
    for s in range(seats.size):
        for a in range(legal.shape[1]):
            if seats[s] >= 0 and legal[s, a]:
                q[s, a] = expected(model, s, a, discount, value)


def model_of(tables: Tables) -> tuple[Any, ...]:
    """What the sweeps take. Raises UserError when the world has several seats."""
    if tables.game.players != 1:
        raise UserError(f"dynamic programming plans for one seat; {tables.game.id} has {tables.game.players}")
    return tables.seats, tables.legal, tables.offsets, tables.next_state, tables.probability, tables.reward


def action_values(tables: Tables, value: Reals, discount: float) -> Reals:
    """Q [S, A] of eq. (2.48) from V [S]; -inf where an action is illegal or the episode over."""
    q = np.full(tables.legal.shape, -np.inf)
    fill_action_values(model_of(tables), discount, value, q)
    return q


def best_actions(q: Reals) -> Reals:
    """1 where an action of q [S, A] is as good as the best of its state, else 0; all 0 in ended states."""
    best = q.max(axis=1, keepdims=True)
    return ((q >= best - TIE * (1.0 + np.abs(best))) & (q > -np.inf)).astype(np.float64)


def backward_induction(tables: Tables, discount: float, plies: int) -> tuple[Reals, Mask]:
    """(V [L + 1, S], best uint8 [L + 1, S, A]) with 0 .. L plies left, L at most ``plies``: exact where the episode is
    cut off. L is less where values no longer change with what is left. Raises UserError where that is too much to keep.
    """
    model = model_of(tables)
    if plies * tables.legal.size > MOST:
        raise UserError(f"{tables.game.id}: too large to plan {plies} plies ahead; leave the limit out of the plan")
    values, best = [np.zeros(tables.size)], [np.zeros_like(tables.legal)]
    for _ in range(plies):
        q = np.full(tables.legal.shape, -np.inf)
        fill_action_values(model, discount, values[-1], q)
        value = np.where(tables.seats >= 0, q.max(axis=1), 0.0)
        best.append(best_actions(q).astype(np.uint8))
        values.append(value)
        if np.array_equal(value, values[-2]):
            break
    return np.array(values), np.array(best)


def uniform_policy(tables: Tables) -> Reals:
    """The policy [S, A] that takes every legal action with equal probability; rows of ended states are 0."""
    return evenly(tables.legal)


def evenly(chosen: Mask | Reals) -> Reals:
    """The policy [..., A] that takes the actions marked by 1 with equal probability; rows without any stay 0."""
    return chosen / np.maximum(chosen.sum(axis=-1, keepdims=True), 1)


def policy_evaluation(tables: Tables, policy: Reals, discount: float, theta: float = THETA) -> Reals:
    """Algorithm 1: V [S] of a policy [S, A]. Raises UserError when it does not converge."""
    model = model_of(tables)
    value = np.zeros(tables.size)
    for _ in range(SWEEPS):
        delta = expectation_sweep(model, policy, discount, value)
        if delta < theta * (1.0 + np.abs(value).max()):
            return value
    raise _diverges(tables, discount, "under this policy the episode need not end")


def joint_evaluation(tables: Tables, policy: Reals, discount: float) -> Reals:
    """V [S, P] of every seat in a game in which all play by a policy [S, A], each one's return discounted by its own
    decisions (``own_discount``): algorithm 1 with as many sweeps as the limit of steps, a rule of games, leaves plies.
    """
    game = tables.game
    pair = np.repeat(np.arange(tables.legal.size), np.diff(tables.offsets))
    state, weight = pair // game.actions, policy.ravel()[pair] * tables.probability
    fades = own_discounts(discount, tables.seats[tables.next_state], game.players)
    value = np.zeros((tables.size, game.players))
    for _ in range(game.max_steps):
        ahead = weight[:, None] * (tables.reward + fades * value[tables.next_state])
        new: Reals = np.stack([np.bincount(state, column, tables.size) for column in ahead.T], axis=1)
        if np.array_equal(new, value):
            break
        value = new
    return value


def policy_iteration(tables: Tables, discount: float, epsilon: float = 0.0) -> tuple[Reals, Reals, int]:
    """Algorithm 2: (policy [S, A], V [S], rounds), from the uniform policy on.

    With ``epsilon`` the best among the epsilon-soft policies: every legal action keeps its share of epsilon.
    """
    uniform = uniform_policy(tables)
    policy = uniform
    action = np.full(tables.size, -1)
    states = np.arange(tables.size)
    rounds = 0
    while True:
        rounds += 1
        value = policy_evaluation(tables, policy, discount)
        q = action_values(tables, value, discount)
        # An action is left only for a better one, so that equally good ones do not take turns for ever.
        stays = (action >= 0) & (best_actions(q)[states, action] > 0)
        improved = np.where(stays, action, q.argmax(axis=1))
        if rounds > 1 and np.array_equal(improved[tables.seats >= 0], action[tables.seats >= 0]):
            return policy, value, rounds
        action = improved
        policy = epsilon * uniform
        policy[states, action] += (1.0 - epsilon) * (tables.seats >= 0)


def value_iteration(tables: Tables, discount: float, theta: float = THETA) -> tuple[Reals, Reals, int]:
    """Algorithm 3: (Q* [S, A], V* [S], sweeps). Raises UserError when it does not converge."""
    model = model_of(tables)
    value = np.zeros(tables.size)
    for sweep in range(1, SWEEPS + 1):
        delta = optimality_sweep(model, discount, value)
        if delta < theta * (1.0 + np.abs(value).max()):
            return action_values(tables, value, discount), value, sweep
    raise _diverges(tables, discount, "there is no best return, or the episode need not end")


def _diverges(tables: Tables, discount: float, why: str) -> UserError:
    return UserError(f"{tables.game.id}: values do not converge at discount {discount}: {why}; use one below 1")
