"""What a showdown trains and ranks: a short list, and all that there is.

The full plan is derived: every world of ours (and a few of Gymnasium's), every kind of agent of ours that fits it,
presets too. A kind or world that is new joins by itself. Budgets are in the learners' own steps, shares of their own
defaults, so that the same plan gives the same agents on any machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict

from elodrome.agents.agent import Agent, Learner
from elodrome.agents.parts.saved import saved_agents
from elodrome.agents.specs import Kind, kinds, unfit
from elodrome.envs.game import World
from elodrome.envs.registry import entries, make_env
from elodrome.errors import UserError, nearest


class Trained(BaseModel):
    """One kind of agent to train: its budget in its own unit, its settings, and how often, of another seed each."""

    model_config = ConfigDict(frozen=True)
    kind: str
    steps: int
    settings: dict[str, Any] = {}
    trainings: int = 1


class Stage(BaseModel):
    """One world of a showdown: who plays as they are, who is trained first, how many games per pairing. alone: each
    plays by itself, that many games, and returns are compared."""

    model_config = ConfigDict(frozen=True)
    world: str
    ready: tuple[str, ...]
    trained: tuple[Trained, ...]
    games: int
    alone: bool = False


class Plan(BaseModel):
    """The stages of a showdown. together: all train before the first game, so that no core waits; else each world has
    its table before the next begins. skipped: worlds that are left out, and why."""

    model_config = ConfigDict(frozen=True)
    stages: tuple[Stage, ...]
    together: bool = True
    skipped: tuple[str, ...] = ()
    command: tuple[str, ...] = ()  # the words after ``elodrome showdown`` that name it

    def only(self, worlds: Sequence[str]) -> Plan:
        """The stages of these worlds alone. Raises UserError for one that the plan does not hold."""
        stages = {make_env(stage.world).id: stage for stage in self.stages}
        chosen = {make_env(name).id: name for name in worlds}
        for id, name in chosen.items():
            if id not in stages:
                raise UserError(f"--world {name}: the showdown has no such world{nearest(name, stages)}")
        command = (*self.command, *(word for name in worlds for word in ("--world", name)))
        kept = tuple(stage for id, stage in stages.items() if id in chosen)
        return self.model_copy(update={"stages": kept, "skipped": (), "command": command})


# One agent of each family, in the worlds where it has most to show: tables, deep values, policy gradients, search and
# planning, learned self-play, text.
SHORT = Plan(
    stages=(
        Stage(
            world="tic_tac_toe",
            ready=("random", "minimax", "mcts:simulations=100"),
            trained=(
                Trained(kind="grpo", steps=500),
                Trained(kind="alphazero", steps=60_000),
                Trained(kind="dqn", steps=100_000),
                Trained(kind="ppo", steps=250_000),
                Trained(kind="q_learning", steps=1_000_000),
            ),
            games=200,
        ),
        Stage(
            world="connect_four",
            ready=(
                "random",
                "minimax:depth=4",
                "mcts:simulations=200",
                "alphazero-weak",
                "alphazero-strong:simulations=64",
            ),
            trained=(Trained(kind="dqn", steps=100_000), Trained(kind="ppo", steps=250_000)),
            games=100,
        ),
        Stage(
            world="go:size=5",
            ready=("random", "mcts:simulations=200", "alphazero-strong:simulations=64"),
            trained=(Trained(kind="alphazero", steps=40_000, settings={"gumbel": True, "blocks": 2, "opening": 4}),),
            games=100,
        ),
        Stage(
            world="cliff_walking",
            ready=("random", "value_iteration"),
            trained=(
                Trained(kind="dqn", steps=60_000),
                Trained(kind="ppo", steps=250_000),
                Trained(kind="q_learning", steps=200_000),
            ),
            games=50,
        ),
        Stage(
            world="rock_paper_scissors:rounds=10",
            ready=("random",),
            trained=(
                Trained(kind="ppo", steps=100_000),
                Trained(kind="q_learning", steps=200_000),
            ),
            games=200,
        ),
        Stage(
            world="token_mdp",
            ready=("random",),
            trained=(
                Trained(
                    kind="grpo",
                    steps=200,
                    settings={"sft_steps": 50, "prompts": 32, "group": 8, "epochs": 2, "rl_learning_rate": 1e-3},
                ),
                Trained(kind="ppo", steps=80_000),
                Trained(kind="q_learning", steps=200_000),
            ),
            games=200,
        ),
    )
)


class Scale(NamedTuple):
    """How much of a full showdown a kind of world gets: the share of a learner's default budget, trainings of
    different seeds, games per pairing (or alone)."""

    share: float
    trainings: int
    games: int


# In the order in which they are played. Measured so that all of it takes one to two hours on two cores.
SCALES = {
    "board": Scale(1.0, 1, 20),
    "gridworld": Scale(0.5, 3, 50),
    "tokens": Scale(0.5, 3, 50),
    "other": Scale(0.5, 3, 50),
    "matrix": Scale(0.1, 1, 100),
}
MOST = {("dqn", "other"): 50_000}  # steps of a kind and its presets, where defaults make each of them dear
VARIANTS = {  # instead of the default
    "go": "go:size=5",
    "rock_paper_scissors": "rock_paper_scissors:rounds=10",
    "arithmetic": "arithmetic:digits=1,prompts=3",  # so that tables have their turn
    "strings": "strings:horizon=6",
}
FOREIGN = ("gymnasium:FrozenLake-v1", "gymnasium:CartPole-v1", "gymnasium:Pendulum-v1")
BRIEF, MANY = 100, 10  # alone, games of so few steps are so many times as many: they cost little, and chance is great
SIMULATIONS = 50  # that a search has for a move, at most
DEPTH = {"connect_four": 4, "go": 2}  # of minimax, where it cannot look to the end


def full_plan() -> Plan:
    """Every kind of agent of ours on every world that it fits."""
    ours = [kind for kind in kinds()[0].values() if kind.origin == "elodrome" and kind.about.chapter[0].isdigit()]
    classes = {kind.id: kind.load() for kind in ours}
    names = [VARIANTS.get(entry.id, entry.id) for entry in entries()[0].values() if entry.origin == "elodrome"]
    worlds, skipped = [], []
    for name in (*names, *FOREIGN):
        try:
            world = make_env(name)
        except UserError as error:
            skipped.append(f"{name} is left out: {error}")
            continue
        if world.players > 2:
            skipped.append(f"{name} is left out: it has {world.players} seats")
        else:
            worlds.append((name, world))
    worlds.sort(key=lambda named: list(SCALES).index(named[1].kind))
    stages = []
    for name, world in worlds:
        scale = SCALES[world.kind]
        fit = [kind for kind in ours if unfit(kind.about, world) is None]
        learners = [(kind, cls) for kind in fit if issubclass(cls := classes[kind.id], Learner)]
        fixed = [(kind, cls) for kind in fit if issubclass(cls := classes[kind.id], Agent)]
        shipped = [
            name + (f":simulations={SIMULATIONS}" if saved.card.config.get("simulations", 0) > SIMULATIONS else "")
            for saved in saved_agents(world)
            if saved.shipped
            for name in [saved.name]
        ]
        trained = [
            Trained(kind=kind.id, steps=budget(kind, cls, world), trainings=scale.trainings)
            for kind, cls in reversed(learners)  # of the last chapters first: they take longest
        ]
        stages.append(
            Stage(
                world=name,
                ready=(*(reference(kind, cls, world) for kind, cls in fixed), *shipped),
                trained=tuple(trained),
                games=scale.games * (MANY if world.players == 1 and world.max_steps <= BRIEF else 1),
                alone=world.players == 1,
            )
        )
    return Plan(stages=tuple(stages), together=False, skipped=tuple(skipped), command=("--full",))


def budget(kind: Kind, cls: type[Learner], world: World) -> int:
    """How long a kind learns in a full showdown, in its own unit."""
    steps = max(1, round(SCALES[world.kind].share * cls.default_steps))
    return min(steps, MOST.get((kind.preset_of, world.kind), steps))


def reference(kind: Kind, cls: type[Agent], world: World) -> str:
    """The spec by which an agent that needs no training takes part: searches within bounds."""
    fields = cls.config_class.model_fields
    depth = DEPTH.get(world.id.partition(":")[0])
    if "simulations" in fields and fields["simulations"].default > SIMULATIONS:
        return f"{kind.id}:simulations={SIMULATIONS}"
    return f"{kind.id}:depth={depth}" if "depth" in fields and depth else kind.id
