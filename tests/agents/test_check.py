"""check_agent: every registered agent passes it on a world of every kind it fits; every deliberate fault is caught."""

import os
import random
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from elodrome import make_env
from elodrome.agents.agent import Agent, Evaluation, Learner, Position, Positions
from elodrome.agents.check import check_acting, check_agent, check_learning
from elodrome.agents.specs import builtin, unfit
from elodrome.envs.game import World

WORLDS = ("tic_tac_toe", "gridworld:map=3x3", "rock_paper_scissors:rounds=2", "token_mdp", "gymnasium:Pendulum-v1")
QUICK = dict.fromkeys(("sac", "td3", "ddpg"), ":warmup=100,batch=32")  # they learn from the first hundred on
OUTSIDE = {"human"} | {k for k, kind in builtin().items() if kind.about.command}  # a person, or a program to be named


@pytest.mark.parametrize("world_id", WORLDS)
@pytest.mark.parametrize("kind", sorted(set(builtin()) - OUTSIDE))
def test_every_registered_agent_conforms(kind: str, world_id: str) -> None:
    world = make_env(world_id)
    if unfit(builtin()[kind].about, world):
        pytest.skip(f"{kind} does not fit {world_id}")
    assert check_agent(kind + QUICK.get(kind, ""), world) == []


def test_every_registered_agent_fits_one_of_these_worlds() -> None:
    for kind in set(builtin()) - OUTSIDE:
        assert any(unfit(builtin()[kind].about, make_env(w)) is None for w in WORLDS), kind


class Straight(Agent):
    """Conforms; the others each break one rule."""

    def choose(self, position: Position) -> int:
        return int(position.legal_actions[0])


class Illegal(Agent):
    def choose(self, position: Position) -> int:
        return int(np.argmin(position.legal))


class Floating(Straight):
    def choose(self, position: Position) -> float:
        return float(super().choose(position))


class Raising(Agent):
    def choose(self, position: Position) -> int:
        raise RuntimeError("no idea")


class Short(Agent):
    def act(self, positions: Positions) -> list[int]:
        return [0]


class GlobalNumpy(Agent):
    def choose(self, position: Position) -> int:
        return int(np.random.choice(position.legal_actions))  # noqa: NPY002


class GlobalPython(Agent):
    def choose(self, position: Position) -> int:
        return int(random.choice(position.legal_actions))


class Restless(Agent):
    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.rng = np.random.default_rng(0)

    def choose(self, position: Position) -> int:
        return int(self.rng.choice(position.legal_actions))


class Sociable(Agent):
    """Looks at its neighbours in the batch."""

    def act(self, positions: Positions) -> list[int]:
        return [int(p.legal_actions[len(positions) % len(p.legal_actions)]) for p in positions]


class Writing(Straight):
    def act(self, positions: Positions) -> list[int]:
        actions = [self.choose(p) for p in positions]
        positions.legal[:] = 0
        return actions


class Improbable(Straight):
    def evaluate(self, positions: Positions) -> Evaluation:
        return Evaluation(positions.legal.astype(float), np.full(len(positions), np.nan))


def meddling(line: str) -> type[Agent]:
    """An agent that conforms, but for one line of meddling with what all share."""

    class Meddling(Straight):
        def act(self, positions: Positions) -> list[int]:
            actions = [self.choose(p) for p in positions]
            exec(line, {"positions": positions})
            return actions

    return Meddling


