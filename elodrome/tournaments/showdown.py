"""The showdown: agents of every chapter train on six worlds, meet in six tournaments, and get six tables.

Everything is resumable: a trained agent is not trained again, a training that was cut goes on from its checkpoint, a
finished tournament plays nothing. ``PLAN`` below is all there is to configure.
"""

from __future__ import annotations

import multiprocessing
import os
import shlex
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict
from rich.progress import Progress, TaskID

from elodrome.agents.parts.saved import CARD, read_card, world_slug
from elodrome.arena.record import GameRecord
from elodrome.arena.training import CURVES, Stopped, read_curve, train
from elodrome.envs.registry import make_env
from elodrome.errors import UserError
from elodrome.home import local
from elodrome.tournaments.ratings import Leaderboard, leaderboard
from elodrome.tournaments.report import Section, build_report
from elodrome.tournaments.runner import TournamentConfig, run_tournament

SEED = 0


class Trained(BaseModel):
    """One agent to train: its kind, its budget in the kind's own unit, its settings."""

    model_config = ConfigDict(frozen=True)
    kind: str
    steps: int
    settings: dict[str, Any] = {}


class Stage(BaseModel):
    """One world of the showdown: who plays as they are, who is trained first, how many games per pairing."""

    model_config = ConfigDict(frozen=True)
    world: str
    ready: tuple[str, ...]
    trained: tuple[Trained, ...]
    games: int


PLAN = (
    Stage(
        world="tic_tac_toe",
        ready=("random", "minimax", "mcts:simulations=100"),
        trained=(
            Trained(kind="grpo", steps=500),
            Trained(kind="alphazero", steps=60_000),
            Trained(kind="q_learning", steps=1_000_000),
            Trained(kind="sarsa", steps=1_000_000),
            Trained(kind="dqn", steps=100_000),
            Trained(kind="reinforce", steps=250_000),
            Trained(kind="ppo", steps=250_000),
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
            Trained(kind="q_learning", steps=200_000),
            Trained(kind="sarsa", steps=200_000),
            Trained(kind="dqn", steps=60_000),
            Trained(kind="ppo", steps=250_000),
        ),
        games=50,
    ),
    Stage(
        world="rock_paper_scissors:rounds=10",
        ready=("random",),
        trained=(
            Trained(kind="q_learning", steps=200_000),
            Trained(kind="sarsa", steps=200_000),
            Trained(kind="ppo", steps=100_000),
            Trained(kind="reinforce", steps=100_000),
        ),
        games=200,
    ),
    Stage(
        world="token_mdp",
        ready=("random",),
        trained=(
            Trained(kind="q_learning", steps=200_000),
            Trained(kind="ppo", steps=80_000),
            Trained(kind="sft", steps=100),
            Trained(
                kind="grpo",
                steps=200,
                settings={"sft_steps": 50, "prompts": 32, "group": 8, "epochs": 2, "rl_learning_rate": 1e-3},
            ),
        ),
        games=200,
    ),
)


@dataclass(frozen=True)
class Job:
    """One training of the showdown."""

    world: str
    kind: str
    steps: int
    settings: dict[str, Any]
    folder: Path

    @property
    def done(self) -> bool:
        """Whether the agent is there, trained to the end."""
        return (self.folder / CARD).is_file() and read_card(self.folder).steps >= self.steps

    def progress(self) -> int:
        """Steps so far, as the run's own curve tells."""
        curve = read_curve(self.folder / CURVES)
        return min(int(curve[-1]["step"]), self.steps) if curve else 0


def training_jobs(out: Path, plan: tuple[Stage, ...] = PLAN) -> list[Job]:
    """All trainings, in the order in which they are started: the longest stands first in the plan."""
    return [
        Job(make_env(stage.world).id, t.kind, t.steps, t.settings, out / "agents" / world_slug(stage.world) / t.kind)
        for stage in plan
        for t in stage.trained
    ]


def _train_alone(job: Job, device: str) -> None:
    """One training in a worker process, on one thread, so that the result does not depend on the neighbours."""
    import torch

    torch.set_num_threads(1)
    train(
        job.kind,
        make_env(job.world),
        steps=job.steps,
        seed=SEED,
        device=device,
        options=job.settings,
        out=job.folder,
        resume=True,
    )


