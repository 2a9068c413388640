"""Saved agents and checkpoints: a folder with ``agent.json`` and ``weights.safetensors``, never a pickle.

A file from outside can hold nothing that runs, and names nothing that does: its card names a kind of ours or of an
installed plugin, and a Python file is loaded only where a person's own spec names it. What is truncated, of the wrong
shape, for another world or not finite is refused with an error that names the file and the trouble.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save

from elodrome import __version__
from elodrome.agents.agent import Agent, Learner
from elodrome.agents.specs import Kind, checked_agent, find_kind, make_config
from elodrome.envs.game import World
from elodrome.errors import BrokenAgent, UserError, blamed, told
from elodrome.files import ARRAYS, is_file, read_text, regular
from elodrome.files import CARD as CARD_BYTES
from elodrome.home import home

Arrays = dict[str, npt.NDArray[Any]]
SHIPPED = Path(__file__).parents[2] / "trained"
CARD, WEIGHTS, CHECKPOINT = "agent.json", "weights.safetensors", "checkpoint.safetensors"
RUN = "run.json"  # the settings of a training, and the command that goes on with it
_KINDS = {"BOOL", *(f"{kind}{bits}" for kind in "IU" for bits in (8, 16, 32, 64)), "F16", "F32", "F64"}


class Card(BaseModel):
    """What ``agent.json`` holds: kind (its spec without options), world and its layout, settings, and how it came to
    be."""

    kind: str
    world: str
    config: dict[str, Any]
    seed: int
    steps: int
    version: str = __version__
    layout: str = ""
    notes: dict[str, Any] = {}


def replace_file(file: Path, content: bytes) -> None:
    """Write a file so that a kill at any moment leaves the old one or the new one, whole."""
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with fresh.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        fresh.replace(file)
    except OSError as error:
        with contextlib.suppress(OSError):
            fresh.unlink()
        raise UserError(f"cannot write {file}: {error.strerror or error}") from error


def pack(arrays: Arrays, metadata: dict[str, str] | None = None) -> bytes:
    """Arrays as the bytes of a safetensors file."""
    content: bytes = save({name: np.asarray(array, order="C") for name, array in arrays.items()}, metadata)
    return content


def read_arrays(file: Path) -> Arrays:
    """The arrays of a safetensors file. Raises BrokenAgent that names the file."""
    if not file.exists():
        raise BrokenAgent(f"{file}: missing")
    try:
        with safe_open(regular(file, ARRAYS), framework="numpy") as opened:
            for name in opened.keys():  # noqa: SIM118
                kind = opened.get_slice(name).get_dtype()
                if kind not in _KINDS:
                    known = ", ".join(sorted(_KINDS))
                    raise BrokenAgent(f"{file}: {name!r} is of type {kind}, which numpy has not; save it as {known}")
        arrays: Arrays = load_file(file)
    except BrokenAgent:
        raise
    except UserError as error:
        raise BrokenAgent(str(error)) from error
    except (SafetensorError, OSError, ValueError, MemoryError) as error:
        raise BrokenAgent(f"{file}: not a whole safetensors file ({error})") from error
    for name, array in arrays.items():
        if array.dtype.kind in "fc" and not np.isfinite(array).all():
            raise BrokenAgent(f"{file}: {name} holds NaN or infinite numbers")
    return arrays


def read_card(folder: Path) -> Card:
    """The card of a saved agent. Raises BrokenAgent that names the file."""
    file = folder / CARD
    try:
        return Card.model_validate_json(read_text(file, CARD_BYTES))
    except UserError as error:
        raise BrokenAgent(str(error)) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        trouble = f"{where}: {first['msg']}" if where else first["msg"]
        raise BrokenAgent(f"{file}: not a saved agent's card ({trouble})") from error


def save_agent(
    learner: Learner,
    kind: str,
    folder: Path,
    steps: int,
    notes: dict[str, Any] | None = None,
    weights: Arrays | None = None,
) -> Card:
    """Write the learner's acting agent, or that of ``weights``, into ``folder``."""
    card = Card(
        kind=kind,
        world=learner.world.id,
        config=learner.config.model_dump(mode="json"),
        seed=learner.task.seed,
        steps=steps,
        layout=learner.world.layout,
        notes=notes or {},
    )
    replace_file(folder / WEIGHTS, pack(learner.weights() if weights is None else weights))
    replace_file(folder / CARD, card.model_dump_json(indent=2).encode())
    return card


