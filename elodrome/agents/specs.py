"""What a spec says: kinds of agents (ours, whose file name is their id, plugins, files), their settings, their worlds.

A spec is ``NAME[:key=value,...]``, where NAME is a kind, a saved agent's folder or the name it has for this world, or
``path/to/file.py:Class[:key=value,...]``, with ``saved=FOLDER`` among them for what a class of yours has learned; where
another program plays, it is ``NAME:[key=value,...:]COMMAND``. Listing reads each file's ``ABOUT`` literal and imports
none of them.
"""

from __future__ import annotations

import ast
import json
import re
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from elodrome.agents.agent import About, Agent, Config, Learner
from elodrome.envs.enumeration import enumerate_world
from elodrome.envs.game import Game, World
from elodrome.envs.registry import parse_options
from elodrome.errors import BrokenAgent, BrokenWorld, UserError, blamed, nearest, shown, told, unknown
from elodrome.plugins import broken, discover, load_file

GROUP = "elodrome.agents"
FAMILIES = ("", "tabular", "value", "policy", "planning", "games", "text")
_SETTINGS = re.compile(r"\w+=[^,:\s]+(,\w+=[^,:\s]+)*:")  # before a command line
_PARTS = re.compile(r"""(?:"[^"]*"|'[^']*'|[^,])+""")
ENUMERABLE = 20_000  # states; more make tables that nobody wants to wait for


@dataclass(frozen=True)
class Kind:
    """A kind of agent: its id, what it says of itself, where its class lives ("module:Class"), where it comes from.
    settings: what a preset has set; preset_of: the kind that it is one of, itself where it is none."""

    id: str
    about: About
    target: str
    origin: str = "elodrome"
    settings: dict[str, Any] = field(default_factory=dict, hash=False)
    preset_of: str = ""

    def load(self) -> type[Agent] | type[Learner]:
        """The class. Raises BrokenAgent, by name, when it does not import or is no Agent or Learner."""
        module, _, attribute = self.target.partition(":")
        with blamed(f"agent {self.id!r} ({self.origin})"):
            found = (
                load_file(module, attribute) if module.endswith(".py") else getattr(import_module(module), attribute)
            )
            return checked_class(self.id, found)


def checked_class(name: str, found: Any) -> type[Agent] | type[Learner]:
    """``found`` if it can serve as an agent. Raises BrokenAgent with what is missing."""
    if not isinstance(found, type) or not issubclass(found, (Agent, Learner)):
        raise BrokenAgent(f"agent {name!r}: {shown(found)} is not a subclass of elodrome.agents.agent.Agent or Learner")
    missing: frozenset[str] = getattr(found, "__abstractmethods__", frozenset())
    if issubclass(found, Agent) and found.act is Agent.act and found.choose is Agent.choose:
        missing = frozenset({"choose (or act)"})
    if missing:
        raise BrokenAgent(f"agent {name!r}: {found.__name__} lacks {', '.join(sorted(missing))}")
    return found


def read_about(file: Path) -> About | None:
    """The ``ABOUT`` literal of a file, without importing it; None where there is none."""
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "ABOUT" for t in node.targets):
            return About.model_validate(ast.literal_eval(node.value))
    return None


@cache
def builtin() -> dict[str, Kind]:
    """Our own kinds, found by file name."""
    root = Path(__file__).parent
    kinds = {}
    for family in FAMILIES:
        for file in sorted((root / family).glob("*.py")):
            about = read_about(file)
            if about is not None:
                package = f"elodrome.agents.{family}." if family else "elodrome.agents."
                target = f"{package}{file.stem}:{about.cls}"
                kinds[file.stem] = Kind(file.stem, about, target, preset_of=file.stem)
                for name, settings in about.presets.items():
                    with_these = ", ".join(f"{key}={json.dumps(value)}" for key, value in settings.items())
                    preset = about.model_copy(update={"summary": f"{file.stem} with {with_these}"})
                    kinds[name] = Kind(name, preset, target, settings=settings, preset_of=file.stem)
    return kinds


def about_class(found: type[Agent] | type[Learner]) -> About:
    """What a plugin's class says of itself: its ABOUT, its module's, or a plain description."""
    import sys

    given = getattr(found, "ABOUT", None) or getattr(sys.modules.get(found.__module__), "ABOUT", None)
    if given is None:
        summary = (found.__doc__ or "").strip().partition("\n")[0]
        given = {"chapter": "plugin", "summary": summary}
    return About.model_validate({"cls": found.__name__, "chapter": "plugin", "summary": "", **given})


def kinds() -> tuple[dict[str, Kind], dict[str, str]]:
    """All kinds by id, and the broken or refused plugins with their reasons."""
    found, problems = dict(builtin()), broken(GROUP)
    for name, plugin in discover(GROUP).items():
        if name in found:
            problems[name] = f"the name is taken by elodrome's own agent; {plugin.origin} must choose another"
            continue
        try:
            about = about_class(checked_class(name, plugin.load()))
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            problems[name] = f"{plugin.origin}: {told(error)}"
            continue
        found[name] = Kind(name, about, plugin.target, plugin.origin)
    return found, problems


@cache
def _has_tables(world: Game) -> bool:
    try:
        enumerate_world(world, ENUMERABLE)
    except BrokenWorld:  # its rules must not run: that is the reason, not its size
        raise
    except UserError:
        return False
    return True