@pytest.mark.parametrize(
    ("line", "finding"),
    [
        ("object.__setattr__(positions.world, 'max_steps', 1)", "act altered the world: max_steps"),
        ("object.__setattr__(positions.world, 'table', None)", "act altered the world: table"),
        ("import elodrome.arena.elo as m; m.SCALE = 1.0", r"act changes elodrome\.arena\.elo\.SCALE"),
        (
            "from elodrome.envs.table import CompiledTable as t; t.legal = lambda *a: None",
            r"act changes elodrome\.envs\.table\.CompiledTable\.legal",
        ),
        (
            "import gc; from elodrome.envs.table import CompiledTable\n"
            "for t in gc.get_objects():\n    if type(t) is CompiledTable: t.plies[:] = 99",
            "act changes a table of games",
        ),
        ("positions.states[:] = 0", r"writes into positions\.states"),
        ("import os; os.environ['MEDDLED'] = '1'", r"act changes os\.environ"),
        ("import numpy; numpy.random.rand()", "draws from numpy's global random generator"),
        ("import random; random.random()", "draws from Python's global random generator"),
        ("import torch; torch.rand(1)", "draws from torch's global random generator"),
        ("import torch; torch.set_default_dtype(torch.float64)", "changes torch's default dtype"),
        ("import torch; torch.set_num_threads(torch.get_num_threads() + 1)", "changes torch's threads"),
        ("import sys; sys.setrecursionlimit(sys.getrecursionlimit() + 1)", "changes the limit of recursion"),
    ],
)
def test_whoever_alters_what_is_shared_is_found_and_it_is_put_back(line: str, finding: str) -> None:
    import torch

    import elodrome.arena.elo

    world = make_env("tic_tac_toe")
    before = torch.get_default_dtype(), torch.get_num_threads(), sys.getrecursionlimit()
    try:
        findings = check_acting(meddling(line)(world), world)
    finally:
        torch.set_default_dtype(before[0])
        torch.set_num_threads(before[1])
        sys.setrecursionlimit(before[2])
    assert any(re.search(finding, f) for f in findings), findings
    assert world.max_steps == make_env("tic_tac_toe").max_steps
    assert elodrome.arena.elo.SCALE > 100
    assert "MEDDLED" not in os.environ
    assert check_acting(Straight(world), world) == []


@pytest.mark.parametrize(
    ("attributes", "finding"),
    [
        ({"lanes": 0}, "lanes is 0"),
        ({"lanes": "x"}, "lanes is 'x'"),
        ({"forget": lambda self: 1 / 0}, "forget or lanes raises ZeroDivisionError"),
        ({"evaluate": lambda self, p: 1 / 0}, "evaluate raises ZeroDivisionError"),
        ({"act": lambda self, p: sys.exit(3)}, "act raises SystemExit: 3"),
    ],
)
def test_a_hook_that_is_misused_is_found(attributes: dict[str, object], finding: str) -> None:
    world = make_env("tic_tac_toe")
    findings = check_acting(type("Odd", (Straight,), attributes)(world), world)
    assert any(finding in f for f in findings), findings


@pytest.mark.parametrize(
    ("agent", "finding"),
    [
        (Illegal, "not legal there; choose from position.legal_actions"),
        (Floating, "answer with an int"),
        (Raising, "act raises RuntimeError: no idea"),
        (Short, "act returned 1 actions"),
        (GlobalNumpy, "global random generator"),
        (GlobalPython, "global random generator"),
        (Restless, "differently the second time"),
        (Sociable, "when others stand beside it"),
        (Writing, r"writes into positions\.legal"),
        (Improbable, "rows are not probabilities"),
        (Improbable, "not finite"),
    ],
    ids=lambda v: v.__name__ if isinstance(v, type) else "",
)
def test_each_fault_is_found_by_name(agent: type[Agent], finding: str) -> None:
    world = make_env("tic_tac_toe")
    findings = check_acting(agent(world), world)
    assert any(re.search(finding, f) for f in findings), findings


def test_a_good_agent_has_no_findings() -> None:
    world = make_env("tic_tac_toe")
    assert check_acting(Straight(world), world) == []


LEARNER = Path(__file__).parents[2] / "examples/plugin_agent/careful_agents/monte_carlo.py"


@pytest.mark.parametrize(
    ("body", "finding"),
    [
        ("    def learn(self, budget):\n        return iter(())\n", "yields no Progress"),
        (
            "    def learn(self, budget):\n        yield from super().learn(Budget(budget.steps // 2))\n",
            "stops at step 32 of 64",
        ),
        ("    def snapshot(self):\n        return {**self.weights(), 'games': 0}\n", "goes on differently"),
        (
            "    def weights(self):\n        w = super().weights()\n"
            "        return {**w, 'values': w['values'][::-1].copy()}\n",
            "acts differently from the one that was trained",
        ),
        (
            "    seeds = iter(range(100))\n"
            "    def __init__(self, task, config=None):\n"
            "        super().__init__(Task(task.world, next(self.seeds)), config)\n",
            "other weights the second time",
        ),
    ],
)
def test_each_fault_of_a_learner_is_found(tmp_path: Path, body: str, finding: str) -> None:
    file = tmp_path / "odd.py"
    file.write_text(LEARNER.read_text() + "\n\nclass Odd(MonteCarlo):\n" + body)
    findings = check_agent(f"{file}:Odd", make_env("tic_tac_toe"))
    assert any(finding in f for f in findings), findings


