"""Our worlds as OpenSpiel's games, for its algorithms: ``spiel_game(world)``.

Importing this module registers them, so that ``pyspiel.load_game("elodrome_tic_tac_toe")`` finds them, and any other
world (options, plugins) as ``pyspiel.load_game("elodrome", {"world": "go:size=5"})``. OpenSpiel can then write a game
or a position down and read it again; in its text ``elodrome(world=NAME)`` the signs ``,=()`` of NAME are
percent-encoded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote

import numpy as np
import pyspiel

from elodrome.envs.adapters.foreign import world_of
from elodrome.envs.game import Game, World
from elodrome.envs.registry import BUILTIN, name_of
from elodrome.errors import UserError

_Type = pyspiel.GameType
ANY = "elodrome"  # the registered name for worlds that have none of their own
_PREFIX = "elodrome_"
_SAFE = "".join(c for c in map(chr, range(33, 127)) if c not in "%,=()")
RESET = -1  # stands for the action before the dice of a start state, as in the chance rule


class SpielGame(pyspiel.Game):  # type: ignore[misc]
    """One of our worlds as an OpenSpiel game: moves one after the other, dice as chance nodes of their own.

    Seats see observations (tensor and string); a game cut off at ``max_steps`` is over with what was earned by then.
    given: a world, or its name among OpenSpiel's parameters.
    """

    def __init__(self, given: Game | Mapping[str, Any]) -> None:
        self.world: Game = given if isinstance(given, Game) else spiel_game(unquote(given["world"])).world
        world = self.world
        plain = world.id in BUILTIN
        kind = pyspiel.GameType(
            short_name=f"{_PREFIX}{world.id}" if plain else ANY,
            long_name=f"Elodrome: {world.id}",
            dynamics=_Type.Dynamics.SEQUENTIAL,
            chance_mode=_Type.ChanceMode.EXPLICIT_STOCHASTIC if world.has_chance else _Type.ChanceMode.DETERMINISTIC,
            information=_Type.Information.PERFECT_INFORMATION
            if world.information == "perfect"
            else _Type.Information.IMPERFECT_INFORMATION,
            utility=_Type.Utility.ZERO_SUM if world.zero_sum else _Type.Utility.GENERAL_SUM,
            reward_model=_Type.RewardModel.TERMINAL if world.terminal_rewards else _Type.RewardModel.REWARDS,
            max_num_players=world.players,
            min_num_players=world.players,
            provides_information_state_string=False,
            provides_information_state_tensor=False,
            provides_observation_string=True,
            provides_observation_tensor=True,
            parameter_specification={"world": world.id if plain else ""},
        )
        info = pyspiel.GameInfo(
            num_distinct_actions=world.actions,
            max_chance_outcomes=world.outcomes if world.has_chance else 0,
            num_players=world.players,
            min_utility=world.return_range[0],
            max_utility=world.return_range[1],
            utility_sum=0.0 if world.zero_sum else None,
            max_game_length=world.max_steps,
        )
        self.kind = kind
        super().__init__(kind, info, {} if plain else {"world": quote(name_of(world) or world.id, safe=_SAFE)})

    def __reduce__(self) -> tuple[Any, ...]:
        return spiel_game, (self.world,)

    def new_initial_state(self, *args: Any) -> SpielState:
        """The start, or the chance node before it."""
        return SpielState(self)

    def make_py_observer(self, kind: Any = None, params: Any = None) -> _Observer:
        """What writes observations."""
        return _Observer(self.world)


class SpielState(pyspiel.State):  # type: ignore[misc]
    """A position: a row of the world, and the action whose dice are still to be rolled, if there is one."""

    def __init__(self, game: SpielGame) -> None:
        super().__init__(game)
        self._row = game.world.template.copy()
        self._plies = -1
        self._rewards = np.zeros(game.world.players)
        self._returns = np.zeros(game.world.players)
        self._waiting: int | None = None
        self._play(RESET)

    @property
    def _world(self) -> Game:
        """Asked of the game each time: OpenSpiel copies a state's attributes deeply when it clones."""
        world: Game = self.get_game().world
        return world

    def current_player(self) -> int:
        if self._waiting is not None:
            return int(pyspiel.PlayerId.CHANCE)
        seat = self._world.player(self._row)
        return int(pyspiel.PlayerId.TERMINAL) if seat < 0 or self._plies >= self._world.max_steps else int(seat)

    def is_terminal(self) -> bool:
        return self.current_player() == pyspiel.PlayerId.TERMINAL

    def chance_outcomes(self) -> list[tuple[int, float]]:
        """The dice that are rolled now."""
        world, probs = self._world, np.zeros(self._world.outcomes)
        count = world.chance(self._row, RESET if self._waiting is None else self._waiting, probs)
        return [(k, float(probs[k])) for k in range(count) if probs[k] > 0]

    def returns(self) -> list[float]:
        """What each seat has earned so far."""
        return self._returns.tolist()

    def rewards(self) -> list[float]:
        """What each seat earned by the last step."""
        return self._rewards.tolist()

    def _legal_actions(self, player: int) -> list[int]:
        mask = np.zeros(self._world.actions, np.uint8)
        self._world.legal(self._row, mask)
        return np.flatnonzero(mask).tolist()

    def _apply_action(self, action: int) -> None:
        if self._waiting is None:
            self._play(action)
        else:
            waiting, self._waiting = self._waiting, None
            self._land(waiting, action)

    def _play(self, action: int) -> None:
        """Play an action, or wait for its dice where it has several outcomes."""
        if self._world.has_chance and self._world.chance(self._row, action, np.zeros(self._world.outcomes)) > 1:
            self._waiting = action
            self._rewards = np.zeros(self._world.players)
        else:
            self._land(action, 0)

    def _land(self, action: int, outcome: int) -> None:
        self._rewards = np.zeros(self._world.players)
        if action == RESET:
            self._world.reset(self._row, outcome)
        else:
            self._world.step(self._row, action, outcome, self._rewards)
        self._returns += self._rewards
        self._plies += 1

    def _action_to_string(self, player: int, action: int) -> str:
        return f"chance {action}" if player < 0 else self._world.action_name(action)

    def __str__(self) -> str:
        return self._world.draw(self._row)


class _Observer:
    """Writes a seat's observation into ``tensor``, as OpenSpiel asks of games in Python."""

    def __init__(self, world: Game) -> None:
        self._world = world
        self.tensor = np.zeros(world.observation_size, np.float32)
        self.dict = {"observation": self.tensor.reshape(world.observation_shape)}

    def set_from(self, state: SpielState, player: int) -> None:
        self.tensor.fill(0)
        self._world.observe(state._row, player, self.tensor)

    def string_from(self, state: SpielState, player: int) -> str:
        self.set_from(state, player)
        return " ".join(f"{x:g}" for x in self.tensor)


def spiel_game(world: World | str) -> SpielGame:
    """One of our worlds, or the one of that name, as an OpenSpiel game. Raises UserError for a foreign world."""
    made = world_of(world, {})
    if not isinstance(made, Game):
        raise UserError(f"{made.id}: only worlds whose rules are compiled here can be taken to OpenSpiel")
    return SpielGame(made)


def _register() -> None:
    """Our worlds by name, and any other as ``elodrome(world=NAME)``, for ``pyspiel.load_game``.

    OpenSpiel calls what it is given with the parameters, and lets go of it after the interpreter is gone: only a
    class outlives that.
    """
    for name in ("gridworld", *BUILTIN):
        kind = spiel_game(name).kind
        if kind.short_name not in pyspiel.registered_names():
            pyspiel.register_game(kind, SpielGame)


_register()
