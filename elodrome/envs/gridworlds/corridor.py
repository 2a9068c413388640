"""The short corridor with switched actions, whose places all look the same (Sutton & Barto, example 13.1)."""

from __future__ import annotations

from typing import Any

from elodrome.envs.game import Game, Words, rule

# The row: [place 0, 1, 2, or 3 for the goal].
LONGEST = 1000


@rule.reset
def reset(state: Any, chance: int) -> None:
    state[0] = 0


@rule.player
def player(state: Any) -> int:
    return 0 if state[0] < 3 else -1


@rule.legal
def legal(state: Any, mask: Any) -> None:
    mask[0] = mask[1] = state[0] < 3


@rule.step
def step(state: Any, action: int, chance: int, rewards: Any) -> None:
    move = 2 * action - 1
    state[0] = max(state[0] + (-move if state[0] == 1 else move), 0)
    rewards[0] = -1.0


@rule.observe
def observe(state: Any, seat: int, out: Any) -> None:
    out[0] = 1.0


def _text(state: Words) -> str:
    line = [".", "x", ".", "G"]
    line[int(state[0])] = "@"
    return "".join(line)


def corridor() -> Game:
    """Three places in a row and a goal behind the last, -1 a step; in the second place (x) left leads right and right
    leads left.

    Observation [1]: always 1, so that a policy is one probability p of going right, in all places alike. Its return is
    (2p - 4) / (p (1 - p)), at best -6 - 4 sqrt 2 = -11.657 with p = 2 - sqrt 2 = 0.586; a policy that is always sure
    never arrives. Actions: left, right.
    """
    return Game(
        id="corridor",
        players=1,
        actions=2,
        observation_shape=(1,),
        state_words=1,
        max_steps=LONGEST,
        information="imperfect",
        kind="gridworld",
        return_range=(-float(LONGEST), -3.0),
        summary="three places that look the same, actions switched in one",
        source="notes 3.1.2; Sutton & Barto, example 13.1",
        action_names=("left", "right"),
        seat_names=("agent",),
        reset=reset,
        player=player,
        legal=legal,
        step=step,
        observe=observe,
        text=_text,
    )
