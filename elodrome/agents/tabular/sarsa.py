"""SARSA (notes 2.5.2, algorithm 4, eq. 2.59): the target takes the next action that is really taken.

Solo worlds are learned as in the book. In games of several seats all seats learn at once by playing each other; the
next state and action of a seat are those of its next move, and its reward is all that it got in between.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from elodrome.agents.ops.td import cut_is_end, linear_schedule, sarsa_target, td_update
from elodrome.agents.parts.tabular import MODEL, TabularConfig, TabularLearner, draw, epsilon_greedy
from elodrome.envs.engine import GOLDEN, REAL_ROWS, ROWS, STREAMS, mix, unit
from elodrome.envs.game import compiled
from elodrome.envs.intrinsics import row
from elodrome.envs.signatures import I8, REALS, WORDS

ABOUT = {
    "cls": "Sarsa",
    "chapter": "2",
    "summary": "tabular SARSA, on-policy; in games by self-play",
    "needs": ("enumerable",),
}


@compiled(I8(MODEL, REAL_ROWS, REAL_ROWS, REALS, WORDS, STREAMS, ROWS, REAL_ROWS, REAL_ROWS, I8, I8))
def sarsa(
    model: Any, q: Any, visits: Any, settings: Any, clock: Any, rng: Any, held: Any, sums: Any,
    finished: Any, limit: int, steps: int,
) -> int:  # fmt: skip
    """Algorithm 4 for ``steps`` steps or until ``finished`` is full; see ``parts.tabular`` for the arguments."""
    info, seats, _, offsets, next_state, quantiles, rewards, starts, start_quantiles = model
    alpha, power, discount = settings[0], settings[1], settings[2]
    state, ply, step, chosen = clock[0], clock[1], clock[2], clock[3]
    word = rng[0]
    players, actions = held.shape[0], q.shape[1]
    episodes = 0
    for _ in range(steps):
        if episodes == finished.shape[0]:
            break
        if state < 0:
            # Start an episode and choose A from S by epsilon-greedy.
            word += GOLDEN
            state = starts[draw(start_quantiles, 0, starts.size, unit(mix(word)))]
            ply = 0
            for p in range(players):
                held[p, 0] = -1
                sums[p, 2] = 0.0
            i = info[state]
            epsilon = linear_schedule(settings[3], settings[4], settings[5], step)
            word += GOLDEN
            chosen = epsilon_greedy(row(q, i), mix(word), epsilon)
        seat = seats[state]
        held[seat, 0], held[seat, 1] = info[state], chosen
        sums[seat, 0], sums[seat, 1] = 0.0, 1.0

        # Take A, observe R and S'.
        edge, end = offsets[state * actions + chosen], offsets[state * actions + chosen + 1]
        if end - edge > 1:
            word += GOLDEN
            edge = draw(quantiles, edge, end, unit(mix(word)))
        state = next_state[edge]
        for p in range(players):
            sums[p, 0] += sums[p, 1] * rewards[edge, p]
            sums[p, 1] *= discount
            sums[p, 2] += rewards[edge, p]
        ply += 1
        step += 1

        # Choose A' from S' by epsilon-greedy.
        late = ply >= limit
        over = seats[state] < 0 or (late and cut_is_end(players))
        ahead = info[state]
        if not over:
            epsilon = linear_schedule(settings[3], settings[4], settings[5], step)
            word += GOLDEN
            chosen = epsilon_greedy(row(q, ahead), mix(word), epsilon)

        # Q(S, A) <- Q(S, A) + alpha (R + gamma Q(S', A') - Q(S, A)): for the seat that moves in S', or, at the end,
        # for all.
        for p in range(players):
            i, action = held[p, 0], held[p, 1]
            if i < 0 or not (over or p == seats[state]):
                continue
            target = sums[p, 0] if over else sarsa_target(sums[p, 0], sums[p, 1], row(q, ahead), chosen)
            rate = alpha
            if power > 0.0:
                visits[i, action] += 1.0
                rate = alpha / visits[i, action] ** power
            q[i, action] = td_update(q[i, action], target, rate)

        # S <- S', A <- A', until S is terminal (or the episode is cut off).
        if over or late:
            for p in range(players):
                finished[episodes, p] = sums[p, 2]
            episodes += 1
            state = np.int64(-1)
    clock[0], clock[1], clock[2], clock[3] = state, ply, step, chosen
    rng[0] = word
    return episodes


class Sarsa(TabularLearner):
    """Tabular SARSA on any world that can be enumerated; settings: ``TabularConfig``."""

    loop = staticmethod(sarsa)
    config: TabularConfig
