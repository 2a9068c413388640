"""OpenSpiel both ways, against pyspiel itself, hand values, and three programs' rules of the same games."""

import pickle

import numpy as np
import pyspiel
import pytest
from open_spiel.python.algorithms import mcts
from open_spiel.python.algorithms.minimax import alpha_beta_search

from elodrome import make_env
from elodrome.agents.random import Random
from elodrome.arena.batch import play_games
from elodrome.arena.match import make_jobs
from elodrome.arena.record import replay
from elodrome.envs.adapters.spiel import spiel_game
from elodrome.envs.game import World
from elodrome.envs.registry import BUILTIN
from elodrome.errors import IllegalAction, UserError

ONE = np.array([0])


def play_random(world: World, games: int, seed: int) -> tuple[np.ndarray, list[list[int]]]:
    """Returns [games, P] and actions of uniformly random games."""
    table, rng = world.table(games), np.random.default_rng(seed)
    table.reset(np.arange(games), rng.integers(2**64, size=games, dtype=np.uint64))
    totals, moves = np.zeros((games, world.players)), [[] for _ in range(games)]
    while len(live := np.flatnonzero(table.seats >= 0)):
        actions = np.array([rng.choice(np.flatnonzero(mask)) for mask in table.legal(live)])
        totals[live] += table.step(live, actions)
        for game, action in zip(live, actions, strict=True):
            moves[game].append(int(action))
    return totals, moves


def test_kuhn_poker_by_random_play() -> None:
    """Worth 1/8 to the first seat: a bet is passed with probability 1/4 (+1), a pass bet and passed with 1/8 (-1),
    all other games end in a showdown, which is fair. Standard deviation sqrt(2.125 - 1/64); 4 standard errors."""
    games = 4000
    totals, _ = play_random(make_env("open_spiel:kuhn_poker"), games, seed=0)
    assert (totals.sum(axis=1) == 0).all()
    assert abs(totals[:, 0].mean() - 1 / 8) < 4 * np.sqrt((2.125 - 1 / 64) / games)


def test_what_a_game_says_of_itself() -> None:
    kuhn, rps = make_env("open_spiel:kuhn_poker"), make_env("open_spiel:matrix_rps")
    assert (kuhn.players, kuhn.actions, kuhn.max_steps, kuhn.return_range) == (2, 2, 3, (-2.0, 2.0))
    assert (kuhn.information, kuhn.zero_sum, kuhn.simultaneous) == ("imperfect", True, False)
    assert (kuhn.action_name(0), kuhn.action_name(1)) == ("Pass", "Bet")
    assert (rps.information, rps.simultaneous, rps.max_steps) == ("imperfect", True, 2)
    assert make_env("open_spiel:tic_tac_toe").information == "perfect"
    hexagons = make_env("open_spiel:hex", board_size=4)
    assert (hexagons.id, hexagons.actions) == ("open_spiel:hex:board_size=4", 16)
    assert make_env("open_spiel:hex(board_size=4)").actions == 16


def test_simultaneous_moves_one_after_the_other() -> None:
    """Paper against rock; the second seat's view does not change with the first one's move."""
    table, row = make_env("open_spiel:matrix_rps").table(2), np.arange(2)
    table.reset(row, np.zeros(2, np.uint64))
    assert table.step(row, np.array([1, 2])).tolist() == [[0, 0], [0, 0]]
    assert table.seats.tolist() == [1, 1]
    first, second = table.observe(row)
    np.testing.assert_array_equal(first, second)
    assert table.step(row, np.array([0, 0])).tolist() == [[1, -1], [-1, 1]]


def test_each_row_has_its_own_dice() -> None:
    world = make_env("open_spiel:leduc_poker")
    seeds = np.arange(50, dtype=np.uint64)
    many, one = world.table(50), world.table(1)
    many.reset(np.arange(50), seeds)
    drawn = [many.draw(row) for row in range(50)]
    assert len(set(drawn)) > 1
    for row in (0, 7, 49):
        one.reset(ONE, seeds[row : row + 1])
        assert one.draw(0) == drawn[row]


def test_rewards_add_up_to_the_returns() -> None:
    """OpenSpiel's own cliff walking pays at every step: -1 each, -100 for the cliff."""
    world = make_env("open_spiel:cliff_walking")
    game = pyspiel.load_game("cliff_walking")
    totals, moves = play_random(world, 5, seed=0)
    for total, actions in zip(totals, moves, strict=True):
        state = game.new_initial_state()
        for action in actions:
            state.apply_action(action)
        assert state.is_terminal()
        assert state.returns() == total.tolist()


