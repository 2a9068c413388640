"""PettingZoo both ways: its environments as worlds, and our worlds of several seats as its environments.

``make_env("pettingzoo:classic/connect_four_v3")`` brings one in; ``aec_env(world)`` and, where seats move at the
same time, ``parallel_env(world)`` take one out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pettingzoo
from gymnasium import spaces
from pettingzoo.env_registry.exceptions import FailedToImport
from pettingzoo.utils.conversions import parallel_to_aec
from pettingzoo.utils.wrappers import (
    AssertOutOfBoundsWrapper,
    ClipOutOfBoundsWrapper,
    OrderEnforcingWrapper,
    TerminateIllegalWrapper,
)

from elodrome.envs.actions import as_array, kind_of_action
from elodrome.envs.adapters.foreign import (
    RenderedTable,
    RenderedWorld,
    action_fields,
    action_space,
    blamed,
    env_seed,
    flattener,
    full_id,
    passed_on,
    rendering,
    split_name,
    step_limit,
    world_of,
)
from elodrome.envs.game import Floats, Game, Mask, Reals, World
from elodrome.envs.table import CompiledTable
from elodrome.errors import BadOption, IllegalAction, UserError, unknown
from elodrome.seeding import derive


def from_name(rest: str, **options: Any) -> World:
    """The PettingZoo environment ``rest`` (``FAMILY/NAME_vN[:key=value,...]``) as a world.

    Options go to the environment's maker; ``max_steps`` is ours: the plies after which a game is truncated if the
    environment has not ended it. PettingZoo does not say whether information is perfect or the game zero-sum, so
    nothing of the kind is claimed. Raises UserError for an unknown name, a missing dependency, a bad option or
    actions that are neither discrete nor, for all seats the same, real numbers within bounds.
    """
    name, options = split_name(rest, options)
    id = full_id("pettingzoo", name, options)
    limit = step_limit(options)
    with blamed(id):
        env = _make(name, options)
        paints = rendering(env, options)
        seats = tuple(str(agent) for agent in env.possible_agents)
        actions = _shared([action_fields(env.action_space(agent), id) for agent in env.possible_agents], id)
        shapes = {_viewer(env.observation_space(agent), id)[0] for agent in env.possible_agents}
        # Seats that see things of different shapes share the largest flat size; the rest is zeros.
        shape = shapes.pop() if len(shapes) == 1 else (max(int(np.prod(s)) for s in shapes),)
        simultaneous = bool(env.metadata.get("is_parallelizable"))
        env.close()
    return PettingZooWorld(
        id=id,
        players=len(seats),
        **actions,
        observation_shape=shape,
        max_steps=limit,
        information="imperfect",
        simultaneous=simultaneous,
        return_range=(-np.inf, np.inf),
        summary=f"PettingZoo's {name}",
        source="pettingzoo.farama.org",
        seat_names=seats,
        name=name,
        options=options,
        paints=paints,
    )


def _make(name: str, options: Mapping[str, Any]) -> Any:
    # People know these environments by module name (rps_v2); PettingZoo's registry has rps-v2.
    key = re.sub(r"_v(\d+)$", r"-v\1", name)
    try:
        if key in pettingzoo.aec_registry:
            return pettingzoo.make("aec", key, **options)
        if key in pettingzoo.parallel_registry:
            return parallel_to_aec(pettingzoo.make("parallel", key, **options))
    except (ImportError, FailedToImport) as error:
        family, cause = name.partition("/")[0], error.__cause__ or error
        raise UserError(
            f"pettingzoo:{name} needs a package that is not installed ({cause}); pip install 'pettingzoo[{family}]'"
        ) from None
    known = {*pettingzoo.aec_registry, *pettingzoo.parallel_registry}
    raise unknown("PettingZoo environment", name, [re.sub(r"-v(\d+)$", r"_v\1", k) for k in known])


def _shared(fields: list[dict[str, Any]], world: str) -> dict[str, Any]:
    """What a world says of its actions where each seat's are as ``fields`` say: seats may have fewer than others, but
    real numbers within other bounds are refused (UserError)."""
    if all("action_shape" not in seat for seat in fields):
        return max(fields, key=lambda seat: seat["actions"])
    if any(seat != fields[0] for seat in fields):
        raise UserError(f"{world}: its seats have actions of different kinds or bounds; they must be the same for all")
    return fields[0]


def _observed(flatten: Callable[[Any], Floats], value: Any) -> Floats:
    return flatten(value["observation"])


def _viewer(space: spaces.Space[Any], world: str) -> tuple[tuple[int, ...], Callable[[Any], Floats]]:
    """As ``flattener``, past the convention of {"observation", "action_mask"}."""
    if isinstance(space, spaces.Dict) and "observation" in space.spaces and "action_mask" in space.spaces:
        shape, flatten = flattener(space["observation"], world)
        return shape, partial(_observed, flatten)
    return flattener(space, world)


@dataclass(frozen=True, kw_only=True)
class PettingZooWorld(RenderedWorld):
    """One of PettingZoo's environments. name is FAMILY/NAME_vN, options those of its maker."""

    def table(self, games: int) -> PettingZooTable:
        return PettingZooTable(self, games)


