"""Self-play's records against the rules of the game, and the memory that keeps them."""

from typing import Any

import numpy as np
import pytest

from elodrome import make_env
from elodrome.agents.search.forest import Leaves, SearchConfig
from elodrome.agents.search.selfplay import Examples, PlayConfig, SelfPlay, Window
from elodrome.envs.game import Game
from elodrome.seeding import generator


def evaluate(leaves: Leaves) -> tuple[Any, Any]:
    """The network of one who knows nothing."""
    return np.zeros((len(leaves.seats), leaves.legal.shape[1]), np.float32), np.zeros(len(leaves.seats), np.float32)


def play(world: str = "tic_tac_toe", **options: Any) -> tuple[Game, SelfPlay]:
    game = make_env(world)
    assert isinstance(game, Game)
    config = PlayConfig(**{"sample": 3, "opening": 0, **options})
    return game, SelfPlay(game, 20, SearchConfig(simulations=12), config, seed=1)


def test_examples_tell_how_games_ended() -> None:
    """Tic-tac-toe from the start: games stand in order, outcomes alternate, and who completes a line has won."""
    _, selfplay = play()
    examples, sums = selfplay.play(evaluate, 40)
    own, other = (examples.observations[:, i].reshape(-1, 9) for i in (0, 1))
    plies = (own + other).sum(axis=1).astype(int)
    starts = np.flatnonzero(plies == 0)
    assert len(starts) == sums["games"]
    assert len(plies) == sums["plies"]
    lines = np.array([[0, 1, 2], [3, 4, 5], [6, 7, 8], [0, 3, 6], [1, 4, 7], [2, 5, 8], [0, 4, 8], [2, 4, 6]])
    first = 0
    for lo, hi in zip(starts, [*starts[1:], len(plies)], strict=True):
        assert plies[lo:hi].tolist() == list(range(hi - lo))
        signs = examples.outcome[lo:hi] * (-1.0) ** np.arange(hi - lo)
        assert (signs == signs[0]).all()
        first += signs[0] > 0
        last, mine = examples.outcome[hi - 1], own[hi - 1]
        can_win = any(mine[line].sum() == 2 and other[hi - 1][line].sum() == 0 for line in lines)
        assert last == 1.0 if can_win else last == 0.0  # the solver takes every win that is one move away
        assert last == 1.0 or hi - lo == 9
    assert first == sums["first"]
    # The policy is a distribution over empty cells.
    np.testing.assert_allclose(examples.policy.sum(axis=1), 1.0, atol=2e-3)
    assert (examples.policy * (own + other)).max() == 0.0


def test_what_a_rival_sees_is_not_learned_from() -> None:
    """Against a rival in half of the games, every other position of those is missing, and the rival is asked."""
    _, selfplay = play(pool=0.5)
    asked = []

    def rival(leaves: Leaves) -> tuple[Any, Any]:
        asked.append(len(leaves.seats))
        return evaluate(leaves)

    examples, sums = selfplay.play(evaluate, 40, rival)
    plies = examples.observations.sum(axis=(1, 2, 3)).astype(int)
    assert sum(asked) > 0
    jumps = np.diff(plies)
    assert set(jumps[jumps > 0].tolist()) == {1, 2}
    assert 0.6 < len(plies) / sums["plies"] < 0.9  # half of the games whole, half of them halved
    alone, sums = play(pool=0.5)[1].play(evaluate, 40)
    assert len(alone.outcome) == sums["plies"]


def test_openings_are_not_recorded() -> None:
    _, selfplay = play(opening=4)
    examples, _ = selfplay.play(evaluate, 40)
    assert examples.observations.sum() > 0
    assert 0 < (examples.observations.sum(axis=(1, 2, 3)) == 0).mean() < 0.2  # one game in five starts from nothing


def test_games_go_on_after_a_snapshot_as_without() -> None:
    _, one = play("connect_four")
    one.play(evaluate, 10)
    _, other = play("connect_four")
    other.resume({k: np.array(v) for k, v in one.snapshot().items()})
    for x, y in zip(one.play(evaluate, 30)[0], other.play(evaluate, 30)[0], strict=True):
        np.testing.assert_array_equal(x, y)


def examples_of(count: int, seed: int = 0) -> Examples:
    """Random boards of 3 x 3, with the policy on the empty cells and a number to know each by."""
    rng = generator(seed)
    stones = rng.integers(0, 3, (count, 9))
    seen = np.stack([stones == 1, stones == 2], axis=1).astype(np.float32).reshape(count, 2, 3, 3)
    policy = (stones == 0).astype(np.float32) * rng.integers(1, 4, (count, 9))
    return Examples(seen, policy, np.arange(count, dtype=np.float32), np.zeros(count, np.float32))


def test_the_window_keeps_the_latest_and_turns_boards_with_their_policies() -> None:
    world = make_env("tic_tac_toe")
    assert isinstance(world, Game)
    window, examples = Window(world, 50), examples_of(80)
    window.add(Examples(*(a[:30] for a in examples)))
    window.add(Examples(*(a[30:] for a in examples)))
    drawn = window.sample(2000, generator(3))
    assert set(drawn.outcome.astype(int).tolist()) == set(range(30, 80))
    seen_sides = set()
    for board, policy, number in zip(drawn.observations, drawn.policy, drawn.outcome.astype(int), strict=True):
        whole = np.concatenate([board, policy.reshape(1, 3, 3)])
        source = np.concatenate([examples.observations[number], examples.policy[number].reshape(1, 3, 3)])
        turned = [np.rot90(f, k, (1, 2)) for f in (source, source[:, ::-1]) for k in range(4)]
        matches = [i for i, t in enumerate(turned) if np.array_equal(t, whole)]
        assert matches
        seen_sides.add(matches[0])
    assert len(seen_sides) == 8


def test_a_window_larger_than_what_was_added_draws_only_that() -> None:
    world = make_env("tic_tac_toe")
    assert isinstance(world, Game)
    window = Window(world, 1000)
    window.add(examples_of(7))
    assert len(window) == 7
    assert window.sample(200, generator(1)).outcome.max() == 6


@pytest.mark.parametrize("count", [10, 130])
def test_a_window_goes_on_after_a_snapshot_as_without(count: int) -> None:
    world = make_env("tic_tac_toe")
    assert isinstance(world, Game)
    one, other = Window(world, 64), Window(world, 64)
    one.add(examples_of(count))
    other.resume(one.snapshot())
    for window in (one, other):
        window.add(examples_of(20, seed=5))
    for x, y in zip(one.sample(300, generator(2)), other.sample(300, generator(2)), strict=True):
        np.testing.assert_array_equal(x, y)
