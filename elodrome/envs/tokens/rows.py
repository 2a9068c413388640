"""What the rows of all token worlds share: how an answer grows, token by token (notes 5.2.1, definition 5.1).

The row: [prompt k, tokens so far n or ~n at the end, the answer's tokens, 8 to a word, one byte each as id + 1, and
what else a world keeps]. Its last three constants: vocabulary V, prompt length L, horizon H. The last id is the end of
the sequence (EOS); the episode ends with it or at the horizon.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import gcd
from typing import Any

import numpy as np
from numba import types

from elodrome.envs.game import Game, Words, compiled, rule
from elodrome.envs.signatures import I8, WORDS
from elodrome.errors import UserError, shown

V, L, H = range(-3, 0)
ANSWER = 2  # the word where the answer begins


@compiled(I8(WORDS, I8, I8), _nrt=False)
def byte_at(state: Any, word: int, t: int) -> int:
    """The t-th byte from ``word`` on: 1 + a token, or 0 where there is none."""
    return (state[word + (t >> 3)] >> ((t & 7) << 3)) & 255


@compiled(I8(WORDS, I8), _nrt=False)
def answer_byte(state: Any, t: int) -> int:
    """1 + the t-th token of the answer, or 0 where there is none yet."""
    return byte_at(state, ANSWER, t)


@compiled(I8(WORDS, I8), _nrt=False)
def say(state: Any, action: int) -> int:
    """Put a token behind the answer; whether that ended it."""
    n = state[1]
    state[ANSWER + (n >> 3)] |= (action + 1) << ((n & 7) << 3)
    n += 1
    ended = action == state[V] - 1 or n == state[H]
    state[1] = ~n if ended else n
    return ended


@compiled(I8(WORDS), _nrt=False)
def length(state: Any) -> int:
    """The tokens before EOS of what has been said."""
    n = state[1] if state[1] >= 0 else ~state[1]
    return n - 1 if n > 0 and answer_byte(state, n - 1) == state[V] else n


@compiled(types.void(WORDS), _nrt=False)
def clear(state: Any) -> None:
    """Nothing has been said."""
    for i in range(1, ANSWER + (state[H] + 7) // 8):
        state[i] = 0


@rule.player
def player(state: Any) -> int:
    return state[1] >> 63


@rule.legal
def legal(state: Any, mask: Any) -> None:
    for a in range(mask.size):
        mask[a] = state[1] >= 0


@rule.chance
def chance(state: Any, action: int, probs: Any) -> int:
    """The prompt is drawn uniformly; a token follows without chance."""
    if action >= 0:
        probs[0] = 1.0
        return 1
    for k in range(probs.size):
        probs[k] = 1.0 / probs.size
    return probs.size


def answer_words(horizon: int) -> int:
    """The words that an answer takes."""
    return (horizon + 7) // 8


@dataclass(frozen=True)
class Tokens:
    """The sizes of a token world, and its words for people. EOS is the last token of the vocabulary.

    prompt: the tokens of the k-th prompt, as many as there are (the world may pad them to prompt_length).
    names: of the tokens. glue: what stands between them in a text.
    """

    vocabulary: int
    prompts: int
    prompt_length: int
    horizon: int
    reward: str
    prompt: Callable[[int], tuple[int, ...]]
    names: tuple[str, ...]
    glue: str = " "

    @property
    def eos(self) -> int:
        """The id of the end of the sequence."""
        return self.vocabulary - 1

    @cached_property
    def prompt_tokens(self) -> tuple[tuple[int, ...], ...]:
        """All prompts."""
        return tuple(map(self.prompt, range(self.prompts)))

    def answer(self, state: Words) -> tuple[int, ...]:
        """The tokens so far, EOS included where it was said."""
        n = int(state[1])
        return tuple(byte_at(state, ANSWER, t) - 1 for t in range(n if n >= 0 else ~n))

    def spelt(self, tokens: tuple[int, ...]) -> str:
        """Tokens for people."""
        content = self.glue.join(self.names[token] for token in tokens if token != self.eos)
        return f"{content} {self.names[self.eos]}".strip() if self.eos in tokens else content

    def text(self, state: Words) -> str:
        """Prompt and answer for people."""
        return f"prompt: {self.spelt(self.prompt(int(state[0])))} | answer: {self.spelt(self.answer(state)) or '-'}"


def token_world(tokens: Tokens, **fields: Any) -> Game:
    """The world of these tokens: what all of them have in common, and the ``fields`` of ``Game`` that are its own (id,
    summary, source, reset, step, observe, constants; state_words where it keeps more than prompt number and answer)."""
    common = {
        "players": 1,
        "actions": tokens.vocabulary,
        "observation_shape": (tokens.prompt_length + tokens.horizon,),
        "state_words": ANSWER + answer_words(tokens.horizon),
        "max_steps": tokens.horizon,
        "kind": "tokens",
        "return_range": (0.0, 1.0),
        "terminal_rewards": True,
        "action_names": tokens.names,
        "seat_names": ("policy",),
        "player": player,
        "legal": legal,
        "chance": chance,
        "outcomes": tokens.prompts,
        "text": tokens.text,
        "extra": tokens,
    }
    return Game(**{**common, **fields})


def whole(world: str, limits: dict[str, tuple[int, int]], numbers: dict[str, Any]) -> None:
    """Raises UserError where one of the settings is no whole number, or not within its limits."""
    for key, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, int):
            raise UserError(f"{world}: {key}={shown(value)} is not a whole number")
    for key, (low, high) in limits.items():
        if not low <= numbers[key] <= high:
            raise UserError(f"{world}: {key}={shown(numbers[key])} is not between {low} and {high}")


SEEDS = (-(1 << 63), (1 << 63) - 1)
MOST_PROMPTS = 100_000
POOL = 10_000  # prompts by default, where there are more
LONGEST_ANSWER = 1024


def spread(rng: np.random.Generator, modulus: int) -> tuple[int, int]:
    """stride and offset of a walk k -> (stride k + offset) mod ``modulus`` that comes back only after ``modulus``."""
    stride = next(s for s in rng.integers(1, modulus + 1, 10_000).tolist() if gcd(s, modulus) == 1)
    return stride, int(rng.integers(modulus))


def named(world: str, chosen: dict[str, Any], default: dict[str, Any]) -> str:
    """The id of a world: its name, and the settings that are not the default."""
    written = ",".join(
        f"{key}={str(value).lower() if isinstance(value, bool) else value}"
        for key, value in chosen.items()
        if value != default[key]
    )
    return f"{world}:{written}" if written else world
