"""Blackjack against Gymnasium's own rules, every card that they may draw; and against a published value."""

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest

from elodrome import make_env
from elodrome.agents.parts.exact import Decisions
from elodrome.agents.tabular import dynamic_programming as dp
from elodrome.envs.enumeration import enumerate_world
from elodrome.envs.game import Game
from elodrome.errors import UserError

CARD = dict.fromkeys(range(1, 10), 1 / 13) | {10: 4 / 13}


class Scripted:
    """Stands in for a generator: the cards it was told, then a note that one more is wanted."""

    def __init__(self, cards: tuple[int, ...]) -> None:
        self.cards = list(cards)

    def choice(self, deck: Any) -> int:
        if not self.cards:
            raise LookupError
        return self.cards.pop(0)


def theirs(hand: list[int], card: int, action: int) -> dict[tuple[Any, ...], float]:
    """What Gymnasium's environment does, by whatever cards come: (observation, reward, over) and how likely."""
    found: dict[tuple[Any, ...], float] = {}
    waiting: list[tuple[tuple[int, ...], float]] = [((), 1.0)]
    env: Any = gymnasium.make("Blackjack-v1").unwrapped
    while waiting:
        cards, p = waiting.pop()
        env.player, env.dealer, env.np_random = list(hand), [card], Scripted(cards)
        try:
            seen, reward, over, *_ = env.step(action)
        except LookupError:
            waiting += [((*cards, c), p * q) for c, q in CARD.items()]
            continue
        after = (*map(int, seen), float(reward), bool(over)) if not over else (float(reward), True)
        found[after] = found.get(after, 0.0) + p
    return found


def ours(world: Game, hand: list[int], card: int, ace: int, action: int) -> dict[tuple[Any, ...], float]:
    found: dict[tuple[Any, ...], float] = {}
    probs, rewards = np.zeros(world.outcomes), np.zeros(1)
    start = world.template.copy()
    start[:4] = sum(hand) + 10 * ace, card, ace, sorted(hand) == [1, 10]
    for k in np.flatnonzero(probs[: world.chance(start, action, probs)]):
        row, rewards[:] = start.copy(), 0.0
        world.step(row, action, k, rewards)
        over = world.player(row) < 0
        seen = np.zeros(45, np.float32)
        world.observe(row, 0, seen)
        parts = np.flatnonzero(seen) - [0, 32, 43]
        after = (*parts.tolist(), float(rewards[0]), False) if not over else (float(rewards[0]), True)
        found[after] = found.get(after, 0.0) + probs[k]
    return found


def hands(ace: int) -> list[list[int]]:
    """Of each total one, an ace counted as 11 or none at all; of 21 by an ace one of two cards and one of three."""
    if ace:
        return [*([1, card] for card in range(1, 11)), [1, 4, 6]]
    return [*([2, card] for card in range(2, 11)), *([3, 7, card] for card in range(3, 11)), [10, 9, 2]]


@pytest.mark.parametrize("ace", [0, 1])
@pytest.mark.parametrize("action", [0, 1])
def test_the_rules_are_gymnasiums(action: int, ace: int) -> None:
    world = make_env("blackjack")
    assert isinstance(world, Game)
    for hand in hands(ace):
        # Sticking plays out all of the dealer's hands: of these with some totals, all his cards.
        for card in range(1, 11) if sum(hand) + 10 * ace in (16, 18, 21) or action == 1 else (5,):
            want, got = theirs(hand, card, action), ours(world, hand, card, ace, action)
            assert got.keys() == want.keys(), (hand, card)
            assert all(got[key] == pytest.approx(p, abs=1e-12) for key, p in want.items()), (hand, card)


def test_what_is_dealt() -> None:
    """Against all pairs of cards; and Gymnasium's adapter shows the same."""
    world = make_env("blackjack")
    tables = enumerate_world(world)
    found: dict[tuple[int, ...], float] = {}
    for s, p in zip(tables.starts, tables.start_probability, strict=True):
        key = tuple(tables.states[s, :3].tolist())
        found[key] = found.get(key, 0.0) + p
    want: dict[tuple[int, ...], float] = {}
    for one, p in CARD.items():
        for two, q in CARD.items():
            for card, r in CARD.items():
                soft = 1 in (one, two)
                key = (one + two + 10 * soft, card, int(soft))
                want[key] = want.get(key, 0.0) + p * q * r
    assert found.keys() == want.keys()
    assert all(found[key] == pytest.approx(p, abs=1e-12) for key, p in want.items())
    assert make_env("gymnasium:Blackjack-v1").observation_shape == world.observation_shape


def stick_from(least: int) -> Callable[[Any], Any]:
    def policy(tables: Any) -> Any:
        sticks = (tables.states[:, 0] >= least)[:, None]
        return np.where(sticks, [[1.0, 0.0]], [[0.0, 1.0]]) * tables.legal

    return policy


def test_values_that_were_published() -> None:
    """Sutton & Barto, example 5.4: -0.27726, from a hundred million games, with 13 by an ace against a two."""
    tables = enumerate_world(make_env("blackjack:start=[13,2,1]"))
    value = dp.policy_evaluation(tables, stick_from(20)(tables), 1.0)
    assert value[tables.starts[0]] == pytest.approx(-0.27726, abs=4e-4)
    assert Decisions.of(tables).value(stick_from(20)(tables)) == pytest.approx(value)


def test_the_best_play_is_that_of_the_book() -> None:
    """Sutton & Barto, figure 5.2: from which total on one sticks, by the dealer's card."""
    tables = enumerate_world(make_env("blackjack"))
    best = dp.best_actions(dp.value_iteration(tables, 1.0)[0])
    sticks = {tuple(s[:3].tolist()): bool(b[0]) for s, b in zip(tables.states, best, strict=True) if s[3] >= 0}
    hard = {card: min(t for t in range(12, 22) if sticks[t, card, 0]) for card in range(1, 11)}
    soft = {card: min(t for t in range(12, 22) if sticks[t, card, 1]) for card in range(1, 11)}
    assert [hard[card] for card in range(1, 11)] == [17, 13, 13, 12, 12, 12, 17, 17, 17, 17]
    assert [soft[card] for card in range(1, 11)] == [19, 18, 18, 18, 18, 18, 18, 18, 19, 19]


@pytest.mark.parametrize(
    "start", ["[13,2]", "[3,2,0]", "[21,2,0]", "[22,2,1]", "[11,2,1]", "[13,0,1]", "[13,2,2]", "13", '"x"']
)
def test_starts_that_no_cards_make(start: str) -> None:
    with pytest.raises(UserError, match=r"blackjack: start=.* it must be \[total, dealer's card, ace\]"):
        make_env(f"blackjack:start={start}")
