"""Bad inputs, drawn from a seed: agents, specs, saved folders, weights, stores, games, protocols, options.

Each family is a function of (rng, place): it writes what it needs into ``place`` and returns a ``Case``,
the command line with which a person would meet it. Whatever comes with data and names code names ``canary.py``.
"""

# ruff: noqa: E501

from __future__ import annotations

import json
import os
import random
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CANARY = "canary.py"  # loaded, it writes a file of its name with .ran behind

NASTY = (
    "[/b]", "[bold red]x[/]", "[link=file:///]", "\x1b[2J\x1b[31m", "\x1b]0;title\x07", "\x9b31m", "a\rb", "a\nb\nc", "\t",
    "\u202eevil\u202c", "\u2066x\u2069", "\u200b", "$x_{$", "$\\frac$", "\\", "%s%n", "{0.__class__}", "<script>x</script>",
    "x" * 300, "ü" * 1000, "../" * 40, "/dev/zero", "名前", "\N{ALIEN MONSTER}", "'", '"', ":", "=", ",", "_", "-", "--", " ",
    "None", "true", "NaN", "Infinity", "1e999", "-1", "0", "9" * 25, "9" * 5000, "[" * 1000, "{" * 1000, "[" * 9 + "]" * 9,
    '{"a":' * 40 + "1", "1.5", "0x10", "1_000", "\u0663", os.fsdecode(b"\xff\xfe"), "canary.py:f", "./canary.py:f",
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A command line, what is written to its stdin, and what was in the way, for the reader of a failure."""

    words: tuple[str, ...]
    stdin: bytes = b""
    what: str = ""


def nasty(rng: random.Random) -> str:
    """A nasty word, or two of them, or one cut somewhere."""
    word = rng.choice(NASTY)
    kind = rng.randrange(4)
    if kind == 0:
        return word + rng.choice(NASTY)
    return word[: rng.randrange(1, len(word) + 1)] if kind == 1 else word


# Agents: {text} is a nasty word, {n} a number.
AGENTS = (
    "def choose(self, p): raise RuntimeError({text})",
    "def choose(self, p): raise type('E', (Exception,), {{'__str__': lambda s: 1 / 0}})()",
    "def choose(self, p): raise type('E', (Exception,), {{'__str__': lambda s: 7}})()",
    "def choose(self, p): raise type('E', (BaseException,), {{}})({text})",
    "def choose(self, p): raise type('E', (TimeoutError,), {{'__repr__': lambda s: 1 / 0}})({text})",
    "def choose(self, p): raise SystemExit({text})",
    "def choose(self, p): raise GeneratorExit",
    "def choose(self, p): raise StopIteration",
    "def choose(self, p): raise RuntimeError('\\ud800' * {n})",
    "def choose(self, p): raise UnicodeDecodeError('utf-8', b'\\xff', 0, 1, {text})",
    "def choose(self, p): import sys; sys.exit({n})",
    "def choose(self, p): return {text}",
    "def choose(self, p): return type('A', (), {{'__repr__': lambda s: 1 / 0}})()",
    "def choose(self, p): return type('A', (), {{'__repr__': lambda s: '\\ud800'}})()",
    "def choose(self, p): return type('A', (int,), {{'__eq__': lambda s, o: 1 / 0, '__hash__': None}})(0)",
    "def choose(self, p): return type('A', (int,), {{'__int__': lambda s: 10 ** 9}})(0)",
    "def choose(self, p): return type('A', (), {{'__class__': property(lambda s: 1 / 0)}})()",
    "def choose(self, p): return 10 ** {n} ** 2",
    "def choose(self, p): return -(10 ** 5000)",
    "def choose(self, p): return RuntimeError({text})",
    "def choose(self, p): return {n} if p.ply > {n} else p.legal_actions",
    "def choose(self, p): return (lambda f: f(f))(lambda f: f(f))",
    "def choose(self, p): raise Failure({text}, {text})",
    "def choose(self, p): return Failure('win', {n})",
    "def choose(self, p): return type('F', (Failure,), {{'__str__': lambda s: 1 / 0}})('crash', {text})",
    "def choose(self, p): f = Failure('illegal', {text}); f.reason = f; f.kind = {n}; return f",
    "def act(self, ps): return {text}",
    "def act(self, ps): return {n}",
    "def act(self, ps): return None",
    "def act(self, ps): return type('L', (), {{'__len__': lambda s: -{n}}})()",
    "def act(self, ps): return type('L', (), {{'__len__': lambda s: len(ps), '__iter__': lambda s: iter(int, 1)}})()",
    "def act(self, ps): return [0] * (len(ps) + {n})",
    "def act(self, ps): return __import__('numpy').zeros((len(ps), {n}))",
    "def act(self, ps): return (int(p.legal_actions[0]) for p in ps)",
    "def act(self, ps): object.__setattr__(ps.world, 'max_steps', {n}); return [int(p.legal_actions[0]) for p in ps]",
    "def act(self, ps): object.__setattr__(ps.world, 'action_name', None); return [int(p.legal_actions[0]) for p in ps]",
    "def act(self, ps): object.__setattr__(ps.world, 'actions', 10 ** 9); raise RuntimeError({text})",
    "def act(self, ps): ps.legal[:] = 1; ps.seats[:] = 7; ps.games[:] = -1; return [{n}] * len(ps)",
    "def forget(self): raise RuntimeError({text})",
    "def forget(self): raise SystemExit({n})",
    "lanes = {n} - 5",
    "lanes = {text}",
    "lanes = 10 ** 30",
    "lanes = None",
    "lanes = property(lambda s: 1 / 0)",
    "stateful = True\n    def ended(self, game, state, returns): return {n}",
    "stateful = True\n    def ended(self, game, state, returns): return {text}",
    "stateful = True\n    def ended(self, game, state, returns): raise SystemExit({text})",
    "stateful = property(lambda s: 1 / 0)",
    "config_class = {n}",
    "config_class = type('C', (), {{'__init__': lambda s, **k: 1 / 0}})",
    "def __init__(self, world, config=None): raise SystemExit({n})",
    "def __init__(self, world, config=None): raise RuntimeError({text})",
    "def __init__(self, world, config=None): raise type('E', (BaseException,), {{'__str__': lambda s: 1 / 0}})()",
    "def __init__(self, world, config=None): pass",
    "def __new__(cls, *a): return {n}",
    "ABOUT = {n}",
    "ABOUT = {{'chapter': {n}, 'players': {text}}}",
    "def evaluate(self, ps): return {text}",
    "def evaluate(self, ps): raise SystemExit({n})",
)
FILES = (
    "raise SystemExit({n})",
    "raise type('E', (BaseException,), {{'__str__': lambda s: 1 / 0}})()",
    "raise KeyError({text})",
    "import sys; sys.exit({text})",
    "def __getattr__(name): raise RuntimeError({text})",
    "Evil = {text}",
    "Evil = type('E', (type,), {{'__repr__': lambda s: 1 / 0}})('E', (), {{}})",
    "Evil = None",
    "(((((",
    "x = '\\ud800'; raise RuntimeError(x)",
    "",
)


def agent(rng: random.Random, place: Path) -> Case:
    """A class of the user's that misbehaves, in a match or under the check."""
    file = place / "evil.py"
    values = {"text": ascii(nasty(rng)), "n": rng.randrange(1, 40)}
    if rng.random() < 0.85:
        body = rng.choice(AGENTS).format(**values)
        plays = "    def choose(self, p): return int(p.legal_actions[0])\n" if "def choose" not in body else ""
        code = f"from elodrome.agents.agent import Agent, Failure\nclass Evil(Agent):\n    'Doc.'\n{plays}    {body}\n"
    else:
        code = rng.choice(FILES).format(**values) + "\n"
    file.write_text(code)
    if rng.random() < 0.05:
        file.write_bytes(rng.randbytes(200))
    if rng.random() < 0.25:
        return Case(("check", "agent", f"{file}:Evil", "--env", "tic_tac_toe"), what=code)
    flags = rng.choice([(), ("--json",), ("--no-keep",)])
    # Most of them without a cell, where they can do more harm, and which takes a hundredth of the time.
    here = () if rng.random() < 0.15 else ("--no-isolate",)
    return Case(("match", "tic_tac_toe", f"{file}:Evil", "random", "--games", "2", *flags, *here), what=code)


def spec(rng: random.Random, place: Path) -> Case:
    """An agent's name that is none, or has settings that are none."""
    kind = rng.choice(["random", "minimax", "mcts", "alphazero-weak", "q_learning", "nobody", "gtp", "human", ""])
    word = nasty(rng)
    key = rng.choice(["simulations", "depth", "seconds", "saved", "limit_seconds", "limit_x", "x", nasty(rng)])
    text = rng.choice([f"{kind}:{key}={word}", f"{kind}{word}", word, f"{kind}:{word}", f"{word}:{key}={word}"])
    return Case(("match", "tic_tac_toe", "--games", "2", "--no-keep", "--", text, "random"))


def world(rng: random.Random, place: Path) -> Case:
    """A world's name that is none."""
    word = nasty(rng)
    name = rng.choice(["tic_tac_toe", "gridworld", "connect_four", "nowhere", "gymnasium", "open_spiel"])
    text = rng.choice([f"{name}:{word}", f"{name}{word}", word, f"{name}:x={word}", f"{place}/{word}.py:f"])
    if text in ("tic_tac_toe", "connect_four"):
        text = ""
    return Case(("match", "--games", "2", "--no-keep", "--", text, "random", "random"))


# Worlds of the user's own: what ``f`` does.
WORLDS = (
    "raise SystemExit({text})",
    "raise type('E', (BaseException,), {{'__str__': lambda s: 1 / 0}})()",
    "return {text}",
    "return Game",
    "return make_env({text})",
    "return replace(base, id={text})",
    "return replace(base, id='tic_tac_toe', max_steps={n})",
    "return replace(base, max_steps={n} - 20)",
    "return replace(base, players={n} - 1)",
    "return replace(base, players={text})",
    "return replace(base, actions={n})",
    "return replace(base, actions=10 ** {n})",
    "return replace(base, observation_shape=({n},))",
    "return replace(base, observation_shape={text})",
    "return replace(base, observation_shape=())",
    "return replace(base, state_words={n})",
    "return replace(base, state_words=10 ** {n})",
    "return replace(base, outcomes={n})",
    "return replace(base, kind={text})",
    "return replace(base, information={text})",
    "return replace(base, return_range=(float('nan'), {n}))",
    "return replace(base, return_range={text})",
    "return replace(base, discount={text})",
    "return replace(base, discount=float('nan'))",
    "return replace(base, action_names=({text},) * 9)",
    "return replace(base, action_names=({n},) * 9)",
    "return replace(base, seat_names=({text}, {text}))",
    "return replace(base, seat_names=({text},))",
    "return replace(base, summary={text}, source={text})",
    "return replace(base, text=lambda s: 1 / 0)",
    "return replace(base, text=lambda s: {text})",
    "return replace(base, look={text})",
    "return replace(base, symmetries={text})",
    "return replace(base, constants={text})",
    "return replace(base, extra={text})",
    "return replace(base, step=base.legal)",
    "return replace(base, legal=lambda s, m: None)",
    "return replace(base, reset=make_env('go:size=5').reset)",
    "return replace(base, observe=make_env('go:size=5').observe)",
    "return replace(base, player=make_env('connect_four').player)",
    "return type('W', (Game,), {{'action_name': lambda s, a: {n}}})(**values(base))",
)
WORLD = """from dataclasses import fields, replace
from elodrome.envs.game import Game
from elodrome.envs.registry import make_env
base = make_env("tic_tac_toe")
def values(world): return {{f.name: getattr(world, f.name) for f in fields(world) if f.init}}
def f({parameters}):
    {body}
"""


def world_file(rng: random.Random, place: Path) -> Case:
    """A world of the user's own that is none, or odd."""
    file = place / "odd.py"
    values = {"text": ascii(nasty(rng)), "n": rng.randrange(1, 40)}
    parameters = rng.choice(["", "", "", "x", "x=1", "*x", "**x"])
    code = WORLD.format(parameters=parameters, body=rng.choice(WORLDS).format(**values))
    file.write_text(code)
    name = f"{file}:f{rng.choice(['', '', '', ':x=2', ':y=' + nasty(rng)])}"
    words = rng.choice(
        [
            ("match", name, "random", "random", "--games", "2"),
            ("match", name, "random", "minimax", "--games", "2", "--json"),
            ("check", "env", name),
            ("check", "agent", "random", "--env", name),
            ("agents", "--env", name),
            ("strength", "random", "--env", name, "--games", "2"),
            ("train", "q_learning", "--env", name, "--steps", "20", "--out", str(place / "run")),
            (
                "tournament",
                "run",
                "--env",
                name,
                "--agents",
                "random,random:",
                "--games",
                "2",
                "--workers",
                "1",
                "--out",
                "t",
            ),
        ]
    )
    return Case(words, what=code)


def option(rng: random.Random, place: Path) -> Case:
    """A setting of a learner or an option of a command."""
    word = nasty(rng)
    if rng.random() < 0.5:
        key = rng.choice(["alpha", "epsilon", "initial", "lanes", nasty(rng)])
        run = ("--set", f"{key}={word}", "--out", str(place / "run"))
        return Case(("train", "q_learning", "--env", "tic_tac_toe", "--steps", "20", *run))
    flag = rng.choice(["--games", "--seed", "--opening", "--keep", "--sgf", f"--{word}"])
    return Case(
        ("match", "tic_tac_toe", "random", "random", "--no-keep", f"{flag}={word}" if flag != "--sgf" else flag)
    )


def _mangled(rng: random.Random, document: Any) -> Any:
    """A JSON document with one value changed, one key more, or one less."""
    values: list[Any] = [
        None,
        [],
        {},
        -1,
        10**30,
        1e308,
        float("nan"),
        True,
        "canary.py:f",
        {"a": [[]] * 9},
        nasty(rng),
    ]
    changed = json.loads(json.dumps(document))
    place = changed
    while isinstance(place, dict) and any(isinstance(v, dict) for v in place.values()) and rng.random() < 0.5:
        place = rng.choice([v for v in place.values() if isinstance(v, dict)])
    keys = [*place, nasty(rng)]
    if rng.random() < 0.2 and place:
        del place[rng.choice(list(place))]
    else:
        place[rng.choice(keys)] = rng.choice(values)
    return changed


def _bytes(rng: random.Random, content: bytes) -> bytes:
    """A file cut short, with bytes changed, or of something else."""
    kind = rng.randrange(5)
    if kind == 0:
        return content[: rng.randrange(len(content))]
    if kind == 1:
        return rng.randbytes(rng.randrange(300))
    if kind == 2:
        return rng.choice([2**63, 2**40, 0, len(content) * 2]).to_bytes(8, "little") + content[8:]
    if kind == 3:
        return b"[" * 100_000
    changed = bytearray(content)
    for _ in range(rng.randrange(1, 20)):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def _refile(rng: random.Random, file: Path) -> str:
    """Put something in a file's place that is no file, or broken; what it is."""
    content = file.read_bytes()
    kind = rng.choice(["/dev/zero", "/dev/tty", "fifo", "folder", "bytes", "bytes", "bytes", "bytes"])
    file.unlink()
    if kind == "fifo":
        os.mkfifo(file)
    elif kind == "folder":
        file.mkdir()
    elif kind == "bytes":
        file.write_bytes(_bytes(rng, content))
    else:
        file.symlink_to(kind)
    return f"{file.name}: {kind}"


def saved(rng: random.Random, place: Path) -> Case:
    """A saved agent whose card names code, or says nonsense."""
    folder = place / "home" / "agents" / "tic_tac_toe" / "bad"
    _copy_agent(folder)
    card = json.loads((folder / "agent.json").read_text())
    if rng.random() < 0.5:
        card["kind"] = rng.choice(
            [f"{place}/{CANARY}:f", f"{CANARY}:f", "canary:f", f"{folder}/{CANARY}:M:x=1", nasty(rng)]
        )
        (folder / CANARY).write_text((place / CANARY).read_text())
    if rng.random() < 0.2:
        card["world"] = rng.choice([f"{place}/{CANARY}:f", nasty(rng)])
    card = _mangled(rng, card)
    (folder / "agent.json").write_text(json.dumps(card))
    if rng.random() < 0.3:
        return Case(("agents", "--env", "tic_tac_toe", *rng.choice([(), ("--json",)])), what=str(card))
    return Case(_plays(rng, folder), what=str(card))


def weights(rng: random.Random, place: Path) -> Case:
    """A saved agent of which a file is broken or none."""
    folder = place / "home" / "agents" / "tic_tac_toe" / "bad"
    _copy_agent(folder)
    return Case(
        _plays(rng, folder), what=_refile(rng, folder / rng.choice(["weights.safetensors"] * 3 + ["agent.json"]))
    )


def _plays(rng: random.Random, folder: Path) -> tuple[str, ...]:
    name = rng.choice([str(folder), "bad", f"{folder}:x=1"])
    return ("match", "tic_tac_toe", name, "random", "--games", "2", "--no-keep")


def _copy_agent(folder: Path) -> None:
    import shutil

    shutil.copytree(Path(os.environ["HOSTILE_AGENT"]), folder)


def checkpoint(rng: random.Random, place: Path) -> Case:
    """A run whose files are broken, and that is to go on."""
    _copy_agent(place / "run")
    file = place / "run" / rng.choice(["run.json", "checkpoint.safetensors", "learning.jsonl"])
    if file.name == "run.json" and rng.random() < 0.5:
        document = _mangled(rng, json.loads(file.read_text()))
        file.write_text(json.dumps(document))
        what = str(document)
    else:
        what = _refile(rng, file)
    words = ("train", "q_learning", "--env", "tic_tac_toe", "--steps", "400", "--resume", "--out", str(place / "run"))
    return Case(words, what=what)


def store(rng: random.Random, place: Path) -> Case:
    """A database with nasty names or worlds that name code, or none at all."""
    from elodrome.arena.record import GameRecord
    from elodrome.arena.store import Store

    file = place / "results.sqlite"
    names = ("random", "other")
    env = rng.choice(["tic_tac_toe", f"{place}/{CANARY}:f", "canary.py:f"])
    same = {"seed": 0, "agent_seed": 0, "opening": 0, "moves": ((0, 1),), "returns": (1.0, -1.0), "scores": (1.0, 0.0)}
    games = [GameRecord(id=str(i), env=env, agents=names, termination="win", **same) for i in range(3)]
    with Store(file) as results:
        results.add(games)
    change = rng.choice(["agents", "reason", "env", "id", "bytes", "bytes"])
    if change == "bytes":
        return Case(("ladder", "--from", str(file)), what=_refile(rng, file))
    word = nasty(rng).encode("utf-8", "backslashreplace").decode()
    value = json.dumps([word, "random"]) if change == "agents" else f"{word} id" if change == "id" else word
    with sqlite3.connect(file) as connection:
        connection.execute(f"update games set {change} = ? where id = '1'", (value,))
    connection.close()
    flags = rng.choice([(), ("--json",), ("--env", "tic_tac_toe")])
    return Case(("ladder", "--from", str(file), *flags), what=f"{change}: {value}")


_SGF = b"(;GM[1]FF[4]SZ[5]KM[0.5]PB[a]PW[b]RE[B+R];B[aa];W[bb];B[tt];W[])"
_GTP = (
    b"name", b"boardsize 5", b"boardsize -1", b"boardsize 99999999999999999999", b"komi nan", b"komi 1e999", b"komi x",
    b"play black a1", b"play w t19", b"play", b"genmove b", b"genmove \xff", b"undo", b"final_score", b"showboard",
    b"fixed_handicap 9", b"fixed_handicap 99999", b"place_free_handicap " + b"9" * 5000, b"set_free_handicap a1 a1",
    b"\xff\xfe\x00", b"# comment", b"9999999999 name", b"loadsgf", b"loadsgf \x00", b"loadsgf /dev/zero", b"loadsgf /",
    b"loadsgf " + b"x" * 300, b"known_command " + b"[" * 1000, b"\x1b[2J", "\u202e".encode(), b"time_left b x", b"quit x",
)  # fmt: skip


def gtp(rng: random.Random, place: Path) -> Case:
    """Bytes for our server of the Go Text Protocol, and games for it to load."""
    file = place / "game.sgf"
    file.write_bytes(_SGF.replace(b"aa", nasty(rng).encode("utf-8", "surrogateescape")) if rng.random() < 0.5 else _SGF)
    if rng.random() < 0.7:
        _refile(rng, file)
    lines = [rng.choice(_GTP) for _ in range(rng.randrange(1, 12))]
    lines += [
        b"loadsgf " + os.fsencode(file),
        rng.choice([b"loadsgf game.sgf 99999999999999999999", nasty(rng).encode("utf-8", "replace")]),
    ]
    rng.shuffle(lines)
    end = rng.choice([b"\n", b"\r\n", b"", b"\nquit\n", b"\n" + b"x" * 70_000])
    return Case(("gtp", "random", "--env", "go:size=5"), stdin=b"\n".join(lines) + end)


FAMILIES: dict[Callable[[random.Random, Path], Case], int] = {
    agent: 6, spec: 4, world: 2, world_file: 2, option: 3, saved: 4, weights: 3, checkpoint: 2, store: 3, gtp: 3,
}  # fmt: skip
