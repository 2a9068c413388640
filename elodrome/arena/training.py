"""Training: a learner driven to its budget, with curves, checkpoints, and a clean way to stop and go on.

A run lives in one folder: ``agent.json`` and ``weights.safetensors`` (the acting agent), ``checkpoint.safetensors``
(all that resuming needs), ``learning.jsonl`` (one line per report), TensorBoard event files, and, where asked for,
``kept/STEPS`` with the agent as it was on the way.
"""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from elodrome.agents.agent import Budget, Learner, Progress, Task
from elodrome.agents.parts.saved import (
    CARD,
    agents_folder,
    kind_name,
    load_checkpoint,
    read_card,
    save_agent,
    save_checkpoint,
)
from elodrome.agents.parts.threads import single_threaded
from elodrome.agents.registry import make_learner
from elodrome.arena.examination import Examiner
from elodrome.envs.game import World
from elodrome.errors import Diverged, UserError
from elodrome.files import CURVE, read_json, read_text

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
    name = kind_name(kind).rpartition(":")[2]  # of path/to/file.py:Class the class
    return agents_folder(world) / (name if seed == 0 else f"{name}-s{seed}")


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
    examine: int | None = None,
    rivals: Sequence[str] = ("random",),
    notes: dict[str, Any] | None = None,
) -> TrainingResult:
    """Train an agent of kind ``name`` for ``steps`` of its own unit and save it.

    keep: every so many steps the agent as it is then goes to a folder of its own, for opponents of several strengths.
    examine: every so many steps it plays against the ``rivals`` and the best of its past, see ``Examiner``.

    With ``resume`` it goes on from the last checkpoint, exactly as if it had not been stopped. Raises UserError for
    bad input or a folder that already holds a run, Stopped on Ctrl-C (after a checkpoint), Diverged when a loss is
    no longer a number (the last good checkpoint stays).
    """
    learner = make_learner(name, Task(world, seed, device), options or {})
    examiner = Examiner(learner, examine, rivals) if examine else None
    run = _Run(learner, name, options or {}, out or default_folder(name, world, seed), keep, examiner, notes or {})
    with single_threaded():
        return run.drive(learner.default_steps if steps is None else steps, resume, on_progress, tensorboard)


