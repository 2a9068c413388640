"""UCT against a bandit computed by hand, against exact solutions, and against itself on other threads."""

from math import log, sqrt
from typing import Any

import numpy as np
import pytest

from elodrome.agents.agent import Positions
from elodrome.agents.planning.mcts import MCTS, MCTSConfig
from elodrome.envs.enumeration import Tables, enumerate_world
from elodrome.envs.game import Game, Words, pack_floats, rule
from elodrome.envs.registry import make_env
from elodrome.errors import UserError
from elodrome.seeding import streams

# Worlds for the tests. First: seats choose 0 or 1 in turn (or one seat once among four arms); the payoffs of every
# seat stand in the row. Row: [next seat, code of the choices so far, seats, actions, payoffs...].


@rule.reset
def tree_reset(state: Any, chance: int) -> None:
    state[0] = 0
    state[1] = 0


@rule.player
def tree_player(state: Any) -> int:
    return state[0] if state[0] < state[2] else -1


@rule.legal
def tree_legal(state: Any, mask: Any) -> None:
    mask[:] = 1 if state[0] < state[2] else 0


@rule.step
def tree_step(state: Any, action: int, chance: int, rewards: Any) -> None:
    seats = state[2]
    state[1] = state[1] * state[3] + action
    state[0] += 1
    if state[0] == seats:
        payoffs = state[4:].view(np.float64)
        for p in range(seats):
            rewards[p] = payoffs[state[1] * seats + p]


@rule.observe
def tree_observe(state: Any, seat: int, out: Any) -> None:
    out[0] = state[1]


def tree_world(payoffs: np.ndarray) -> Game:
    """payoffs [A, ..., A, P]: what each of P seats gets for every line of choices."""
    seats, actions = payoffs.shape[-1], payoffs.shape[0]
    return Game(
        id="tree",
        players=seats,
        actions=actions,
        observation_shape=(1,),
        state_words=2,
        max_steps=seats,
        return_range=(0.0, 1.0),
        constants=np.concatenate([[seats, actions], pack_floats(payoffs)]),
        reset=tree_reset,
        player=tree_player,
        legal=tree_legal,
        step=tree_step,
        observe=tree_observe,
    )


# Second: a solo game of dice. Stop (0) and keep the points, or roll (1): a coin adds 1 point or ends the game with
# nothing; at 3 points the game ends. Heads come with probability 0.8. Row: [points, over].


@rule.reset
def dice_reset(state: Any, chance: int) -> None:
    state[0] = 0
    state[1] = 0


@rule.player
def dice_player(state: Any) -> int:
    return -1 if state[1] else 0


@rule.legal
def dice_legal(state: Any, mask: Any) -> None:
    mask[:] = 0 if state[1] else 1


@rule.step
def dice_step(state: Any, action: int, chance: int, rewards: Any) -> None:
    if action == 1 and chance == 1:
        state[1] = 1
        return
    state[0] += action
    if action == 0 or state[0] == 3:
        state[1] = 1
        rewards[0] = state[0]


@rule.chance
def dice_chance(state: Any, action: int, probs: Any) -> int:
    if action == 1:
        probs[0] = 0.8
        probs[1] = 0.2
        return 2
    probs[0] = 1.0
    return 1


@rule.observe
def dice_observe(state: Any, seat: int, out: Any) -> None:
    out[0] = state[0]


def dice_world() -> Game:
    return Game(
        id="dice",
        players=1,
        actions=2,
        observation_shape=(1,),
        state_words=2,
        max_steps=5,
        outcomes=2,
        return_range=(0.0, 3.0),
        reset=dice_reset,
        player=dice_player,
        legal=dice_legal,
        step=dice_step,
        chance=dice_chance,
        observe=dice_observe,
    )


def positions_of(world: Game, states: Words, seed: int = 0) -> Positions:
    rows = np.arange(len(states))
    table = world.table(len(states))
    for r in rows:
        table.put(int(r), states[r])
    seeds = streams(seed, len(states))
    return Positions(
        world, table.observe(rows), table.legal(rows), table.seats.copy(), states, seeds, rows, np.zeros_like(rows)
    )


def start_of(world: Game) -> Words:
    state = world.template.copy()
    world.reset(state, 0)
    return state[None]


@pytest.fixture(scope="module")
def tables() -> Tables:
    return enumerate_world(make_env("tic_tac_toe"))


def exact_values(tables: Tables) -> np.ndarray:
    """Values of tic-tac-toe for the seat to act, by plain recursion from the last state to the first."""
    value = np.zeros(tables.size)
    for s in range(tables.size - 1, -1, -1):
        if tables.seats[s] >= 0:
            edges = tables.offsets[s * 9 : s * 9 + 10]
            value[s] = max(
                tables.reward[edges[a], tables.seats[s]] - value[tables.next_state[edges[a]]]
                for a in np.flatnonzero(tables.legal[s])
            )
    return value