class PettingZooTable(RenderedTable):
    """AEC environments side by side; a row's environment is made when it is first reset.

    Rewards are ``env.rewards`` after each step, what that step gave to every seat; the accumulated ones that
    ``env.last()`` shows would count them twice. Seats that are dead are stepped with None at once, so that the seat
    to act is always one that can. A game is truncated when it ended and no seat was terminated.
    """

    world: PettingZooWorld

    def __init__(self, world: PettingZooWorld, games: int) -> None:
        super().__init__(world, games)
        self._envs: list[Any] = [None] * games
        self._last: list[dict[Any, Floats]] = [{} for _ in range(games)]  # what seats saw as they left the game
        self._terminated = np.zeros(games, np.bool_)

    def _start(self, row: int, seed: int) -> None:
        if self._envs[row] is None:
            env = self._envs[row] = _make(self.world.name, self._options())
            self._agents = list(env.possible_agents)
            self._view = {a: _viewer(env.observation_space(a), self.world.id)[1] for a in self._agents}
            self._spaces = {a: env.action_space(a) for a in self._agents}
        self._envs[row].reset(seed=env_seed(seed))
        self._last[row].clear()
        self._terminated[row] = False
        self._settle(row)

    def _settle(self, row: int) -> None:
        """Let the dead leave, then note who acts."""
        env = self._envs[row]
        for agent in env.agents:
            if env.terminations[agent] or env.truncations[agent]:
                self._last[row][agent] = self._view[agent](env.observe(agent))
                self._terminated[row] |= bool(env.terminations[agent])
        while env.agents and (env.terminations[env.agent_selection] or env.truncations[env.agent_selection]):
            env.step(None)
        self.seats[row] = self._agents.index(env.agent_selection) if env.agents else -1
        self.truncated[row] = not env.agents and not self._terminated[row]

    def _legal(self, row: int) -> Mask:
        env = self._envs[row]
        agent = env.agent_selection
        if self.world.continuous:
            return np.zeros(0, np.uint8)
        seen = env.observe(agent)
        mask = seen.get("action_mask") if isinstance(seen, dict) else None
        if mask is None:
            mask = env.infos[agent].get("action_mask")
        return np.ones(int(self._spaces[agent].n), np.uint8) if mask is None else np.asarray(mask, np.uint8)

    def _see(self, row: int, seat: int) -> Floats:
        agent = self._agents[seat]
        if agent in self._last[row]:
            return self._last[row][agent]
        return self._view[agent](self._envs[row].observe(agent))

    def _play(self, row: int, action: Any) -> Reals:
        env = self._envs[row]
        env.step(passed_on(self._spaces[env.agent_selection], action))
        rewards = np.array([float(env.rewards.get(agent, 0.0)) for agent in self._agents])
        self._settle(row)
        return rewards

    def _render(self, row: int) -> Any:
        return self._envs[row].render()


