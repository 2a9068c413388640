"""The showdown: agents train on many worlds, meet or play alone in each, and every world gets a table.

Everything is resumable: a trained agent is not trained again, a training that was cut goes on from its checkpoint, a
finished tournament plays nothing. What is to be done is a plan (``plans``): a short list, or all there is.
"""

from __future__ import annotations

import multiprocessing
import os
import shlex
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.progress import Progress

from elodrome.agents.parts.saved import CARD, read_card, replace_file, world_slug
from elodrome.arena.record import GameRecord
from elodrome.arena.training import CURVES, Stopped, read_curve, train
from elodrome.envs.registry import make_env
from elodrome.errors import UserError, told
from elodrome.home import local
from elodrome.tournaments.plans import SHORT, Plan, Stage
from elodrome.tournaments.ratings import leaderboard
from elodrome.tournaments.report import Section, build_report
from elodrome.tournaments.runner import TournamentConfig, locked, run_tournament
from elodrome.tournaments.standings import markdown, standing

SEED = 0
TABLES = "showdown.md"
BEAT = 0.2  # seconds between two looks of a worker at who started it
PATIENCE = 5.0  # seconds that a training which is stopped has for its last checkpoint


@dataclass(frozen=True)
class Job:
    """One training of the showdown. seed: which of the kind's trainings it is, from 0."""

    world: str
    kind: str
    steps: int
    settings: dict[str, Any]
    seed: int
    folder: Path

    @property
    def label(self) -> str:
        """The name in the tables: of the first training the kind's own."""
        return self.kind if self.seed == 0 else f"{self.kind}#{self.seed + 1}"

    @property
    def done(self) -> bool:
        """Whether the agent is there, trained to the end."""
        return (self.folder / CARD).is_file() and read_card(self.folder).steps >= self.steps

    def progress(self) -> int:
        """Steps so far, as the run's own curve tells."""
        curve = read_curve(self.folder / CURVES)
        return min(int(curve[-1]["step"]), self.steps) if curve else 0


def training_jobs(out: Path, stage: Stage) -> list[Job]:
    """All trainings of a stage, in the order in which they are started."""
    world = make_env(stage.world).id
    agents = out / "agents" / world_slug(world)
    return [
        Job(world, t.kind, t.steps, t.settings, seed, agents / (t.kind if seed == 0 else f"{t.kind}-s{seed}"))
        for t in stage.trained
        for seed in range(t.trainings)
    ]