def test_visits_of_a_bandit_are_those_of_ucb1() -> None:
    arms = np.array([0.1, 0.85, 0.3, 0.7])
    # The payoffs span [0, 1], so that the scale of eq. (4.1) is 1 whatever has been seen; a second seat sees to it.
    world = tree_world(np.stack([np.repeat(arms[:, None], 4, axis=1), np.zeros((4, 4))], axis=2))
    agent = MCTS(world, MCTSConfig(simulations=500, c=0.7, solver=False, threads=1))
    policy, value, choice = agent.search(positions_of(world, start_of(world)))

    counts, pulls = np.zeros(4), 0
    for a in range(4):
        counts[a], pulls = 1, pulls + 1
    while pulls < 500:
        best = max(range(4), key=lambda a: arms[a] + 0.7 * sqrt(log(pulls) / counts[a]))
        counts[best], pulls = counts[best] + 1, pulls + 1
    assert np.array_equal(policy[0] * 500, counts)
    assert value[0] == pytest.approx((counts * arms).sum() / 500)
    assert choice[0] == 1


def test_three_seats_each_maximise_their_own_return() -> None:
    for seed in range(20):
        payoffs = np.random.default_rng(seed).random((2, 2, 2, 3))
        third = payoffs[..., 2].argmax(axis=2)
        after_third = np.array([[payoffs[i, j, third[i, j]] for j in (0, 1)] for i in (0, 1)])
        second = after_third[..., 1].argmax(axis=1)
        after_second = np.array([after_third[i, second[i]] for i in (0, 1)])
        best = after_second[:, 0].argmax()
        world = tree_world(payoffs)
        _, value, choice = MCTS(world, MCTSConfig(simulations=3000)).search(positions_of(world, start_of(world)))
        assert choice[0] == best
        assert value[0] == after_second[best, 0]  # proven, hence exact


def test_dice_are_averaged_by_outcome() -> None:
    # At 2 points: stop 2, roll 0.8 * 3 = 2.4. At 1: stop 1, roll 0.8 * 2.4 = 1.92. At 0: roll 0.8 * 1.92 = 1.536.
    world = dice_world()
    states = np.array([[0, 0], [1, 0], [2, 0]])
    found = MCTS(world, MCTSConfig(simulations=100_000, c=1.0)).evaluate(positions_of(world, states))
    assert found.policy.argmax(axis=1).tolist() == [1, 1, 1]
    assert found.value == pytest.approx([1.536, 1.92, 2.4], abs=0.05)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_choice_in_tic_tac_toe_keeps_the_exact_value(tables: Tables, seed: int) -> None:
    """In all states: no blunder anywhere means that no opponent whatever can win, and no forced win is missed."""
    value = exact_values(tables)
    open_states = np.flatnonzero(tables.seats >= 0)
    given = positions_of(tables.game, tables.rows()[open_states], seed)
    choices = MCTS(tables.game, MCTSConfig(simulations=4000)).act(given)
    edges = tables.offsets[open_states * 9 + choices]
    kept = tables.reward[edges, tables.seats[open_states]] - value[tables.next_state[edges]]
    assert np.array_equal(kept, value[open_states])


def test_proofs_are_exact(tables: Tables) -> None:
    value = exact_values(tables)
    stones = np.array([bin(a | b).count("1") for a, b in tables.states[:, :2]])
    late = np.flatnonzero((tables.seats >= 0) & (stones >= 5))
    given = positions_of(tables.game, tables.rows()[late])
    assert np.array_equal(MCTS(tables.game, MCTSConfig(simulations=3000)).evaluate(given).value, value[late])


def test_value_of_the_start_converges_to_a_draw(tables: Tables) -> None:
    given = positions_of(tables.game, tables.rows()[:1])
    errors = [
        abs(MCTS(tables.game, MCTSConfig(simulations=n)).evaluate(given).value[0]) for n in (100, 10_000, 1_000_000)
    ]
    assert errors[2] < 0.02 < errors[0]


@pytest.mark.parametrize("name", ["tic_tac_toe", "connect_four"])
def test_threads_and_neighbours_do_not_matter(name: str) -> None:
    world = make_env(name)
    start = np.tile(start_of(world), (7, 1))
    one, four = (MCTS(world, MCTSConfig(simulations=300, threads=n)) for n in (1, 4))
    given = positions_of(world, start)
    together = one.search(given)
    for mine, theirs in zip(together, four.search(given), strict=True):
        assert np.array_equal(mine, theirs)
    for i in range(7):
        for mine, theirs in zip(together, one.search(given[i : i + 1]), strict=True):
            assert np.array_equal(mine[i], theirs[0])


def test_forced_wins_in_connect_four_are_found() -> None:
    world = make_env("connect_four")
    state = start_of(world)
    for action in (3, 3, 2, 2):  # columns: seat 0 holds c1 d1, seat 1 above them; b1 or e1 now wins by force
        world.step(state[0], action, 0, np.zeros(2))
    found = MCTS(world, MCTSConfig(simulations=20_000)).evaluate(positions_of(world, state))
    assert found.value[0] == 1.0
    assert found.policy[0].argmax() in (1, 4)


def test_hidden_state_is_refused(tables: Tables) -> None:
    given = positions_of(tables.game, tables.rows()[:1])
    hidden = Positions(
        given.world, given.observations, given.legal, given.seats, None, given.seeds, given.games, given.plies
    )
    with pytest.raises(UserError, match="needs the state"):
        MCTS(tables.game).act(hidden)
