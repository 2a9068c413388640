"""Where results and trained agents are kept: ``$ELODROME_HOME``, or ``~/.elodrome``."""

from __future__ import annotations

import os
import re
from pathlib import Path

from elodrome.errors import UserError


def home() -> Path:
    """The folder of this user's results and agents (made by whoever first writes there)."""
    return Path(os.environ.get("ELODROME_HOME") or Path.home() / ".elodrome")


def local(path: Path) -> Path:
    """``path``, made sure that it is one: ``postgresql://host/results`` would make a folder of that name.

    Raises UserError for a URL.
    """
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", str(path)):
        raise UserError(f"{path} looks like a URL; results are kept in files, so name a folder of this machine")
    return path
