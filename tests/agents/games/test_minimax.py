"""Minimax against plain recursion and against exact probabilities."""

import numpy as np
import pytest

from elodrome.agents.agent import Positions
from elodrome.agents.games.minimax import Minimax, MinimaxConfig
from elodrome.agents.parts.solve import solve
from elodrome.envs.enumeration import Tables, enumerate_world
from elodrome.envs.game import Game, Words
from elodrome.envs.registry import make_env
from elodrome.errors import UserError
from elodrome.seeding import streams


@pytest.fixture(scope="module")
def world() -> Game:
    return make_env("tic_tac_toe")


@pytest.fixture(scope="module")
def tables(world: Game) -> Tables:
    return enumerate_world(world)


def positions_of(world: Game, states: Words, seed: int = 0) -> Positions:
    rows = np.arange(len(states))
    table = world.table(len(states))
    for r in rows:
        table.put(int(r), states[r])
    return Positions(
        world,
        table.observe(rows),
        table.legal(rows),
        table.seats.copy(),
        states,
        streams(seed, len(states)),
        rows,
        rows,
    )


def plain(world: Game, state: Words, depth: int) -> tuple[float, list[float]]:
    """Depth-limited negamax, word by word from its definition."""
    seat = world.player(state)
    if seat < 0 or depth == 0:
        return 0.0, []
    mask = np.zeros(world.actions, np.uint8)
    world.legal(state, mask)
    q = [-np.inf] * world.actions
    for a in np.flatnonzero(mask):
        after, rewards = state.copy(), np.zeros(2)
        world.step(after, a, 0, rewards)
        value, _ = plain(world, after, depth - 1)
        q[a] = rewards[seat] + (value if world.player(after) == seat else -value)
    return max(q), q


def outcome_against_random(tables: Tables, policy: np.ndarray, seat: int) -> tuple[float, float, float]:
    """Exact chances that ``seat``, playing ``policy`` [S, A], wins, draws, loses against uniformly random play."""
    reach = np.zeros(tables.size)
    reach[tables.starts] = tables.start_probability
    result = {1.0: 0.0, 0.0: 0.0, -1.0: 0.0}
    actions = tables.game.actions
    for s in range(tables.size):  # breadth-first order: every move leads to a later state
        if tables.seats[s] < 0:
            continue
        legal = tables.legal[s] / tables.legal[s].sum()
        for a in np.flatnonzero(tables.legal[s]):
            p = reach[s] * (policy[s, a] if tables.seats[s] == seat else legal[a])
            edge = tables.offsets[s * actions + a]
            n = tables.next_state[edge]
            reach[n] += p
            if tables.seats[n] < 0:
                result[float(tables.reward[edge, seat])] += p
    return result[1.0], result[0.0], result[-1.0]


def test_game_of_tic_tac_toe_is_a_draw(tables: Tables) -> None:
    _, value = solve(tables)
    assert value[tables.starts].tolist() == [0.0]


@pytest.mark.parametrize(("seat", "wins"), [(0, 0.9678), (1, 0.7775)])
def test_exact_score_against_random_play(world: Game, tables: Tables, seat: int, wins: float) -> None:
    policy = np.zeros(tables.legal.shape)
    open_states = tables.seats >= 0
    policy[open_states] = Minimax(world).evaluate(positions_of(world, tables.rows()[open_states])).policy
    won, drawn, lost = outcome_against_random(tables, policy, seat)
    assert won == pytest.approx(wins, abs=5e-5)
    assert lost == 0.0
    assert won + drawn == pytest.approx(1.0)


def test_alpha_beta_equals_backward_induction_in_every_state(world: Game, tables: Tables) -> None:
    q, value = solve(tables)
    open_states = tables.seats >= 0
    found = Minimax(world, MinimaxConfig(depth=9)).values(tables.rows()[open_states])
    assert np.array_equal(found.max(axis=1), value[open_states])
    best = q[open_states] == value[open_states][:, None]
    assert np.array_equal(found == found.max(axis=1, keepdims=True), best)


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5])
def test_alpha_beta_equals_plain_recursion_in_connect_four(depth: int) -> None:
    world = make_env("connect_four")
    rng = np.random.default_rng(depth)
    states = []
    while len(states) < 12:
        state = world.template.copy()
        world.reset(state, 0)
        for _ in range(rng.integers(0, 30)):
            mask = np.zeros(world.actions, np.uint8)
            world.legal(state, mask)
            world.step(state, rng.choice(np.flatnonzero(mask)), 0, np.zeros(2))
            if world.player(state) < 0:
                break
        if world.player(state) >= 0:
            states.append(state)
    for bits in (3, 12):  # a table so small that entries are always replaced, and one that holds them all
        found = Minimax(world, MinimaxConfig(depth=depth, table_bits=bits)).values(np.array(states))
        for state, q in zip(states, found, strict=True):
            value, expected = plain(world, state, depth)
            assert q.max() == value
            assert np.array_equal(np.flatnonzero(q == value), np.flatnonzero(np.array(expected) == value))


def test_ties_are_broken_uniformly_by_the_seed_of_the_position(world: Game, tables: Tables) -> None:
    start = np.tile(tables.rows()[:1], (9000, 1))
    actions = Minimax(world).act(positions_of(world, start))
    counts = np.bincount(actions, minlength=9)  # every first move of tic-tac-toe draws
    assert np.abs(counts - 1000).max() < 150  # five standard deviations
    assert np.array_equal(actions, Minimax(world).act(positions_of(world, start)))


def test_a_position_outside_the_enumeration_is_searched(world: Game, tables: Tables) -> None:
    state = tables.rows()[:1].copy()
    state[0, :3] = [0b11, 0b0, 0]  # two stones of one side, none of the other: no game leads here
    q = Minimax(world).values(state)
    assert q[0].max() == 1.0
    assert q[0, 2] == 1.0


def test_hidden_state_is_refused(world: Game, tables: Tables) -> None:
    given = positions_of(world, tables.rows()[:1])
    hidden = Positions(world, given.observations, given.legal, given.seats, None, given.seeds, given.games, given.plies)
    with pytest.raises(UserError, match="needs the state"):
        Minimax(world).act(hidden)
