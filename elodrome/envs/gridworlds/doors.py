"""Two doors and many chances: where maximising over noisy values misleads (Sutton & Barto, example 6.7)."""

from __future__ import annotations

from typing import Any

import numpy as np

from elodrome.envs.game import Game, Words, rule
from elodrome.errors import UserError, shown

# The row: [place: 0 before the doors, 1 in the room behind the left one, 2 outside; constant: actions in the room].
LOSS, GAIN = -1.1, 0.9  # each with probability 1/2: mean -0.1, standard deviation 1


@rule.reset
def reset(state: Any, chance: int) -> None:
    state[0] = 0


@rule.player
def player(state: Any) -> int:
    return 0 if state[0] < 2 else -1


@rule.legal
def legal(state: Any, mask: Any) -> None:
    able = 2 if state[0] == 0 else state[1] if state[0] == 1 else 0
    for a in range(mask.size):
        mask[a] = a < able


@rule.step
def step(state: Any, action: int, chance: int, rewards: Any) -> None:
    if state[0] == 1:
        rewards[0] = GAIN if chance == 1 else LOSS
    state[0] = 1 if state[0] == 0 and action == 0 else 2


@rule.observe
def observe(state: Any, seat: int, out: Any) -> None:
    for i in range(out.size):
        out[i] = 0.0
    if state[0] < 2:
        out[state[0]] = 1.0


@rule.chance
def chance(state: Any, action: int, probs: Any) -> int:
    probs[0] = 1.0
    if state[0] != 1:
        return 1
    probs[0], probs[1] = 0.5, 0.5
    return 2


def _text(state: Words) -> str:
    return ("room <- YOU -> outside", "YOU in the room", "outside")[int(state[0])]


def doors(actions: int = 10) -> Game:
    """Two doors: the right one leads outside, and nothing happens; behind the left one is a room with ``actions``
    ways out, each worth -1.1 or 0.9 with equal chances, -0.1 in the mean.

    Observation [2]: one-hot of the place, zeros outside. Actions: left and right before the doors, the ways out in the
    room. Q*(left) = -0.1, Q*(right) = 0; but the best of ``actions`` means of a few returns looks better than 0.
    Raises UserError unless actions is a whole number from 2 to 1000.
    """
    if isinstance(actions, bool) or not isinstance(actions, int) or not 2 <= actions <= 1000:
        raise UserError(f"doors: actions={shown(actions)}; it must be a whole number from 2 to 1000")
    return Game(
        id="doors" if actions == 10 else f"doors:actions={actions}",
        players=1,
        actions=actions,
        observation_shape=(2,),
        state_words=1,
        max_steps=2,
        kind="gridworld",
        return_range=(LOSS, GAIN),
        summary=f"two doors, {actions} ways out of the left room",
        source="notes 2.6.6, definition 2.16; Sutton & Barto, example 6.7",
        action_names=("left", "right", *(f"way {a + 1}" for a in range(2, actions))),
        seat_names=("agent",),
        reset=reset,
        player=player,
        legal=legal,
        step=step,
        observe=observe,
        chance=chance,
        outcomes=2,
        constants=np.array([actions], np.int64),
        text=_text,
    )
