"""Plugins: the examples in a fresh environment, single files, and everything that can be wrong with one (FAULTS 31)."""

import json
import os
import pickle
import subprocess
import sys
import sysconfig
import venv
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from elodrome import make_env, plugins
from elodrome.agents import specs
from elodrome.envs import registry as env_registry
from elodrome.errors import BrokenAgent, UserError
from elodrome.plugins import Plugin

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new virtual environment that sees elodrome's dependencies, with both example packages installed by pip."""
    root = tmp_path_factory.mktemp("fresh")
    venv.create(root / "venv", with_pip=False)
    site = next((root / "venv" / "lib").glob("python*")) / "site-packages"
    # .pth: our dependencies and elodrome itself (which may be an editable install) without installing them again.
    (site / "dependencies.pth").write_text(f"{sysconfig.get_paths()['purelib']}\n{EXAMPLES.parent}\n")
    python = root / "venv" / "bin" / "python"
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check", "install", "--quiet",
         "--no-deps", "--no-build-isolation",
         *(str(_copy(EXAMPLES / e, root)) for e in ("plugin_agent", "plugin_world"))],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return python


def _copy(example: Path, root: Path) -> Path:
    """Building in place would leave files in the repository."""
    import shutil

    return Path(shutil.copytree(example, root / example.name))


