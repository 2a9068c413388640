"""Saved agents and checkpoints: a folder with ``agent.json`` and ``weights.safetensors``, never a pickle.

A file from outside can hold nothing that runs. What is truncated, of the wrong shape, for another world or not
finite is refused with an error that names the file and the trouble.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from elodrome import __version__
from elodrome.agents.agent import Agent, Learner
from elodrome.envs.game import World
from elodrome.errors import BrokenAgent, UserError
from elodrome.home import home

Arrays = dict[str, npt.NDArray[Any]]
CARD, WEIGHTS, CHECKPOINT = "agent.json", "weights.safetensors", "checkpoint"


class Card(BaseModel):
    """What ``agent.json`` holds: kind (its spec without options), world, settings, and how it came to be."""

    kind: str
    world: str
    config: dict[str, Any]
    seed: int
    steps: int
    version: str = __version__
    notes: dict[str, Any] = {}


def write_folder(folder: Path, files: dict[str, str], arrays: dict[str, Arrays]) -> None:
    """Write text files and array files into ``folder`` so that a kill at any moment leaves the old or the new."""
    fresh = folder.with_name(f".{folder.name}.new-{os.getpid()}")
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        fresh.mkdir(parents=True)
        for name, text in files.items():
            (fresh / name).write_text(text, encoding="utf-8")
        for name, tensors in arrays.items():
            save_file({k: np.ascontiguousarray(v) for k, v in tensors.items()}, fresh / name)
        old = folder.with_name(f".{folder.name}.old-{os.getpid()}")
        if folder.exists():
            folder.rename(old)
        fresh.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        shutil.rmtree(fresh, ignore_errors=True)
        raise UserError(f"cannot write {folder}: {error.strerror or error}") from error


def read_arrays(file: Path) -> Arrays:
    """The arrays of a safetensors file. Raises BrokenAgent that names the file."""
    if not file.is_file():
        raise BrokenAgent(f"{file}: missing")
    try:
        arrays: Arrays = load_file(file)
    except (SafetensorError, OSError, ValueError) as error:
        raise BrokenAgent(f"{file}: not a whole safetensors file ({error})") from error
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise BrokenAgent(f"{file}: {name} holds NaN or infinite numbers")
    return arrays


def read_card(folder: Path) -> Card:
    """The card of a saved agent. Raises BrokenAgent that names the file."""
    file = folder / CARD
    try:
        return Card.model_validate_json(file.read_text(encoding="utf-8"))
    except (OSError, ValidationError, UnicodeDecodeError) as error:
        first = str(error).splitlines()[0]
        raise BrokenAgent(f"{file}: not a saved agent's card ({first})") from error


def save_agent(learner: Learner, kind: str, folder: Path, steps: int, notes: dict[str, Any] | None = None) -> Card:
    """Write the learner's acting agent into ``folder``."""
    card = Card(
        kind=kind,
        world=learner.world.id,
        config=learner.config.model_dump(mode="json"),
        seed=learner.task.seed,
        steps=steps,
        notes=notes or {},
    )
    write_folder(folder, {CARD: card.model_dump_json(indent=2)}, {WEIGHTS: learner.weights()})
    return card


def load_agent(folder: Path, world: World) -> Agent:
    """The acting agent saved in ``folder``, for ``world``. Raises BrokenAgent with the file and the trouble."""
    from elodrome.agents.registry import make_config, parse_spec

    card = read_card(folder)
    if card.world != world.id:
        raise BrokenAgent(f"{folder / CARD}: trained for {card.world}, not for {world.id}")
    kind, _ = parse_spec(card.kind)
    cls = kind.load()
    if not issubclass(cls, Learner):
        raise BrokenAgent(f"{folder / CARD}: agent {card.kind!r} does not learn")
    config = make_config(card.kind, cls, card.config)
    weights = read_arrays(folder / WEIGHTS)
    try:
        return cls.restore(world, config, weights)
    except BrokenAgent as error:
        raise BrokenAgent(f"{folder / WEIGHTS}: {error}") from error
    except (KeyError, ValueError, RuntimeError, IndexError) as error:
        raise BrokenAgent(f"{folder / WEIGHTS}: does not fit {card.kind} on {world.id}: {error}") from error


def expect(weights: Arrays, name: str, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """``weights[name]`` if it has the shape; else BrokenAgent that says both shapes."""
    if name not in weights:
        raise BrokenAgent(f"no array {name!r}; there are {', '.join(sorted(weights)) or 'none'}")
    array = weights[name]
    if array.shape != shape:
        raise BrokenAgent(f"{name} has shape {array.shape}, not {shape}")
    return array


def world_slug(world_id: str) -> str:
    """A world's id as a folder name."""
    return "".join(c if c.isalnum() or c in "._-" else "-" for c in world_id)


def agents_folder(world: World) -> Path:
    """Where agents trained for ``world`` are kept by default."""
    return home() / "agents" / world_slug(world.id)


def find_saved(spec: str, world: World) -> Path | None:
    """The folder that ``spec`` names: itself, or a name that was saved for this world; None when it is neither."""
    folder = Path(spec)
    if (folder / CARD).is_file():
        return folder
    if folder.is_dir() and ("/" in spec or os.sep in spec):
        raise BrokenAgent(f"{folder}: no {CARD} in it, so not a saved agent")
    named = agents_folder(world) / spec
    if spec and "/" not in spec and ":" not in spec and (named / CARD).is_file():
        return named
    return None


def save_checkpoint(folder: Path, step: int, snapshot: dict[str, Any]) -> None:
    """Write everything that resuming needs: arrays as safetensors, the rest as JSON."""
    arrays = {k: v for k, v in snapshot.items() if isinstance(v, np.ndarray)}
    rest = {k: v for k, v in snapshot.items() if not isinstance(v, np.ndarray)}
    write_folder(
        folder / CHECKPOINT, {"state.json": json.dumps({"step": step, "values": rest})}, {"state.safetensors": arrays}
    )


def load_checkpoint(folder: Path) -> tuple[int, dict[str, Any]] | None:
    """(step, snapshot) of the last checkpoint, or None where there is none. Raises BrokenAgent when it is broken."""
    place = folder / CHECKPOINT
    if not place.is_dir():
        return None
    try:
        state = json.loads((place / "state.json").read_text(encoding="utf-8"))
        step, values = int(state["step"]), dict(state["values"])
    except (OSError, ValueError, KeyError) as error:
        raise BrokenAgent(f"{place / 'state.json'}: not a whole checkpoint ({error})") from error
    return step, {**values, **read_arrays(place / "state.safetensors")}