def test_a_hidden_card_stays_hidden() -> None:
    """Kuhn poker: the first seat's view is the same whatever the second one holds."""
    world = make_env("open_spiel:kuhn_poker")
    table, rows = world.table(60), np.arange(60)
    table.reset(rows, rows.astype(np.uint64))
    views = {view.tobytes() for view in table.observe(rows)}
    deals = {(table.observe(r[None])[0].tobytes(), table.observe(r[None], ONE + 1)[0].tobytes()) for r in rows}
    assert (len(views), len(deals)) == (3, 6)
    assert {table.draw(row)[0] for row in rows} == {"0", "1", "2"}


def test_illegal_moves_change_nothing() -> None:
    table = make_env("open_spiel:tic_tac_toe").table(1)
    table.reset(ONE, np.zeros(1, np.uint64))
    table.step(ONE, np.array([4]))
    for bad in (4, 9, -1):
        with pytest.raises(IllegalAction, match="not legal"):
            table.step(ONE, np.array([bad]))
    assert (table.draw(0), table.plies[0]) == ("...\n.x.\n...", 1)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("kuhnpoker", "did you mean 'kuhn_poker'"),
        ("hex:wings=2", "wings"),
        ("mfg_garnet", "mean-field"),
    ],
)
def test_errors_say_what_would_be_right(name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        make_env(f"open_spiel:{name}")


# Squares are numbered alike: in ours and OpenSpiel's tic-tac-toe by rows from the top left; PettingZoo numbers them
# by columns, which is the board mirrored on its diagonal, with the same lines. Columns of Connect Four are 0 to 6.
TRIPLES = {
    "tic_tac_toe": ("open_spiel:tic_tac_toe", "pettingzoo:classic/tictactoe_v3"),
    "connect_four": ("open_spiel:connect_four", "pettingzoo:classic/connect_four_v3"),
}


@pytest.mark.parametrize("ours", TRIPLES)
def test_three_programs_agree(ours: str) -> None:
    """The same legal moves, views, movers and outcomes in random games."""
    games, rows = 40, np.arange(40)
    tables = [make_env(name).table(games) for name in (ours, *TRIPLES[ours])]
    for table in tables:
        table.reset(rows, rows.astype(np.uint64))
    rng = np.random.default_rng(0)
    while len(live := np.flatnonzero(tables[0].seats >= 0)):
        masks = tables[0].legal(live)
        for table in tables[1:]:
            np.testing.assert_array_equal(table.seats, tables[0].seats)
            np.testing.assert_array_equal(table.legal(live), masks)
        np.testing.assert_array_equal(tables[0].observe(live), np.moveaxis(tables[2].observe(live), -1, 1))
        actions = np.array([rng.choice(np.flatnonzero(mask)) for mask in masks])
        rewards = [table.step(live, actions) for table in tables]
        np.testing.assert_array_equal(rewards[1], rewards[0])
        np.testing.assert_array_equal(rewards[2], rewards[0])
    for table in tables:
        assert (table.seats == -1).all()
        assert not table.truncated.any()


@pytest.mark.parametrize("name", [*BUILTIN, "gridworld:slip=0.3"])
def test_our_worlds_pass_openspiels_test(name: str) -> None:
    pyspiel.random_sim_test(spiel_game(make_env(name)), num_sims=1, serialize=False, verbose=False)


@pytest.mark.parametrize("name", ["tic_tac_toe", "connect_four", "gridworld:slip=0.3", "rock_paper_scissors:rounds=3"])
def test_ours_out_and_the_rules_agree(name: str) -> None:
    """A random game through OpenSpiel, dice and all, against the same outcomes played by the rules themselves."""
    world = make_env(name)
    rng = np.random.default_rng(0)
    state, row, total = spiel_game(world).new_initial_state(), world.template.copy(), np.zeros(world.players)
    world.reset(row, 0)
    while not state.is_terminal():
        assert not state.is_chance_node()
        seat, mask = world.player(row), np.zeros(world.actions, np.uint8)
        world.legal(row, mask)
        seen = np.zeros(world.observation_size, np.float32)
        world.observe(row, seat, seen)
        assert state.current_player() == seat
        assert state.legal_actions() == np.flatnonzero(mask).tolist()
        np.testing.assert_array_equal(state.observation_tensor(seat), seen)
        assert str(state) == world.draw(row)
        action, outcome = int(rng.choice(state.legal_actions())), 0
        state.apply_action(action)
        if state.is_chance_node():
            outcomes, probabilities = zip(*state.chance_outcomes(), strict=True)
            assert sum(probabilities) == pytest.approx(1.0)
            outcome = int(rng.choice(outcomes))
            state.apply_action(outcome)
        rewards = np.zeros(world.players)
        world.step(row, action, outcome, rewards)
        total += rewards
        assert state.rewards() == rewards.tolist()
    assert state.returns() == total.tolist()


def test_openspiel_searches_our_rules() -> None:
    """Its own exact search on our tic-tac-toe: in XX. / OO. / ... only the line at the top wins for X, to move."""
    game = spiel_game(make_env("tic_tac_toe"))
    state = game.new_initial_state()
    for action in (0, 3, 1, 4):
        state.apply_action(action)
    value, best = alpha_beta_search(game, state=state)
    assert (value, best) == (1.0, 2)


def test_agents_play_foreign_games() -> None:
    """A match of ours in a game of OpenSpiel's: its returns are one chip or two, and it replays, dice and all."""
    world = make_env("open_spiel:kuhn_poker")
    records = play_games(world, [Random(world), Random(world)], ["a", "b"], make_jobs(20, seed=0))
    assert {r.termination for r in records} == {"win"}
    assert {abs(x) for r in records for x in r.returns} == {1.0, 2.0}
    for record in records:
        *_, (table, last) = replay(record, world)
        assert (table.seats[0], last) == (-1, None)


def test_a_game_that_rolls_its_own_dice_rolls_them_from_the_rows_seed() -> None:
    """One world throughout, whose generator would go on from game to game; a row alone is the row among others."""
    world = make_env("open_spiel:negotiation")
    seeds = np.arange(8, dtype=np.uint64)
    many, one = world.table(8), world.table(1)
    many.reset(np.arange(8), seeds)
    deals = [many.draw(row) for row in range(8)]
    assert len(set(deals)) > 1
    for row in (7, 0, 3):
        one.reset(ONE, seeds[row : row + 1])
        assert one.draw(0) == deals[row]
    first, again = play_random(world, 4, seed=1), play_random(world, 4, seed=1)
    assert first[1] == again[1]
    assert (first[0] == again[0]).all()


def test_dice_that_no_seed_decides_are_refused() -> None:
    with pytest.raises(UserError, match="no game can be replayed"):
        make_env("open_spiel:misere(game=negotiation())")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("go(board_size=-5)", "unsupported board size"),
        ("hex:board_size=-1", "nothing can be done"),
        ("tic_tac_toe:wings=2", "Unknown parameter 'wings'"),
        ("nfg_game", "needs parameters"),
        ("crossword", "unimplemented"),
        ("chat_game", "unknown OpenSpiel game"),
    ],
)
def test_what_openspiel_cannot_do_is_one_line(name: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        make_env(f"open_spiel:{name}")
    assert "\n" not in str(caught.value)


NAMED = ["tic_tac_toe", "connect_four", "random_walk", "token_mdp", "gridworld", "rock_paper_scissors"]


@pytest.mark.parametrize("name", [*NAMED, "go:size=5,komi=7.5", "matrix_game:payoffs=[[[1,2],[3,4]],[[5,6],[7,8]]]"])
def test_openspiel_writes_our_games_down_and_reads_them_again(name: str) -> None:
    game = spiel_game(name)
    assert str(pyspiel.load_game(str(game))) == str(game)
    assert str(pickle.loads(pickle.dumps(game))) == str(game)
    pyspiel.random_sim_test(pyspiel.load_game(str(game)), num_sims=2, serialize=True, verbose=False)


def test_rewards_at_the_end_are_declared_so_that_openspiels_own_search_plays() -> None:
    terminal = pyspiel.GameType.RewardModel.TERMINAL
    claims = {name: spiel_game(name).get_type().reward_model == terminal for name in BUILTIN}
    assert {name for name, claim in claims.items() if not claim} == {"gridworld", "cliff_walking", "doors", "corridor"}
    assert spiel_game("stag_hunt:rounds=3").get_type().reward_model == pyspiel.GameType.RewardModel.REWARDS
    rng = np.random.RandomState(0)
    game = pyspiel.load_game("elodrome_tic_tac_toe")
    bot = mcts.MCTSBot(game, 2.0, 300, mcts.RandomRolloutEvaluator(2, rng), random_state=rng)
    state = game.new_initial_state()
    for action in (0, 3, 1, 4):  # the first player wins at 2
        state.apply_action(action)
    assert bot.step(state) == 2
