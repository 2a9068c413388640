"""OpenSpiel's games as worlds: ``make_env("open_spiel:kuhn_poker")``. For the other way see ``spiel.py``."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pyspiel

from elodrome.envs.actions import Action
from elodrome.envs.adapters.foreign import ForeignTable, blamed, env_seed, full_id, split_name
from elodrome.envs.adapters.probe import load, probe
from elodrome.envs.game import Floats, Mask, Reals, World
from elodrome.errors import BadOption, UserError, unknown

_Type = pyspiel.GameType
_SEED = "rng_seed"  # the parameter that decides the dice of games that roll them themselves


def from_name(rest: str, **options: Any) -> World:
    """The OpenSpiel game ``rest`` (``NAME[:key=value,...]``, or OpenSpiel's own ``NAME(key=value,...)``) as a world.

    Options are the game's parameters. Seats that move at the same time are asked one after the other. Observations
    are the observation tensor where the game has one, else the information state tensor. Raises UserError for an
    unknown name or a game without tensors (or of the mean-field kind), BadOption for a bad parameter.
    """
    name, options = split_name(rest, options)
    id = full_id("open_spiel", name, options)
    with blamed(id):
        return _world(id, _load(name, options, id))


def _load(name: str, options: dict[str, Any], id: str) -> Any:
    plain = name.partition("(")[0]
    known = {kind.short_name: kind for kind in pyspiel.registered_games()}
    if plain not in known and not plain.startswith("python_"):
        raise unknown("OpenSpiel game", plain, known)
    if options or name != plain:
        probe(name, json.dumps(options, default=str), id)
    elif plain in known and not known[plain].default_loadable:
        wanted = ", ".join(known[plain].parameter_specification)
        raise BadOption(f"{id}: this game needs parameters, in OpenSpiel's words: {plain}(...) of {wanted}")
    return load(name, options)


def _world(id: str, game: Any) -> OpenSpielWorld:
    kind = game.get_type()
    if kind.dynamics != _Type.Dynamics.SEQUENTIAL:
        raise UserError(f"{id}: a mean-field game has no seats; choose one in which players take turns")
    if kind.provides_observation_tensor:
        shape = game.observation_tensor_shape()
    elif kind.provides_information_state_tensor:
        shape = game.information_state_tensor_shape()
    else:
        raise UserError(f"{id}: this game shows its players no tensor, so that nothing can be observed")
    sizes = {"actions": game.num_distinct_actions(), "players": game.num_players(), "plies": game.max_game_length()}
    if min(*sizes.values(), *shape, 1) < 1:
        raise BadOption(f"{id}: makes no game, with {sizes} and observations of shape {list(shape)}")
    sampled = kind.chance_mode == _Type.ChanceMode.SAMPLED_STOCHASTIC
    if sampled and _SEED not in game.get_parameters():
        raise UserError(
            f"{id}: it rolls dice of its own that no seed decides ({_SEED}), so that no game can be replayed"
        )
    # Where moves are simultaneous, OpenSpiel calls the converted game one of perfect information all the same.
    simultaneous = kind.short_name == "turn_based_simultaneous_game"
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
        terminal_rewards=kind.reward_model == _Type.RewardModel.TERMINAL,
        summary=kind.long_name,
        source="OpenSpiel",
        game=game,
        sampled=sampled,
    )


@dataclass(frozen=True, kw_only=True)
class OpenSpielWorld(World):
    """One of OpenSpiel's games; ``game`` is a pyspiel.Game in which seats take turns.

    sampled: it rolls its dice itself, from a seed among its parameters, and shows no probabilities.
    """

    game: Any = field(compare=False, repr=False)
    sampled: bool = False

    def start(self, seed: int) -> Any:
        """The start of a game; ``seed`` matters only where the game rolls its own dice."""
        game = self.game
        if self.sampled:
            game = load(game.get_type().short_name, {**game.get_parameters(), _SEED: seed})
        return game.new_initial_state()

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

    def action_name(self, action: Action) -> str:
        return self._names.get(action, str(action)) if isinstance(action, int) else super().action_name(action)


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
        self._states[row] = self.world.start(env_seed(seed))
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
