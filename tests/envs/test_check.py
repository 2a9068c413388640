"""check_env: every registered world passes; each deliberately broken world is caught by its fault."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from elodrome import make_env
from elodrome.envs.boards import tic_tac_toe as ttt
from elodrome.envs.boards.symmetries import square
from elodrome.envs.check import check_env
from elodrome.envs.game import Symmetries, World, no_playout, rule
from elodrome.envs.matrix import matrix_game as matrix
from elodrome.envs.registry import BUILTIN
from elodrome.envs.table import CompiledTable

VARIANTS = (
    "gridworld:map=sutton_barto_5x5",
    "gridworld:map=maze,slip=0.2",
    "gridworld:map=four_rooms",
    "gridworld:map=3x3,step_reward=-0.5,max_steps=20",
    'gridworld:map=SA.#/.B.a/bTCG,portal_rewards={"A":2,"B":-1},bump_reward=-3,slip=0.25',
    "gridworld:map=windy,slip=0.3",
    "gridworld:map=S..T/.#../...G,wind=[0,1,2,0]",
    "gridworld:map=lake",
    "blackjack:start=[13,2,1]",
    "random_walk:states=5",
    "go:size=5",
    "go:size=7,komi=9",
    "rock_paper_scissors:rounds=7",
    "matrix_game:payoffs=[[[1,2],[3,4.5],[5,6]]],rounds=2",
    'matrix_game:payoffs=[[0.5],[2]],action_names=["left","right"]',
    "matrix_game:payoffs=[[[[1,2,3],[0,0,0]]],[[[1,1,1],[5,-5,0.25]]]],rounds=3",
    "token_mdp:reward=copy,vocabulary=6,prompts=20,horizon=9",
    "token_mdp:reward=sum,prompt_length=3,seed=5",
    "token_mdp:reward=structured,vocabulary=7,horizon=20",
    "token_mdp:reward=two_mode,vocabulary=3,horizon=9",
    "arithmetic:digits=11,steps=true,most_digits=13",
    "arithmetic:task=expression,steps=true,numbers=4",
    "strings:letters=26,wanted=5,horizon=60",
)


@pytest.mark.parametrize("name", [*BUILTIN, *VARIANTS])
def test_worlds_conform(name: str) -> None:
    assert check_env(make_env(name)) == []


@rule.legal
def legal_leaves_some(state: Any, mask: Any) -> None:
    for a in range(8):
        mask[a] = 1


@rule.legal
def legal_after_the_end(state: Any, mask: Any) -> None:
    free = ~(state[0] | state[1])
    for a in range(9):
        mask[a] = (free >> a) & 1 | (state[2] < 0)


@rule.legal
def legal_nothing(state: Any, mask: Any) -> None:
    for a in range(9):
        mask[a] = 0


@rule.legal
def legal_changes_state(state: Any, mask: Any) -> None:
    ttt.legal(state, mask)
    state[2] ^= 1


@rule.player
def player_out_of_range(state: Any) -> int:
    return 2 if state[2] == 1 else state[2]


@rule.step
def step_writes_constants(state: Any, action: int, chance: int, rewards: Any) -> None:
    ttt.step(state, action, chance, rewards)
    state[3] += 1


@rule.step
def step_past_the_row(state: Any, action: int, chance: int, rewards: Any) -> None:
    ttt.step(state, action, chance, rewards)
    state[5] = 1


@rule.step
def step_draws(state: Any, action: int, chance: int, rewards: Any) -> None:
    ttt.step(state, action, chance, rewards)
    rewards[0] = np.random.random()  # noqa: NPY002


@rule.step
def step_not_zero_sum(state: Any, action: int, chance: int, rewards: Any) -> None:
    ttt.step(state, action, chance, rewards)
    rewards[0] *= 0.5


@rule.step
def step_too_much(state: Any, action: int, chance: int, rewards: Any) -> None:
    ttt.step(state, action, chance, rewards)
    rewards[0] *= 2.0
    rewards[1] *= 2.0


@rule.step
def step_nan(state: Any, action: int, chance: int, rewards: Any) -> None:
    ttt.step(state, action, chance, rewards)
    rewards[0] = np.nan


@rule.step
def step_raises(state: Any, action: int, chance: int, rewards: Any) -> None:
    rewards[0] = 1 // (action - action)


@rule.observe
def observe_half(state: Any, seat: int, out: Any) -> None:
    for a in range(9):
        out[a] = (state[seat] >> a) & 1


@rule.observe
def observe_from_seat_0(state: Any, seat: int, out: Any) -> None:
    ttt.observe(state, 0, out)


@rule.observe
def observe_choices(state: Any, seat: int, out: Any) -> None:
    matrix.observe(state, seat, out)
    out[0] = state[2] & 255


@rule.chance
def chance_not_one(state: Any, action: int, probs: Any) -> int:
    probs[0] = 0.6
    probs[1] = 0.6
    return 2


@rule.chance
def chance_too_many(state: Any, action: int, probs: Any) -> int:
    probs[0] = 1.0
    return 3


@rule.playout
def playout_biased(state: Any, rng: int, returns: Any) -> int:
    """The first seat wins 6 in 10: it should be 737 in 1260 (58.5 %), with draws."""
    draw = ttt.playout(state, rng, returns)
    if returns[0] == 0.0 and rng % 4 == 0:
        returns[0] = 1.0
        returns[1] = -1.0
    return draw


@rule.playout
def playout_unfair(state: Any, rng: int, returns: Any) -> int:
    """Both seats win."""
    steps = ttt.playout(state, rng, returns)
    returns[:] = 1.0
    return steps


@rule.playout
def playout_silent(state: Any, rng: int, returns: Any) -> int:
    ttt.playout(state, rng, returns)
    return 0


@rule.playout
def playout_draws(state: Any, rng: int, returns: Any) -> int:
    returns[0] = np.random.random()  # noqa: NPY002
    returns[1] = -returns[0]
    return 1


@rule.observe
def observe_shades(state: Any, seat: int, out: Any) -> None:
    ttt.observe(state, seat, out)
    out[4] *= 0.5


@rule.observe
def observe_ply_in_a_corner(state: Any, seat: int, out: Any) -> None:
    ttt.observe(state, seat, out)
    out[0] = state[2] == 1


@rule.legal
def legal_not_the_corner_first(state: Any, mask: Any) -> None:
    ttt.legal(state, mask)
    if state[0] == 0:
        mask[0] = 0


@rule.step
def step_upper_row_pays(state: Any, action: int, chance: int, rewards: Any) -> None:
    ttt.step(state, action, chance, rewards)
    if action < 3 and state[2] < 0:
        rewards[:] *= 0.5


def other_symmetries(cells: Any = None, actions: Any = None) -> Any:
    """Those of tic-tac-toe with one table exchanged."""
    known = square(3)
    return Symmetries(known.cells if cells is None else cells, known.actions if actions is None else actions)


BROKEN = {
    "binary is declared": {"observe": observe_shades, "stroll": None},
    "other actions are legal": {"legal": legal_not_the_corner_first, "stroll": None, "playout": no_playout},
    "does not show the transformed": {"observe": observe_ply_in_a_corner, "stroll": None},
    "ends otherwise": {"step": step_upper_row_pays, "stroll": None, "playout": no_playout},
    "be a permutation": {"symmetries": other_symmetries(actions=np.zeros((8, 9), np.int64))},
    "the first of them the identity": {"symmetries": other_symmetries(square(3).cells[::-1], square(3).actions[::-1])},
    "mend symmetries.cells": {"symmetries": other_symmetries(cells=square(3).cells[[0, 2, 1, 3, 4, 5, 6, 7]])},
    "gives the returns [1. 1.]": {"playout": playout_unfair, "uniform_playout": False},
    "reports 0 steps": {"playout": playout_silent, "uniform_playout": False},
    "playout gives two results": {"playout": playout_draws, "uniform_playout": False},
    "legal must write": {"legal": legal_leaves_some},
    "after the end": {"legal": legal_after_the_end},
    "no action is legal": {"legal": legal_nothing},
    "changes the state": {"legal": legal_changes_state},
    "player returns 2": {"player": player_out_of_range},
    "step changes the constants": {"step": step_writes_constants, "constants": np.array([1, 2])},
    "past the end": {"step": step_past_the_row},
    "step gives two results": {"step": step_draws},
    "zero_sum is declared": {"step": step_not_zero_sum},
    "leave return_range": {"step": step_too_much},
    "must be finite": {"step": step_nan},
    "nothing here may raise": {"step": step_raises},
    "observe must write": {"observe": observe_half},
    "sum to 1": {"chance": chance_not_one, "outcomes": 2},
    "gives 3 outcomes": {"chance": chance_too_many, "outcomes": 2},
    "playout from the start": {"playout": playout_biased},
    "stroll leaves another observation": {"observe": observe_from_seat_0},
    "return_range (-inf, 1.0)": {"return_range": (-np.inf, 1.0)},
    "every axis must have at least 1 entry": {"observation_shape": (0, 3), "symmetries": None},
    "fails (unknown environment": {"id": "no_such_world"},
    "builds another world": {"id": "connect_four"},
}


@pytest.mark.parametrize("fault", BROKEN)
def test_each_fault_is_named(fault: str) -> None:
    findings = check_env(replace(ttt.tic_tac_toe(), **BROKEN[fault]))
    assert any(fault in line for line in findings), findings


def test_playouts_of_another_kind_may_be_declared() -> None:
    """A playout that does not move uniformly is held to what is true of any."""
    world = replace(ttt.tic_tac_toe(), playout=playout_biased, uniform_playout=False)
    assert not [line for line in check_env(world) if "playout" in line]


def test_a_choice_that_shows() -> None:
    world = replace(make_env("rock_paper_scissors"), observe=observe_choices)
    (line,) = check_env(world)
    assert "seat 1 sees the choice of seat 0" in line


class Unseeded(CompiledTable):
    """Draws its rewards from the global generator."""

    def step(self, rows: Any, actions: Any) -> Any:
        rewards = super().step(rows, actions)
        return rewards * np.random.default_rng().random()


class Lenient(CompiledTable):
    """Plays action 0 for whatever is illegal."""

    def step(self, rows: Any, actions: Any) -> Any:
        legal = self.legal(rows)
        inside = np.clip(actions, 0, self.world.actions - 1)
        fine = (inside == actions) & (legal[np.arange(len(rows)), inside] == 1)
        return super().step(rows, np.where(fine, actions, legal.argmax(1)))


class Endless(CompiledTable):
    """Never truncates."""

    def step(self, rows: Any, actions: Any) -> Any:
        rewards = super().step(rows, actions)
        late = rows[self.truncated[rows]]
        self.truncated[late] = False
        self.seats[late] = 0
        return rewards


class Foreign(World):
    """A world that is known through its table alone, as adapters' are."""

    def table(self, games: int) -> Any:
        inner = make_env(self.id)
        return {"unseeded": Unseeded, "lenient": Lenient, "endless": Endless}[self.summary](inner, games)


