"""What holds for every learner there is: broken files, bad settings, divergence, kills, no CUDA.

A learner that is new joins by itself, on the first of the worlds that it fits; where its own settings make a training
of some seconds, it gets smaller ones here.
"""

import json
import math
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from elodrome.agents.agent import Learner, Progress
from elodrome.agents.parts.saved import (
    CARD,
    CHECKPOINT,
    WEIGHTS,
    load_checkpoint,
    read_arrays,
    read_card,
    save_checkpoint,
)
from elodrome.agents.registry import make_agent
from elodrome.agents.specs import builtin, make_config, unfit
from elodrome.arena import training
from elodrome.arena.training import CURVES, read_curve, train
from elodrome.envs.game import World
from elodrome.envs.registry import make_env
from elodrome.errors import BrokenAgent, Diverged, UserError

Files = dict[str, np.ndarray[Any, Any]]
TOKENS = "token_mdp:vocabulary=3,prompts=2,horizon=3"
WORLDS = ("gridworld:map=S../.#./..G,slip=0.2,max_steps=30", "tic_tac_toe", "gymnasium:Pendulum-v1")
QUICK = {"envs": 4, "batch": 16, "warmup": 64, "hidden": [8], "target_every": 10}
BATCHES = {"envs": 4, "horizon": 8, "hidden": [8]}
SPEAKING = {"width": 16, "heads": 2, "layers": 1, "batch": 8}
SETTINGS: dict[str, dict[str, Any]] = {
    "dqn": QUICK,
    "a2c": BATCHES,
    "ppo": {**BATCHES, "minibatch": 16},
    "trpo": {**BATCHES, "minibatch": 16},
    "reinforce": {"episodes": 4, "hidden": [8]},
    "sft": SPEAKING,
    "grpo": {**SPEAKING, "sft_steps": 12, "prompts": 4},
    "rlhf": {**SPEAKING, "sft_steps": 12, "prompts": 4},
    "dpo": {**SPEAKING, "sft_steps": 12, "prompts": 4, "pairs": 32},
    "distillation": {**SPEAKING, "sft_steps": 12, "teacher_steps": 12, "prompts": 4},
    "kimi_k15": {**SPEAKING, "sft_steps": 12, "prompts": 4, "rollout": 2, "minibatches": 1},
    "reward_model": {**SPEAKING, "sft_steps": 12, "prompts": 4, "pairs": 16, "held_out": 16, "members": 2},
    "alphazero": {"games": 16, "hidden": [8], "self_play": 2, "batch": 16, "simulations": 4},
    "muzero": {"games": 8, "moves": 8, "width": 8, "latent": 8, "self_play": 2, "batch": 16, "unroll": 2},
    "sac": {"hidden": [8], "batch": 16, "warmup": 64},
    "td3": {"hidden": [8], "batch": 16, "warmup": 64},
    "alphago": {"games": 8, "hidden": [8], "expert": "random", "batch": 16},
}
STEPS = {
    "dqn": 1600,
    "a2c": 4000,
    "ppo": 200,
    "trpo": 200,
    "reinforce": 400,
    "sft": 50,
    **dict.fromkeys(("grpo", "rlhf", "dpo", "distillation", "kimi_k15", "reward_model"), 50),
    "sac": 800,
    "td3": 800,
}
STEPS |= {"alphazero": 800, "muzero": 640, "alphago": 500}
TABULAR = 5000

LEARNERS = [kind.id for kind in builtin().values() if issubclass(kind.load(), Learner)]
every_learner = pytest.mark.parametrize("kind", LEARNERS)
# What a preset of a text learner changes is an equation: its files hold the same arrays, read by the same code.
every_file = pytest.mark.parametrize(
    "kind", [kind for kind in LEARNERS if "text" not in builtin()[kind].about.needs or not builtin()[kind].preset_of]
)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@cache
def world_of(kind: str) -> World:
    """The first world that it can learn."""
    about = builtin()[kind].about
    names = (TOKENS, *WORLDS) if "text" in about.needs else WORLDS
    return next(world for world in map(make_env, names) if unfit(about, world) is None)