@dataclass(frozen=True)
class _Run:
    """A learner and where it goes."""

    learner: Learner
    name: str
    options: dict[str, Any]
    folder: Path
    keep: int | None
    examiner: Examiner | None
    notes: dict[str, Any]

    def drive(
        self, total: int, resume: bool, on_progress: Callable[[Progress, int], None] | None, tensorboard: bool
    ) -> TrainingResult:
        """Learn until ``total`` steps."""
        learner, folder = self.learner, self.folder
        if total < 1:
            raise UserError(f"steps must be at least 1, not {total}")
        done = self._prepare(resume)
        if done >= total:
            if not (folder / CARD).is_file():  # killed between the last checkpoint and the agent's file
                self._save(folder, done, 0.0)
            return TrainingResult(folder, done, learner.unit, 0.0, {}, already_done=True)
        saved_at = started = time.perf_counter()
        latest, before = Progress(done), done
        writer = _Curves(folder, self.name, done, tensorboard)
        try:
            for latest in learner.learn(Budget(total)):
                bad = [key for key, value in latest.metrics.items() if math.isnan(value)]
                if bad:
                    raise Diverged(f"{self.name} at step {latest.step}: {', '.join(bad)} is not a number any more")
                if self.examiner and latest.step // self.examiner.every > before // self.examiner.every:
                    latest = Progress(latest.step, {**latest.metrics, **self.examiner.examine(latest.step)})
                now = time.perf_counter()
                writer.write(latest, now - started)
                if on_progress:
                    on_progress(latest, total)
                if self.keep and latest.step // self.keep > before // self.keep:
                    self._save(folder / KEPT / str(latest.step), latest.step, writer.offset + now - started)
                before = latest.step
                if now - saved_at > CHECKPOINT_SECONDS:
                    self._checkpoint(latest.step)
                    saved_at = time.perf_counter()
        except KeyboardInterrupt:
            if latest.step > done:
                self._checkpoint(latest.step)
            command = resume_command(self.name, learner.world, total, learner.task.seed, folder, self.options)
            command += f" --keep {self.keep}" if self.keep else ""
            command += f" {self.examiner.options}" if self.examiner else ""
            raise Stopped(f"stopped at {learner.unit[:-1]} {latest.step} of {total}; to go on: {command}") from None
        finally:
            writer.close()
        self._checkpoint(latest.step)
        seconds = time.perf_counter() - started
        self._save(folder, latest.step, writer.offset + seconds)
        return TrainingResult(folder, latest.step, learner.unit, seconds, latest.metrics)

    def _save(self, where: Path, step: int, seconds: float) -> None:
        notes = {"seconds": round(seconds, 2), "device": self.learner.task.device, **self.notes}
        save_agent(self.learner, self.name, where, step, notes)

    def _checkpoint(self, step: int) -> None:
        best = self.examiner.snapshot() if self.examiner else {}
        save_checkpoint(self.folder, step, {**self.learner.snapshot(), **best})

    def _prepare(self, resume: bool) -> int:
        """Check the folder, restore a checkpoint if asked; the steps already done."""
        learner, folder = self.learner, self.folder
        run = folder / "run.json"
        settings = {
            "kind": self.name,
            "world": learner.world.id,
            "seed": learner.task.seed,
            "config": learner.config.model_dump(mode="json"),
        }
        if not run.exists():
            if (folder / "agent.json").exists() and not resume:
                raise UserError(
                    f"{folder} already holds a trained agent ({read_card(folder).kind}); choose another --out"
                )
            try:
                folder.mkdir(parents=True, exist_ok=True)
                run.write_text(json.dumps(settings, indent=2), encoding="utf-8")
            except OSError as error:
                raise UserError(f"cannot write {folder}: {error.strerror}") from error
            return 0
        if not resume:
            raise UserError(f"{folder} already holds a run; add --resume to go on with it, or choose another --out")
        before = read_json(run)
        with contextlib.suppress(
            KeyError, TypeError, ValidationError
        ):  # a setting that is newer than the run had its default
            before["config"] = type(learner.config)(**before["config"]).model_dump(mode="json")
        changed = [
            f"{key} was {before.get(key)}, now {settings[key]}" for key in settings if before.get(key) != settings[key]
        ]
        if changed:
            raise UserError(f"{folder} holds another run: {'; '.join(changed)}")
        checkpoint = load_checkpoint(folder)
        if checkpoint is None:
            return 0
        step, snapshot = checkpoint
        learner.resume(snapshot)
        if self.examiner:
            self.examiner.resume(snapshot)
        return step


def resume_command(name: str, world: World, steps: int, seed: int, out: Path, options: dict[str, Any]) -> str:
    """The command line that continues a stopped run."""
    given = "".join(f" --set {key}={json.dumps(value)}" for key, value in options.items())
    return f"elodrome train {name} --env {world.id} --steps {steps} --seed {seed}{given} --out {out} --resume"


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
    """The lines of a ``learning.jsonl``; a last line cut short by a kill is left out, and all from one on that is
    no report. Raises UserError for what is no file, or too large."""
    if not file.exists():
        return []
    lines = []
    for text in read_text(file, CURVE, errors="replace").splitlines():
        try:
            line = json.loads(text)
            if not all(type(value) in (int, float) for key, value in line.items() if key != "agent"):
                break
            lines.append({**line, "step": int(line["step"]), "seconds": float(line["seconds"])})
        except (ValueError, RecursionError, KeyError, AttributeError, OverflowError):
            break
    return lines
