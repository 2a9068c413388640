"""What an agent answers, judged: only integers are actions, or arrays and lists of numbers in worlds whose actions are
real numbers, whatever an answer says of its own class."""

from __future__ import annotations

from typing import Any

import numpy as np

from elodrome.agents.agent import Failure
from elodrome.envs.actions import Action, as_plain, kind_of_action
from elodrome.envs.game import World
from elodrome.errors import printable, shown, told

BITS = 62  # of an answer; no world has so many actions
REASON = 600  # characters


def failure(error: BaseException) -> Failure:
    """What an exception that an agent raised, or gave in place of an answer, means for its game. Never raises."""
    if type(error) is Failure and error.kind in ("illegal", "crash", "time-out") and type(error.reason) is str:
        return Failure(error.kind, printable(error.reason, REASON))
    return Failure("time-out" if issubclass(type(error), TimeoutError) else "crash", told(error))


def answered(answer: Any, world: World) -> Action | Failure:
    """An answer as a plain action (``envs.actions``), which may still be no legal one; or the Failure that it is: no
    None is an action, no float where actions are numbered, no class of the agent's own. Never raises."""
    kind = type(answer)
    if issubclass(kind, BaseException):
        return failure(answer)
    if world.continuous:
        return _array(answer, world)
    if not _is(kind, int, np.integer):
        return Failure("illegal", f"answered {shown(answer)} ({kind.__name__}), not an action")
    number = int(answer)
    if abs(number) >= 1 << BITS:
        return Failure("illegal", f"answered a number of more than {BITS} bits, not an action")
    return number


def _is(kind: type, plain: type, numpys: type) -> bool:
    """Whether a class is a plain number's, Python's own or one of NumPy's."""
    return kind is plain or (issubclass(kind, numpys) and kind.__module__ == "numpy")


def _array(answer: Any, world: World) -> Action | Failure:
    """An array of real numbers of the world's shape, or a list of such numbers."""
    try:
        ready = type(answer) is np.ndarray and answer.dtype.kind in "fiu"
        array = answer if ready else np.array(_listed(answer), float)
    except (TypeError, ValueError, RecursionError):
        array = None
    if array is None or array.shape != world.action_shape:
        given = f"{shown(answer)} ({type(answer).__name__})" if array is None else f"an array of shape {array.shape}"
        return Failure("illegal", f"answered {given}, not {kind_of_action(world)}")
    with np.errstate(over="ignore"):
        return as_plain(world, array.astype(np.float32)[None])[0]


def _listed(answer: Any) -> Any:
    """Lists and tuples of plain numbers, however deep. Raises TypeError for anything else."""
    kind = type(answer)
    if kind in (list, tuple):
        return [_listed(entry) for entry in answer]
    if _is(kind, float, np.floating) or _is(kind, int, np.integer):
        return float(answer)
    raise TypeError
