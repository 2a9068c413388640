"""The rules of the house: who may import whom, what must not be loaded, what must be written."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

import elodrome

ROOT = Path(elodrome.__file__).parent
# Each may import those to its left.
FLOORS = ("envs", "agents", "arena", "tournaments", "figures", "console", "cli", "__main__")
GROUND = ("errors", "files", "plugins", "seeding", "home", "__init__")  # the front door's, open to all
FAMILIES = ("tabular", "value", "policy", "planning", "games", "text")
OURS_ONLY_IN = {
    "pygame": "elodrome.arena.ui",
    "gymnasium": "elodrome.envs.adapters",
    "pettingzoo": "elodrome.envs.adapters",
    "pyspiel": "elodrome.envs.adapters",
    "open_spiel": "elodrome.envs.adapters",
    "ale_py": "elodrome.envs.adapters",
    "cv2": "elodrome.envs.adapters",
}
SEEDED = {"Generator", "PCG64", "SeedSequence", "BitGenerator", "default_rng"}
READ = {"get_state", "getstate"}


@dataclass(frozen=True)
class Module:
    """A file of the package: its dotted name and its syntax tree."""

    name: str
    path: Path
    tree: ast.Module

    @cached_property
    def imports(self) -> list[tuple[str, int, bool]]:
        """(dotted name, line, whether at module level and outside ``if TYPE_CHECKING``) of every import."""
        typing_only = {
            id(inner)
            for node in ast.walk(self.tree)
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
            for statement in node.body
            for inner in ast.walk(statement)
        }
        deferred = {
            id(inner)
            for node in ast.walk(self.tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            for inner in ast.walk(node)
        }
        found = []
        for node in ast.walk(self.tree):
            eager = id(node) not in typing_only | deferred
            if isinstance(node, ast.Import):
                found += [(alias.name, node.lineno, eager) for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{self.path}:{node.lineno}: relative import"
                base = node.module or ""
                # "from elodrome.agents import ops" imports a module; "from elodrome.errors import x" does not.
                for alias in node.names:
                    inner = f"{base}.{alias.name}"
                    found.append((inner if inner in NAMES else base, node.lineno, eager))
        return found


def _name(path: Path) -> str:
    parts = ["elodrome", *path.relative_to(ROOT).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {_name(path) for path in ROOT.rglob("*.py")}
MODULES = [Module(_name(path), path, ast.parse(path.read_text("utf-8"))) for path in sorted(ROOT.rglob("*.py"))]


def _part(name: str) -> str:
    return [*name.split("."), "__init__"][1]


def _floor(name: str) -> str:
    """The floor of a module; the front door and its helpers lie below all ("")."""
    return _part(name) if _part(name) in FLOORS else ""


def _within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def _clean(breaches: Iterator[str]) -> None:
    found = list(breaches)
    assert not found, "\n".join(found)


def _where(module: Module, line: int) -> str:
    return f"{module.path.relative_to(ROOT.parent)}:{line}"


def test_every_module_has_a_floor() -> None:
    _clean(m.name for m in MODULES if not _floor(m.name) and _part(m.name) not in GROUND)


def test_imports_run_one_way() -> None:
    def breaches() -> Iterator[str]:
        for module in MODULES:
            mine = _floor(module.name)
            for name, line, eager in module.imports:
                theirs = _floor(name) if _within(name, "elodrome") else ""
                if not theirs:
                    continue
                if mine and FLOORS.index(theirs) > FLOORS.index(mine):
                    yield f"{_where(module, line)}: {module.name} ({mine}) imports {name} ({theirs})"
                # The ground has names from above only where they are not loaded, and the ids for Gymnasium.
                if not mine and eager and name != "elodrome.envs.adapters.register":
                    yield f"{_where(module, line)}: {module.name} imports {name} when loaded"

    _clean(breaches())


def test_ops_import_nothing_of_ours() -> None:
    _clean(
        f"{_where(module, line)}: {name}"
        for module in MODULES
        if _within(module.name, "elodrome.agents.ops")
        for name, line, _ in module.imports
        if _within(name, "elodrome") and not _within(name, "elodrome.agents.ops")
    )


def test_families_do_not_import_each_other() -> None:
    def family(name: str) -> str:
        parts = name.split(".")
        return parts[2] if parts[:2] == ["elodrome", "agents"] and len(parts) > 2 and parts[2] in FAMILIES else ""

    _clean(
        f"{_where(module, line)}: {family(module.name)} imports {name}"
        for module in MODULES
        for name, line, _ in module.imports
        if family(module.name) != family(name) and family(name) and _within(module.name, "elodrome.agents")
    )


def test_rooms_of_the_agents_stand_on_each_other() -> None:
    """Equations below parts below search below the families: nothing that several need knows one of those that do."""
    order = ("ops", "parts", "search")

    def height(name: str) -> int:
        room = [*name.split("."), "", ""][2] if _within(name, "elodrome.agents") else ""
        return order.index(room) if room in order else len(order) if room in FAMILIES else -1

    _clean(
        f"{_where(module, line)}: {module.name} imports {name}"
        for module in MODULES
        for name, line, _ in module.imports
        if height(module.name) >= 0 and height(name) > height(module.name)
    )


def test_an_algorithm_can_be_read_at_one_sitting() -> None:
    """No file of a family is longer than 200 lines: what is shared, and data structures, have rooms of their own."""

    def breaches() -> Iterator[str]:
        for module in MODULES:
            lines = len(module.path.read_text("utf-8").splitlines())
            if any(_within(module.name, f"elodrome.agents.{family}") for family in FAMILIES) and lines > 200:
                yield f"{_where(module, 1)}: {lines} lines"

    _clean(breaches())


def test_agents_import_no_concrete_world() -> None:
    rooms = [f"elodrome.envs.{room}" for room in ("boards", "cards", "gridworlds", "matrix", "tokens", "adapters")]
    _clean(
        f"{_where(module, line)}: {name}"
        for module in MODULES
        if _floor(module.name) == "agents"
        for name, line, eager in module.imports
        if eager and any(_within(name, room) for room in rooms)
    )


@pytest.mark.parametrize("package", OURS_ONLY_IN)
def test_peers_stay_in_their_rooms(package: str) -> None:
    _clean(
        f"{_where(module, line)}: {name} outside {OURS_ONLY_IN[package]}"
        for module in MODULES
        for name, line, _ in module.imports
        if _within(name, package) and not _within(module.name, OURS_ONLY_IN[package])
    )


def test_listing_needs_no_torch() -> None:
    """The command line, the worlds and the registries import torch in functions only, if at all."""
    quick = (
        "elodrome.cli",
        "elodrome.envs",
        "elodrome.agents.registry",
        "elodrome.agents.specs",
        "elodrome.agents.agent",
    )
    _clean(
        f"{_where(module, line)}: {name}"
        for module in MODULES
        if any(_within(module.name, prefix) for prefix in quick)
        for name, line, eager in module.imports
        if eager and _within(name, "torch")
    )


def test_adapters_are_loaded_by_name_only() -> None:
    """But for the cheap registration of ids nobody imports an adapter; make_env does so by the prefix of a name."""
    _clean(
        f"{_where(module, line)}: {name}"
        for module in MODULES
        if not _within(module.name, "elodrome.envs.adapters")
        for name, line, _ in module.imports
        if _within(name, "elodrome.envs.adapters") and name != "elodrome.envs.adapters.register"
    )


def test_no_assert_in_the_package() -> None:
    """It would vanish under ``python -O``; bad input is a UserError."""
    _clean(
        _where(module, node.lineno)
        for module in MODULES
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Assert)
    )


def test_no_global_randomness() -> None:
    """Every draw comes from a seed that was passed down. The global states may be read, to see whether agents touch
    them."""

    def breaches() -> Iterator[str]:
        for module in MODULES:
            for node in ast.walk(module.tree):
                if isinstance(node, ast.ImportFrom) and node.module in ("random", "numpy.random"):
                    yield f"{_where(module, node.lineno)}: from {node.module} import ..."
                if not isinstance(node, ast.Attribute):
                    continue
                text = ast.unparse(node)
                drawn = re.fullmatch(r"(?:(?:np|numpy)\.)?random\.(\w+)", text)
                if drawn and drawn[1] not in SEEDED | READ:
                    yield f"{_where(module, node.lineno)}: {text}"
                if re.fullmatch(r"torch\.(?:cuda\.)?(?:manual_seed|manual_seed_all|seed|initial_seed)", text):
                    yield f"{_where(module, node.lineno)}: {text}"

    _clean(breaches())


def test_everything_public_is_described() -> None:
    """Modules, and their public functions and classes."""

    def breaches() -> Iterator[str]:
        for module in MODULES:
            if not ast.get_docstring(module.tree):
                yield f"{_where(module, 1)}: the module"
            for node in module.tree.body:
                if not isinstance(node, ast.FunctionDef | ast.ClassDef) or node.name.startswith("_"):
                    continue
                # A world's rules are described once, where their signatures are (``signatures.py``).
                if any("rule." in ast.unparse(decorator) for decorator in node.decorator_list):
                    continue
                if not ast.get_docstring(node):
                    yield f"{_where(module, node.lineno)}: {node.name}"

    _clean(breaches())


def _run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_front_door_costs_nothing() -> None:
    heavy = "{'torch', 'numba', 'numpy', 'gymnasium', 'pettingzoo', 'pyspiel', 'pygame', 'pydantic'}"
    assert _run(f"import sys, elodrome; print({heavy} & set(sys.modules))") == "set()"


def test_listing_worlds_loads_no_foreign_package() -> None:
    heavy = "{'torch', 'gymnasium', 'pettingzoo', 'pyspiel', 'pygame'}"
    code = (
        "import sys; from elodrome.envs.registry import entries; import elodrome.cli;"
        f"entries(); print({heavy} & set(sys.modules))"
    )
    assert _run(code) == "set()"
