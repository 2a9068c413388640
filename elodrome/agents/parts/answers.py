"""What an agent answers, judged: only integers are actions, whatever an answer says of its own class."""

from __future__ import annotations

from typing import Any

import numpy as np

from elodrome.agents.agent import Failure
from elodrome.errors import printable, shown, told

BITS = 62  # of an answer; no world has so many actions
REASON = 600  # characters


def failure(error: BaseException) -> Failure:
    """What an exception that an agent raised, or gave in place of an answer, means for its game. Never raises."""
    if type(error) is Failure and error.kind in ("illegal", "crash", "time-out") and type(error.reason) is str:
        return Failure(error.kind, printable(error.reason, REASON))
    return Failure("time-out" if issubclass(type(error), TimeoutError) else "crash", told(error))


def answered(answer: Any) -> int | Failure:
    """An answer as a plain number, which may still be no legal action; or why it is none: no None is an action, no
    float, no class of the agent's own. Never raises."""
    kind = type(answer)
    if issubclass(kind, BaseException):
        return failure(answer)
    if kind is not int and not (issubclass(kind, np.integer) and kind.__module__ == "numpy"):
        return Failure("illegal", f"answered {shown(answer)} ({kind.__name__}), not an action")
    number = int(answer)
    if abs(number) >= 1 << BITS:
        return Failure("illegal", f"answered a number of more than {BITS} bits, not an action")
    return number
