"""Training: a learner driven to its budget, with curves, checkpoints, and a clean way to stop and go on.

A run lives in one folder: ``agent.json`` and ``weights.safetensors`` (the acting agent as of the last checkpoint,
or, where learning is unsteady, the best so far),
``checkpoint.safetensors`` (all that resuming needs), ``learning.jsonl`` (one line per report), TensorBoard event files,
and, where asked for, ``kept/STEPS`` with the agent as it was on the way. The first report is kept at once, then one
every so many seconds, and the last: from the first report on, a run that is stopped can be played and resumed.
"""

from __future__ import annotations

import contextlib
import json
import math
import shlex
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from pydantic import ValidationError

from elodrome.agents.agent import Budget, Learner, Progress, Task, check_device
from elodrome.agents.parts.saved import (
    CARD,
    CHECKPOINT,
    RUN,
    WEIGHTS,
    agents_folder,
    kind_name,
    load_checkpoint,
    read_card,
    replace_file,
    require_alike,
    save_agent,
    save_checkpoint,
)
from elodrome.agents.parts.threads import single_threaded
from elodrome.agents.registry import make_learner
from elodrome.arena.best import Best
from elodrome.arena.examination import Examiner
from elodrome.envs.game import World
from elodrome.envs.registry import call_name
from elodrome.errors import BrokenAgent, Diverged, UserError, told
from elodrome.files import CURVE, read_json, read_text

CURVES = "learning.jsonl"
KEPT = "kept"
CHECKPOINT_SECONDS = 20.0


@dataclass(frozen=True)
class TrainingResult:
    """Where the agent lies, how far it got (in its own unit), in how many seconds of this call, its last
    measurements, and what a person should know."""

    folder: Path
    steps: int
    unit: str
    seconds: float
    metrics: dict[str, float]
    already_done: bool = False
    remarks: tuple[str, ...] = ()


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
    checkpoint: float = CHECKPOINT_SECONDS,
    keep: int | None = None,
    examine: int | None = None,
    rivals: Sequence[str] = ("random",),
    best: bool = True,
    notes: dict[str, Any] | None = None,
) -> TrainingResult:
    """Train an agent of kind ``name`` for ``steps`` of its own unit and save it.

    device: auto, cpu or cuda. checkpoint: seconds between two checkpoints; 0 makes one at every report.
    keep: every so many steps the agent as it is then goes to a folder of its own, for opponents of several strengths.
    examine: every so many steps it plays against the ``rivals`` and the best of its past, see ``Examiner``.
    best: in solo worlds, where learning is unsteady, what is saved is the best of the agents on the way, see ``Best``.

    With ``resume`` it goes on from the last checkpoint, exactly as if it had not been stopped. Raises UserError for
    bad input or a folder that already holds a run, Stopped on Ctrl-C or SIGTERM (after a checkpoint), Diverged when a
    measurement or a weight is no finite number any more (the last good checkpoint stays).
    """
    if not 0 <= checkpoint < math.inf:
        raise UserError(f"checkpoint must be a number of seconds, 0 or more, not {checkpoint}")
    learner = make_learner(name, Task(world, seed, check_device(device)), options or {})
    examiner = Examiner(learner, examine, rivals) if examine else None
    total = learner.default_steps if steps is None else steps
    if total < 1:
        raise UserError(f"steps must be at least 1, not {total}")
    folder = out or default_folder(name, world, seed)
    looks = Best(learner, total) if best and learner.unsteady and world.players == 1 else None
    began = time.process_time() - (_spent(folder) if resume else 0.0)
    run = _Run(learner, name, total, options or {}, folder, checkpoint, keep, examiner, looks, best, notes or {}, began)
    with single_threaded():
        return run.drive(resume, on_progress, tensorboard)


def _spent(folder: Path) -> float:
    """The processor's seconds that a run has cost so far, as its last card says."""
    with contextlib.suppress(BrokenAgent, TypeError, ValueError):
        return float(read_card(folder).notes.get("cpu_seconds", 0.0))
    return 0.0


