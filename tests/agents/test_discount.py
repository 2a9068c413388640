"""A discount means one thing in every room: it is applied once for each decision of the same seat."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from elodrome import make_env
from elodrome.agents.agent import Positions
from elodrome.agents.games.minimax import Minimax, MinimaxConfig
from elodrome.agents.ops.td import own_discount, own_discounts
from elodrome.agents.parts.solve import best_play
from elodrome.agents.planning.mcts import MCTS, MCTSConfig
from elodrome.agents.registry import make_agent
from elodrome.agents.search.forest import Forest, Leaves, SearchConfig
from elodrome.agents.search.games import play_games
from elodrome.agents.search.playouts import play_all_out
from elodrome.agents.search.selfplay import PlayConfig, SelfPlay, to_go
from elodrome.envs.enumeration import Tables, enumerate_world
from elodrome.envs.game import Game
from elodrome.errors import UserError
from elodrome.seeding import generator, streams

GAMMA = 0.9


def discounted(name: str, gamma: float = GAMMA) -> Game:
    world = make_env(name)
    assert isinstance(world, Game)
    return replace(world, discount=gamma)


def line_by_line(world: Game, root: np.ndarray, choose: Any = None) -> np.ndarray:
    """Returns [P] from ``root`` on, every line of play written out, each payment weighed by how often its seat has
    decided since the root's decision. Each seat takes what is best for itself; ``choose``: or all at random."""

    def follow(state: np.ndarray, counts: np.ndarray, paid: np.ndarray, ply: int) -> np.ndarray:
        seat = world.player(state)
        if seat < 0 or ply == world.max_steps:
            return paid
        counts = counts + (np.arange(world.players) == seat) * (ply > 0)
        mask, ends = np.zeros(world.actions, np.uint8), []
        world.legal(state, mask)
        for action in np.flatnonzero(mask):
            after, rewards = state.copy(), np.zeros(world.players)
            world.step(after, int(action), 0, rewards)
            ends.append(follow(after, counts, paid + world.discount**counts * rewards, ply + 1))
        return np.mean(ends, axis=0) if choose == "random" else max(ends, key=lambda end: end[seat])

    return follow(root, np.zeros(world.players), np.zeros(world.players), 0)


def late(world: Game, empty: int, every: int) -> tuple[Tables, np.ndarray]:
    """Tic-tac-toe's states with at most so many squares free, some of them."""
    tables = enumerate_world(world)
    free = np.array([9 - bin(a | b).count("1") for a, b in tables.states[:, :2]])
    return tables, np.flatnonzero((tables.seats >= 0) & (free <= empty))[::every]


def positions_of(world: Game, rows: np.ndarray, plies: Any = 0) -> Positions:
    table, at = world.table(len(rows)), np.arange(len(rows))
    for row, state in enumerate(rows):
        table.put(row, state)
    seeds = streams(0, len(rows))
    return Positions(
        world, table.observe(at), table.legal(at), table.seats.copy(), rows, seeds, at, np.zeros_like(at) + plies
    )


def test_the_definition_for_one_seat_and_for_all() -> None:
    assert [own_discount(0.3, 1, decides) for decides in (-1, 0, 1)] == [1.0, 1.0, 0.3]
    decides = np.array([[0, 2], [-1, 1]])
    want = [[[0.3, 1, 1], [1, 1, 0.3]], [[1, 1, 1], [1, 0.3, 1]]]
    assert own_discounts(0.3, decides, 3).tolist() == want


def test_best_play_in_tic_tac_toe_prefers_what_comes_sooner() -> None:
    world = discounted("tic_tac_toe")
    tables, chosen = late(world, 6, 29)
    _, value = best_play(tables)
    assert len(chosen) > 100
    for s in chosen:
        np.testing.assert_allclose(value[s], line_by_line(world, tables.rows()[s]), atol=1e-12)
    assert not np.array_equal(value[:, 0], -value[:, 1])  # the seats do not count the same decisions


@pytest.mark.parametrize("rounds", [1, 3])
def test_choices_made_at_the_same_moment_cost_nobody_time(rounds: int) -> None:
    payoffs = [[[3, 1], [0, 5]], [[4, 0], [1, 2]]]
    world = discounted(f"matrix_game:payoffs={payoffs},rounds={rounds}".replace(" ", ""))
    tables = enumerate_world(world)
    start = tables.starts[0]
    _, value = best_play(tables)
    np.testing.assert_allclose(value[start], line_by_line(world, tables.rows()[start]), atol=1e-12)
    if rounds == 1:
        assert value[start, 0] == best_play(enumerate_world(discounted(world.id, 1.0)))[1][start, 0]


def test_a_solo_world_is_discounted_at_every_step() -> None:
    world = discounted("gridworld:map=3x3,max_steps=6", 0.8)
    tables = enumerate_world(world)
    q, value = best_play(tables)
    for s in np.flatnonzero(tables.seats >= 0):
        np.testing.assert_allclose(value[s], line_by_line(world, tables.rows()[s]), atol=1e-12)
    roots = tables.rows()[tables.seats >= 0]
    _, found, choices = MCTS(world, MCTSConfig(simulations=20_000)).search(positions_of(world, roots))
    np.testing.assert_allclose(found, value[tables.seats >= 0, 0], atol=0.05)
    np.testing.assert_allclose(q[tables.seats >= 0][np.arange(len(roots)), choices, 0], value[tables.seats >= 0, 0])


