"""Agents and learners by spec (see ``specs``): a kind of ours, a plugin, a file, or a saved agent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from elodrome.agents.agent import Agent, Learner, Task
from elodrome.agents.defaults import defaults_for
from elodrome.agents.parts.saved import find_saved, load_agent, saved_agents, worlds_with
from elodrome.agents.specs import checked_agent, commanded, make_config, parse_spec, unfit
from elodrome.envs.game import World
from elodrome.envs.registry import parse_options
from elodrome.errors import BrokenAgent, UserError, blamed


def make_agent(spec: str, world: World) -> Agent:
    """The acting agent that ``spec`` names, for ``world``.

    Raises UserError for an unknown or unfit agent or a bad option; BrokenAgent for one that is meant but cannot be had:
    a broken plugin or saved agent, an engine that is missing or refuses this world.
    """
    saved = None if commanded(spec) else find_saved(spec, world)
    if saved is not None:
        folder, given = saved
        return load_agent(folder, world, parse_options(spec, given))
    try:
        kind, options = parse_spec(spec)
    except BrokenAgent:
        raise
    except UserError:
        name = spec.partition(":")[0]
        if worlds := worlds_with(name):
            raise UserError(f"agent {name!r} is trained for {', '.join(worlds)}, not for {world.id}") from None
        if "/" in name:
            raise UserError(f"no saved agent at {name}") from None
        raise
    cls = kind.load()
    if issubclass(cls, Learner) and "saved" in options:
        return load_agent(Path(str(options.pop("saved"))), world, options, by=kind)
    config = make_config(kind.id, cls, {**kind.settings, **options})
    reason = unfit(kind.about, world)
    if reason:
        raise UserError(f"agent {kind.id!r} cannot play {world.id}: it {reason}")
    if issubclass(cls, Learner):
        trained = [agent.name for agent in saved_agents(world) if agent.card.kind == kind.id]
        names = f"name a trained one ({', '.join(trained)})" if trained else "give a saved agent's folder"
        raise UserError(f"agent {kind.id!r} learns: elodrome train {kind.id} --env {world.id}, or {names}")
    try:
        with blamed(f"agent {spec!r} fails to load"):
            return checked_agent(cls(world, config))
    except BrokenAgent:
        raise
    except UserError as error:
        raise BrokenAgent(str(error)) from error


def make_learner(name: str, task: Task, options: dict[str, Any]) -> Learner:
    """A fresh learner of kind ``name`` for a task, set as is usual for such a world where ``options`` say nothing.
    Raises UserError when it does not learn or does not fit."""
    kind, given = parse_spec(name)
    cls = kind.load()
    if not issubclass(cls, Learner):
        raise UserError(f"agent {kind.id!r} does not learn; play it as it is")
    reason = unfit(kind.about, task.world)
    if reason:
        raise UserError(f"agent {kind.id!r} cannot learn {task.world.id}: it {reason}")
    usual = defaults_for(kind.preset_of, task.world)
    own = {} if kind.id == kind.preset_of else defaults_for(kind.id, task.world)
    config = make_config(kind.id, cls, {**usual, **kind.settings, **own, **given, **options})
    with blamed(f"agent {name!r} fails to load"):
        return cls(task, config)