@dataclass(frozen=True)
class _Run:
    """A learner, how far it is to go, and where its files go. began: on this process's clock, less what was spent in
    earlier ones."""

    learner: Learner
    name: str
    total: int
    options: dict[str, Any]
    folder: Path
    checkpoint: float
    keep: int | None
    examiner: Examiner | None
    looks: Best | None
    best: bool
    notes: dict[str, Any]
    began: float

    def drive(
        self, resume: bool, on_progress: Callable[[Progress, int], None] | None, tensorboard: bool
    ) -> TrainingResult:
        """Learn until ``total`` steps."""
        learner, folder, total = self.learner, self.folder, self.total
        done = self._prepare(resume)
        if done >= total:
            if not (folder / CARD).is_file():
                self._save(folder, done, 0.0)
            return TrainingResult(folder, done, learner.unit, 0.0, {}, already_done=True)
        started = time.perf_counter()
        saved_at = started if done else -math.inf
        latest, before, kept, at_report = Progress(done), done, done, False
        writer = _Curves(folder, self.name, done, tensorboard)
        try:
            with _Stop() as stop:
                for latest in learner.learn(Budget(total)):
                    at_report = True
                    self._require_finite(latest.step, latest.metrics, kept)
                    if self.examiner and latest.step // self.examiner.every > before // self.examiner.every:
                        latest = Progress(latest.step, {**latest.metrics, **self.examiner.examine(latest.step)})
                    if self.looks and self.looks.due(before, latest.step):
                        latest = Progress(latest.step, {**latest.metrics, **self.looks.look(latest.step)})
                    now = time.perf_counter()
                    writer.write(latest, now - started)
                    if on_progress:
                        on_progress(latest, total)
                    if self.keep and latest.step // self.keep > before // self.keep:
                        self._require_finite(latest.step, learner.weights(), kept)
                        self._save(folder / KEPT / str(latest.step), latest.step, writer.offset + now - started)
                    before = latest.step
                    if now - saved_at > self.checkpoint:
                        self._checkpoint(latest.step, writer.offset + now - started, kept)
                        saved_at, kept = time.perf_counter(), latest.step
                    if stop.asked and latest.step < total:
                        raise KeyboardInterrupt
                    at_report = False
                seconds = time.perf_counter() - started
                self._checkpoint(latest.step, writer.offset + seconds, kept)
        except KeyboardInterrupt:
            # Amid an update the learner is no state that could be gone on from exactly: the last checkpoint is.
            if at_report and latest.step > kept:
                self._checkpoint(latest.step, writer.offset + time.perf_counter() - started, kept)
                kept = latest.step
            where = f"at {learner.unit[:-1]} {kept} of {total}" if kept else "before anything was saved"
            raise Stopped(f"stopped {where}; to go on: {self._command()}") from None
        except Exception as error:
            self._explain(latest.step, kept, error)
            raise
        finally:
            writer.close()
        remarks = writer.remarks
        if self.looks and self.looks.step < latest.step:
            remarks += (
                f"saved is the agent of {learner.unit[:-1]} {self.looks.step}, the best on the way "
                f"(mean return {self.looks.score:.4g}, at the end {latest.metrics['return/agent']:.4g})",
            )
        return TrainingResult(folder, latest.step, learner.unit, seconds, latest.metrics, remarks=remarks)

    def _command(self) -> str:
        """The command line that goes on with this run."""
        command = resume_command(
            self.name, self.learner.world, self.total, self.learner.task.seed, self.folder, self.options
        )
        if self.checkpoint != CHECKPOINT_SECONDS:
            command += f" --checkpoint {self.checkpoint:g}"
        command += f" --keep {self.keep}" if self.keep else ""
        command += "" if self.best else " --no-best"
        return command + (f" {self.examiner.options}" if self.examiner else "")

    def _require_finite(self, step: int, numbers: dict[str, Any], kept: int) -> None:
        """Raises Diverged, with the step and the names, where a measurement or an array holds NaN or infinities."""
        floats = {name: np.asarray(x) for name, x in numbers.items() if not isinstance(x, (str, dict, list))}
        bad = [name for name, x in floats.items() if x.dtype.kind in "fc" and not np.isfinite(x).all()]
        if bad:
            some = ", ".join(bad[:3]) + (f" and {len(bad) - 3} more" if len(bad) > 3 else "")
            what = "is not a number any more" if len(bad) == 1 else "are not numbers any more"
            last = f"the checkpoint of step {kept} stays" if kept else "nothing was saved"
            raise Diverged(f"{self.name} at step {step}: {some} {what}; {last}; a smaller rate may help")

    def _explain(self, step: int, kept: int, error: Exception) -> None:
        """Raises Diverged where a learner raised something else (an action that is none, say) because what it acts by
        is no number any more."""
        if isinstance(error, Diverged):
            return
        weights: dict[str, Any] = {}
        with contextlib.suppress(Exception):
            weights = self.learner.weights()
        try:
            self._require_finite(step, weights, kept)
        except Diverged as diverged:
            raise diverged from error

    def _save(self, where: Path, step: int, seconds: float) -> None:
        """The agent of now; in the run's own folder the best, where one is looked for."""
        cost = {"seconds": round(seconds, 2), "cpu_seconds": round(time.process_time() - self.began, 2)}
        notes = {**cost, "device": self.learner.task.device, **self.notes}
        best = self.looks if where == self.folder else None
        save_agent(
            self.learner,
            self.name,
            where,
            step,
            notes | (best.notes if best else {}),
            best.weights if best else None,
        )

    def _snapshot(self) -> dict[str, Any]:
        """What the learner needs to be resumed, and those that look at it on the way."""
        beside = [keeper.snapshot() for keeper in (self.examiner, self.looks) if keeper]
        return {**self.learner.snapshot(), **{name: entry for part in beside for name, entry in part.items()}}

    def _checkpoint(self, step: int, seconds: float, kept: int) -> None:
        """Keep all of this moment: the acting agent first, so that a checkpoint never stands without it."""
        snapshot = self._snapshot()
        self._require_finite(step, self.learner.weights(), kept)
        self._require_finite(step, snapshot, kept)
        self._save(self.folder, step, seconds)
        save_checkpoint(self.folder, step, snapshot)

    def _prepare(self, resume: bool) -> int:
        """Check the folder, restore a checkpoint if asked; the steps already done."""
        learner, folder = self.learner, self.folder
        run = folder / RUN
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
            replace_file(run, json.dumps({**settings, "command": self._command()}, indent=2).encode())
            return 0
        if not resume:
            raise UserError(f"{folder} already holds a run; add --resume to go on with it, or choose another --out")
        before = read_json(run)
        for name in (CARD, WEIGHTS, CHECKPOINT):  # what a kill in the middle of writing left behind
            for stray in folder.glob(f".{name}.*"):
                stray.unlink(missing_ok=True)
        # A setting that is newer than the run had its default.
        with contextlib.suppress(KeyError, TypeError, ValidationError):
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
        try:
            learner.resume(snapshot)
            for keeper in (self.examiner, self.looks):
                if keeper:
                    keeper.resume(snapshot)
            require_alike(self._snapshot(), snapshot)
        except Exception as error:
            file = folder / CHECKPOINT
            raise BrokenAgent(
                f"{file}: does not fit this learner, of another version perhaps: {told(error)}"
            ) from error
        return step