def own(kind: str, table: dict[str, Any], default: Any) -> Any:
    """The entry of a kind, or of that of which it is a preset."""
    return table.get(kind, table.get(builtin()[kind].preset_of, default))


def settings(kind: str) -> dict[str, Any]:
    return own(kind, SETTINGS, {})


def learned(kind: str, out: Path, **options: Any) -> Path:
    """The folder of a small training, with a checkpoint at every report."""
    given = {"steps": own(kind, STEPS, TABULAR), "seed": 3, "options": settings(kind), "checkpoint": 0.0, **options}
    return train(kind, world_of(kind), out=out, tensorboard=False, **given).folder


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a training that nobody stopped, once for each kind: to look at and copy, not to change."""
    return cache(lambda kind: learned(kind, tmp_path_factory.mktemp(kind) / "run"))


def damaged(arrays: Files) -> Iterator[tuple[str, str, Files]]:
    """What is wrong, and arrays of which one has a wrong shape, is not there, or holds no number."""
    for name, array in arrays.items():
        others = {other: value for other, value in arrays.items() if other != name}
        yield "missing", name, others
        yield "an axis more", name, {**others, name: array[None]}
        if array.ndim and array.shape[-1]:
            yield "short", name, {**others, name: array[..., :-1].copy()}
    for name, array in arrays.items():
        if array.dtype.kind == "f" and array.size:
            yield "NaN", name, {**arrays, name: np.full_like(array, np.nan)}


@every_file
def test_a_saved_agent_that_is_broken_is_refused_with_file_and_trouble(
    kind: str, unbroken: Callable[[str], Path], tmp_path: Path
) -> None:
    world, folder = world_of(kind), tmp_path / "agent"
    shutil.copytree(unbroken(kind), folder)
    assert make_agent(str(folder), world)
    whole, arrays = (folder / WEIGHTS).read_bytes(), read_arrays(folder / WEIGHTS)
    for size in (0, 7, len(whole) // 2, len(whole) - 1):
        (folder / WEIGHTS).write_bytes(whole[:size])
        with pytest.raises(BrokenAgent, match=r"^\S+weights\.safetensors: not a whole safetensors file"):
            make_agent(str(folder), world)
    for trouble, name, others in damaged(arrays):
        save_file(others, folder / WEIGHTS)
        with pytest.raises(BrokenAgent, match=r"^\S+weights\.safetensors: ") as refused:
            make_agent(str(folder), world)
        assert "\n" not in str(refused.value), trouble
        assert trouble != "NaN" or name in str(refused.value)
    (folder / WEIGHTS).write_bytes(whole)
    assert make_agent(str(folder), world)
    with pytest.raises(BrokenAgent, match=rf"agent\.json: trained for {world.id.split(':')[0]}.*, not for random_walk"):
        make_agent(str(folder), make_env("random_walk"))
    card = (folder / CARD).read_bytes()
    for text in (b"", card[: len(card) // 2], b"[]", card.replace(b'"config"', b'"confug"')):
        (folder / CARD).write_bytes(text)
        with pytest.raises(BrokenAgent, match=r"agent\.json: "):
            make_agent(str(folder), world)


@every_file
def test_a_checkpoint_that_is_broken_is_refused_with_file_and_trouble(
    kind: str, unbroken: Callable[[str], Path], tmp_path: Path
) -> None:
    more = {"steps": 2 * own(kind, STEPS, TABULAR), "resume": True}
    folder = tmp_path / "run"
    shutil.copytree(unbroken(kind), folder)
    whole = (folder / CHECKPOINT).read_bytes()
    (folder / CHECKPOINT).write_bytes(whole[:-1])
    with pytest.raises(BrokenAgent, match=r"^\S+checkpoint\.safetensors: not a whole safetensors file"):
        learned(kind, folder, **more)
    (folder / CHECKPOINT).write_bytes(whole)
    step, state = load_checkpoint(folder)
    for trouble, name, others in damaged({k: v for k, v in state.items() if isinstance(v, np.ndarray)}):
        rest = {k: v for k, v in state.items() if not isinstance(v, np.ndarray)}
        save_checkpoint(folder, step, {**rest, **others})
        print(trouble, name, state[name].shape)  # shown where it is taken all the same
        with pytest.raises(BrokenAgent, match=r"^\S+checkpoint\.safetensors: [^\n]+$"):
            learned(kind, folder, **more)
    save_checkpoint(folder, step, {**state, "more": np.zeros(1)})
    with pytest.raises(BrokenAgent, match=r"^\S+checkpoint\.safetensors: [^\n]+ more is not known$"):
        learned(kind, folder, **more)


@every_learner
def test_mistakes_are_answered_in_one_line_with_what_would_be_right(kind: str, elodrome: Any, tmp_path: Path) -> None:
    world = world_of(kind)
    fields = builtin()[kind].load().config_class.model_fields
    option = max(fields, key=len)
    number = next(name for name, field in fields.items() if field.annotation in (int, float))
    good = ("--env", world.id, "--steps", "9", "--out", tmp_path / "run")
    for arguments, words in (
        ((f"{kind}_", *good), f"unknown agent '{kind}_'; did you mean '{kind}'"),
        ((kind, *good, "--set", f"{option}x=1"), f"'{option}x'; did you mean '{option}'"),
        ((kind, *good, "--set", f"{number}=many"), f"{number}"),
        ((kind, *good, "--set", f"{number}=NaN"), f"{number}"),
        ((kind, *good, "--set", f"{number}"), f"'{number}' is not key=value"),
        ((kind, *good, "--steps", "0"), "steps must be at least 1, not 0"),
        ((kind, *good, "--stepz", "9"), "unknown option '--stepz'; did you mean '--steps'"),
        ((kind, "--env", "tic_tac_to"), "unknown environment 'tic_tac_to'; did you mean 'tic_tac_toe'"),
        ((kind, *good, "--device", "cud"), "unknown device 'cud'; choose auto, cpu or cuda"),
    ):
        code, out, err = elodrome("train", *arguments)
        assert code == 2, (arguments, err)
        assert out == ""
        assert words in err
        assert err.count("\n") == 1, err
    assert not (tmp_path / "run").exists()
    for name in (name for name, field in fields.items() if "float" in str(field.annotation)):
        for value in (math.nan, math.inf, -math.inf):
            with pytest.raises(UserError, match=f"{kind}: {name}={value}: "):
                make_config(kind, builtin()[kind].load(), {name: value})


def poison(learner: Any) -> None:
    """NaN wherever it keeps what it has learned."""
    values = [*vars(learner).values(), *getattr(learner, "nets", {}).values()]
    modules = [value for value in values if isinstance(value, torch.nn.Module)]
    for module in modules:
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.fill_(float("nan"))
    if not modules:
        learner.run.q[:] = np.nan
        learner.run.second[:] = np.nan


@every_learner
def test_what_is_no_number_any_more_stops_it_with_step_and_reason_and_it_goes_on_from_before(
    kind: str, unbroken: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one checkpoint, at the first report: the learner itself must see it, or the last look before saving."""
    made, out = [], tmp_path / "run"
    make_learner = training.make_learner
    monkeypatch.setattr(training, "make_learner", lambda *args: made.append(make_learner(*args)) or made[-1])
    steps = []

    def spoil(progress: Progress, total: int) -> None:
        steps.append(progress.step)
        if len(steps) == 2:
            poison(made[0])

    with pytest.raises(Diverged, match=r"^[^\n]*at step \d+: [^\n]+$") as told:
        learned(kind, out, on_progress=spoil, checkpoint=3600.0)
    assert int(str(told.value).split("at step ")[1].split(":")[0]) >= steps[1]
    assert load_checkpoint(out)[0] == steps[0]
    assert make_agent(str(out), world_of(kind))
    assert np.isfinite(list(read_curve(out / "learning.jsonl")[0].values())[1:]).all()
    learned(kind, out, resume=True)
    assert (out / WEIGHTS).read_bytes() == (unbroken(kind) / WEIGHTS).read_bytes()


