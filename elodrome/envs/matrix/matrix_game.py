"""Matrix games from any payoff tensor, one-shot or repeated (notes 4.6, definition 4.6).

Seats choose at the same moment: they are asked one after the other, and nobody sees the choices of the round that is
under way. One compiled set of rules serves every game; the payoffs lie in the constants of the row.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from elodrome.envs.game import Game, Words, pack_floats, rule
from elodrome.envs.intrinsics import real
from elodrome.errors import UserError, shown

# The row: [rounds played, seat to act or -1, choices of this round, choices of the last round]; a choice takes 8 bits,
# as 1 + action, 0 meaning none. Constants: rounds, seats n, the n counts of actions, payoffs [A1, .., An, n].
_ROUNDS, _SEATS, _COUNTS = 4, 5, 6


@rule.reset
def reset(state: Any, chance: int) -> None:
    for i in range(4):
        state[i] = 0


@rule.player
def player(state: Any) -> int:
    return state[1]


@rule.legal
def legal(state: Any, mask: Any) -> None:
    count = state[_COUNTS + state[1]] if state[1] >= 0 else 0
    for a in range(mask.size):
        mask[a] = a < count


@rule.step
def step(state: Any, action: int, chance: int, rewards: Any) -> None:
    seat = state[1]
    seats = state[_SEATS]
    state[2] |= (action + 1) << (8 * seat)
    if seat + 1 < seats:
        state[1] = seat + 1
        return
    joint = 0
    for p in range(seats):
        joint = joint * state[_COUNTS + p] + ((state[2] >> (8 * p)) & 255) - 1
    for p in range(seats):
        rewards[p] = real(state[_COUNTS + seats + joint * seats + p])
    state[0] += 1
    state[3] = state[2]
    state[2] = 0
    state[1] = 0 if state[0] < state[_ROUNDS] else -1


@rule.observe
def observe(state: Any, seat: int, out: Any) -> None:
    seats = state[_SEATS]
    for i in range(out.size):
        out[i] = 0.0
    width = (out.size - 1 - seats) // seats
    for k in range(seats):
        choice = (state[3] >> (8 * ((seat + k) % seats))) & 255
        if choice:
            out[k * width + choice - 1] = 1.0
    out[seats * width + seat] = 1.0
    out[out.size - 1] = state[0] / state[_ROUNDS]


class _Text:
    """The course of a game for people."""

    def __init__(self, players: int, names: tuple[str, ...]) -> None:
        self.players, self.names = players, names

    def _choices(self, word: int) -> str:
        taken = [word >> 8 * p & 255 for p in range(self.players)]
        return " ".join("-" if not c else self.names[c - 1] if self.names else str(c - 1) for c in taken)

    def __call__(self, state: Words) -> str:
        chosen = max(int(state[1]), 0)  # what was chosen stays hidden until the round is over
        return (
            f"round {int(state[0])} of {int(state[_ROUNDS])}; last: {self._choices(int(state[3]))}; "
            f"{chosen} of {self.players} have chosen"
        )


BATTLE = [[[2, 1], [0, 0]], [[0, 0], [1, 2]]]  # the battle of the sexes (Luce & Raiffa, 1957)


def matrix_game(
    payoffs: Any = BATTLE,
    rounds: int = 1,
    action_names: Sequence[str] | None = None,
    id: str | None = None,
    summary: str = "",
    source: str = "",
) -> Game:
    """The game in which seat p of n is paid ``payoffs[a1, .., an, p]`` in each of ``rounds`` rounds.

    payoffs: numbers [A1, .., An, n]; seats may have different numbers of actions. Observation [n * A + n + 1]: the
    last round's choices one-hot, the seat's own first, then those of the seats behind it in turn (zeros before the
    first round); the seat one-hot; the share of rounds that is over.
    id: by default one from which make_env builds the same game again. Raises UserError for payoffs of a wrong shape.
    """
    try:
        table = np.asarray(payoffs, np.float64)
    except (TypeError, ValueError, OverflowError):
        raise UserError("payoffs must be a full tensor of numbers, such as [[[2,1],[0,0]],[[0,0],[1,2]]]") from None
    if table.ndim < 2 or table.shape[-1] != table.ndim - 1 or not table.size or not np.isfinite(table).all():
        raise UserError(
            f"payoffs have shape {list(table.shape)}; for n seats they are finite numbers of shape [A1, .., An, n], "
            "one axis of actions per seat and the n payments last"
        )
    counts, players = table.shape[:-1], table.shape[-1]
    if players > 7 or max(counts) > 254:
        raise UserError("a matrix game has at most 7 seats and 254 actions each")
    if isinstance(rounds, bool) or not isinstance(rounds, int) or not 1 <= rounds <= 1_000_000:
        raise UserError(f"rounds={shown(rounds)} is not a whole number from 1 to 1000000")
    if not isinstance(action_names, list | tuple | type(None)) or not all(
        isinstance(n, str) for n in action_names or ()
    ):
        raise UserError(f"action_names={shown(action_names)} is not a list of texts, one for each action")
    names = tuple(action_names or ())
    if names and len(names) != max(counts):
        raise UserError(f"action_names: {len(names)} action names for {max(counts)} actions")
    if id is None:
        id = "matrix_game:payoffs=" + json.dumps(_plain(table), separators=(",", ":"))
        id += f",rounds={rounds}" if rounds > 1 else ""
        id += ",action_names=" + json.dumps(names, separators=(",", ":")) if names else ""
    return Game(
        id=id,
        players=players,
        actions=max(counts),
        observation_shape=(players * max(counts) + players + 1,),
        state_words=4,
        max_steps=players * rounds,
        information="imperfect" if players > 1 else "perfect",
        kind="matrix",
        zero_sum=players > 1 and bool(np.allclose(table.sum(-1), 0, atol=1e-12)),
        simultaneous=players > 1,
        terminal_rewards=rounds == 1,
        return_range=(float(table.min() * rounds), float(table.max() * rounds)),
        summary=summary or f"{' x '.join(map(str, counts))} payoffs",
        source=source or "notes 4.6",
        action_names=names,
        reset=reset,
        player=player,
        legal=legal,
        step=step,
        observe=observe,
        constants=np.array([rounds, players, *counts, *pack_floats(table)], np.int64),
        text=_Text(players, names),
        extra=table,
    )


def _plain(table: Any) -> Any:
    """Nested lists, whole numbers without a point."""
    if table.ndim:
        return [_plain(part) for part in table]
    return int(table) if float(table).is_integer() else float(table)
