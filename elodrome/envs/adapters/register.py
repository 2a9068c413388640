"""Our ids in Gymnasium's registry, as cheaply as can be.

``gymnasium.make("elodrome:cliff_walking")`` imports ``elodrome`` and then looks for the id ``cliff_walking``.
Gymnasium loads no entry points (since 1.0), and ``import elodrome`` must not import Gymnasium: so the ids are
registered at once where Gymnasium is there already, and else at the end of its import, whenever that is.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from copy import copy
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

ENTRY_POINT = "elodrome.envs.adapters.gymnasium:GymnasiumEnv"
ANY = "elodrome/world"  # takes the name of any solo world: gymnasium.make("elodrome:elodrome/world", world="my_plugin")


def register_all() -> None:
    """Register our own worlds of one seat as ``ID`` and ``elodrome/ID``; no world is imported.

    How many seats a plugin's world has is not known before it is imported: those go by the id ``elodrome/world``.
    """
    import gymnasium

    from elodrome.envs.registry import BUILTIN

    solo = [entry.id for entry in BUILTIN.values() if entry.seats == 1]
    ids = {id: {"world": world} for world in solo for id in (world, f"elodrome/{world}")}
    for id, options in {**ids, ANY: {}}.items():
        if id not in gymnasium.registry:
            gymnasium.register(id, entry_point=ENTRY_POINT, kwargs=options)


class _ThenRegister(MetaPathFinder):
    """Finds Gymnasium where the finders behind it do, with a loader that registers our ids once the package stands.

    It stays: looking for the package without importing it, or importing it again, changes nothing. Each answer is
    made afresh and nothing is kept, so that threads do not meet here.
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != "gymnasium":
            return None
        finders = list(sys.meta_path)
        for finder in finders[finders.index(self) + 1 :]:
            find = getattr(finder, "find_spec", None)
            spec: ModuleSpec | None = find(fullname, path, target) if find is not None else None
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = _registering(spec.loader)
                return spec
        return None


def _registering(loader: Any) -> Any:
    """A copy of a loader (some finders hand out the same one again) that registers after it has executed a module."""
    after = copy(loader)

    def exec_module(module: ModuleType) -> None:
        loader.exec_module(module)
        register_all()

    after.exec_module = exec_module
    return after


def register_with_gymnasium() -> None:
    """Register now where Gymnasium is imported, and else when it will be."""
    if "gymnasium" in sys.modules:
        register_all()
    if not any(isinstance(finder, _ThenRegister) for finder in sys.meta_path):
        sys.meta_path.insert(0, _ThenRegister())