class _Outgoing:
    """What both interfaces share: seats as agents ``player_0``, ..., spaces, one row of a table, a seeded stream."""

    def __init__(self, world: World | str, render_mode: str | None, options: Mapping[str, Any]) -> None:
        self.world = world_of(world, options)
        if render_mode not in (None, "ansi"):
            raise BadOption(f"{self.world.id}: unknown render mode {render_mode!r}; known: ansi")
        self.render_mode = render_mode
        self.metadata = {
            "name": self.world.id,
            "render_modes": ["ansi"],
            "is_parallelizable": self.world.simultaneous,
        }
        self.possible_agents = [f"player_{seat}" for seat in range(self.world.players)]
        self.agents: list[str] = []
        self.action_spaces = {agent: action_space(self.world) for agent in self.possible_agents}
        seen: dict[str, spaces.Space[Any]] = {
            "observation": spaces.Box(-np.inf, np.inf, self.world.observation_shape, np.float32)
        }
        if not self.world.continuous:
            seen["action_mask"] = spaces.Box(0, 1, (self.world.actions,), np.int8)
        self.observation_spaces = {agent: spaces.Dict(seen) for agent in self.possible_agents}
        self._table = self.world.table(1)
        self._row = np.zeros(1, np.int64)
        self._seed, self._resets = int(np.random.default_rng().integers(2**63)), 0

    def observation_space(self, agent: str) -> spaces.Space[Any]:
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> spaces.Space[Any]:
        return self.action_spaces[agent]

    def render(self) -> str | None:
        """The state as text, in the mode "ansi"."""
        return self._table.draw(0) if self.render_mode == "ansi" else None

    def close(self) -> None:
        """Nothing is held open."""

    def _begin(self, seed: int | None) -> None:
        """Start a game: its dice depend on the last seed given and on the resets since."""
        if seed is not None:
            self._seed, self._resets = seed, 0
        self._table.reset(self._row, np.array([derive(self._seed, self._resets)], np.uint64))
        self._resets += 1
        self.agents = self.possible_agents[:]

    @property
    def _mover(self) -> str | None:
        seat = int(self._table.seats[0])
        return self.possible_agents[seat] if seat >= 0 else None

    def _play(self, action: Any) -> Reals:
        if not self.action_spaces[self.possible_agents[0]].contains(action):
            raise IllegalAction(f"{self.world.id}: {action!r} is not {kind_of_action(self.world)}")
        return self._table.step(self._row, as_array(self.world, [action]))[0]

    def _seen(self, agent: str, mask: Mask) -> dict[str, Any]:
        seat = np.array([self.possible_agents.index(agent)])
        seen = {"observation": self._table.observe(self._row, seat)[0]}
        return seen if self.world.continuous else {**seen, "action_mask": mask.astype(np.int8)}


class AecEnv(_Outgoing, pettingzoo.AECEnv):  # type: ignore[misc]
    """A world as a PettingZoo AEC environment, bare: an illegal action raises IllegalAction, with nothing changed.

    Observations {"observation": float32 of the world's shape, "action_mask": int8 [A]} (no mask where actions are a
    Box); the mask of a seat that is not to act is all zeros. ``aec_env`` adds PettingZoo's usual wrappers.
    """

    def __init__(self, world: World | str, render_mode: str | None = None, **options: Any) -> None:
        pettingzoo.AECEnv.__init__(self)
        _Outgoing.__init__(self, world, render_mode, options)

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> None:
        """Start a game."""
        self._begin(seed)
        self.rewards = dict.fromkeys(self.agents, 0.0)
        self._cumulative_rewards = dict.fromkeys(self.agents, 0.0)
        self.terminations = dict.fromkeys(self.agents, False)
        self.truncations = dict.fromkeys(self.agents, False)
        self.infos: dict[str, dict[str, Any]] = {agent: {} for agent in self.agents}
        self.agent_selection = self._mover or self.agents[0]

    def observe(self, agent: str) -> dict[str, Any]:
        """What a seat sees now, and its legal actions if it is to act."""
        mask = self._table.legal(self._row)[0]
        return self._seen(agent, mask if agent == self._mover else np.zeros_like(mask))

    def step(self, action: Any) -> None:
        """Play for ``agent_selection``; None for a seat that has ended."""
        agent = self.agent_selection
        if self.terminations[agent] or self.truncations[agent]:
            self._was_dead_step(action)
            return
        rewards = self._play(action)
        self._cumulative_rewards[agent] = 0.0
        self.rewards = dict(zip(self.agents, rewards.tolist(), strict=True))
        self._accumulate_rewards()
        if self._mover is None:
            truncated = bool(self._table.truncated[0])
            self.terminations = dict.fromkeys(self.agents, not truncated)
            self.truncations = dict.fromkeys(self.agents, truncated)
        self.agent_selection = self._mover or self.agents[0]


