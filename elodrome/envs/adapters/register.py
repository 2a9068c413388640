"""Our ids in Gymnasium's registry, as cheaply as can be.

``gymnasium.make("elodrome:cliff_walking")`` imports ``elodrome`` and then looks for the id ``cliff_walking``.
Gymnasium loads no entry points (since 1.0), and ``import elodrome`` must not import Gymnasium: so the ids are
registered at once where Gymnasium is there already, and else as soon as it has been imported.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any


def register_all() -> None:
    """Register every built-in world and plugin as ``ID`` and ``elodrome/ID``; no world is imported."""
    import gymnasium

    from elodrome.envs.registry import BUILTIN, GROUP
    from elodrome.plugins import discover

    for world in [*BUILTIN, *discover(GROUP)]:
        for id in (world, f"elodrome/{world}"):
            if id not in gymnasium.registry:
                gymnasium.register(
                    id, entry_point="elodrome.envs.adapters.gymnasium:GymnasiumEnv", kwargs={"world": world}
                )


class _WhenImported(MetaPathFinder):
    """Waits for the import of Gymnasium, steps aside, and registers once the package stands."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != "gymnasium":
            return None
        sys.meta_path.remove(self)
        spec = find_spec(fullname)
        if spec is not None and spec.loader is not None:
            loader: Any = spec.loader
            execute = loader.exec_module

            def exec_module(module: ModuleType) -> None:
                execute(module)
                register_all()

            loader.exec_module = exec_module
        return spec


def register_with_gymnasium() -> None:
    """Register now where Gymnasium is imported, else when it will be."""
    if "gymnasium" in sys.modules:
        register_all()
    else:
        sys.meta_path.insert(0, _WhenImported())
