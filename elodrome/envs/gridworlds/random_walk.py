"""The random walk of Sutton & Barto, examples 6.2 and 7.1: states in a row, an end at either side."""

from __future__ import annotations

from typing import Any

import numpy as np

from elodrome.envs.game import Game, Words, rule
from elodrome.errors import UserError, shown

# The row: [place 1..states, 0 and states + 1 are the ends; constant: states].


@rule.reset
def reset(state: Any, chance: int) -> None:
    state[0] = (state[1] + 1) // 2


@rule.player
def player(state: Any) -> int:
    return 0 if 0 < state[0] <= state[1] else -1


@rule.legal
def legal(state: Any, mask: Any) -> None:
    alive = 0 < state[0] <= state[1]
    mask[0] = alive
    mask[1] = alive


@rule.step
def step(state: Any, action: int, chance: int, rewards: Any) -> None:
    state[0] += 2 * action - 1
    if state[0] == 0:
        rewards[0] = -1.0
    elif state[0] > state[1]:
        rewards[0] = 1.0


@rule.observe
def observe(state: Any, seat: int, out: Any) -> None:
    for i in range(out.size):
        out[i] = 0.0
    if 0 < state[0] <= state[1]:
        out[state[0] - 1] = 1.0


def _text(state: Words) -> str:
    line = ["-", *["."] * int(state[1]), "+"]
    line[int(state[0])] = "@"
    return "".join(line)


def random_walk(states: int = 19) -> Game:
    """A walk over ``states`` places from the middle one; -1 for leaving on the left, +1 on the right, 0 elsewhere.

    Observation [states]: one-hot of the place, zeros at the ends. Actions: left, right; the random walk itself is the
    uniform policy, whose values are -1 + 2 i / (states + 1) at place i.
    Raises UserError unless states is an odd number from 1 to 9999.
    """
    if isinstance(states, bool) or not isinstance(states, int) or not 1 <= states < 10_000 or states % 2 == 0:
        raise UserError(
            f"random_walk: states={shown(states)}; it must be an odd number from 1 to 9999, to have a middle"
        )
    return Game(
        id="random_walk" if states == 19 else f"random_walk:states={states}",
        players=1,
        actions=2,
        observation_shape=(states,),
        state_words=1,
        max_steps=max(1000, 10 * states * states),
        kind="gridworld",
        terminal_rewards=True,
        summary=f"{states} states in a row",
        source="notes 2.4; Sutton & Barto, examples 6.2 and 7.1",
        action_names=("left", "right"),
        seat_names=("agent",),
        reset=reset,
        player=player,
        legal=legal,
        step=step,
        observe=observe,
        constants=np.array([states], np.int64),
        text=_text,
    )