def train_all(jobs: list[Job], workers: int, device: str, on_tick: Callable[[], None]) -> None:
    """Train what is not trained yet in ``workers`` processes; ``on_tick`` is called several times a second."""
    waiting = [job for job in jobs if not job.done]
    if not waiting:
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(waiting)), mp_context=context) as pool:
        running = {pool.submit(_train_alone, job, device) for job in waiting}
        try:
            while running:
                finished, running = wait(running, timeout=0.25)
                for future in finished:
                    future.result()
                on_tick()
        except BaseException:
            for future in running:
                future.cancel()
            for process in list((pool._processes or {}).values()):
                process.terminate()
            raise


def entrants(stage: Stage, out: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The specs that meet in a stage, and their names in the table."""
    folder = out / "agents" / world_slug(stage.world)
    specs = (*stage.ready, *(str(folder / t.kind) for t in stage.trained))
    return specs, (*stage.ready, *(t.kind for t in stage.trained))


@dataclass(frozen=True)
class ShowdownResult:
    """What a showdown did: agents trained and games played now, games in all, the tables, remarks for
    people, why a table is not whole (``TournamentResult.shortcomings``), the report."""

    trained: int
    played: int
    kept: int
    boards: list[Leaderboard]
    remarks: list[str]
    shortcomings: list[str]
    page: Path
    seconds: float


def run_showdown(
    out: Path, workers: int, device: str, bars: Progress, plan: tuple[Stage, ...] = PLAN
) -> ShowdownResult:
    """Train, play and report whatever is still missing in ``out``. Raises Stopped or Interrupted on Ctrl-C."""
    if workers < 1:
        raise UserError(f"workers must be at least 1, not {workers}")
    local(out)
    start = time.perf_counter()
    jobs = training_jobs(out, plan)
    waiting = [job for job in jobs if not job.done]
    tasks = [(bars.add_task(f"train {job.kind} on {job.world}", total=job.steps, note=""), job) for job in waiting]

    def tick() -> None:
        for task, job in [] if bars.disable else tasks:
            done = job.progress()
            bars.update(task, completed=done, visible=0 < done < job.steps)

    command = shlex.join(["elodrome", "showdown", "--out", str(out)])
    try:
        train_all(waiting, workers, device, tick)
    except KeyboardInterrupt:
        done = sum(job.done for job in jobs)
        raise Stopped(f"stopped; {done} of {len(jobs)} agents are trained; to go on: {command}") from None
    for task, _ in tasks:
        bars.remove_task(task)
    sections, played, kept = [], 0, 0
    remarks: list[str] = []
    shortcomings: list[str] = []
    for stage in plan:
        world = make_env(stage.world)
        task = bars.add_task(f"games on {world.id}", total=None, note="")
        specs, labels = entrants(stage, out)
        result = run_tournament(
            TournamentConfig(env=world.id, agents=specs, labels=labels, games=stage.games, seed=SEED),
            out / "results" / world_slug(world.id),
            workers=workers,
            resume=True,
            command=command,
            on_total=partial(_total, bars, task),
            on_games=partial(_advance, bars, task),
        )
        bars.remove_task(task)
        played += result.played
        kept += result.kept
        remarks += [f"{world.id}: {remark}" for remark in result.remarks]
        curves = [(job.kind, job.folder / CURVES) for job in jobs if job.world == world.id]
        board = leaderboard(result.records, world.id, labels, result.unplayed, result.left_out)
        sections.append(Section(world, board, result.records, curves))
        shortcomings += [f"{world.id}: {line}" for line in result.shortcomings]
    page = build_report(sections, out)
    boards = [section.board for section in sections]
    return ShowdownResult(len(waiting), played, kept, boards, remarks, shortcomings, page, time.perf_counter() - start)


def _total(bars: Progress, task: TaskID, total: int, already: int) -> None:
    bars.update(task, total=total, completed=already)


def _advance(bars: Progress, task: TaskID, records: Sequence[GameRecord]) -> None:
    bars.advance(task, len(records))


def default_workers() -> int:
    """One worker per core."""
    return os.cpu_count() or 1