@pytest.mark.parametrize("solver", [True, False])
def test_mcts_finds_the_values_of_best_play(solver: bool) -> None:
    world = discounted("tic_tac_toe")
    tables, chosen = late(world, 4, 13)
    q, value = best_play(tables)
    mine, q = value[chosen, tables.seats[chosen]], q[chosen, :, tables.seats[chosen]]
    agent = MCTS(world, MCTSConfig(simulations=20_000, c=2.0 if solver else 0.3, solver=solver))
    _, found, choices = agent.search(positions_of(world, tables.rows()[chosen]))
    np.testing.assert_allclose(found, mine, atol=1e-12 if solver else 0.03)
    np.testing.assert_allclose(q[np.arange(len(chosen)), choices], mine, atol=1e-12)


def test_tree_search_with_a_judge_finds_the_values_of_best_play() -> None:
    world = discounted("tic_tac_toe")
    tables, chosen = late(world, 4, 13)
    q, value = best_play(tables)
    mine, q = value[chosen, tables.seats[chosen]], q[chosen, :, tables.seats[chosen]]

    def ignorant(leaves: Leaves) -> tuple[Any, Any]:
        return np.zeros(leaves.legal.shape, np.float32), np.zeros(len(leaves.seats), np.float32)

    forest = Forest(world, len(chosen), SearchConfig(simulations=20_000, c=0.5))
    plies = np.zeros(len(chosen), np.int64)
    found = forest.search(tables.rows()[chosen], plies, streams(0, len(chosen)), ignorant)
    np.testing.assert_allclose(found.values, mine, atol=0.03)
    np.testing.assert_allclose(q[np.arange(len(chosen)), found.choices], mine, atol=1e-12)


def test_playouts_are_worth_what_random_play_is() -> None:
    world = discounted("tic_tac_toe", 0.5)
    tables, chosen = late(world, 5, 401)
    rows, count = tables.rows()[chosen], 4000
    for seats in (tables.seats[chosen], 1 - tables.seats[chosen]):
        found = np.zeros((count, len(chosen)), np.float32)
        for seed in range(count):
            play_all_out(world.compiled, rows, seats, np.uint64(seed), world.discount, found[seed])
        want = [line_by_line(world, row, "random")[seat] for row, seat in zip(rows, seats, strict=True)]
        assert (np.abs(found.mean(axis=0) - want) <= 4.5 * found.std(axis=0) / count**0.5 + 1e-6).all()


def slow_to_go(rewards: np.ndarray, movers: np.ndarray, gamma: float, t: int, seat: int) -> float:
    total, weight = 0.0, 1.0
    for k in range(t, len(rewards)):
        weight *= gamma if k > t and movers[k] == seat else 1.0
        total += weight * rewards[k, seat]
    return total


def test_what_is_to_go_whoever_moves_when() -> None:
    rng = generator(0)
    rewards, movers = rng.normal(size=(6, 9, 3)), rng.integers(0, 3, (6, 9))
    found = to_go(rewards, movers, 0.7)
    for k, t, seat in np.ndindex(6, 9, 3):
        assert found[k, t, seat] == pytest.approx(slow_to_go(rewards[k], movers[k], 0.7, t, seat))


def test_self_play_and_imitated_games_teach_what_is_to_go() -> None:
    """Whoever decides the last ply has won, or nobody has: outcomes halve with every decision of one's own before."""
    world = discounted("tic_tac_toe", 0.5)
    played = play_games(world, 40, 3, 0, make_agent("random", world).act)
    for game in range(40):
        mine = np.flatnonzero(played.games == game)
        for k, at in enumerate(mine):
            later = (played.seats[mine[k + 1 :]] == played.seats[at]).sum()
            assert abs(played.outcome[at]) in (0.0, 0.5**later)

    def ignorant(leaves: Leaves) -> tuple[Any, Any]:
        return np.zeros(leaves.legal.shape, np.float32), np.zeros(len(leaves.seats), np.float32)

    taught, _ = SelfPlay(world, 20, SearchConfig(simulations=8), PlayConfig(9, 0), 1).play(ignorant, 30)
    stones = taught.observations.sum(axis=(1, 2, 3)).astype(int)
    starts = np.flatnonzero(stones == 0)
    for begin, end in zip(starts, [*starts[1:], len(stones)], strict=True):
        length = end - begin
        for ply in range(length):
            assert abs(taught.outcome[begin + ply]) in (0.0, 0.5 ** ((length - 1 - ply) // 2))
    assert (taught.outcome > 0).any()


def test_alpha_beta_does_not_search_where_its_pruning_would_be_wrong() -> None:
    world = discounted("tic_tac_toe")
    tables, chosen = late(world, 4, 13)
    q, _ = best_play(tables)
    got = Minimax(world).values(tables.rows()[chosen])
    np.testing.assert_array_equal(got, q[chosen, :, tables.seats[chosen]])
    for config, name in ((MinimaxConfig(depth=3), "tic_tac_toe"), (None, "connect_four")):
        with pytest.raises(UserError, match=r"has 0\.9; minimax solves it where it has at most 20000 states"):
            Minimax(discounted(name), config)
