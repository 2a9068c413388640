"""Worlds on their information states, against what their own rules say."""

import numpy as np
import pytest

from elodrome.envs.information import InformationStates
from elodrome.envs.registry import make_env
from elodrome.errors import UserError


def test_what_a_seat_cannot_tell_apart_is_one_information_state() -> None:
    states = InformationStates.of(make_env("prisoners_dilemma"))
    assert states.tables.size > 3
    assert states.seats.tolist() == [0, 1]  # the second does not see what the first has done
    assert (states.info >= 0).sum() == 3
    assert (states.info[states.tables.seats < 0] == -1).all()


@pytest.mark.parametrize("world", ["tic_tac_toe", "cliff_walking", "gridworld:map=S.T/.../..G,slip=0.4"])
def test_observations_and_outcomes_are_those_of_the_rules(world: str) -> None:
    game = make_env(world)
    states = InformationStates.of(game)
    rows, tables, model = states.tables.rows(), states.tables, states.model
    rng = np.random.default_rng(0)
    for s in rng.choice(np.flatnonzero(tables.seats >= 0), 40):
        seen = np.zeros(game.observation_size, np.float32)
        game.observe(rows[s], int(tables.seats[s]), seen)
        i = states.info[s]
        assert np.array_equal(seen, states.observations[i])
        assert states.seats[i] == tables.seats[s]
        assert np.array_equal(states.legal[i], tables.legal[s])
        for a in np.flatnonzero(tables.legal[s]):
            edges = slice(*model.offsets[s * game.actions + a : s * game.actions + a + 2])
            assert np.diff(model.quantiles[edges], prepend=0.0) == pytest.approx(tables.probability[edges])
            assert model.quantiles[edges][-1] == pytest.approx(1.0)


def test_too_many_states_are_refused() -> None:
    with pytest.raises(UserError, match="tic_tac_toe has more than 100 states"):
        InformationStates.of(make_env("tic_tac_toe"), 100)


def test_rows_of_what_is_seen_are_those_of_all_states_that_look_so_and_zeros_at_the_end() -> None:
    states = InformationStates.of(make_env("corridor"))  # three places that look the same, and the goal
    assert states.on_states(np.array([[0.25, 0.75]])).tolist() == [[0.25, 0.75]] * 3 + [[0.0, 0.0]]
    states = InformationStates.of(make_env("tic_tac_toe"))
    numbers = np.arange(len(states.seats)) + 1.0
    spread = states.on_states(numbers)
    assert np.array_equal(spread > 0, states.tables.seats >= 0)
    assert np.array_equal(spread[states.first], numbers)
