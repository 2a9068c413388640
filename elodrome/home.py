"""Where results and trained agents are kept: ``$ELODROME_HOME``, or ``~/.elodrome``."""

from __future__ import annotations

import os
from pathlib import Path


def home() -> Path:
    """The folder of this user's results and agents (made by whoever first writes there)."""
    return Path(os.environ.get("ELODROME_HOME") or Path.home() / ".elodrome")
