"""Messages between the arena and a cell: a line of JSON with the arrays behind it, never anything that could run.

A message is the length of its header (4 bytes), the header, then the bytes of its arrays, one after the other; the
header says their names, types and shapes. What comes from a cell is read with bounds, as a cell may send anything.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

Arrays = Mapping[str, npt.NDArray[Any]]
HEADER = 1 << 20  # bytes at most
BODY = 1 << 30
_TYPES = ("uint8", "int64", "uint64", "float32", "float64")
_LENGTH = struct.Struct(">I")


class Garbled(Exception):
    """What came is no message."""


def send(channel: socket.socket, header: Mapping[str, Any], arrays: Arrays | None = None) -> None:
    """Send a message; the channel's time-out bounds it as a whole."""
    given = {name: np.ascontiguousarray(array) for name, array in (arrays or {}).items()}
    shapes = [[name, array.dtype.name, list(array.shape)] for name, array in given.items()]
    head = json.dumps({**header, "arrays": shapes}).encode()
    channel.sendall(b"".join([_LENGTH.pack(len(head)), head, *(array.tobytes() for array in given.values())]))


def receive(take: Callable[[int], bytearray]) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    """The next message, by ``take(n)``, which gives the next n bytes. Raises Garbled when it is none."""
    (length,) = _LENGTH.unpack(take(_LENGTH.size))
    if length > HEADER:
        raise Garbled(f"a header of {length} bytes")
    try:
        header = json.loads(take(length))
        shapes = [(str(name), str(kind), tuple(map(int, shape))) for name, kind, shape in header.pop("arrays")]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise Garbled(f"no header: {type(error).__name__}") from None
    arrays = {}
    for name, kind, shape in shapes:
        if kind not in _TYPES or any(size < 0 for size in shape) or prod(shape) * 8 > BODY:
            raise Garbled(f"an array of type {kind[:20]!r}, shape {shape[:8]}")
        count = prod(shape) * np.dtype(kind).itemsize
        arrays[name] = np.frombuffer(take(count), kind).reshape(shape)  # writable, as it views a bytearray
    return header, arrays


def reader(channel: socket.socket) -> Callable[[int], bytearray]:
    """``take`` for a channel that is trusted and waited for without end. Raises EOFError at its end."""

    def take(count: int) -> bytearray:
        data = bytearray(count)
        view, got = memoryview(data), 0
        while got < count:
            here = channel.recv_into(view[got:])
            if not here:
                raise EOFError
            got += here
        return data

    return take