def _not_enumerable(world: World) -> str | None:
    """Why the states of a world make no tables, or None where they do. Foreign worlds may not be hashable."""
    if isinstance(world, Game):
        return None if _has_tables(world) else f"needs a world of at most {ENUMERABLE} states"
    told = world.tables()
    if told is None:
        return "needs a world that tells its transitions"
    return None if told.size <= ENUMERABLE else f"needs a world of at most {ENUMERABLE} states"


def unfit(about: About, world: World) -> str | None:
    """Why this kind cannot play ``world``, or None when it can."""
    least, most = about.players
    if not least <= world.players <= most:
        fit = f"{least} to {most} seats" if least < most else f"{least} seat{'s' * (least > 1)}"
        return f"plays worlds of {fit}, not {world.players}"
    if world.continuous and "continuous" not in about.actions:
        return "chooses one of a few actions; here an action is an array of real numbers"
    if not world.continuous and "discrete" not in about.actions:
        return "needs actions that are real numbers"
    if about.worlds and world.id.partition(":")[0] not in about.worlds:
        return f"plays only {' and '.join(about.worlds)}"
    for need in about.needs:
        if need == "state" and not isinstance(world, Game):
            return "needs the rules of a world of ours"
        if need == "perfect" and (world.information != "perfect" or world.simultaneous):
            return "needs perfect information"
        if need == "zero_sum" and not world.zero_sum:
            return "needs a zero-sum world"
        if need == "deterministic" and not (isinstance(world, Game) and not world.has_chance):
            return "needs a world without dice"
        if need == "enumerable" and (reason := _not_enumerable(world)):
            return reason
        if need == "few":
            if isinstance(world, Game) and (reason := _not_enumerable(world)):
                return reason
            if world.real_valued or world.pixels:
                shows = "pictures" if world.pixels else "real numbers"
                return f"needs a world in which the same is seen again; this one shows {shows}"
        if need == "tokens" and world.kind != "tokens":
            return "needs a token world"
        if need == "text" and world.kind != "tokens":
            if not isinstance(world, Game) or world.text is None:
                return "needs a world that can be written as text"
            if world.information != "perfect" or world.simultaneous:
                return "needs a world that hides nothing, as its text shows all"
    return None


def find_kind(name: str) -> Kind:
    """The kind called ``name``. Raises UserError with the nearest names, or BrokenAgent for a broken plugin."""
    if name in builtin():
        return builtin()[name]
    found, problems = kinds()
    if name in found:
        return found[name]
    if name in problems:
        raise BrokenAgent(f"agent {name!r}: {problems[name]}")
    raise unknown("agent", name, found)


def parse_spec(spec: str) -> tuple[Kind, dict[str, Any]]:
    """A spec that names a kind or a file, as (kind, options)."""
    if commanded(spec):
        start, _, rest = spec.partition(":")
        settings = (_SETTINGS.match(rest) or [""])[0]
        command = rest[len(settings) :].strip()
        return builtin()[start], {**parse_options(spec, settings.rstrip(":")), "command": command}
    if ".py:" in spec:
        path, _, rest = spec.partition(".py:")
        attribute, _, options = rest.partition(":")
        name = f"{path}.py:{attribute}"
        with blamed(f"agent {name!r}"):
            about = about_class(checked_class(name, load_file(path + ".py", attribute)))
        return Kind(attribute, about, name, path + ".py"), parse_options(spec, options)
    name, _, options = spec.partition(":")
    return find_kind(name), parse_options(spec, options)


def commanded(spec: str) -> bool:
    """Whether a spec goes on with the command line of another program."""
    kind = builtin().get(spec.partition(":")[0])
    return kind is not None and kind.about.command


def split_specs(text: str) -> tuple[str, ...]:
    """Specs from one comma-separated line: a part that is key=value belongs to the spec before it, and a comma in
    quotes (of a command) separates nothing."""
    specs: list[str] = []
    for part in filter(None, (p.strip() for p in _PARTS.findall(text))):
        option = r"\w+=.*" if specs and commanded(specs[-1]) else r"\w+=[^:]*"
        if specs and ":" in specs[-1] and re.fullmatch(option, part):
            specs[-1] += f",{part}"
        else:
            specs.append(part)
    return tuple(specs)


def make_config(name: str, cls: type[Agent] | type[Learner], options: dict[str, Any]) -> Config:
    """The validated settings of a kind. Raises UserError that names the bad option and the valid ones."""
    try:
        return cls.config_class(**options)
    except (KeyboardInterrupt, UserError):
        raise
    except BaseException as error:
        if not isinstance(error, ValidationError):
            raise BrokenAgent(f"agent {name!r}: its settings: {told(error)}") from error
        first = error.errors()[0]
        key = str(first["loc"][0]) if first["loc"] else "config"
        valid = list(cls.config_class.model_fields)
        if first["type"] == "extra_forbidden":
            if not valid:
                raise UserError(f"{name} has no option {key!r}; it takes none") from None
            raise UserError(f"{name} has no option {key!r}{nearest(key, valid)}") from None
        raise UserError(f"{name}: {key}={shown(first['input'])}: {first['msg'].lower()}") from None


def checked_agent(made: Any) -> Agent:
    """What a class made, if it is an agent. Raises BrokenAgent where it is none."""
    if not isinstance(made, Agent):
        raise BrokenAgent(f"{shown(made)} is no Agent")
    return made


def runs_code(spec: str) -> str:
    """Where the code of a spec comes from if it is not ours: the file or the plugin's package; else nothing."""
    name = spec.partition(":")[0]
    if ".py:" in spec and not commanded(spec):
        return spec.partition(".py:")[0] + ".py"
    return discover(GROUP)[name].origin if name in discover(GROUP) and name not in builtin() else ""
