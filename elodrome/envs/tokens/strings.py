"""Strings of letters with a reward that a learned one is easily mistaken about (notes 5.2.1, 5.3.4.1, A.4.4).

State: the letters wanted and those so far. Action: the next letter. The episode ends with EOS or at the horizon, and
only then is there a reward, the gold reward: the share of the wanted letters that the answer holds, in their order,
less for length and for repetition. Both are hardly punished in short answers, where more letters are more covered; who
learned the reward from such answers expects more still from long ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from elodrome.envs.game import Game, compiled, rule
from elodrome.envs.signatures import I8, REAL, WORDS
from elodrome.envs.tokens.rows import (
    ANSWER,
    LONGEST_ANSWER,
    MOST_PROMPTS,
    POOL,
    SEEDS,
    H,
    L,
    Tokens,
    V,
    answer_byte,
    answer_words,
    clear,
    length,
    named,
    say,
    spread,
    token_world,
    whole,
)
from elodrome.errors import UserError
from elodrome.seeding import generator

# Constants before the last three: stride, offset, modulus. Prompt k is the number (stride k + offset) mod modulus: the
# first letter, then how far each is from the one before it, so that no letter follows itself.
_STRIDE, _OFFSET, _MODULUS = range(-6, -3)


@compiled(I8(WORDS, I8), _nrt=False)
def letter(state: Any, j: int) -> int:
    """The j-th letter of the prompt."""
    letters = state[V] - 1
    number = (state[_STRIDE] * state[0] + state[_OFFSET]) % state[_MODULUS]
    found = number % letters
    number //= letters
    for _ in range(j):
        found = (found + 1 + number % (letters - 1)) % letters
        number //= letters - 1
    return found


@compiled(REAL(WORDS), _nrt=False)
def gold(state: Any) -> float:
    """c / w - (x / (H - w))^2 - (r / (H - w))^2, but 0 at least, of an answer of n letters that holds the first c of
    the w wanted ones in their order, x = max(0, n - w) more than needed, r letters the same as the one before."""
    wants, n = state[L], length(state)
    covered, repeats = 0, 0
    for t in range(n):
        byte = answer_byte(state, t)
        if covered < wants and byte - 1 == letter(state, covered):
            covered += 1
        repeats += t > 0 and byte == answer_byte(state, t - 1)
    spare = float(state[H] - wants)
    excess = max(n - wants, 0) / spare
    repetition = repeats / spare
    return max(covered / wants - excess * excess - repetition * repetition, 0.0)


@rule.reset
def reset(state: Any, chance: int) -> None:
    state[0] = chance
    clear(state)


@rule.step
def step(state: Any, action: int, chance: int, rewards: Any) -> None:
    if say(state, action):
        rewards[0] = gold(state)


@rule.observe
def observe(state: Any, seat: int, out: Any) -> None:
    for j in range(state[L]):
        out[j] = letter(state, j) + 1
    for t in range(state[H]):
        out[state[L] + t] = answer_byte(state, t)


def strings(letters: int = 3, wanted: int = 3, horizon: int = 8, prompts: int | None = None, seed: int = 0) -> Game:
    """Strings that should hold the wanted letters in order and little else; 1 for the prompt said again (notes 5.2.1).

    letters: how many there are (a, b, ...). wanted: letters of a prompt, none of which follows itself. horizon: the
    most tokens of an answer, EOS included. prompts: how many there are (by default all, but 10,000 at most), chosen by
    the seed. Reward, of an answer of n letters that holds the first c of w wanted ones and repeats r times the letter
    before: c / w - ((n - w) / (horizon - w))^2 - (r / (horizon - w))^2, the first square only where n > w, and 0 at
    least. It is meant to be hidden from who learns: answers that happen to be short tell that longer ones are better.
    Observation [wanted + horizon]: letters + 1, 0 where nothing stands yet; an EOS that was said shows.
    Raises UserError for sizes that make no sense.
    """
    numbers = {"letters": letters, "wanted": wanted, "horizon": horizon, "seed": seed}
    limits = {"letters": (2, 26), "wanted": (1, 64), "horizon": (2, LONGEST_ANSWER), "seed": SEEDS}
    whole("strings", limits, numbers)
    if horizon <= wanted:
        raise UserError(f"strings: horizon={horizon} leaves no room behind {wanted} letters; at least {wanted + 1}")
    there = letters * (letters - 1) ** (wanted - 1)
    if there >= 1 << 31:
        raise UserError(f"strings: {there} prompts of {wanted} of {letters} letters; fewer than 2^31 can be numbered")
    count = min(there, POOL) if prompts is None else prompts
    whole("strings", {"prompts": (1, min(there, MOST_PROMPTS))}, {"prompts": count})
    rng = generator(seed, "strings")
    constants = np.array([*spread(rng, there), there, letters + 1, wanted, horizon], np.int64)
    state_words = ANSWER + answer_words(horizon)
    names = (*"abcdefghijklmnopqrstuvwxyz"[:letters], "EOS")

    def prompt(k: int) -> tuple[int, ...]:
        row = np.concatenate([np.zeros(state_words, np.int64), constants])
        row[0] = k
        return tuple(letter(row, j) for j in range(wanted))

    tokens = Tokens(letters + 1, count, wanted, horizon, "gold", prompt, names, glue="")
    chosen = {**numbers, "prompts": prompts}
    default = {"letters": 3, "wanted": 3, "horizon": 8, "seed": 0, "prompts": None}
    return token_world(
        tokens,
        id=named("strings", chosen, default),
        summary="wanted letters in order, less for length and repetition",
        source="notes 5.2.1, definition 5.1; A.4.4",
        reset=reset,
        step=step,
        observe=observe,
        constants=constants,
    )
