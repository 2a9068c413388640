"""check_env: the conformance check that every world, ours, a plugin's or a foreign one, passes.

Each finding is one line that says what is wrong and what to do. Stricter than the check_env of Gymnasium and the
api_test of PettingZoo: those pass unseeded randomness and observations outside the space. Rules of a ``Game`` are
called one by one with poisoned buffers and guard words behind every array; any ``World`` is played through its table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from statistics import NormalDist
from typing import Any

import numpy as np

from elodrome.envs import engine
from elodrome.envs.actions import as_array, as_plain, box, random_actions
from elodrome.envs.check_rules import Findings, check_rules, check_symmetries
from elodrome.envs.game import Game, World, no_playout
from elodrome.envs.table import BatchEnv, CompiledTable, Table
from elodrome.errors import IllegalAction, UserError
from elodrome.seeding import generator, streams

GAMES = 16  # played side by side through the table
ALONE = (GAMES - 1, 0)  # of them, played a second time alone
PLIES = 4000  # of a game that are looked at
PLAYOUTS = 4000  # random games of each side of the comparison
SOUND_PLAYOUTS = 100  # of them, looked at one by one
STROLL_STEPS = 100
ALPHA = 1e-4  # chance that a right playout is refused


def check_env(world: World, name: str | None = None, *, seed: int = 0) -> list[str]:
    """Findings about ``world``, none when it can be trusted; takes about a second.

    name: what make_env knows it by, by default its id. The same seed gives the same findings.
    """
    found = Findings()
    parts: list[tuple[str, Callable[[], None]]] = [("sizes", lambda: _sizes(world, found))]
    if isinstance(world, Game):
        game = world
        parts.append(("rules", lambda: check_rules(game, found, seed)))
    # A rule that writes past its arrays or raises would take the next parts down: they come only after sound rules.
    _run(parts, found)
    if not found.lines:
        parts = [("table", lambda: _table(world, found, seed)), ("make_env", lambda: _rebuild(world, name, found))]
        if isinstance(world, Game):
            parts.append(("symmetries", lambda: check_symmetries(game, found, seed)))
            parts.append(("playout", lambda: _playout(game, found, seed)))
            parts.append(("stroll", lambda: _stroll(game, found, seed)))
            parts.append(("drawing", lambda: _drawing(game, found)))
        _run(parts, found)
    return list(found.lines.values())


def _run(parts: list[tuple[str, Callable[[], None]]], found: Findings) -> None:
    for what, part in parts:
        try:
            part()
        except Exception as error:
            found.need(False, f"{what} raised", f"{what}: {type(error).__name__}: {error}; nothing here may raise")


def _sizes(world: World, found: Findings) -> None:
    found.need(
        bool(np.isfinite(world.return_range).all()) or not isinstance(world, Game),  # foreign worlds may not tell
        "return_range",
        f"return_range {world.return_range}: give the least and the greatest return of a seat, both finite",
    )
    found.need(
        len(world.observation_shape) > 0 and min(world.observation_shape) > 0,
        "observation_shape",
        f"observation_shape {world.observation_shape}: every axis must have at least 1 entry",
    )


def _state(table: Table) -> list[Any]:
    """Seats [B], masks [B, A], observations of the games that go on [k, *shape], truncated [B], plies [B]."""
    alive = np.flatnonzero(table.seats >= 0)
    return [
        table.seats.copy(),
        table.legal(np.arange(table.games)),
        table.observe(alive),
        table.truncated.copy(),
        table.plies.copy(),
    ]


def _after(table: Table, b: int, rewards: Any) -> list[Any]:
    """What one game tells after a step."""
    seen = table.observe(np.array([b]))[0].copy() if table.seats[b] >= 0 else None
    return [seen, rewards.copy(), int(table.seats[b]), bool(table.truncated[b])]


def _table(world: World, found: Findings, seed: int) -> None:
    """Random games through the table; every game a second time, alone and in another order."""
    rng = generator(seed, "check table", world.id)
    rows, seeds = np.arange(GAMES), streams(seed, GAMES)
    table = world.table(GAMES)
    table.reset(rows, seeds)
    played: list[list[Any]] = [[] for _ in rows]
    trace: list[list[Any]] = [[table.observe(rows)[b].copy()] for b in rows]
    returns = np.zeros((GAMES, world.players))
    for ply in range(min(PLIES, world.max_steps + 1)):
        seats, masks, seen, *_ = _state(table)
        found.need(
            masks.shape == (GAMES, world.actions) and masks.dtype == np.uint8,
            "table mask",
            f"legal gives {masks.dtype} {masks.shape}; uint8 {(GAMES, world.actions)} is right",
        )
        shape = (int((seats >= 0).sum()), *world.observation_shape)
        found.need(
            seen.shape == shape and seen.dtype == np.float32,
            "table observation",
            f"observe gives {seen.dtype} {seen.shape}; float32 {shape} is right",
        )
        if not found.need(
            bool(((seats >= -1) & (seats < world.players)).all()),
            "table seats",
            f"seats {seats}: -1 at the end, else 0 to {world.players - 1}",
        ):
            return
        alive = np.flatnonzero(seats >= 0)
        over = np.flatnonzero(seats < 0)
        found.need(not masks[over].any(), "table end", "actions are offered after the end; the mask must be 0 there")
        offered = world.continuous or bool(masks[alive].any(1).all())
        if not found.need(offered, "table stuck", "a game that goes on offers no action at all"):
            return
        if not len(alive):
            break
        if ply >= world.max_steps:
            found.need(False, "max_steps", f"games go on after max_steps={world.max_steps}; truncate them there")
            break
        if ply == 0:
            _refusals(world, table, masks, found)
        actions = random_actions(world, masks[alive], rng)
        rewards = np.asarray(table.step(alive, actions))
        found.need(bool(np.isfinite(rewards).all()), "rewards", f"step gives rewards {rewards}; they must be finite")
        returns[alive] += rewards
        found.need(
            not world.terminal_rewards or not rewards[table.seats[alive] >= 0].any(),
            "terminal_rewards",
            "terminal_rewards is declared, but a step before the last one pays; drop the claim or pay at the end",
        )
        for i, (b, action) in enumerate(zip(alive, as_plain(world, actions), strict=True)):
            played[b].append(action)
            if b in ALONE:
                trace[b] += _after(table, int(b), rewards[i])
    low, high = world.return_range
    slack = 1e-9 * max(1.0, abs(low), abs(high))
    found.need(
        bool(((returns >= low - slack) & (returns <= high + slack)).all()),
        "returns",
        lambda: f"returns from {returns.min()} to {returns.max()} leave return_range {world.return_range}; widen it",
    )
    if world.zero_sum:
        found.need(
            bool(np.allclose(returns.sum(1), 0, atol=1e-9)),
            "zero_sum",
            "zero_sum is declared, but the returns of the seats do not sum to 0; drop the claim or mend the rewards",
        )
    for game in ALONE:
        _again(world, played[game], seeds[game : game + 1], trace[game], found)


def _again(world: World, actions: list[Any], seed: Any, trace: list[Any], found: Findings) -> None:
    """One game alone from its seed and actions."""
    table, row = world.table(1), np.array([0])
    table.reset(row, seed)
    told = [table.observe(row)[0].copy()]
    for action in actions:
        if table.seats[0] < 0:
            break
        rewards = table.step(row, as_array(world, [action]))
        told += _after(table, 0, rewards[0])
    same = len(told) == len(trace) and all(np.array_equal(a, b) for a, b in zip(told, trace, strict=True))
    found.need(
        same,
        "not repeatable",
        "a game played again alone, from the same seed and actions, went otherwise; draw all chance from the seeds "
        "given to reset, and let no row depend on another",
    )


def _refusals(world: World, table: Table, masks: Any, found: Findings) -> None:
    """Illegal actions are refused and change nothing."""
    tries: list[tuple[int, Any]] = [(0, -1), (0, world.actions)]
    if world.continuous:
        low, high = box(world)
        tries = [(0, high + (high - low)), (0, low * np.nan)]
    tries += [(int(b), int(np.flatnonzero(masks[b] == 0)[0])) for b in range(len(masks)) if not masks[b].all()][:1]
    before = _state(table)
    for b, action in tries:
        if table.seats[b] < 0:
            continue
        refused = False
        try:
            table.step(np.array([b]), as_array(world, [action]))
        except IllegalAction:
            refused = True
        found.need(refused, "illegal", f"step accepts the illegal action {action}; raise IllegalAction")
        same = all(np.array_equal(x, y) for x, y in zip(before, _state(table), strict=True))
        found.need(
            same, "illegal changes", "a refused action changed the game; check the action before anything changes"
        )


def _rebuild(world: World, name: str | None, found: Findings) -> None:
    """make_env gives an equal world."""
    from elodrome.envs.registry import make_env

    try:
        again = make_env(name or world.id)
    except UserError as error:
        found.need(False, "make_env", f"make_env({name or world.id!r}) fails ({error}); put all options into the id")
        return
    same = again.id == world.id
    if isinstance(world, Game) and isinstance(again, Game):
        same = again == world and np.array_equal(again.template, world.template)
    found.need(
        same,
        "make_env",
        f"make_env({name or world.id!r}) builds another world; put every option that changes it into the id",
    )


def _playout(game: Game, found: Findings, seed: int) -> None:
    """A playout of the world's own: sound in itself, and where it claims to play uniformly, held against the rules by
    the shares of wins, draws and losses, from the start and later."""
    if game.playout is no_playout:
        return
    start, later = game.template.copy(), _middle(game, seed)
    if not game.has_chance:
        game.reset(start, 0)
        _sound_playout(game, "the start", start, found, seed)
    _sound_playout(game, "a later position", later, found, seed)
    if not game.uniform_playout:
        return
    plain = replace(game, playout=no_playout)
    tests = 2 * 3 * game.players
    bar = NormalDist().inv_cdf(1 - ALPHA / tests / 2)
    for where, state in (("the start", None), ("a later position", later)):
        own, right = (_tally(g, state, seed + i) for i, g in enumerate((game, plain)))
        pooled = (own + right) / (2 * PLAYOUTS)
        error = np.sqrt(np.maximum(pooled * (1 - pooled), 1 / PLAYOUTS**2) * 2 / PLAYOUTS)
        z = np.abs(own - right) / PLAYOUTS / error
        found.need(
            bool((z < bar).all()),
            "playout",
            f"playout from {where} gives other shares of wins, draws, losses than random play by the rules: "
            f"{(own / PLAYOUTS).round(3).tolist()} against {(right / PLAYOUTS).round(3).tolist()}; mend or drop it",
        )


def _sound_playout(game: Game, where: str, state: Any, found: Findings, seed: int) -> None:
    """What holds of any playout, uniform or not: it ends in time, with possible returns, as its stream says."""
    low, high = game.return_range
    for word in streams(seed, SOUND_PLAYOUTS):
        results = []
        for _ in range(2):
            row, returns = state.copy(), np.zeros(game.players)
            steps = int(game.playout(row, word, returns))
            results.append((steps, returns.tolist()))
        found.need(
            results[0] == results[1],
            "playout not repeatable",
            "playout gives two results for one (state, rng); draw everything from the stream it is given",
        )
        found.need(
            0 < steps <= game.max_steps,
            "playout steps",
            f"playout from {where} reports {steps} steps; between 1 and max_steps={game.max_steps} are right",
        )
        fair = bool(np.isfinite(returns).all() and (returns >= low - 1e-9).all() and (returns <= high + 1e-9).all())
        found.need(
            fair and (not game.zero_sum or abs(returns.sum()) < 1e-9),
            "playout returns",
            f"playout from {where} gives the returns {returns}; they must be finite, lie in return_range "
            f"{game.return_range} and sum to 0 where zero_sum is declared",
        )


def _stroll(game: Game, found: Findings, seed: int) -> None:
    """A stroll of the world's own against random play by its rules: the same buffers after the same steps."""
    if game.stroll is None:
        return
    own, right = (BatchEnv(g, 32, seed=seed, threads=1) for g in (game, replace(game, stroll=None)))
    own.random_play(STROLL_STEPS, seed)
    right.random_play(STROLL_STEPS, seed)
    for buffer in ("observation", "legal", "seats", "plies", "rewards", "terminated", "truncated"):
        found.need(
            np.array_equal(getattr(own, buffer), getattr(right, buffer)),
            "stroll",
            f"stroll leaves another {buffer} than the rules do; compile it with the rules of this world, or drop it",
        )


