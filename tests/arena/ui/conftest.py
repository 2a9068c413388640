"""No screen: SDL's dummy driver, set before pygame is first imported."""

import os

os.environ["SDL_VIDEODRIVER"] = "dummy"
