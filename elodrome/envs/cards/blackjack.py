"""Blackjack against a dealer, cards from an endless deck (Sutton & Barto, example 5.1)."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from elodrome.envs.game import Game, Words, pack_floats, rule
from elodrome.envs.intrinsics import real
from elodrome.errors import UserError, shown

# The row: [the player's total, the dealer's card, whether an ace counts as 11, _PLAYS and the like]. Constants: the
# total, card and ace that every game starts with, or a total of 0 where they are dealt; then for each of the dealer's
# cards how likely he ends with 17, .. 21, bust, and with an ace and a ten at once (floats [10, ENDS]).
_START, _TABLE = 4, 7
_PLAYS, _NATURAL, _OVER = 0, 1, -1  # _NATURAL: the player was dealt an ace and a ten
ENDS, BUST, NATURAL = 7, 5, 6
CARDS, TEN = 10, 4 / 13  # aces are 1; tens and faces are all 10
STANDS = 17  # the dealer draws below


@rule.reset
def reset(state: Any, chance: int) -> None:
    first, second = 1 + chance % CARDS, 1 + chance // CARDS % CARDS
    ace = first == 1 or second == 1
    state[0] = first + second + 10 * ace
    state[1] = 1 + chance // (CARDS * CARDS)
    state[2] = ace
    if state[_START] > 0:
        state[0], state[1], state[2] = state[_START], state[_START + 1], state[_START + 2]
    state[3] = _NATURAL if state[0] == 21 else _PLAYS


@rule.player
def player(state: Any) -> int:
    return -1 if state[3] == _OVER else 0


@rule.legal
def legal(state: Any, mask: Any) -> None:
    mask[0] = mask[1] = state[3] != _OVER


@rule.step
def step(state: Any, action: int, chance: int, rewards: Any) -> None:
    if action == 0:
        end = 0 if chance == BUST else 21 if chance == NATURAL else STANDS + chance
        beats = state[0] > end or (state[3] == _NATURAL and chance != NATURAL)
        rewards[0] = 1.0 if beats else 0.0 if state[0] == end else -1.0
        state[3] = _OVER
        return
    state[3] = _PLAYS
    card = 1 + chance
    state[0] += card
    if card == 1 and state[0] <= 11:
        state[0] += 10
        state[2] = 1
    elif state[0] > 21 and state[2]:
        state[0] -= 10
        state[2] = 0
    if state[0] > 21:
        rewards[0] = -1.0
        state[3] = _OVER


@rule.observe
def observe(state: Any, seat: int, out: Any) -> None:
    for i in range(out.size):
        out[i] = 0.0
    out[state[0]] = 1.0
    out[32 + state[1]] = 1.0
    out[43 + state[2]] = 1.0


@rule.chance
def chance(state: Any, action: int, probs: Any) -> int:
    """At reset two cards for the player and one for the dealer; on a hit a card; on a stick how the dealer ends."""
    if action == 0:
        for k in range(ENDS):
            probs[k] = real(state[_TABLE + ENDS * (state[1] - 1) + k])
        return ENDS
    if action < 0 and state[_START] > 0:
        probs[0] = 1.0
        return 1
    count = CARDS if action > 0 else CARDS * CARDS * CARDS
    for k in range(count):
        rest = k
        probs[k] = 1.0
        for _ in range(1 if action > 0 else 3):
            probs[k] *= 1 / 13 if rest % CARDS < CARDS - 1 else TEN
            rest //= CARDS
    return count


def _text(state: Words) -> str:
    hand = f"{'soft ' if state[2] else ''}{int(state[0])}"
    return f"you have {hand}, the dealer shows {int(state[1])}" + (", over" if state[3] == _OVER else "")


@cache
def dealer_ends(total: int, ace: bool) -> tuple[float, ...]:
    """How likely a dealer with this total, an ace counted as 11 where ``ace``, ends with 17, .. 21 and bust."""
    if total > 21 and ace:
        return dealer_ends(total - 10, False)
    if total >= STANDS:
        return tuple(float(k == min(total, 22) - STANDS) for k in range(BUST + 1))
    ends = np.zeros(BUST + 1)
    for card in range(1, CARDS + 1):
        soft = card == 1 and total + 11 <= 21
        ends += (TEN if card == CARDS else 1 / 13) * np.array(dealer_ends(total + card + 10 * soft, ace or soft))
    return tuple(ends)


def _ends_of(card: int) -> list[float]:
    """How likely a dealer ends [ENDS] who shows this card."""
    ends = dealer_ends(11 if card == 1 else card, card == 1)
    natural = TEN if card == 1 else 1 / 13 if card == CARDS else 0.0
    return [*ends[: BUST - 1], ends[BUST - 1] - natural, ends[BUST], natural]


def blackjack(start: Any = None) -> Game:
    """Blackjack as in Gymnasium's Blackjack-v1: 1 for a win, -1 for a loss or more than 21, 0 for equal totals; the
    dealer draws below 17. An ace and a ten at once win unless the dealer has them as well.

    Observation [45], as there: one-hot of the total (32), of the dealer's card (11, an ace is 1), and of whether an ace
    counts as 11 (2). Actions: stick, hit.
    start: [total, dealer's card, 1 where an ace counts as 11 else 0] of every game, [13,2,1] for instance, 21 being an
    ace and a ten; by default cards are dealt. Raises UserError for a start that no cards make.
    """
    total, card, ace = (0, 0, 0) if start is None else _checked(start)
    ends = [_ends_of(c) for c in range(1, CARDS + 1)]
    return Game(
        id="blackjack" if start is None else f"blackjack:start=[{total},{card},{ace}]",
        players=1,
        actions=2,
        observation_shape=(45,),
        state_words=4,
        max_steps=20,
        kind="other",
        terminal_rewards=True,
        summary="stick or hit against a dealer",
        source="Sutton & Barto, example 5.1",
        action_names=("stick", "hit"),
        seat_names=("player",),
        reset=reset,
        player=player,
        legal=legal,
        step=step,
        observe=observe,
        chance=chance,
        outcomes=CARDS**3,
        constants=np.array([total, card, ace, *pack_floats(ends)], np.int64),
        text=_text,
    )


def _checked(start: Any) -> tuple[int, int, int]:
    """Total, card and ace of a start that can be."""
    plain = isinstance(start, list | tuple) and len(start) == 3 and all(type(n) is int for n in start)
    if plain:
        total, card, ace = start
        if 1 <= card <= CARDS and ace in (0, 1) and (12 if ace else 4) <= total <= 20 + ace:
            return total, card, ace
    raise UserError(
        f"blackjack: start={shown(start)}; it must be [total, dealer's card, ace] such as [13,2,1]: a total from 4 to "
        "20 (12 to 21 with an ace that counts as 11), a card from 1 to 10, an ace of 1 or 0"
    )