def load_agent(folder: Path, world: World, options: dict[str, Any] | None = None, by: Kind | None = None) -> Agent:
    """The acting agent saved in ``folder``, for ``world`` or one of its layout; ``options`` replace settings that it
    was trained with, such as simulations=50. ``by`` is the kind that the user named, where it is one of a file: the
    card alone loads none. Raises BrokenAgent with the file and the trouble, UserError for an option that is none."""
    card = read_card(folder)
    if card.world != world.id and not (card.layout and card.layout == world.layout):
        raise BrokenAgent(f"{folder / CARD}: trained for {card.world}, not for {world.id}")
    kind = _kind_of(card, folder) if by is None else by
    if by is not None and kind_name(card.kind).rpartition(":")[2] != by.id:
        raise BrokenAgent(f"{folder / CARD}: an agent of kind {card.kind!r}, not of {by.id!r}")
    cls = kind.load()
    if not issubclass(cls, Learner):
        raise BrokenAgent(f"{folder / CARD}: agent {card.kind!r} does not learn")
    config = make_config(kind.id, cls, {**card.config, **(options or {})})
    weights = read_arrays(folder / WEIGHTS)
    try:
        with blamed(f"does not fit {card.kind} on {world.id}"):
            return checked_agent(cls.restore(world, config, weights))
    except BrokenAgent as error:
        raise BrokenAgent(f"{folder / WEIGHTS}: {told(error)}") from error


def kind_name(spec: str) -> str:
    """A spec without its options: what a card says of its agent."""
    path, is_file, rest = spec.partition(".py:")
    return path + is_file + rest.partition(":")[0] if is_file else spec.partition(":")[0]


def _kind_of(card: Card, folder: Path) -> Kind:
    """The registered kind that a card names. Raises BrokenAgent, with what to do, where it names a file."""
    if ".py:" in card.kind:
        raise BrokenAgent(
            f"{folder / CARD} names a Python file ({card.kind!r}), and what comes with a saved agent runs nothing; "
            f"if you trust that file, name it yourself: {kind_name(card.kind)}:saved={folder}"
        )
    try:
        return find_kind(kind_name(card.kind))
    except UserError as error:
        raise BrokenAgent(f"{folder / CARD}: {error}") from error