def _end_with(parent: int) -> None:
    """A worker whose showdown was killed ends at once: the next one trains the same agents in the same folders."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(BEAT)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _train_alone(job: Job, device: str) -> str:
    """One training in a worker process, on one thread, so that the result does not depend on the neighbours; why there
    is no agent, where there is none."""
    import torch

    torch.set_num_threads(1)
    try:
        train(
            job.kind,
            make_env(job.world),
            steps=job.steps,
            seed=SEED + job.seed,
            device=device,
            options=job.settings,
            out=job.folder,
            resume=True,
        )
    except Stopped:
        raise
    except UserError as error:
        return told(error)
    return ""


def train_all(
    jobs: Sequence[Job], workers: int, device: str, on_tick: Callable[[], None], on_job: Callable[[Job], None]
) -> dict[Path, str]:
    """Train what is not trained yet in ``workers`` processes; ``on_tick`` is called several times a second, ``on_job``
    after each training. Returns, by folder, why agents could not be trained."""
    waiting = [job for job in jobs if not job.done]
    failed: dict[Path, str] = {}
    if not waiting:
        return failed
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(waiting)), context, _end_with, (os.getpid(),)) as pool:
        running = {pool.submit(_train_alone, job, device): job for job in waiting}
        try:
            while running:
                finished, _ = wait(running, timeout=0.25)
                for future in finished:
                    job = running.pop(future)
                    if reason := future.result():
                        failed[job.folder] = reason
                    on_job(job)
                on_tick()
        except BrokenProcessPool:
            raise UserError("a training process was ended from outside, for want of memory perhaps") from None
        except BaseException:
            for future in running:
                future.cancel()
            processes = list((pool._processes or {}).values())
            for process in processes:
                process.terminate()
            for process in processes:
                process.join(PATIENCE)  # for its checkpoint; then not for the next training, which it may have taken up
                process.kill()
            raise
    return failed


def entrants(stage: Stage, jobs: Sequence[Job]) -> dict[str, str]:
    """Who takes part in a stage: the spec of each by its name in the table."""
    return {spec: spec for spec in stage.ready} | {job.label: str(job.folder) for job in jobs}


@dataclass(frozen=True)
class ShowdownResult:
    """What a showdown did: agents trained and games played now, games in all, the tables, remarks for people, why a
    table is not whole, the report, the tables as Markdown."""

    trained: int
    played: int
    kept: int
    sections: list[Section]
    remarks: list[str]
    shortcomings: list[str]
    page: Path
    tables: Path
    seconds: float


def run_showdown(out: Path, workers: int, device: str, bars: Progress, plan: Plan = SHORT) -> ShowdownResult:
    """Train, play and report whatever is still missing in ``out``. Raises Stopped or Interrupted on Ctrl-C, UserError
    where another one is at work in ``out``."""
    if workers < 1:
        raise UserError(f"workers must be at least 1, not {workers}")
    with locked(local(out)):
        return _run(out, workers, device, bars, plan)


def _run(out: Path, workers: int, device: str, bars: Progress, plan: Plan) -> ShowdownResult:
    start = time.perf_counter()
    show = _Showdown(out, workers, device, bars, plan)
    everything = [job for jobs in show.jobs.values() for job in jobs]
    waiting = sum(not job.done for job in everything)
    if plan.together:
        show.train(everything)
    for stage in plan.stages:
        if not plan.together:
            show.train(show.jobs[stage.world])
        show.rank(stage)
    bars.remove_task(show.bar)
    return ShowdownResult(
        trained=waiting - len(show.failed),
        played=show.played,
        kept=show.kept,
        sections=show.sections,
        remarks=[*plan.skipped, *show.remarks],
        shortcomings=show.shortcomings,
        page=out / "report.html",
        tables=out / TABLES,
        seconds=time.perf_counter() - start,
    )


class _Showdown:
    """A showdown under way. One bar is over all: every training counts one, and every agent of a table one."""

    def __init__(self, out: Path, workers: int, device: str, bars: Progress, plan: Plan) -> None:
        self.out, self.workers, self.device, self.bars, self.plan = out, workers, device, bars, plan
        self.jobs = {stage.world: training_jobs(out, stage) for stage in plan.stages}
        self.command = shlex.join(["elodrome", "showdown", *plan.command, "--out", str(out)])
        total = sum(2 * len(self.jobs[stage.world]) + len(stage.ready) for stage in plan.stages)
        self.bar = bars.add_task("showdown", total=total, note="")
        self.before = 0.0  # on the bar, of what is done
        self.failed: dict[Path, str] = {}
        self.sections: list[Section] = []
        self.remarks: list[str] = []
        self.shortcomings: list[str] = []
        self.played = self.kept = 0

    def train(self, jobs: Sequence[Job]) -> None:
        """Train those that are not trained yet; a bar of its own for each that is under way."""
        left = [job for job in jobs if not job.done]
        tasks = {
            job.folder: self.bars.add_task(f"train {job.label} on {job.world}", total=job.steps, note="", visible=False)
            for job in left
        }

        def tick() -> None:
            share = 0.0
            for job in () if self.bars.disable else left:
                done = job.progress()
                share += done / job.steps
                self.bars.update(tasks[job.folder], completed=done, visible=done > 0)
            self.bars.update(self.bar, completed=self.before + len(jobs) - len(left) + share)

        def trained(job: Job) -> None:
            left.remove(job)
            self.bars.remove_task(tasks[job.folder])

        try:
            self.failed |= train_all(list(left), self.workers, self.device, tick, trained)
        except KeyboardInterrupt:
            every = [job for jobs in self.jobs.values() for job in jobs]
            done = sum(job.done for job in every)
            raise Stopped(f"stopped; {done} of {len(every)} agents are trained; to go on: {self.command}") from None
        self.before += len(jobs)

    def rank(self, stage: Stage) -> None:
        """The games of a stage, its table, and the report so far."""
        world = make_env(stage.world)
        jobs = self.jobs[stage.world]
        failed = {job.label: self.failed[job.folder] for job in jobs if job.folder in self.failed}
        specs = entrants(stage, [job for job in jobs if job.label not in failed])
        labels = tuple(specs)
        worth = len(jobs) + len(stage.ready)  # on the bar
        total = 1

        def begin(games: int, already: int) -> None:
            nonlocal total
            total = games
            self.bars.update(self.bar, completed=self.before + worth * already / games)

        def advance(records: Sequence[GameRecord]) -> None:
            self.bars.advance(self.bar, worth * len(records) / total)

        self.bars.update(self.bar, note=f"games on {world.id}")
        result = run_tournament(
            TournamentConfig(
                env=stage.world,
                agents=tuple(specs.values()),
                labels=labels,
                format="alone" if stage.alone else "round-robin",
                games=stage.games,
                seed=SEED,
            ),
            self.out / "results" / world_slug(world.id),
            workers=self.workers,
            resume=True,
            merge=True,
            command=self.command,
            on_total=begin,
            on_games=advance,
        )
        self.before += worth
        self.bars.update(self.bar, completed=self.before, note="")
        self.played += result.played
        self.kept += result.kept
        self.remarks += [f"{world.id}: {remark}" for remark in result.remarks]
        self.shortcomings += [f"{world.id}: {line}" for line in result.shortcomings]
        self.shortcomings += [f"{world.id}: {label} could not be trained: {why}" for label, why in failed.items()]
        board = leaderboard(result.records, world.id, labels, result.unplayed, result.left_out)
        table = standing(world, board, result.records, specs, failed) if not self.plan.together else None
        curves = [(job.label, job.folder / CURVES) for job in jobs] if self.plan.together else []
        self.sections.append(Section(world, board, result.records, curves, table))
        if not self.plan.together or stage == self.plan.stages[-1]:
            build_report(self.sections, self.out)
            tables = [section.table for section in self.sections if section.table is not None]
            if tables:
                replace_file(self.out / TABLES, markdown(tables).encode())


def default_workers() -> int:
    """One worker per core."""
    return os.cpu_count() or 1
