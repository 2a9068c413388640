"""Training: a learner driven to its budget, with curves, checkpoints, and a clean way to stop and go on.

A run lives in one folder: ``agent.json`` and ``weights.safetensors`` (the acting agent), ``checkpoint.safetensors``
(all that resuming needs), ``learning.jsonl`` (one line per report), TensorBoard event files, and, where asked for,
``kept/STEPS`` with the agent as it was on the way.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elodrome.agents.agent import Budget, Learner, Progress, Task
from elodrome.agents.parts.saved import (
    CARD,
    agents_folder,
    load_checkpoint,
    read_card,
    save_agent,
    save_checkpoint,
)
from elodrome.agents.parts.threads import single_threaded
from elodrome.agents.registry import make_learner
from elodrome.envs.game import World
from elodrome.errors import Diverged, UserError

CURVES = "learning.jsonl"
KEPT = "kept"
CHECKPOINT_SECONDS = 20.0


@dataclass(frozen=True)
class TrainingResult:
    """Where the agent lies, how far it got (in its own unit), in how many seconds of this call, and its last
    measurements."""

    folder: Path
    steps: int
    unit: str
    seconds: float
    metrics: dict[str, float]
    already_done: bool = False


class Stopped(UserError):
    """Training was interrupted; the message holds the command that goes on."""


def default_folder(kind: str, world: World, seed: int) -> Path:
    """Where ``elodrome train`` puts an agent: found again by its name, for this world."""
    return agents_folder(world) / (kind if seed == 0 else f"{kind}-s{seed}")


def train(
    name: str,
    world: World,
    *,
    steps: int | None = None,
    seed: int = 0,
    device: str = "cpu",
    options: dict[str, Any] | None = None,
    out: Path | None = None,
    resume: bool = False,
    on_progress: Callable[[Progress, int], None] | None = None,
    tensorboard: bool = True,
    keep: int | None = None,
    notes: dict[str, Any] | None = None,
) -> TrainingResult:
    """Train an agent of kind ``name`` for ``steps`` of its own unit and save it.

    keep: every so many steps the agent as it is then goes to a folder of its own, for opponents of several strengths.

    With ``resume`` it goes on from the last checkpoint, exactly as if it had not been stopped. Raises UserError for
    bad input or a folder that already holds a run, Stopped on Ctrl-C (after a checkpoint), Diverged when a loss is
    no longer a number (the last good checkpoint stays).
    """
    learner = make_learner(name, Task(world, seed, device), options or {})
    with single_threaded():
        return _drive(learner, name, steps, out, resume, options or {}, on_progress, tensorboard, keep, notes or {})


def _drive(
    learner: Learner,
    name: str,
    steps: int | None,
    out: Path | None,
    resume: bool,
    options: dict[str, Any],
    on_progress: Callable[[Progress, int], None] | None,
    tensorboard: bool,
    keep: int | None,
    notes: dict[str, Any],
) -> TrainingResult:
    world, seed, device = learner.world, learner.task.seed, learner.task.device
    total = learner.default_steps if steps is None else steps
    if total < 1:
        raise UserError(f"steps must be at least 1, not {total}")
    folder = out or default_folder(name, world, seed)
    done = _prepare(folder, name, learner, resume)
    if done >= total:
        if not (folder / CARD).is_file():  # killed between the last checkpoint and the agent's file
            save_agent(learner, name, folder, done, {"device": device, **notes})
        return TrainingResult(folder, done, learner.unit, 0.0, {}, already_done=True)
    started = time.perf_counter()
    saved_at = started
    latest = Progress(done)
    writer = _Curves(folder, name, done, tensorboard)
    offset = writer.offset

    def save(where: Path, step: int) -> None:
        seconds = offset + time.perf_counter() - started
        save_agent(learner, name, where, step, {"seconds": round(seconds, 2), "device": device, **notes})

    try:
        before = done
        for latest in learner.learn(Budget(total)):
            bad = [key for key, value in latest.metrics.items() if math.isnan(value)]
            if bad:
                raise Diverged(f"{name} at step {latest.step}: {', '.join(bad)} is not a number any more")
            writer.write(latest, time.perf_counter() - started)
            if on_progress:
                on_progress(latest, total)
            if keep and latest.step // keep > before // keep:
                save(folder / KEPT / str(latest.step), latest.step)
            before = latest.step
            if time.perf_counter() - saved_at > CHECKPOINT_SECONDS:
                save_checkpoint(folder, latest.step, learner.snapshot())
                saved_at = time.perf_counter()
    except KeyboardInterrupt:
        if latest.step > done:
            save_checkpoint(folder, latest.step, learner.snapshot())
        raise Stopped(
            f"stopped at {learner.unit[:-1]} {latest.step} of {total}; to go on: "
            + resume_command(name, world, total, seed, folder, options)
        ) from None
    finally:
        writer.close()
    save_checkpoint(folder, latest.step, learner.snapshot())
    save(folder, latest.step)
    seconds = time.perf_counter() - started
    return TrainingResult(folder, latest.step, learner.unit, seconds, latest.metrics)


def resume_command(name: str, world: World, steps: int, seed: int, out: Path, options: dict[str, Any]) -> str:
    """The command line that continues a stopped run."""
    given = "".join(f" --set {key}={json.dumps(value)}" for key, value in options.items())
    return f"elodrome train {name} --env {world.id} --steps {steps} --seed {seed}{given} --out {out} --resume"


def _prepare(folder: Path, name: str, learner: Learner, resume: bool) -> int:
    """Check the folder, restore a checkpoint if asked; the steps already done."""
    run = folder / "run.json"
    settings = {
        "kind": name,
        "world": learner.world.id,
        "seed": learner.task.seed,
        "config": learner.config.model_dump(mode="json"),
    }
    if not run.exists():
        if (folder / "agent.json").exists() and not resume:
            raise UserError(f"{folder} already holds a trained agent ({read_card(folder).kind}); choose another --out")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            run.write_text(json.dumps(settings, indent=2), encoding="utf-8")
        except OSError as error:
            raise UserError(f"cannot write {folder}: {error.strerror}") from error
        return 0
    if not resume:
        raise UserError(f"{folder} already holds a run; add --resume to go on with it, or choose another --out")
    before = json.loads(run.read_text(encoding="utf-8"))
    changed = [f"{key} was {before[key]}, now {settings[key]}" for key in settings if before.get(key) != settings[key]]
    if changed:
        raise UserError(f"{folder} holds another run: {'; '.join(changed)}")
    checkpoint = load_checkpoint(folder)
    if checkpoint is None:
        return 0
    step, snapshot = checkpoint
    learner.resume(snapshot)
    return step


class _Curves:
    """Writes reports to ``learning.jsonl`` and to TensorBoard; on resume, lines past the checkpoint are dropped."""

    def __init__(self, folder: Path, name: str, done: int, tensorboard: bool) -> None:
        self.name = name
        self.file = folder / CURVES
        kept = [line for line in read_curve(self.file) if line["step"] <= done] if done else []
        self.offset = kept[-1]["seconds"] if kept else 0.0
        self.file.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
        self.stream = self.file.open("a", encoding="utf-8")
        self.board: Any = None
        if tensorboard:
            from tensorboard.summary import Writer

            self.board = Writer(str(folder / "tensorboard"))

    def write(self, progress: Progress, seconds: float) -> None:
        line = {"agent": self.name, "step": progress.step, "seconds": round(self.offset + seconds, 3)}
        self.stream.write(json.dumps({**line, **progress.metrics}) + "\n")
        self.stream.flush()
        if self.board:
            for key, value in progress.metrics.items():
                self.board.add_scalar(key, value, progress.step)

    def close(self) -> None:
        self.stream.close()
        if self.board:
            self.board.close()


def read_curve(file: Path) -> list[dict[str, Any]]:
    """The lines of a ``learning.jsonl``; a last line cut short by a kill is left out."""
    if not file.is_file():
        return []
    lines = []
    for text in file.read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(text))
        except json.JSONDecodeError:
            break
    return lines