@pytest.mark.parametrize(
    ("summary", "name", "fault"),
    [
        ("unseeded", "tic_tac_toe", "played again alone"),
        ("lenient", "tic_tac_toe", "accepts the illegal action"),
        ("endless", "gridworld:map=4x4,max_steps=6", "go on after max_steps"),
    ],
)
def test_foreign_tables(summary: str, name: str, fault: str) -> None:
    inner = make_env(name)
    world = Foreign(
        id=name,
        players=inner.players,
        actions=inner.actions,
        observation_shape=inner.observation_shape,
        max_steps=inner.max_steps,
        return_range=(-1e4, 1e4),
        summary=summary,
    )
    findings = check_env(world)
    assert any(fault in line for line in findings), findings


def test_a_rule_that_makes_arrays_compiles(tmp_path: Path) -> None:
    (tmp_path / "world.py").write_text(
        "from dataclasses import replace\nimport numpy as np\n"
        "from elodrome.envs.boards.tic_tac_toe import tic_tac_toe\nfrom elodrome.envs.game import rule\n"
        "@rule.reset\ndef reset(state, chance):\n    zeros = np.zeros(3, np.int64)\n    state[:3] = zeros\n"
        "def mine():\n    return replace(tic_tac_toe(), id='mine', reset=reset)\n"
    )
    name = f"{tmp_path / 'world.py'}:mine"
    assert check_env(make_env(name), name) == []
