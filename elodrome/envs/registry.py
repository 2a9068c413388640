"""Worlds by name: ours, those of plugins, and foreign ones through an adapter's prefix.

A name is an id (``connect_four``), with options if wanted (``gridworld:slip=0.1,map=maze``),
``path/to/file.py:function``, or ``gymnasium:...``, ``pettingzoo:...``, ``open_spiel:...``. Outside packages declare
the entry point group ``elodrome.envs``: a function that returns a ``World``. One broken plugin is named and skipped.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from elodrome.errors import BadOption, BrokenWorld, UserError, blamed, printable, shown, told, unknown
from elodrome.plugins import LONGEST, Plugin, broken, discover, load_file, parse_value

if TYPE_CHECKING:
    from elodrome.envs.game import World

GROUP = "elodrome.envs"
PREFIXES = ("gymnasium", "pettingzoo", "open_spiel")


@dataclass(frozen=True)
class Entry:
    """One line of the catalogue: the id, where its maker lives, one line for people.

    seats: how many it has by default, so that those of one seat are known without an import; None: not known.
    """

    id: str
    maker: str
    summary: str
    seats: int | None = None
    origin: str = "elodrome"


# Kept as text, so that listing imports no world.
BUILTIN = {
    e.id: e
    for e in (
        Entry("tic_tac_toe", "elodrome.envs.boards.tic_tac_toe:tic_tac_toe", "three in a row on 3 x 3", 2),
        Entry(
            "connect_four", "elodrome.envs.boards.connect_four:connect_four", "four in a row on 7 x 6, stones fall", 2
        ),
        Entry("go", "elodrome.envs.boards.go:go", "size=9,komi=7.5; area scoring, positional superko", 2),
        Entry("gridworld", "elodrome.envs.gridworlds.gridworld:gridworld", "any ASCII map: walls, slip, wind", 1),
        Entry(
            "cliff_walking", "elodrome.envs.gridworlds.gridworld:cliff_walking", "4 x 12 with a cliff (notes 2.5.5)", 1
        ),
        Entry("random_walk", "elodrome.envs.gridworlds.random_walk:random_walk", "19 states in a row", 1),
        Entry("corridor", "elodrome.envs.gridworlds.corridor:corridor", "three places that look the same", 1),
        Entry("blackjack", "elodrome.envs.cards.blackjack:blackjack", "stick or hit against a dealer", 1),
        Entry("doors", "elodrome.envs.gridworlds.doors:doors", "a noisy room behind one of two doors", 1),
        Entry(
            "matrix_game", "elodrome.envs.matrix.matrix_game:matrix_game", "any payoff tensor, one-shot or repeated", 2
        ),
        Entry(
            "rock_paper_scissors", "elodrome.envs.matrix.classics:rock_paper_scissors", "rounds=1; cyclic, zero-sum", 2
        ),
        Entry(
            "prisoners_dilemma", "elodrome.envs.matrix.classics:prisoners_dilemma", "rounds=1; defection dominates", 2
        ),
        Entry(
            "matching_pennies", "elodrome.envs.matrix.classics:matching_pennies", "rounds=1; zero-sum, mixed Nash", 2
        ),
        Entry("stag_hunt", "elodrome.envs.matrix.classics:stag_hunt", "rounds=1; trust or safety", 2),
        Entry("chicken", "elodrome.envs.matrix.classics:chicken", "rounds=1; who swerves", 2),
        Entry("coordination", "elodrome.envs.matrix.classics:coordination", "rounds=1; a shared reward", 2),
        Entry(
            "token_mdp",
            "elodrome.envs.tokens.generation:token_mdp",
            "token generation, reward at the end (notes 5.2.1)",
            1,
        ),
        Entry(
            "arithmetic",
            "elodrome.envs.tokens.arithmetic:arithmetic",
            "sums token by token, with steps or without; verified",
            1,
        ),
        Entry(
            "strings",
            "elodrome.envs.tokens.strings:strings",
            "wanted letters in order; a reward that is easily over-estimated",
            1,
        ),
    )
}


def entries() -> tuple[dict[str, Entry], dict[str, str]]:
    """All worlds by id, and the broken or refused plugins with their reasons."""
    found, problems = dict(BUILTIN), broken(GROUP)
    for name, plugin in discover(GROUP).items():
        if name in BUILTIN:
            problems[name] = f"the name is taken by elodrome's own world; {plugin.origin} must choose another"
            continue
        try:
            maker = plugin.load()
            summary = (inspect.getdoc(maker) or "").partition("\n")[0]
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            problems[name] = f"{plugin.origin}: {told(error)}"
            continue
        found[name] = Entry(name, plugin.target, summary, origin=plugin.origin)
    return found, problems


def make_env(name: str, **options: Any) -> World:
    """The world called ``name``, with options from the name itself or from keywords.

    Raises UserError for an unknown name (with the nearest valid ones); BadOption, a TypeError as well, for an option
    that the world does not take; BrokenWorld, which names the plugin, where its own code fails.
    """
    from elodrome.envs.game import World

    if not isinstance(name, str):
        raise BadOption(f"a world is called by its name, such as 'connect_four', not {shown(name)}")
    prefix = name.partition(":")[0]
    ours = prefix in BUILTIN
    with nullcontext() if ours else blamed(_called(name), BrokenWorld):
        maker, given = _maker(name)
        given |= options
        try:
            inspect.signature(maker).bind(**given)
        except TypeError as error:
            known = ", ".join(inspect.signature(maker).parameters) or "none"
            raise BadOption(f"world {name!r}: {error}; options: {known}") from None
        world = maker(**given)
    if not isinstance(world, World):
        raise BrokenWorld(f"{_called(name)}: {shown(maker)} returned {type(world).__name__}, not a World")
    world.note(name if not options else "", ours=ours)
    return world


def name_of(world: World) -> str | None:
    """The name under which ``make_env`` makes this very world again, or None."""
    for name in (world.id, world.made_as):
        try:
            if name and make_env(name).same_as(world):
                return name
        except UserError:
            continue
    return None


def call_name(world: World) -> str:
    """What another process calls a world: ``name_of``, or the next best where that cannot be made sure."""
    return name_of(world) or world.made_as or world.id


def _called(name: str) -> str:
    """A world in an error: its name, and the package that it is from."""
    plugin = discover(GROUP).get(name.partition(":")[0])
    return f"world {printable(name, 80)!r}" + (f" of {plugin.origin}" if plugin else "")


def _maker(name: str) -> tuple[Callable[..., World], dict[str, Any]]:
    """The function behind a name, and the options that stand in the name."""
    prefix, _, rest = name.partition(":")
    if prefix in PREFIXES and rest:
        return partial(import_module(f"elodrome.envs.adapters.{prefix}").from_name, rest), {}
    if ".py:" in name:
        path, _, rest = name.partition(".py:")
        attribute, _, options = rest.partition(":")
        maker = load_file(path + ".py", attribute)
        if not callable(maker):
            raise BrokenWorld(f"world {name!r}: {attribute} is no function that returns a World")
        return maker, parse_options(name, options)
    plain, _, options = name.partition(":")
    if plain in BUILTIN:
        module, _, attribute = BUILTIN[plain].maker.partition(":")
        return getattr(import_module(module), attribute), parse_options(name, options)
    plugins: dict[str, Plugin] = discover(GROUP)
    if plain in plugins:
        return plugins[plain].load(), parse_options(name, options)
    if plain in broken(GROUP):
        raise BrokenWorld(f"world {plain!r}: {broken(GROUP)[plain]}")
    if plain in PREFIXES:
        raise UserError(f"{plain}: needs a name behind the colon, as in {plain}:{_EXAMPLES[plain]}")
    raise unknown("environment", plain, [*BUILTIN, *plugins])


_EXAMPLES = {"gymnasium": "CartPole-v1", "pettingzoo": "classic/connect_four_v3", "open_spiel": "kuhn_poker"}


def _split_outside_brackets(text: str) -> list[str]:
    """``text`` cut at the commas that stand in no bracket: ``payoffs=[[1,2],[3,4]],rounds=5`` has two parts."""
    parts, depth, start = [], 0, 0
    for mark in re.finditer(r"[\[\](){},]", text):
        depth += (mark[0] in "[{(") - (mark[0] in "]})")
        if mark[0] == "," and depth <= 0:
            parts.append(text[start : mark.start()])
            start = mark.end()
    return [*parts, text[start:]]


def parse_options(name: str, text: str) -> dict[str, Any]:
    """``key=value,key=value`` as a dict; numbers, booleans, lists and tables are read as JSON."""
    options: dict[str, Any] = {}
    if len(text) > LONGEST:
        raise UserError(f"{name[:40]!r}...: options of {len(text)} characters; at most {LONGEST}")
    for part in filter(None, _split_outside_brackets(text)):
        key, equals, value = part.partition("=")
        if not equals or not key.isidentifier():
            raise UserError(f"{name!r}: {part!r} is not key=value")
        try:
            options[key] = parse_value(value)
        except UserError as error:
            raise UserError(f"{printable(name, 80)}: {printable(key, 40)}: {error}") from error
    return options