@every_learner
def test_cuda_that_is_absent_is_said_in_one_line_and_auto_falls_back(
    kind: str, elodrome: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    arguments = ("train", kind, "--env", world_of(kind).id, "--steps", "9", "--out", tmp_path / "run")
    code, out, err = elodrome(*arguments, "--device", "cuda")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "device cuda was asked for, but torch sees no CUDA device here; use --device auto or cpu" in err
    with pytest.raises(UserError, match="device cuda was asked for"):
        learned(kind, tmp_path / "run", device="cuda")
    assert not (tmp_path / "run").exists()
    made = learned(kind, tmp_path / "run", device="auto", steps=1)
    assert json.loads((made / CARD).read_text())["notes"]["device"] == "cpu"


class Forge:
    """The program of ``killed.py``: commands in processes of their own, forked from one that has all loaded."""

    def __init__(self) -> None:
        command = [sys.executable, str(Path(__file__).with_name("killed.py"))]
        self.program = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.program.stdout.readline() == "ready\n"

    def run(self, argv: list[str], log: Path, reports: int = 0, events: int = 0) -> int:
        """The exit code of a command, -9 where it was killed."""
        order = {"argv": argv, "log": str(log), "reports": reports, "events": events}
        self.program.stdin.write(json.dumps(order) + "\n")
        self.program.stdin.flush()
        return int(self.program.stdout.readline())

    def close(self) -> None:
        self.program.stdin.close()
        self.program.wait()
        self.program.stdout.close()


@pytest.fixture(scope="module")
def forge() -> Iterator[Forge]:
    made = Forge()
    yield made
    made.close()


@every_learner
def test_killed_in_the_middle_and_resumed_it_ends_as_an_unbroken_run(
    kind: str, unbroken: Callable[[str], Path], forge: Forge, tmp_path: Path
) -> None:
    """Two kills -9, at other places for every kind: after the second report of all, and the first from there."""
    out, log = tmp_path / "run", tmp_path / "log"
    command = ["train", kind, "--env", world_of(kind).id, "--steps", str(own(kind, STEPS, TABULAR)), "--seed", "3"]
    command += [word for key, value in settings(kind).items() for word in ("--set", f"{key}={json.dumps(value)}")]
    command += ["--checkpoint", "0", "--out", str(out)]
    total = load_checkpoint(unbroken(kind))[0]
    events = 1 + crc32(kind.encode()) % 400
    assert forge.run(command, log, 2, events) == -9, log.read_text()
    first = load_checkpoint(out)[0]
    assert 0 < first < total
    assert read_card(out).steps >= first  # no checkpoint without its agent
    assert make_agent(str(out), world_of(kind))
    assert forge.run([*command, "--resume"], log, 1, 401 - events) == -9, log.read_text()
    assert first <= load_checkpoint(out)[0] < total
    assert read_card(out).steps >= load_checkpoint(out)[0]
    assert forge.run([*command, "--resume"], log) == 0, log.read_text()
    assert load_checkpoint(out)[0] == total
    assert (out / WEIGHTS).read_bytes() == (unbroken(kind) / WEIGHTS).read_bytes()
    curves = [read_curve(folder / CURVES) for folder in (out, unbroken(kind))]
    assert [{**line, "seconds": 0} for line in curves[0]] == [{**line, "seconds": 0} for line in curves[1]]