class ParallelEnv(_Outgoing, pettingzoo.ParallelEnv):  # type: ignore[misc]
    """A world with simultaneous moves as a PettingZoo parallel environment.

    Underneath the seats move one after the other without seeing each other's move; a step here is one round.
    Observations as in ``AecEnv``. Raises UserError for worlds whose seats take turns, IllegalAction for an action
    that the rules refuse.
    """

    def __init__(self, world: World | str, render_mode: str | None = None, **options: Any) -> None:
        _Outgoing.__init__(self, world, render_mode, options)
        if not isinstance(self.world, Game) or not self.world.simultaneous:
            raise UserError(f"{self.world.id}: its seats take turns; use elodrome.envs.adapters.pettingzoo.aec_env")
        self._ahead = CompiledTable(self.world, 1)

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Start a game; observations and infos of all seats."""
        self._begin(seed)
        return self._observations(), {agent: {} for agent in self.agents}

    def step(
        self, actions: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, float], dict[str, bool], dict[str, bool], dict[str, Any]]:
        """One action of every seat; observations, rewards, terminations, truncations and infos of all seats."""
        players, rewards = self.agents, np.zeros(self.world.players)
        masks = self._masks()
        for agent in players:
            action = actions.get(agent)
            if not self.action_spaces[agent].contains(action) or not masks[agent][action]:
                raise IllegalAction(f"{self.world.id}: {action!r} is no legal action of {agent} here")
        for _ in players:
            if self._mover is not None:
                rewards += self._play(actions[self._mover])
        over, truncated = self._mover is None, bool(self._table.truncated[0])
        if over:
            self.agents = []
        return (
            self._observations(players),
            dict(zip(players, rewards.tolist(), strict=True)),
            dict.fromkeys(players, over and not truncated),
            dict.fromkeys(players, truncated),
            {agent: {} for agent in players},
        )

    def _observations(self, agents: list[str] | None = None) -> dict[str, Any]:
        masks = self._masks()
        return {agent: self._seen(agent, masks[agent]) for agent in agents or self.agents}

    def _masks(self) -> dict[str, Mask]:
        """Each seat's legal actions in this round: those of later seats are found by playing ahead on a copy."""
        masks = {agent: np.zeros(self.world.actions, np.uint8) for agent in self.possible_agents}
        states = self._table.states(self._row)
        if states is None or self._mover is None:
            return masks
        self._ahead.put(0, states[0])
        for _ in self.possible_agents:
            seat = int(self._ahead.seats[0])
            if seat < 0:
                break
            mask = self._ahead.legal(self._row)[0]
            masks[self.possible_agents[seat]] = mask
            self._ahead.step(self._row, np.array([int(np.argmax(mask))]))
        return masks


def aec_env(world: World | str, render_mode: str | None = None, **options: Any) -> Any:
    """A world (or the name of one) as an AEC environment with PettingZoo's usual wrappers.

    An illegal move ends the game: its seat gets the least return of the world, the others nothing.
    """
    bare = AecEnv(world, render_mode, **options)
    if bare.world.continuous:  # nothing is illegal within the bounds
        return OrderEnforcingWrapper(ClipOutOfBoundsWrapper(bare))
    env = TerminateIllegalWrapper(bare, illegal_reward=bare.world.return_range[0])
    return OrderEnforcingWrapper(AssertOutOfBoundsWrapper(env))


def parallel_env(world: World | str, render_mode: str | None = None, **options: Any) -> ParallelEnv:
    """A world (or the name of one) with simultaneous moves as a parallel environment."""
    return ParallelEnv(world, render_mode, **options)
