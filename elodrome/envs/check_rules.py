"""What check_env asks of the rules of a Game: each called alone, with poisoned buffers and guard words behind them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from elodrome.envs.game import Game, no_playout
from elodrome.envs.table import CompiledTable
from elodrome.errors import BrokenWorld
from elodrome.seeding import generator, streams

RULED = 300  # positions in which every rule is called
SYMMETRIC_PLIES = 300
_GUARD = 1 << 14  # elements before and behind every array; a rule that leaves its array soon leaves it by much
UNSAFE = ("out of bounds", "player", "outcomes", "mask", "mask empty")  # what compiled loops must not be run with


class Findings:
    """What was found, one line per trouble: only the first case of each is kept."""

    def __init__(self) -> None:
        self.lines: dict[str, str] = {}

    def need(self, right: bool | np.bool_, trouble: str, line: Callable[[], str] | str) -> bool:
        """Note ``line`` under the name ``trouble`` unless ``right``."""
        if not right and trouble not in self.lines:
            self.lines[trouble] = line if isinstance(line, str) else line()
        return bool(right)


def guarded(values: Any) -> Any:
    """A copy with guard words around it, so that a rule that writes outside harms nobody."""
    whole = np.full(_GUARD + len(values) + _GUARD, 77, values.dtype)
    inside = whole[_GUARD : _GUARD + len(values)]
    inside[:] = values
    return inside


def intact(array: Any) -> bool:
    """Whether the guards around an array stand."""
    return bool((array.base[:_GUARD] == 77).all() and (array.base[_GUARD + len(array) :] == 77).all())


class _Guarded:
    """Arrays for a rule, each between guard words that no rule may touch."""

    def __init__(self, game: Game) -> None:
        self.row = guarded(np.zeros(game.row_words, np.int64))
        self.mask = guarded(np.zeros(game.actions, np.uint8))
        self.rewards = guarded(np.zeros(game.players, np.float64))
        self.out = guarded(np.zeros(game.observation_size, np.float32))
        self.probs = guarded(np.zeros(game.outcomes, np.float64))

    def whole(self) -> bool:
        """Whether all guards stand."""
        return all(map(intact, (self.row, self.mask, self.rewards, self.out, self.probs)))


def refuse_unsafe(game: Game) -> None:
    """Raises BrokenWorld where compiled loops would be harmed by the rules of a world, as far as random games show."""
    found = Findings()
    try:
        check_rules(game, found, 0)
    except Exception as error:
        found.need(False, "out of bounds", f"a rule raised {type(error).__name__}: {error}; rules may not raise")
    for trouble in UNSAFE:
        if trouble in found.lines:
            gist = " ".join(found.lines[trouble].split())
            raise BrokenWorld(f"world {game.id!r} cannot be played: {gist} (`elodrome check env` lists all troubles)")


def check_rules(game: Game, found: Findings, seed: int) -> None:
    """Every rule alone, along random games."""
    arrays = _Guarded(game)
    rng = generator(seed, "check", game.id)
    row = arrays.row
    ply = None
    for _ in range(RULED):
        if ply is None or ply >= game.max_steps or game.player(row) < 0:
            row[:] = game.template
            start = _chance(game, arrays, -1, found, rng)
            game.reset(row, start)
            found.need(
                bool((row[game.state_words :] == game.constants).all()),
                "constants",
                "reset changes the constants behind state_words; rules may only read them",
            )
            ply = 0
            _play_out(game, row, found, rng)
        seat = int(game.player(row))
        going = _look(game, arrays, seat, found)
        if not _intact(arrays, found) or not going or seat < 0:
            return
        action = int(rng.choice(np.flatnonzero(arrays.mask)))
        _twice(game, arrays, action, _chance(game, arrays, action, found, rng), found)
        if game.simultaneous:
            _hidden(game, row, seat, found)
        arrays.rewards[:] = 0.0
        game.step(row, action, _chance(game, arrays, action, found, rng), arrays.rewards)
        ply += 1
        if not _intact(arrays, found):
            return
        if game.player(row) < 0:
            _look(game, arrays, -1, found)


def _intact(arrays: _Guarded, found: Findings) -> bool:
    return found.need(
        arrays.whole(),
        "out of bounds",
        "a rule writes past the end of an array it was given, or before it; check state_words, actions, players, "
        "observation_shape and outcomes against what the rules write",
    )


def _chance(game: Game, arrays: _Guarded, action: int, found: Findings, rng: np.random.Generator) -> int:
    """Check the probabilities and draw an outcome."""
    if not game.has_chance:
        return 0
    before = arrays.row.copy()
    arrays.probs[:] = np.nan
    count = int(game.chance(arrays.row, action, arrays.probs))
    found.need(
        bool((arrays.row == before).all()),
        "chance impure",
        "chance changes the state; it may only write the probabilities",
    )
    where = "at reset (action -1)" if action < 0 else f"for action {game.action_name(action)}"
    if not found.need(
        1 <= count <= game.outcomes,
        "outcomes",
        f"chance gives {count} outcomes {where}; between 1 and outcomes={game.outcomes} are allowed",
    ):
        return 0
    probs = arrays.probs[:count].copy()
    right = bool(np.isfinite(probs).all() and (probs >= 0).all() and abs(probs.sum() - 1) < 1e-9)
    found.need(right, "probabilities", f"chance gives {probs} {where}; they must be 0 or more and sum to 1")
    return int(rng.choice(count, p=probs / probs.sum())) if right else 0


def _look(game: Game, arrays: _Guarded, seat: int, found: Findings) -> bool:
    """player, legal and observe in one position; whether the game can go on."""
    before = arrays.row.copy()
    game.player(arrays.row)
    if not found.need(seat < game.players, "player", f"player returns {seat}; seats are 0 to {game.players - 1}"):
        return False
    masks, pure = [], bool((arrays.row == before).all())
    for junk in (3, 5):
        arrays.mask[:] = junk
        game.legal(arrays.row, arrays.mask)
        pure = pure and bool((arrays.row == before).all())
        masks.append(arrays.mask.copy())
    found.need(
        bool((masks[0] == masks[1]).all() and (masks[0] <= 1).all()),
        "mask",
        "legal must write 0 or 1 for every action; it leaves some unwritten or writes another number",
    )
    if seat < 0:
        found.need(not masks[0].any(), "mask at the end", "legal offers actions after the end; write 0 for all of them")
    elif not found.need(
        masks[0].any(), "mask empty", f"no action is legal before the end, in\n{game.draw(arrays.row)}"
    ):
        return False
    for who in range(game.players):
        seen = []
        for poison in (np.nan, 123.0):
            arrays.out[:] = poison
            game.observe(arrays.row, who, arrays.out)
            pure = pure and bool((arrays.row == before).all())
            seen.append(arrays.out.copy())
        found.need(
            bool(np.isfinite(seen[0]).all() and (seen[0] == seen[1]).all()),
            "observe",
            "observe must write a finite number into every element: the buffer may hold anything before",
        )
        found.need(
            not game.binary or bool(np.isin(seen[0], (0.0, 1.0)).all()),
            "binary",
            "binary is declared, but observe writes other numbers than 0 and 1; drop the claim",
        )
    found.need(
        pure,
        "impure",
        "player, legal or observe changes the state; only reset and step may",
    )
    return True


def _twice(game: Game, arrays: _Guarded, action: int, outcome: int, found: Findings) -> None:
    """The same step from two copies."""
    results = []
    for _ in range(2):
        row, rewards = guarded(arrays.row), guarded(np.zeros(game.players))
        game.step(row, action, outcome, rewards)
        results.append((row, rewards))
    (row, rewards), (again, rewards_again) = results
    found.need(
        bool((row == again).all() and np.array_equal(rewards, rewards_again, equal_nan=True)),
        "step not pure",
        "step gives two results for one (state, action, chance); draw nothing inside rules, use the chance outcome",
    )
    found.need(
        bool((row[game.state_words :] == game.constants).all()),
        "constants",
        "step changes the constants behind state_words; keep what changes in the first state_words words",
    )
    found.need(bool(np.isfinite(rewards).all()), "rewards", f"step gives the rewards {rewards}; they must be finite")


def check_symmetries(game: Game, found: Findings, seed: int) -> None:
    """Random games beside their transformed ones: the same game, seen transformed."""
    if game.symmetries is None:
        return
    cells, actions = game.symmetries.cells, game.symmetries.actions
    found.need(not game.has_chance, "symmetries", "symmetries of a world with dice cannot be checked; drop them")
    found.need(
        all((table[0] == np.arange(table.shape[1])).all() for table in (cells, actions))
        and all((np.sort(table, 1) == np.arange(table.shape[1])).all() for table in (cells, actions)),
        "symmetries",
        "symmetries: each must be a permutation, the first of them the identity",
    )
    if "symmetries" in found.lines:
        return
    turned = np.argsort(actions, 1)  # [S, A]: what an action here is called there
    table, rows = CompiledTable(game, len(cells)), np.arange(len(cells))
    rng = generator(seed, "check symmetries", game.id)
    right = True
    for _ in range(SYMMETRIC_PLIES):
        if table.seats[0] < 0:
            table.reset(rows, streams(seed, len(cells)))
        masks = table.legal(rows)
        right &= found.need(
            bool((np.take_along_axis(masks, turned, 1) == masks[0]).all()),
            "symmetries mask",
            "symmetries: in a transformed game other actions are legal; mend symmetries.actions or drop them",
        )
        for seat in range(game.players):
            seen = table.observe(rows, np.full(len(cells), seat)).reshape(len(cells), game.observation_shape[0], -1)
            right &= found.need(
                all(np.array_equal(seen[s], seen[0][:, cells[s]]) for s in range(len(cells))),
                "symmetries observation",
                "symmetries: a transformed game does not show the transformed observation; mend symmetries.cells "
                "or drop them",
            )
        if not right:
            return
        action = int(rng.choice(np.flatnonzero(masks[0])))
        rewards = table.step(rows, turned[:, action].copy())
        right = found.need(
            bool((rewards == rewards[0]).all() and (table.seats == table.seats[0]).all()),
            "symmetries rewards",
            "symmetries: a transformed game ends otherwise than the game itself; drop them",
        )


def _play_out(game: Game, row: Any, found: Findings, rng: np.random.Generator) -> None:
    """The world's own playout, if it has one, within its arrays."""
    if game.playout is no_playout:
        return
    state, returns = guarded(row), guarded(np.zeros(game.players))
    game.playout(state, int(rng.integers(2**63)), returns)
    found.need(
        intact(state) and intact(returns),
        "out of bounds",
        "playout writes past the end of the state or the returns it was given, or before them",
    )


def _hidden(game: Game, row: Any, seat: int, found: Findings) -> None:
    """In a round of simultaneous moves nobody else sees what was chosen."""
    mask = guarded(np.zeros(game.actions, np.uint8))
    game.legal(row, mask)
    seen: dict[int, Any] = {}
    for action in np.flatnonzero(mask):
        after = guarded(row)
        game.step(after, int(action), 0, guarded(np.zeros(game.players)))
        if game.player(after) <= seat:  # the round is over, or the game: choices may be shown
            return
        for other in range(game.players):
            if other == seat:
                continue
            out = guarded(np.zeros(game.observation_size, np.float32))
            game.observe(after, other, out)
            found.need(
                np.array_equal(seen.setdefault(other, out), out),
                "hidden choice",
                f"simultaneous: seat {other} sees the choice of seat {seat} before it chooses; hide it in observe",
            )
