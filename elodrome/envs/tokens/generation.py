"""Token generation as an MDP (notes 5.2.1, definition 5.1): the answer of a language model, one token at a time.

State: the prompt and the tokens so far. Action: the next token; the last id is the end of the sequence (EOS). The
episode ends with EOS or at the horizon, and only then is there a reward (5.1): of a table drawn from the seed, or of a
rule that verifies the answer (the tokens before EOS).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd
from typing import Any

import numpy as np

from elodrome.envs.engine import GOLDEN, mix, unit
from elodrome.envs.game import Game, Words, compiled, rule
from elodrome.envs.signatures import I8, WORDS
from elodrome.errors import UserError, shown, unknown
from elodrome.seeding import generator

# The row: [prompt, tokens so far n or ~n at the end, the tokens, 8 to a word, one byte each as id + 1].
# Constants, at the end of the row: vocabulary V, prompt length L, horizon H, rule, seed, and stride, offset, modulus:
# prompt k spells the number (stride k + offset) mod (V - 1)^L in base V - 1, so that prompts need no table.
_V, _L, _H, _RULE, _SEED, _STRIDE, _OFFSET, _MODULUS = range(-8, 0)
RULES = ("table", "copy", "reverse", "sorted", "count", "sum")
_TABLE, _COPY, _REVERSE, _SORTED, _COUNT, _SUM = range(6)


@compiled(I8(WORDS, I8), _nrt=False)
def prompt_token(state: Any, j: int) -> int:
    """The j-th token of the prompt."""
    number = (state[_STRIDE] * state[0] + state[_OFFSET]) % state[_MODULUS]
    for _ in range(j):
        number //= state[_V] - 1
    return number % (state[_V] - 1)


@compiled(I8(WORDS, I8), _nrt=False)
def answer_byte(state: Any, t: int) -> int:
    """1 + the t-th token of the answer, or 0 where there is none yet."""
    return (state[2 + (t >> 3)] >> ((t & 7) << 3)) & 255


@compiled(I8(WORDS, I8), _nrt=False)
def wanted(state: Any, j: int) -> int:
    """The j-th token of the answer that the rule wants, or EOS behind its end."""
    length = state[_L]
    rule_ = state[_RULE]
    content = state[_V] - 1
    if rule_ in (_COUNT, _SUM):
        if j > 0:
            return content
        total = 0
        for i in range(length):
            token = prompt_token(state, i)
            total += token if rule_ == _SUM else token == 0
        return total % content
    if j >= length:
        return content
    if rule_ == _COPY:
        return prompt_token(state, j)
    if rule_ == _REVERSE:
        return prompt_token(state, length - 1 - j)
    below = 0
    for token in range(content):
        for i in range(length):
            below += prompt_token(state, i) == token
        if below > j:
            return token
    return content


@compiled(I8(WORDS), _nrt=False)
def correct(state: Any) -> int:
    """Whether a finished answer is the one that the rule wants; at the horizon EOS may be missing."""
    n = ~state[1]
    for t in range(n):
        if answer_byte(state, t) - 1 != wanted(state, t):
            return 0
    return wanted(state, n) == state[_V] - 1


@rule.reset
def reset(state: Any, chance: int) -> None:
    state[0] = chance
    for i in range(1, 2 + (state[_H] + 7) // 8):
        state[i] = 0


@rule.player
def player(state: Any) -> int:
    return state[1] >> 63


@rule.legal
def legal(state: Any, mask: Any) -> None:
    for a in range(mask.size):
        mask[a] = state[1] >= 0


@rule.step
def step(state: Any, action: int, chance: int, rewards: Any) -> None:
    n = state[1]
    state[2 + (n >> 3)] |= (action + 1) << ((n & 7) << 3)
    n += 1
    if action != state[_V] - 1 and n < state[_H]:
        state[1] = n
        return
    state[1] = ~n
    if state[_RULE] == _TABLE:
        word = mix(np.uint64(state[_SEED]) + np.uint64(state[0]) * GOLDEN)
        for t in range(n):
            word = mix(word + np.uint64(answer_byte(state, t)) * GOLDEN)
        rewards[0] = unit(word)
    else:
        rewards[0] = correct(state)


@rule.observe
def observe(state: Any, seat: int, out: Any) -> None:
    length = state[_L]
    number = (state[_STRIDE] * state[0] + state[_OFFSET]) % state[_MODULUS]
    for j in range(length):
        out[j] = number % (state[_V] - 1) + 1
        number //= state[_V] - 1
    for t in range(state[_H]):
        out[length + t] = answer_byte(state, t)


@rule.chance
def chance(state: Any, action: int, probs: Any) -> int:
    """The prompt is drawn uniformly; a token follows without chance."""
    if action >= 0:
        probs[0] = 1.0
        return 1
    for k in range(probs.size):
        probs[k] = 1.0 / probs.size
    return probs.size


@dataclass(frozen=True)
class Tokens:
    """The sizes of a token world. EOS is the last token of the vocabulary."""

    vocabulary: int
    prompts: int
    prompt_length: int
    horizon: int
    reward: str
    prompt_tokens: tuple[tuple[int, ...], ...]

    @property
    def eos(self) -> int:
        """The id of the end of the sequence."""
        return self.vocabulary - 1

    def answer(self, state: Words) -> tuple[int, ...]:
        """The tokens so far, EOS included where it was said."""
        n = int(state[1])
        return tuple(int(state[2 + (t >> 3)]) >> (8 * (t & 7)) & 255 for t in range(n if n >= 0 else ~n))

    def text(self, state: Words) -> str:
        """Prompt and answer for people."""
        said = ["EOS" if b - 1 == self.eos else str(b - 1) for b in self.answer(state)]
        return f"prompt: {' '.join(map(str, self.prompt_tokens[int(state[0])]))} | answer: {' '.join(said) or '-'}"


def token_mdp(
    vocabulary: int = 4,
    prompts: int = 4,
    horizon: int = 4,
    reward: str = "table",
    seed: int = 0,
    prompt_length: int | None = None,
) -> Game:
    """Token generation with the reward at the end (notes 5.2.1).

    vocabulary: V tokens, EOS (the last id) included. prompts: how many; distinct sequences of prompt_length of the
    other V - 1 tokens, chosen by the seed (by default as short as will do, but 2 at least). horizon: the most tokens of
    an answer, EOS included. reward: "table", a number in [0, 1) for every complete answer, drawn from the seed (each
    entry a hash, so that no size is too large); or 1 for the one right answer and 0 for all others: "copy" the prompt,
    "reverse" it, its tokens "sorted", the "count" of its zeros or its "sum" (one token, modulo V - 1).
    Observation [prompt_length + horizon]: token ids + 1, 0 where nothing stands yet; an EOS that was said shows.
    Raises UserError for sizes that make no sense, or a horizon too short for the right answer.
    """
    numbers = {"vocabulary": vocabulary, "prompts": prompts, "horizon": horizon, "seed": seed}
    for key, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, int):
            raise UserError(f"token_mdp: {key}={shown(value)} is not a whole number")
    seeds = (-(1 << 63), (1 << 63) - 1)
    for key, low, high in (("vocabulary", 2, 250), ("prompts", 1, 100_000), ("horizon", 1, 1024), ("seed", *seeds)):
        if not low <= numbers[key] <= high:
            raise UserError(f"token_mdp: {key}={shown(numbers[key])} is not between {low} and {high}")
    if reward not in RULES:
        raise unknown("reward", reward if isinstance(reward, str) else shown(reward), RULES)
    content = vocabulary - 1
    if prompt_length is None:
        length = 2
        while content > 1 and content**length < prompts:
            length += 1
    else:
        length = prompt_length
    if isinstance(length, bool) or not isinstance(length, int) or not 1 <= length <= 1024 or content**length >= 1 << 31:
        raise UserError(
            f"token_mdp: prompt_length={shown(length)} must be at least 1, with (vocabulary - 1)^it under 2^31"
        )
    modulus = content**length
    if prompts > modulus:
        raise UserError(f"token_mdp: {prompts} prompts; there are only {modulus} of {length} of {content} tokens")
    if reward in ("copy", "reverse", "sorted") and horizon < length:
        raise UserError(f"token_mdp: horizon={horizon} is too short to {reward} a prompt of {length} tokens")
    rng = generator(seed, "token_mdp")
    stride = next(s for s in rng.integers(1, modulus + 1, 10_000).tolist() if gcd(s, modulus) == 1)
    offset = int(rng.integers(modulus))
    codes = [(stride * k + offset) % modulus for k in range(prompts)]
    tokens = Tokens(
        vocabulary,
        prompts,
        length,
        horizon,
        reward,
        tuple(tuple(code // content**j % content for j in range(length)) for code in codes),
    )
    default = {"vocabulary": 4, "prompts": 4, "horizon": 4, "reward": "table", "seed": 0, "prompt_length": None}
    chosen = {**numbers, "reward": reward, "prompt_length": prompt_length}
    written = ",".join(f"{k}={v}" for k, v in chosen.items() if v != default[k])
    table_seed = int(rng.integers(1 << 62))
    return Game(
        id="token_mdp" + (":" + written if written else ""),
        players=1,
        actions=vocabulary,
        observation_shape=(length + horizon,),
        state_words=2 + (horizon + 7) // 8,
        max_steps=horizon,
        kind="tokens",
        return_range=(0.0, 1.0),
        terminal_rewards=True,
        summary=f"token generation, reward: {reward}",
        source="notes 5.2.1, definition 5.1",
        action_names=(*(str(a) for a in range(content)), "EOS"),
        seat_names=("policy",),
        reset=reset,
        player=player,
        legal=legal,
        step=step,
        observe=observe,
        chance=chance,
        outcomes=prompts,
        constants=np.array(
            [vocabulary, length, horizon, RULES.index(reward), table_seed, stride, offset, modulus], np.int64
        ),
        text=tokens.text,
        extra=tokens,
    )
