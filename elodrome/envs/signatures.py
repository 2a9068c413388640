"""The fixed signatures of rules, and of what engines take."""

from __future__ import annotations

import warnings

from numba import types
from numba.core.errors import NumbaExperimentalFeatureWarning

# The design rests on first-class functions; numba still calls them experimental at every use.
warnings.filterwarnings("ignore", category=NumbaExperimentalFeatureWarning)

I8 = types.int64
REAL = types.float64
WORDS = types.Array(types.int64, 1, "C")
MASK = types.Array(types.uint8, 1, "C")
REALS = types.Array(types.float64, 1, "C")
FLOATS = types.Array(types.float32, 1, "C")

RESET = types.void(WORDS, I8)  # (state, chance): write a start state
PLAYER = I8(WORDS)  # (state): the seat that acts now; negative when the game is over
LEGAL = types.void(WORDS, MASK)  # (state, mask uint8[A]): 1 where legal; all 0 at the end
STEP = types.void(WORDS, I8, I8, REALS)  # (state, action, chance, rewards float64[P]): in place
OBSERVE = types.void(WORDS, I8, FLOATS)  # (state, seat, out float32[O]): what that seat sees
CHANCE = I8(WORDS, I8, REALS)  # (state, action or -1 for reset, probs float64[K]): how many outcomes
PLAYOUT = I8(WORDS, types.uint64, REALS)  # (state, rng, returns float64[P]): random play to the end; steps

RULES = types.Tuple(tuple(types.FunctionType(s) for s in (RESET, PLAYER, LEGAL, STEP, OBSERVE, CHANCE, PLAYOUT)))

# int64[15]: the addresses of the seven rules, then players, actions, observation size, state_words, max_steps,
# outcomes, has chance, has playout. Engines read it as ``rules_of(header)`` and ``header[PLAYERS]`` and so on.
HEADER = WORDS
PLAYERS, ACTIONS, OBSERVATION, STATE_WORDS, MAX_STEPS, OUTCOMES, HAS_CHANCE, HAS_PLAYOUT = range(7, 15)

WORLD = types.Tuple((HEADER, WORDS))  # what every engine takes first: the header and a fresh row