def run(python: Path, tmp_path: Path, *arguments: str) -> str:
    """The output of ``elodrome ARGUMENTS`` in that environment."""
    done = subprocess.run(
        [str(python), "-c", "from elodrome.cli import main; main()", *arguments],
        capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "ELODROME_HOME": str(tmp_path / "home")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_examples_are_listed_checked_trained_and_in_a_tournament(fresh: Path, tmp_path: Path) -> None:
    worlds = json.loads(run(fresh, tmp_path, "envs", "--json"))
    assert {"id": "nim", "origin": "nim-world"}.items() <= next(e for e in worlds["envs"] if e["id"] == "nim").items()
    agents = json.loads(run(fresh, tmp_path, "agents", "--env", "nim", "--json"))
    assert {"careful", "monte_carlo"} <= {a["id"] for a in agents["agents"]}
    assert "conforms" in run(fresh, tmp_path, "check", "env", "nim")
    assert "conforms" in run(fresh, tmp_path, "check", "agent", "careful", "--env", "nim")
    assert "conforms" in run(fresh, tmp_path, "check", "agent", "monte_carlo", "--env", "nim")
    assert "2000 games" in run(fresh, tmp_path, "train", "monte_carlo", "--env", "nim", "--steps", "2000")
    out = tmp_path / "tournament"
    run(fresh, tmp_path, "tournament", "run", "--env", "nim", "--agents", "careful,monte_carlo,random",
        "--games", "20", "--workers", "1", "--out", str(out))  # fmt: skip
    ladder = json.loads(run(fresh, tmp_path, "ladder", "--env", "nim", "--from", str(out), "--json"))
    assert {row["agent"] for row in ladder["rows"]} == {"careful", "monte_carlo", "random"}


def _point(monkeypatch: pytest.MonkeyPatch, group: str, *entries: tuple[str, str]) -> None:
    """Pretend that these entry points are installed."""
    points = [EntryPoint(name, value, group) for name, value in entries]
    monkeypatch.setattr(plugins, "entry_points", lambda group: [p for p in points if p.group == group])
    plugins._scan.cache_clear()


@pytest.fixture(autouse=True)
def _forget_scans():
    yield
    plugins._scan.cache_clear()


@pytest.mark.parametrize("name", ["../evil", "Öl", "a b", "", "UPPER", "name\u200b", "a/b"])
def test_an_odd_name_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    _point(monkeypatch, "elodrome.agents", (name, "json:loads"))
    found, problems = specs.kinds()
    assert name not in found
    assert "lower-case letters" in problems[ascii(name)]


def test_a_taken_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    _point(
        monkeypatch,
        "elodrome.agents",
        ("random", "json:loads"),
        ("twin", "elodrome.agents.random:Random"),
        ("twin", "json:dumps"),
    )
    found, problems = specs.kinds()
    assert found["random"].origin == "elodrome"
    assert "taken by elodrome's own agent" in problems["random"]
    assert "taken by" in problems["twin"]
    _point(monkeypatch, "elodrome.envs", ("tic_tac_toe", "json:loads"))
    assert "taken by elodrome's own world" in env_registry.entries()[1]["tic_tac_toe"]


def test_a_plugin_that_does_not_import_is_named_and_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    _point(monkeypatch, "elodrome.agents", ("lost", "no_such_module:Agent"), ("json_loads", "json:loads"))
    found, problems = specs.kinds()
    assert "random" in found
    assert "No module named 'no_such_module'" in problems["lost"]
    assert "not a subclass" in problems["json_loads"]
    with pytest.raises(BrokenAgent, match=r"lost.*no_such_module"):
        specs.find_kind("lost")
    _point(monkeypatch, "elodrome.envs", ("lost", "no_such_module:world"))
    assert "no_such_module" in env_registry.entries()[1]["lost"]


def test_a_plugin_without_a_method_is_refused_by_name(tmp_path: Path) -> None:
    file = tmp_path / "lazy.py"
    file.write_text(
        "from elodrome.agents.agent import Agent, Learner\n"
        "class Lazy(Agent): pass\n"
        "class Half(Learner):\n"
        "    def learn(self, budget): yield\n"
    )
    with pytest.raises(BrokenAgent, match=r"Lazy lacks choose \(or act\)"):
        specs.parse_spec(f"{file}:Lazy")
    with pytest.raises(BrokenAgent, match="Half lacks agent, restore, resume, snapshot, weights"):
        specs.parse_spec(f"{file}:Half")


def test_a_file_that_is_missing_or_broken_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("import no_such_module\n")
    with pytest.raises(BrokenAgent, match=r"missing\.py: no such file"):
        specs.parse_spec(f"{tmp_path}/missing.py:Agent")
    with pytest.raises(BrokenAgent, match=r"broken\.py does not import: ModuleNotFoundError"):
        specs.parse_spec(f"{broken}:Agent")


def test_a_class_that_is_misspelt_is_answered_with_the_nearest() -> None:
    with pytest.raises(BrokenAgent, match="did you mean 'Careful'"):
        specs.parse_spec(f"{EXAMPLES}/plugin_agent/careful_agents/careful.py:Carefull")


def test_a_world_from_a_file_plays() -> None:
    world = make_env(f"{EXAMPLES}/plugin_world/nim_world/__init__.py:nim")
    assert world.players == 2
    with pytest.raises(UserError, match="heaps"):
        make_env(f"{EXAMPLES}/plugin_world/nim_world/__init__.py:nim:heaps=3")


def test_a_plugin_remembers_where_it_comes_from() -> None:
    point = EntryPoint("x", "json:loads", "elodrome.agents")
    assert Plugin("x", "json:loads", "somewhere", point).load() is json.loads


NIM = (EXAMPLES / "plugin_world" / "nim_world" / "__init__.py").read_text()


def spoilt(folder: Path, old: str, new: str) -> str:
    """The example world with one thing wrong, as a name for make_env."""
    assert NIM.count(old) == 1
    file = folder / "spoilt_nim.py"
    file.write_text(NIM.replace(old, new))
    return f"{file}:nim"


def elodrome(*arguments: str) -> tuple[int, list[str]]:
    """Exit code and lines on stderr of the command."""
    done = subprocess.run([sys.executable, "-m", "elodrome", *arguments], capture_output=True, text=True, check=False)
    return done.returncode, [*done.stderr.splitlines(), *(done.stdout.splitlines() if "check" in arguments else [])]


def test_a_world_that_writes_outside_is_refused_before_it_harms(tmp_path: Path) -> None:
    name = spoilt(tmp_path, "observation_shape=(15,)", "observation_shape=(2,)")
    code, lines = elodrome("check", "env", name)
    assert code == 1
    assert "past the end" in lines[0]
    for command in (["match", name, "random", "random", "--games", "2"], ["train", "q_learning", "--env", name]):
        code, lines = elodrome(*command)
        assert (code, len(lines)) == (2, 1)
        assert "world 'nim' cannot be played: a rule writes past the end" in lines[0]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("rewards[seat] = 1.0", "rewards.zap()", r"spoilt_nim\.py, line \d+: step does not compile: Unknown attribute"),
        ("state[0] = 3", "state[0] = zork", r"spoilt_nim\.py, line \d+: reset does not compile: NameError"),
        (
            "    return Game(",
            "    return [][1] or Game(",
            r"IndexError: list index out of range \(spoilt_nim\.py, line",
        ),
        ("players=2", "players='two'", "players must be a whole number"),
    ],
)
def test_a_broken_world_is_one_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        make_env(spoilt(tmp_path, old, new))
    assert "\n" not in str(caught.value)


def test_a_world_from_a_file_is_pickled_by_its_name(tmp_path: Path) -> None:
    world = make_env(f"{EXAMPLES}/plugin_world/nim_world/__init__.py:nim")
    assert pickle.loads(pickle.dumps(world)) == world
