"""OpenSpiel both ways: its games as worlds, and our worlds as its games.

``make_env("open_spiel:kuhn_poker")`` brings one in; ``spiel_game(world)`` takes one out, for OpenSpiel's algorithms.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from typing import Any

import numpy as np
import pyspiel

from elodrome.envs.adapters.foreign import ForeignTable, env_seed, full_id, split_name
from elodrome.envs.game import Floats, Game, Mask, Reals, World
from elodrome.errors import UserError, unknown

_Type = pyspiel.GameType


def from_name(rest: str, **options: Any) -> World:
    """The OpenSpiel game ``rest`` (``NAME[:key=value,...]``, or OpenSpiel's own ``NAME(key=value,...)``) as a world.

    Options are the game's parameters. Seats that move at the same time are asked one after the other. Observations
    are the observation tensor where the game has one, else the information state tensor. Raises UserError for an
    unknown name, a bad parameter, or a game without tensors (or of the mean-field kind).
    """
    name, options = split_name(rest, options)
    id = full_id("open_spiel", name, options)
    game = _load(name, options, id)
    kind = game.get_type()
    simultaneous = kind.dynamics == _Type.Dynamics.SIMULTANEOUS
    if simultaneous:
        game = pyspiel.convert_to_turn_based(game)
    elif kind.dynamics != _Type.Dynamics.SEQUENTIAL:
        raise UserError(f"{id}: a mean-field game has no seats; choose one in which players take turns")
    if game.get_type().provides_observation_tensor:
        shape = game.observation_tensor_shape()
    elif game.get_type().provides_information_state_tensor:
        shape = game.information_state_tensor_shape()
    else:
        raise UserError(f"{id}: this game shows its players no tensor, so that nothing can be observed")
    perfect = kind.information == _Type.Information.PERFECT_INFORMATION and not simultaneous
    return OpenSpielWorld(
        id=id,
        players=game.num_players(),
        actions=game.num_distinct_actions(),
        observation_shape=tuple(shape),
        max_steps=game.max_game_length(),
        information="perfect" if perfect else "imperfect",
        zero_sum=kind.utility == _Type.Utility.ZERO_SUM,
        simultaneous=simultaneous,
        return_range=(game.min_utility(), game.max_utility()),
        summary=kind.long_name,
        source="OpenSpiel",
        game=game,
    )


def _load(name: str, options: dict[str, Any], id: str) -> Any:
    plain = name.partition("(")[0]
    if plain.startswith("python_"):
        import_module("open_spiel.python.games")  # registers those that are written in Python
    if plain not in (known := pyspiel.registered_names()):
        raise unknown("OpenSpiel game", plain, known)
    try:
        return pyspiel.load_game(name, options) if options else pyspiel.load_game(name)
    except (pyspiel.SpielError, TypeError) as error:
        raise UserError(f"{id}: {' '.join(str(error).split())}") from None


@dataclass(frozen=True, kw_only=True)
class OpenSpielWorld(World):
    """One of OpenSpiel's games; ``game`` is a pyspiel.Game in which seats take turns."""

    game: Any = field(compare=False, repr=False)

    def table(self, games: int) -> OpenSpielTable:
        return OpenSpielTable(self, games)

    @cached_property
    def _names(self) -> dict[int, str]:
        """OpenSpiel names actions by position only: those legal at the first decision, as they are called there."""
        state = self.game.new_initial_state()
        while state.is_chance_node():
            state.apply_action(state.legal_actions()[0])
        seat = state.current_player()
        return {action: state.action_to_string(seat, action) for action in state.legal_actions()}

    def action_name(self, action: int) -> str:
        return self._names.get(action, str(action))


class OpenSpielTable(ForeignTable):
    """States of OpenSpiel side by side. Dice come from one stream per row, seeded by the row's own seed."""

    world: OpenSpielWorld

    def __init__(self, world: OpenSpielWorld, games: int) -> None:
        super().__init__(world, games)
        self._states: list[Any] = [None] * games
        self._dice: list[Any] = [None] * games
        observes = world.game.get_type().provides_observation_tensor
        self._tensor = "observation_tensor" if observes else "information_state_tensor"

    def _start(self, row: int, seed: int) -> None:
        self._dice[row] = np.random.Generator(np.random.PCG64(env_seed(seed)))
        self._states[row] = self.world.game.new_initial_state()
        self._roll(row)

    def _roll(self, row: int) -> None:
        """Play the dice, then note who acts."""
        state = self._states[row]
        while state.is_chance_node():
            outcomes, probabilities = zip(*state.chance_outcomes(), strict=True)
            at = np.searchsorted(np.cumsum(probabilities), self._dice[row].random(), side="right")
            state.apply_action(outcomes[min(int(at), len(outcomes) - 1)])
        self.seats[row] = -1 if state.is_terminal() else state.current_player()

    def _legal(self, row: int) -> Mask:
        mask = np.zeros(self.world.actions, np.uint8)
        mask[self._states[row].legal_actions()] = 1
        return mask

    def _see(self, row: int, seat: int) -> Floats:
        return np.asarray(getattr(self._states[row], self._tensor)(seat), np.float32)

    def _play(self, row: int, action: int) -> Reals:
        # The difference of returns is this step's reward in games that pay as they go and in those that pay at the end.
        state = self._states[row]
        before = np.array(state.returns())
        state.apply_action(action)
        self._roll(row)
        return np.array(state.returns()) - before

    def draw(self, row: int) -> str:
        """The state as OpenSpiel writes it; where it hides something, what the seat to act may see of it."""
        state, seat = self._states[row], int(self.seats[row])
        kind = self.world.game.get_type()
        if self.world.information == "perfect" or seat < 0:
            return str(state).rstrip()
        if kind.provides_observation_string:
            return str(state.observation_string(seat)).rstrip()
        return str(state.information_state_string(seat)).rstrip() if kind.provides_information_state_string else ""


RESET = -1  # stands for the action before the dice of a start state, as in the chance rule


class SpielGame(pyspiel.Game):  # type: ignore[misc]
    """One of our worlds as an OpenSpiel game: moves one after the other, dice as chance nodes of their own.

    Seats see observations (tensor and string); a game cut off at ``max_steps`` is over with what was earned by then.
    """

    def __init__(self, world: Game) -> None:
        self.world = world
        kind = pyspiel.GameType(
            short_name=f"elodrome_{world.id}",
            long_name=f"Elodrome: {world.id}",
            dynamics=_Type.Dynamics.SEQUENTIAL,
            chance_mode=_Type.ChanceMode.EXPLICIT_STOCHASTIC if world.has_chance else _Type.ChanceMode.DETERMINISTIC,
            information=_Type.Information.PERFECT_INFORMATION
            if world.information == "perfect"
            else _Type.Information.IMPERFECT_INFORMATION,
            utility=_Type.Utility.ZERO_SUM if world.zero_sum else _Type.Utility.GENERAL_SUM,
            reward_model=_Type.RewardModel.REWARDS,
            max_num_players=world.players,
            min_num_players=world.players,
            provides_information_state_string=False,
            provides_information_state_tensor=False,
            provides_observation_string=True,
            provides_observation_tensor=True,
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
        super().__init__(kind, info, {})

    def new_initial_state(self) -> SpielState:
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


def spiel_game(world: Game) -> SpielGame:
    """One of our worlds as an OpenSpiel game."""
    return SpielGame(world)