class _Stop:
    """Within, Ctrl-C and SIGTERM wait for the next report, where a run can be kept whole; asked again, they stop it at
    once. Only in the main thread, and where nobody else has taken these signals."""

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                if signal.getsignal(number) in (signal.default_int_handler, signal.SIG_DFL):
                    self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: object) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        print("elodrome: stopping at the next report; once more stops at the last checkpoint", file=sys.stderr)


def resume_command(name: str, world: World, steps: int, seed: int, out: Path, options: dict[str, Any]) -> str:
    """The command line that continues a stopped run."""
    given = [word for key, value in options.items() for word in ("--set", f"{key}={json.dumps(value)}")]
    words = ["elodrome", "train", name, "--env", call_name(world), "--steps", str(steps), "--seed", str(seed)]
    return shlex.join([*words, *given, "--out", str(out), "--resume"])


class _Curves:
    """Writes reports to ``learning.jsonl`` and to TensorBoard; on resume, lines past the checkpoint are dropped."""

    def __init__(self, folder: Path, name: str, done: int, tensorboard: bool) -> None:
        self.name = name
        self.file = folder / CURVES
        kept = [line for line in read_curve(self.file) if line["step"] <= done] if done else []
        self.offset = kept[-1]["seconds"] if kept else 0.0
        replace_file(self.file, "".join(json.dumps(line) + "\n" for line in kept).encode())
        self.stream = self.file.open("a", encoding="utf-8")
        self.board: _Board | None = None
        self.remarks: tuple[str, ...] = ()
        if tensorboard:
            try:
                self.board = _Board(folder / "tensorboard", done)
            except ImportError as error:
                self.remarks = (
                    f"no curves for TensorBoard, as it cannot be loaded ({error}): pip install tensorboard",
                )

    def write(self, progress: Progress, seconds: float) -> None:
        line = {"agent": self.name, "step": progress.step, "seconds": round(self.offset + seconds, 3)}
        self.stream.write(json.dumps({**line, **progress.metrics}) + "\n")
        self.stream.flush()
        if self.board:
            self.board.write(progress)

    def close(self) -> None:
        self.stream.close()
        if self.board:
            self.board.writer.close()


class _Board:
    """An event file of TensorBoard with plain scalars. What a run that was killed wrote past its last checkpoint is
    declared void by an event of its own. Raises ImportError where there is no TensorBoard."""

    def __init__(self, folder: Path, done: int) -> None:
        from tensorboard.compat.proto import event_pb2, summary_pb2
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self.event, self.summary = event_pb2.Event, summary_pb2.Summary
        self.writer = EventFileWriter(str(folder))
        session = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
        self.writer.add_event(self.event(wall_time=time.time(), step=done + 1, session_log=session))

    def write(self, progress: Progress) -> None:
        """One scalar for each measurement."""
        values = [self.summary.Value(tag=key, simple_value=value) for key, value in progress.metrics.items()]
        summary = self.summary(value=values)
        self.writer.add_event(self.event(wall_time=time.time(), step=progress.step, summary=summary))


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
