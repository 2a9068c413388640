"""Atari's games (``gymnasium:ALE/...``) as agents are trained on them everywhere (Machado et al. 2018): grey, 84 x 84,
each action for four frames of which the last two are merged, up to 30 idle frames at first, the last four pictures
seen at once. Gymnasium's own wrappers do it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
from gymnasium.wrappers import AtariPreprocessing, FrameStackObservation

from elodrome.errors import UserError

PREFIX = "ALE/"
MAX_STEPS = 27_000  # half an hour of the console, 108,000 frames, after which its emulator truncates a game
WRAPPED = ("noop_max", "frame_skip", "screen_size", "terminal_on_life_loss", "grayscale_obs")


def make(name: str, options: Mapping[str, Any]) -> gymnasium.Env[Any, Any]:
    """A game. Options go to ``gymnasium.make``, but for those of ``gymnasium.wrappers.AtariPreprocessing`` (WRAPPED),
    ``stack`` (4), and ``preprocess`` (true), without which the picture is as it is, in colour.

    Raises UserError where the packages are missing.
    """
    try:
        import ale_py
        import cv2  # noqa: F401 - by which the wrapper shrinks pictures; it says so only when it is made
    except ImportError as error:
        raise UserError(
            f"gymnasium:{name} needs {error.name}, which comes with: pip install 'elodrome[atari]'"
        ) from None
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)  # no greeting at each start
    if f"{PREFIX}Pong-v5" not in gymnasium.registry:
        gymnasium.register_envs(ale_py)
    rest = dict(options)
    preprocess, stack = rest.pop("preprocess", True), rest.pop("stack", 4)
    if not preprocess:
        return gymnasium.make(name, **rest)
    wrapped = {option: rest.pop(option) for option in WRAPPED if option in rest}
    env = gymnasium.make(name, **{"frameskip": 1, **rest})
    grey = AtariPreprocessing(env, **wrapped)
    return FrameStackObservation(grey, stack)