def expect(weights: Arrays, name: str, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """``weights[name]`` if it has the shape; else BrokenAgent that says both shapes."""
    if name not in weights:
        raise BrokenAgent(f"no array {name!r} among its {len(weights)}")
    array = weights[name]
    if array.shape != shape:
        raise BrokenAgent(f"{name} has shape {array.shape}, not {shape}")
    return array


LONGEST_NAME = 120  # bytes of a folder's name; file systems take 255, and others put words behind it


def world_slug(world_id: str) -> str:
    """A world's id as a folder name; one that is too long for that ends in a digest of the whole."""
    name = "".join(c if c.isalnum() or c in "._-" else "-" for c in world_id)
    if len(name.encode()) <= LONGEST_NAME:
        return name
    start = name.encode()[: LONGEST_NAME - 17].decode("utf-8", "ignore")
    return f"{start}-{hashlib.sha256(world_id.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"


def agents_folder(world: World) -> Path:
    """Where agents trained for ``world`` are kept by default."""
    return home() / "agents" / world_slug(world.id)


def shipped_folder(world: World) -> Path:
    """Where the agents for ``world`` that come with the package are."""
    return SHIPPED / world_slug(world.id)


@dataclass(frozen=True)
class SavedAgent:
    """An agent that its name alone finds: of the user's own making, or one that comes with the package."""

    name: str
    card: Card
    shipped: bool

    @property
    def elo(self) -> float | None:
        """What its card says was measured, on the scale where random play has 0."""
        found = self.card.notes.get("elo")
        if isinstance(found, bool) or not isinstance(found, (int, float)) or not abs(found) < 1e6:
            return None
        return float(found)


def saved_agents(world: World) -> list[SavedAgent]:
    """The agents trained for ``world``: the user's own by name, then those that ship, strongest first. An own one hides
    a shipped one of the same name; folders with a broken card are left out."""
    own, ships = (
        [_read_saved(file.parent, shipped) for file in sorted(place.glob(f"*/{CARD}"))]
        for place, shipped in ((agents_folder(world), False), (shipped_folder(world), True))
    )
    ranked = sorted(filter(None, ships), key=lambda agent: -(agent.elo or 0.0))
    found: dict[str, SavedAgent] = {}
    for agent in (*filter(None, own), *ranked):
        found.setdefault(agent.name, agent)
    return list(found.values())


def _read_saved(folder: Path, shipped: bool) -> SavedAgent | None:
    try:
        return SavedAgent(folder.name, read_card(folder), shipped)
    except BrokenAgent:
        return None


def find_saved(spec: str, world: World) -> tuple[Path, str] | None:
    """(folder, options) that ``spec`` names: a folder, or a name saved for this world or shipped for it, with
    ``:key=value,...`` behind it where wanted. None when it is neither."""
    for name, options in ((spec, ""), spec.partition(":")[::2]):
        folder = Path(name)
        if name and is_file(folder / CARD):
            return folder, options
        if os.path.isdir(folder) and ("/" in name or os.sep in name):
            if command := _unfinished(folder):
                raise BrokenAgent(f"{folder}: training was stopped before anything was saved; to go on: {command}")
            raise BrokenAgent(f"{folder}: no {CARD} in it, so not a saved agent")
        if name and "/" not in name and ":" not in name:
            for place in (agents_folder(world), shipped_folder(world)):
                if is_file(place / name / CARD):
                    return place / name, options
    return None


def _unfinished(folder: Path) -> str:
    """The command that goes on with the training whose folder this is, or nothing."""
    try:
        return str(json.loads((folder / RUN).read_text(encoding="utf-8"))["command"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""


def worlds_with(name: str) -> list[str]:
    """The worlds for which an agent of that name is saved, or ships."""
    if not name or "/" in name or os.sep in name:
        return []
    folders = [world / name for place in (home() / "agents", SHIPPED) for world in place.glob("*")]
    return sorted({agent.card.world for folder in folders if (agent := _read_saved(folder, shipped=False))})


def under(arrays: dict[str, Any], prefix: str) -> dict[str, Any]:
    """The entries of a snapshot whose names begin with ``prefix``, without it."""
    return {name[len(prefix) :]: value for name, value in arrays.items() if name.startswith(prefix)}


def save_checkpoint(folder: Path, step: int, snapshot: dict[str, Any]) -> None:
    """Write everything that resuming needs into one file: arrays, and the rest as JSON in its header."""
    arrays = {k: v for k, v in snapshot.items() if isinstance(v, np.ndarray)}
    rest = {k: v for k, v in snapshot.items() if not isinstance(v, np.ndarray)}
    replace_file(folder / CHECKPOINT, pack(arrays, {"state": json.dumps({"step": step, "values": rest})}))


def load_checkpoint(folder: Path) -> tuple[int, dict[str, Any]] | None:
    """(step, snapshot) of the last checkpoint, or None where there is none. Raises BrokenAgent when it is broken."""
    file = folder / CHECKPOINT
    if not file.exists():
        return None
    arrays = read_arrays(file)
    try:
        with safe_open(file, framework="numpy") as opened:
            state = json.loads(opened.metadata()["state"])
        return int(state["step"]), {**state["values"], **arrays}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BrokenAgent(f"{file}: not a whole checkpoint ({told(error)})") from error


def require_alike(now: dict[str, Any], given: dict[str, Any]) -> None:
    """Raises BrokenAgent where what was resumed keeps other things than it was told, or of another shape: what NumPy
    fits together in silence would be learned on with."""
    for name in sorted(now.keys() ^ given.keys()):
        raise BrokenAgent(f"{name} is {'missing' if name in now else 'not known'}")
    for name, array in now.items():
        if isinstance(array, np.ndarray) and array.shape != np.shape(given[name]):
            raise BrokenAgent(f"{name} has shape {np.shape(given[name])}, not {array.shape}")