def _middle(game: Game, seed: int) -> Any:
    """A position a third into a random game."""
    table, row = CompiledTable(game, 1), np.array([0])
    table.reset(row, streams(seed, 1))
    rng = generator(seed, "check playout")
    states = []
    while table.seats[0] >= 0:
        states.append(table.states(row)[0])
        table.step(row, np.array([rng.choice(np.flatnonzero(table.legal(row)[0]))]))
    return states[len(states) // 3]


def _tally(game: Game, state: Any, seed: int) -> Any:
    """Games with a positive, zero, negative return of each seat [P, 3]."""
    tallies = np.zeros((game.players, 3))
    rng: Any = np.uint64(seed + 1)
    if state is None:
        engine.playouts(game.compiled, PLAYOUTS, rng, tallies, np.zeros(game.players))
        return tallies
    returns, rewards = np.zeros(game.players), np.zeros(game.players)
    mask, probs = np.zeros(game.actions, np.uint8), np.zeros(game.outcomes)
    for _ in range(PLAYOUTS):
        rng = np.uint64(engine.play_out(game.compiled, state.copy(), rng, returns, mask, rewards, probs))
        tallies[np.arange(game.players), 1 - np.sign(returns).astype(int)] += 1
    return tallies


def _drawing(game: Game, found: Findings) -> None:
    """Text and look."""
    state = _middle(game, 0)
    found.need(bool(str(game.draw(state)).strip()), "text", "text draws nothing; give at least one line")
    if game.look is None:
        return
    cells = np.asarray(game.look.cells(state))
    found.need(
        cells.shape == (game.look.rows, game.look.columns),
        "look",
        f"look.cells gives {cells.shape}; {(game.look.rows, game.look.columns)} is right",
    )
