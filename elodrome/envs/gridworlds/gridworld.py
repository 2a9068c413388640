"""Gridworlds of any ASCII map: walls, slip, wind, goals, traps, cliffs and portals (notes 2.5; Sutton & Barto).

One compiled set of rules serves every map: the map lies packed in the constants of the row. Actions are in the order
of Gymnasium's CliffWalking: 0 up, 1 right, 2 down, 3 left. The symbols are explained in ``maps.py``.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
from numba import types

from elodrome.envs.engine import STROLL, random_rows
from elodrome.envs.game import LONGEST, Game, Look, Mask, Words, compiled, no_chance, pack_floats, rule
from elodrome.envs.gridworlds.maps import NAMED, Map, options_of, read_map
from elodrome.envs.intrinsics import real
from elodrome.envs.signatures import I8, REALS, WORDS
from elodrome.errors import UserError, shown

# The row: word 0 is the cell (row * columns + column), or ~cell when the episode is over. Constants:
#   1  columns, starts, address of the symbols, address of the starts: 16 bits each, lowest first
#   2  slip (a float)
#   3  the cells, 8 to a word, one byte each: low half the symbol, high half the directions that are blocked
#   .. two words per symbol: kind (bit 0: ends the episode, bit 1: moves the agent, bits 8 and up: where to), reward;
#      those of a portal are for leaving it, entering one is entering floor
#   .. the starts, one word each
#   .. where there is wind, its strength in each column, one word each
_CELLS = 3
_FLOOR, _GOAL, _TRAP, _CLIFF, _BUMP, _FIRST_PORTAL = range(6)
_ENDS, _MOVES = 1, 2


@compiled(I8(WORDS, I8), inline="always")
def cell_byte(state: Any, cell: int) -> int:
    """What lies on a cell: symbol + 16 * blocked directions."""
    return (state[_CELLS + (cell >> 3)] >> ((cell & 7) << 3)) & 255


@rule.reset
def reset(state: Any, chance: int) -> None:
    state[0] = state[(state[1] >> 48) + chance]


@rule.player
def player(state: Any) -> int:
    return state[0] >> 63


@rule.legal
def legal(state: Any, mask: Any) -> None:
    free = 1 + (state[0] >> 63)
    for a in range(4):
        mask[a] = free


@compiled(types.void(WORDS, I8, I8, REALS, types.boolean), inline="always")
def move(state: Any, action: int, chance: int, rewards: Any, windy: bool) -> None:
    """A step; ``windy`` is known when it is compiled, and costs nothing where it is False."""
    cell = state[0]
    sizes = state[1]
    symbols = (sizes >> 32) & 0xFFFF
    here = cell_byte(state, cell)
    if here & 15 >= _FIRST_PORTAL:
        at = symbols + 2 * (here & 15)
        state[0] = state[at] >> 8
        rewards[0] = real(state[at + 1])
        return
    # No branches from here: where a random agent walks cannot be predicted.
    way = (action + chance + (chance >> 1)) & 3  # outcome 1 slips to the right of the way, 2 to the left
    across = way & 1
    delta = across * (2 - way) + (1 - across) * (way - 1) * (sizes & 0xFFFF)
    blocked = (here >> (4 + way)) & 1
    ahead = cell + delta * (1 - blocked)
    if windy:
        columns = sizes & 0xFFFF
        for _ in range(state[(sizes >> 48) + ((sizes >> 16) & 0xFFFF) + cell % columns]):
            ahead -= columns * (1 - ((cell_byte(state, ahead) >> 4) & 1))
        blocked &= ahead == cell
    entered = cell_byte(state, ahead) & 15
    entered *= entered < _BUMP
    at = symbols + 2 * (entered + blocked * (_BUMP - entered))
    kind = state[at]
    rewards[0] = real(state[at + 1])
    ahead ^= (ahead ^ (kind >> 8)) & -((kind >> 1) & 1)
    state[0] = ahead ^ -(kind & 1)


@rule.step
def step(state: Any, action: int, chance: int, rewards: Any) -> None:
    move(state, action, chance, rewards, False)


@rule.step
def windy_step(state: Any, action: int, chance: int, rewards: Any) -> None:
    move(state, action, chance, rewards, True)


@rule.observe
def observe(state: Any, seat: int, out: Any) -> None:
    cell = np.int32(state[0] ^ (state[0] >> 63))
    for i in range(out.size):  # one pass of compares: clearing first would be a call of memset
        out[i] = np.float32(np.int32(i) == cell)


@rule.chance
def chance(state: Any, action: int, probs: Any) -> int:
    """At reset the starts; then the move, a slip to its right, a slip to its left."""
    if action < 0:
        count = (state[1] >> 16) & 0xFFFF
        for k in range(count):
            probs[k] = 1.0 / count
        return count
    slip = real(state[2])
    if slip == 0.0 or cell_byte(state, state[0]) & 15 >= _FIRST_PORTAL:
        probs[0] = 1.0
        return 1
    probs[0] = 1.0 - slip
    probs[1] = 0.5 * slip
    probs[2] = 0.5 * slip
    return 3


@compiled(STROLL, _nrt=False)
def stroll(world: Any, batch: Any, steps: int, probs: Any) -> None:
    """Random play with the rules of this file compiled in."""
    random_rows(reset, player, legal, step, observe, chance, world, batch, steps, probs)


DELTAS = ((-1, 0), (0, 1), (1, 0), (0, -1))
DEFAULTS: dict[str, Any] = {
    "slip": 0.0,
    "step_reward": -1.0,
    "goal_reward": 0.0,
    "trap_reward": -10.0,
    "cliff_reward": -100.0,
    "bump_reward": None,
    "portal_rewards": {},
    "wind": [],
    "discount": 1.0,
    "max_steps": 1000,
}
MOST_REWARD, MOST_SWEEPS = 1e12, 10_000
_DRAWN = {"#": 1, "S": 2, "G": 3, "T": 4, "C": 4}


def gridworld(
    map: str = "4x4",
    slip: float | None = None,
    step_reward: float | None = None,
    goal_reward: float | None = None,
    trap_reward: float | None = None,
    cliff_reward: float | None = None,
    bump_reward: float | None = None,
    portal_rewards: dict[str, float] | None = None,
    wind: list[int] | None = None,
    discount: float | None = None,
    max_steps: int | None = None,
) -> Game:
    """A gridworld on a map, named or spelled out (``map=S..#/..#G``). Observation [cells]: one-hot of the cell.

    slip: probability of moving at right angles to the action, half to each side. step_reward: of entering floor or a
    start; goal_reward, trap_reward, cliff_reward: of entering those; bump_reward: of walking into a wall or the edge
    (by default step_reward); portal_rewards: of leaving each portal, 0 where not named. wind: for each column by how
    many cells one is blown upwards after an action in it (a bump too), as far as nothing is in the way; what one enters
    is where this ends. Options not given are the named map's own, then -1 for a step, 0 for the goal, -10 for a trap,
    -100 for the cliff.
    Raises UserError for a bad map (with row and column) or option.
    """
    given = {k: v for k, v in locals().items() if k != "map" and v is not None}
    chart = read_map(map)
    own = {**DEFAULTS, **options_of(map)}
    options = _checked({**own, **given}, chart)
    unknown = sorted(set(options["portal_rewards"]) - set(chart.exits))
    if unknown:
        raise UserError(f"portal_rewards names {unknown[0]!r}; portals of this map: {', '.join(chart.exits) or 'none'}")
    changed = {k: options[k] for k in given if options[k] != own[k]}
    written = {k: json.dumps(v, separators=(",", ":")) for k, v in changed.items()}
    name = map if map in NAMED else chart.text
    drawing = _Drawing(chart)
    dice, windy = bool(options["slip"]) or len(chart.starts) > 1, any(options["wind"])
    return Game(
        id="gridworld:" + ",".join(f"{k}={v}" for k, v in {"map": name, **written}.items()),
        players=1,
        actions=4,
        observation_shape=(chart.rows * chart.columns,),
        state_words=1,
        max_steps=options["max_steps"],
        kind="gridworld",
        return_range=_return_range(chart, options),
        discount=options["discount"],
        summary=f"{chart.rows} x {chart.columns} map",
        source="notes 2.5; Sutton & Barto",
        action_names=("up", "right", "down", "left"),
        seat_names=("agent",),
        reset=reset,
        player=player,
        legal=legal,
        step=windy_step if windy else step,
        observe=observe,
        chance=chance if dice else no_chance,
        stroll=None if windy else stroll,
        outcomes=max(len(chart.starts), 3 if options["slip"] else 1),
        constants=_pack(chart, options),
        text=drawing.text,
        look=drawing.look(),
        extra=chart,
    )


def cliff_walking() -> Game:
    """Cliff walking on 4 x 12, the dynamics of Gymnasium's CliffWalking-v1: -1 a step, -100 and back to the start
    for the cliff. The best return is -13 (notes 2.5.5; Sutton & Barto, example 6.6)."""
    return replace(
        gridworld(map="cliff"),
        id="cliff_walking",
        summary="4 x 12 with a cliff",
        source="notes 2.5.5; Sutton & Barto, example 6.6",
    )


def _checked(options: dict[str, Any], chart: Map) -> dict[str, Any]:
    """The options with numbers as numbers. Raises UserError for a value that makes no sense."""
    if options["bump_reward"] is None:
        options["bump_reward"] = options["step_reward"]
    checked: dict[str, Any] = {}
    for key, value in options.items():
        if key == "portal_rewards":
            if not isinstance(value, dict):
                raise UserError(f'portal_rewards={shown(value)} is not a table such as {{"A":10,"B":5}}')
            checked[key] = {k: _number(f"portal_rewards of {k}", v) for k, v in value.items()}
        elif key == "wind":
            winds = isinstance(value, list) and all(type(w) is int and 0 <= w <= chart.rows for w in value)
            if not winds or len(value) not in (0, chart.columns):
                raise UserError(
                    f"wind={shown(value)} is not a list of {chart.columns} whole numbers from 0 to {chart.rows}, one "
                    "for each column"
                )
            checked[key] = value
        elif key == "max_steps":
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= LONGEST:
                raise UserError(f"max_steps={shown(value)} is not a whole number from 1 to {LONGEST}")
            checked[key] = value
        else:
            checked[key] = _number(key, value)
            if key in ("slip", "discount") and not 0 <= checked[key] <= 1:
                raise UserError(f"{key}={shown(value)} is not between 0 and 1")
    return checked


def _number(key: str, value: Any) -> float:
    # A return is the sum of up to LONGEST rewards, and must stay a number.
    if isinstance(value, bool) or not isinstance(value, int | float) or not -MOST_REWARD <= value <= MOST_REWARD:
        raise UserError(f"{key}={shown(value)} is not a finite number (of {MOST_REWARD:g} at most, or less)")
    return float(value)


def _ahead(chart: Map, cell: int, action: int) -> int:
    """The cell that a move leads to, or -1 where a wall or the edge is in the way."""
    r, c = divmod(cell, chart.columns)
    r, c = r + DELTAS[action][0], c + DELTAS[action][1]
    inside = 0 <= r < chart.rows and 0 <= c < chart.columns
    return r * chart.columns + c if inside and chart.grid[r, c] != "#" else -1


def _blown(chart: Map, cell: int, action: int, wind: list[int]) -> int:
    """``_ahead``, and up from there by the wind of the cell's column; -1 where one bumps and stays where one was."""
    ahead = _ahead(chart, cell, action)
    if not any(wind):
        return ahead
    end = cell if ahead < 0 else ahead
    for _ in range(wind[cell % chart.columns]):
        above = _ahead(chart, end, 0)
        end = end if above < 0 else above
    return -1 if ahead < 0 and end == cell else end


def _pack(chart: Map, options: dict[str, Any]) -> Words:
    """The constants of the row, laid out as at the top of this file."""
    number = {"G": _GOAL, "T": _TRAP, "C": _CLIFF, **{p: _FIRST_PORTAL + i for i, p in enumerate(chart.exits)}}
    flat = chart.grid.ravel()
    cells = np.zeros(-(-len(flat) // 8) * 8, np.uint8)
    for cell, symbol in enumerate(flat):
        blocked = sum(1 << a for a in range(4) if _ahead(chart, cell, a) < 0)
        cells[cell] = number.get(str(symbol), _FLOOR) | blocked << 4
    kinds = [
        (0, options["step_reward"]),
        (_ENDS, options["goal_reward"]),
        (_ENDS, options["trap_reward"]),
        (_MOVES | chart.starts[0] << 8, options["cliff_reward"]),
        (0, options["bump_reward"]),
        *((to << 8, options["portal_rewards"].get(p, 0.0)) for p, to in chart.exits.items()),
    ]
    symbols_at = _CELLS + len(cells) // 8
    starts_at = symbols_at + 2 * len(kinds)
    sizes = chart.columns | len(chart.starts) << 16 | symbols_at << 32 | starts_at << 48
    table = [word for kind, reward in kinds for word in (kind, int(pack_floats(reward)[0]))]
    wind = options["wind"] if any(options["wind"]) else []
    slip = pack_floats(options["slip"])
    return np.array([sizes, *slip, *cells.view(np.int64), *table, *chart.starts, *wind], np.int64)


def _return_range(chart: Map, options: dict[str, Any]) -> tuple[float, float]:
    """The least and greatest return in max_steps steps, by going back from the last (a slip is a move as well);
    bounds of them where max_steps is large and the best way goes round in circles."""
    flat = chart.grid.ravel()
    cells = len(flat)
    to = np.zeros((cells, 4), np.int64)
    reward = np.full((cells, 4), options["step_reward"])
    for cell in range(cells):
        for action in range(4):
            ahead = _blown(chart, cell, action, options["wind"])
            symbol = str(flat[ahead]) if ahead >= 0 else ""
            if str(flat[cell]) in chart.exits:
                to[cell, action] = chart.exits[str(flat[cell])]
                reward[cell, action] = options["portal_rewards"].get(str(flat[cell]), 0.0)
            elif ahead < 0:
                to[cell, action], reward[cell, action] = cell, options["bump_reward"]
            elif symbol in "GT":
                to[cell, action] = cells  # a last row of zeros: the end
                reward[cell, action] = options["goal_reward" if symbol == "G" else "trap_reward"]
            elif symbol == "C":
                to[cell, action], reward[cell, action] = chart.starts[0], options["cliff_reward"]
            else:
                to[cell, action] = ahead
    bounds = []
    for best in (np.min, np.max):
        value = np.zeros(cells + 1)
        for left in range(options["max_steps"], 0, -1):
            if options["max_steps"] - left == MOST_SWEEPS:  # it may go round for ever: a bound that is not tight
                value[:-1] += left * best(np.append(reward, 0.0))
                break
            new = np.append(best(reward + value[to], axis=1), 0.0)
            gain = new - value
            value = new
            if (gain[:-1] == gain[0]).all() and (gain[0] == 0 or (to < cells).all()):
                value[:-1] += (left - 1) * gain[0]
                break
            if (gain == 0).all():
                break
        bounds.append(float(best(value[list(chart.starts)])))
    return bounds[0], bounds[1]


class _Drawing:
    """How one map is drawn; rules know no pixels."""

    def __init__(self, chart: Map) -> None:
        self.chart = chart
        self.codes = np.array(
            [[_DRAWN.get(str(s), 5 if str(s) in chart.exits else 0) for s in line] for line in chart.grid]
        )

    def marker(self, state: Words) -> tuple[int, int]:
        """The agent's (row, column)."""
        cell = int(state[0])
        return divmod(cell if cell >= 0 else ~cell, self.chart.columns)

    def text(self, state: Words) -> str:
        """The map with the agent as ``@``."""
        grid = self.chart.grid.copy()
        grid[self.marker(state)] = "@"
        return "\n".join("".join(line) for line in grid)

    def cells(self, state: Words) -> Words:
        """What lies where; the agent is not drawn in."""
        return self.codes

    def look(self) -> Look:
        """For windows: the map's cells and the agent's place; a click means nothing."""
        return Look(
            self.chart.rows,
            self.chart.columns,
            self.cells,
            _no_action,
            _no_cell,
            marker=self.marker,
            style="map",
        )


def _no_action(row: int, column: int, legal: Mask) -> int:
    return -1


def _no_cell(state: Words, action: int) -> None:
    return None
