"""Reading what comes from outside: regular files up to a stated size, and never a device, a pipe or a folder.

Every file that the package reads passes here: a device never ends, a pipe waits for ever, and a file of a terabyte
takes the machine with it.
"""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

from elodrome.errors import UserError

# The largest size in bytes of each kind of file.
CARD = 1 << 20  # agent.json, run.json
SOURCE = 1 << 23  # a Python file
GAME = 1 << 24  # one game: SGF, or a game of the window
CURVE = 1 << 28  # learning.jsonl
ARRAYS = 1 << 34  # weights and checkpoints

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
}


def is_file(path: Path | str) -> bool:
    """Whether a regular file is there; False, too, for names that no file can have."""
    return os.path.isfile(path)


def regular(file: Path, most: int) -> Path:
    """``file``, if it is a regular one of at most ``most`` bytes. Raises UserError that says what it is instead."""
    try:
        _check(file, os.stat(file), most)
    except (OSError, ValueError) as error:
        raise _cannot_read(file, error) from error
    return file


def read_bytes(file: Path, most: int) -> bytes:
    """The content of a regular file. Raises UserError when it is none, or larger than ``most`` bytes, or unreadable."""
    try:
        # Without waiting: to open a pipe would block until somebody writes to it.
        handle = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(handle, "rb") as stream:
            _check(file, os.fstat(handle), most)
            content = stream.read(most + 1)
    except (OSError, ValueError) as error:
        raise _cannot_read(file, error) from error
    if len(content) > most:
        raise UserError(f"{file}: larger than {_size(most)}")
    return content


def read_text(file: Path, most: int, errors: str = "strict") -> str:
    """The text of a regular file in UTF-8. Raises UserError as ``read_bytes`` does, and where it is not UTF-8."""
    try:
        return read_bytes(file, most).decode("utf-8", errors)
    except UnicodeDecodeError as error:
        raise UserError(f"{file}: not UTF-8 at byte {error.start + 1}") from error


def read_json(file: Path, most: int = CARD) -> dict[str, Any]:
    """The JSON object in a file. Raises UserError as ``read_text`` does, and where it is none."""
    try:
        document = json.loads(read_text(file, most))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{file}: not JSON ({error})") from error
    if not isinstance(document, dict):
        raise UserError(f"{file}: no JSON object")
    return document


def _check(file: Path, found: os.stat_result, most: int) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise UserError(f"{file}: {_KINDS.get(stat.S_IFMT(found.st_mode), 'something else')}, not a file")
    if found.st_size > most:
        raise UserError(f"{file}: larger than {_size(most)}")


def _size(most: int) -> str:
    return f"{most >> 30} GiB" if most >= 1 << 30 else f"{most >> 20} MiB"


def _cannot_read(file: Path, error: OSError | ValueError) -> UserError:
    return UserError(f"cannot read {file}: {(isinstance(error, OSError) and error.strerror) or error}")