@pytest.mark.parametrize(
    ("body", "finding"),
    [
        (
            "    def snapshot(self):\n        return {**super().snapshot(), 'rng': object()}\n",
            "snapshot() cannot be kept in a file",
        ),
        (
            "    def snapshot(self):\n        return {**super().snapshot(), 'best': np.array(np.nan)}\n",
            "snapshot() cannot be read back",
        ),
        ("    def resume(self, snapshot):\n        raise RuntimeError('lost')\n", "resume raises RuntimeError: lost"),
        (
            "    def learn(self, budget):\n        *_, last = super().learn(budget)\n        yield last\n",
            "yields one Progress in",
        ),
        ("    def learn(self, budget):\n        yield Progress(budget.steps)\n", "so resuming cannot be checked"),
    ],
)  # fmt: skip
def test_each_fault_of_keeping_is_found(tmp_path: Path, body: str, finding: str) -> None:
    file = tmp_path / "odd.py"
    file.write_text(LEARNER.read_text() + "\n\nclass Odd(MonteCarlo):\n" + body)
    findings = check_agent(f"{file}:Odd", make_env("tic_tac_toe"))
    assert any(finding in f for f in findings), findings


def test_weights_that_need_a_long_time_to_change_are_waited_for(tmp_path: Path) -> None:
    """A learner that learns nothing from its first 2,000 games forgets its count: 64 games would not show it."""
    late = (
        LEARNER.read_text() + "\n\nclass Late(MonteCarlo):\n"
        "    def learn(self, budget):\n"
        "        while self.games < min(2000, budget.steps):\n"
        "            self.games = min(self.games + 200, budget.steps)\n"
        "            yield Progress(self.games)\n"
        "        yield from super().learn(budget)\n"
    )
    forgetful = late + "    def snapshot(self):\n        return {**super().snapshot(), 'games': 2000}\n"
    (tmp_path / "late.py").write_text(late)
    (tmp_path / "forgetful.py").write_text(forgetful)
    world = make_env("tic_tac_toe")
    assert check_agent(f"{tmp_path / 'late.py'}:Late", world) == []
    (finding,) = check_agent(f"{tmp_path / 'forgetful.py'}:Late", world)
    assert "goes on differently" in finding


FORGOTTEN = {  # what a learner keeps, by the beginning of the names in its snapshot
    "dqn": {"optimiser": "optimiser/", "rng": "rng", "games": "env/", "replay": "replay/"},
    "soft_dqn": {"target": "target/"},
    "per_dqn": {"priorities": "replay/priorities"},
    "n_step_dqn": {"sums under way": "pending/"},
    "a2c": {"optimiser": "optimiser/"},
    "ppo": {"optimiser": "optimiser/", "rng": "rng", "games": "env/", "scale": "scale/"},
    "reinforce": {"optimiser": "actor/", "critic": "critic/", "rng": "rng", "games": "env/"},
    "alphazero": {"optimiser": "optimiser/", "rng": "rng", "games": "shard", "replay": "window/"},
    "muzero": {"optimiser": "optimiser/", "rng": "rng", "games": "games/", "replay": "memory/"},
    "sft": {"optimiser": "optimiser/"},
    "q_learning": {"rng": "rng", "games": "clock", "visits": "visits"},
    "double_q_learning": {"second table": "second"},
    "sarsa_lambda": {"traces": "second"},
}


@pytest.mark.parametrize(("kind", "what"), [(kind, what) for kind, names in FORGOTTEN.items() for what in names])
def test_a_learner_that_forgets_is_caught_at_its_default_settings(
    kind: str, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_env("gridworld:map=3x3" if kind == "sft" else "tic_tac_toe")
    prefix, cls = FORGOTTEN[kind][what], builtin()[kind].load()
    resume = cls.resume

    def forgetful(self: Learner, snapshot: dict[str, Any]) -> None:
        """Go back to a snapshot, but keep a fresh learner's own of this."""
        assert any(name.startswith(prefix) for name in snapshot)
        kept = {name: value for name, value in snapshot.items() if not name.startswith(prefix)}
        own = {name: value for name, value in self.snapshot().items() if name.startswith(prefix)}
        resume(self, {**kept, **own})

    monkeypatch.setattr(cls, "resume", forgetful)
    (finding,) = check_learning(kind, world, {}, fallible=kind == "sft")
    assert "goes on differently" in finding
