"""Learning: one agent, with its curves and checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from elodrome.cli.options import Env, Seed, the_world
from elodrome.console import progress_bars, say


def train(
    agent: Annotated[str, typer.Argument(help="a kind of agent that learns")],
    env: Env,
    steps: Annotated[int | None, typer.Option(help="in the learner's own unit; its default where left out")] = None,
    seed: Seed = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "auto",
    settings: Annotated[list[str] | None, typer.Option("--set", help="key=value, may be repeated")] = None,
    out: Annotated[Path | None, typer.Option(help="folder of the run")] = None,
    resume: Annotated[bool, typer.Option(help="go on from the last checkpoint")] = False,
    checkpoint: Annotated[float, typer.Option(help="seconds between two checkpoints; 0: at every report")] = 20.0,
    keep: Annotated[int | None, typer.Option(help="every so many steps, keep the agent as it is then", min=1)] = None,
    examine: Annotated[int | None, typer.Option(help="every so many steps, play against --rivals", min=1)] = None,
    best: Annotated[bool, typer.Option(help="alone in a world: save the best on the way, not the last")] = True,
    rivals: Annotated[str, typer.Option(help="specs, separated by commas; and the best of its own past")] = "random",
) -> None:
    """Train an agent and save it, with curves on the screen and in TensorBoard."""
    from elodrome.agents.agent import check_device
    from elodrome.agents.specs import split_specs
    from elodrome.arena.training import train as run
    from elodrome.envs.registry import parse_options

    world = the_world(env)
    options: dict[str, Any] = {}
    for setting in settings or []:
        options |= parse_options("--set", setting)
    with progress_bars() as bars:
        task = bars.add_task(f"{agent} on {world.id}", total=None, note="")
        result = run(
            agent,
            world,
            steps=steps,
            seed=seed,
            device=check_device(device),
            options=options,
            out=out,
            resume=resume,
            checkpoint=checkpoint,
            keep=keep,
            examine=examine,
            best=best,
            rivals=split_specs(rivals),
            on_progress=lambda p, total: bars.update(
                task, completed=p.step, total=total, note="  ".join(f"{k} {v:.4g}" for k, v in p.metrics.items())
            ),
        )
    if result.already_done:
        say(f"{agent} on {world.id}: already trained for {result.steps} {result.unit}; nothing to do")
    else:
        say(f"{agent} on {world.id}: {result.steps} {result.unit} in {result.seconds:.1f} s; saved in {result.folder}")
    for remark in result.remarks:
        say(f"elodrome: {remark}", error=True)
