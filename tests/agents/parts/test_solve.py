"""Values of actions against plain recursion, dynamic programming and minimax."""

import numpy as np
import pytest

from elodrome import make_env
from elodrome.agents.parts.solve import Judge, best_play, solve
from elodrome.envs.enumeration import enumerate_world
from elodrome.envs.game import Game
from elodrome.errors import UserError


@pytest.fixture(scope="module")
def tic_tac_toe() -> Game:
    return make_env("tic_tac_toe")


def test_tic_tac_toe_is_what_minimax_says(tic_tac_toe: Game) -> None:
    tables = enumerate_world(tic_tac_toe)
    live = tables.seats >= 0
    want, _ = solve(tables)
    judge = Judge(tic_tac_toe)
    assert judge.exact
    np.testing.assert_array_equal(judge.values(tables.rows()[live]), want[live])
    _, value = best_play(tables)
    assert value[0].tolist() == [0.0, 0.0]
    np.testing.assert_array_equal(value[:, 0], -value[:, 1])


def test_a_solo_world_with_dice_is_what_dynamic_programming_says() -> None:
    world = make_env("gridworld:slip=0.2")
    tables = enumerate_world(world)
    transition, reward = tables.dense()
    live, legal = tables.seats >= 0, tables.legal.astype(bool)
    value = np.zeros(tables.size)
    for _ in range(world.max_steps + 1):
        q = reward + world.discount * transition @ value
        value = np.where(live, np.where(legal, q, -np.inf).max(axis=1, initial=-np.inf), 0.0)
    got_q, got = best_play(tables)
    np.testing.assert_allclose(got[:, 0], value, atol=1e-9)
    np.testing.assert_allclose(got_q[live][..., 0], np.where(legal, q, -np.inf)[live], atol=1e-9)


def test_two_plies_see_a_win_and_stop_one(tic_tac_toe: Game) -> None:
    """The large-world judge, asked about a small world: X a1 to be completed, O to be stopped."""
    judge = Judge(tic_tac_toe, limit=100)
    assert not judge.exact
    win = np.array([0b000000011, 0b000011000, 0])  # X: a3 b3, O: a2 b2, X to move
    block = np.array([0b000000001, 0b000011000, 0])
    full = [np.where(np.isneginf(row), -9, row).tolist() for row in judge.values(np.stack([win, block]))]
    assert full[0] == [-9, -9, 1, -9, -9, 0, -1, -1, -1]
    assert full[1] == [-9, -1, -1, -9, -9, 0, -1, -1, -1]


def test_two_plies_agree_with_plain_recursion_everywhere(tic_tac_toe: Game) -> None:
    tables = enumerate_world(tic_tac_toe)
    rows = tables.rows()[tables.seats >= 0][::7]

    def look(state: np.ndarray, depth: int) -> float:
        seat = tic_tac_toe.player(state)
        mask = np.zeros(9, np.uint8)
        tic_tac_toe.legal(state, mask)
        if seat < 0 or depth == 0:
            return 0.0
        return max(after(state, a, depth) for a in np.flatnonzero(mask))

    def after(state: np.ndarray, action: int, depth: int) -> float:
        new, rewards = state.copy(), np.zeros(2)
        seat = tic_tac_toe.player(state)
        tic_tac_toe.step(new, int(action), 0, rewards)
        return rewards[seat] - look(new, depth - 1)

    for state, q in zip(rows, Judge(tic_tac_toe, limit=100).values(rows), strict=True):
        for a in np.flatnonzero(~np.isneginf(q)):
            assert q[a] == after(state, a, 2)


def test_a_hidden_state_is_refused() -> None:
    with pytest.raises(UserError, match="hides its state"):
        Judge(make_env("rock_paper_scissors"))
