"""Atari's games (``gymnasium:ALE/...``) as agents are trained on them everywhere (Machado et al. 2018): grey, 84 x 84,
each action for four frames of which the last two are merged, up to 30 idle frames at first, the last four pictures
seen at once. Gymnasium's own wrappers do it. Games that stand still until the fire button is pressed begin with that.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
from gymnasium.wrappers import AtariPreprocessing, FrameStackObservation

from elodrome.errors import UserError

PREFIX = "ALE/"
MAX_STEPS = 27_000  # half an hour of the console, 108,000 frames, after which its emulator truncates a game
STILL = ("Breakout", "DonkeyKong", "Klax")  # nothing moves in these until the fire button is pressed
FIRE = "FIRE"
WRAPPED = ("noop_max", "frame_skip", "screen_size", "terminal_on_life_loss", "grayscale_obs")


def make(name: str, options: Mapping[str, Any]) -> gymnasium.Env[Any, Any]:
    """A game. Options go to ``gymnasium.make``, but for those of ``gymnasium.wrappers.AtariPreprocessing`` (WRAPPED),
    ``stack`` (4), ``fire`` (whether a game begins with the fire button: by default those of STILL), and
    ``preprocess`` (true), without which the picture is as it is, in colour.

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
    fire = rest.pop("fire", name.removeprefix(PREFIX).partition("-")[0] in STILL)
    wrapped = {option: rest.pop(option) for option in WRAPPED if option in rest}
    env = gymnasium.make(name, **{"frameskip": 1, **rest})
    grey = AtariPreprocessing(env, **wrapped)
    return FrameStackObservation(Fired(grey) if fire else grey, stack)


class Fired(gymnasium.Wrapper[Any, Any, Any, Any]):
    """A game in which the fire button is pressed after ``reset``, as OpenAI's baselines have it; after a life is lost
    it is the agent's own to press. Raises UserError where there is no such button."""

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        console: Any = env.unwrapped
        meanings = console.get_action_meanings()
        if FIRE not in meanings:
            raise UserError(f"fire=true needs a game with a fire button; its actions are {', '.join(meanings)}")
        self._fire = meanings.index(FIRE)

    def reset(self, **options: Any) -> tuple[Any, dict[str, Any]]:
        seen, info = self.env.reset(**options)
        seen, _, terminated, truncated, more = self.env.step(self._fire)
        if terminated or truncated:  # over at once: the button is left alone
            return self.env.reset(**options)
        return seen, info | more
