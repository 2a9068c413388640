"""Token generation as an MDP (notes 5.2.1, definition 5.1): the answer of a language model, one token at a time.

State: the prompt and the tokens so far. Action: the next token; the last id is the end of the sequence (EOS). The
episode ends with EOS or at the horizon, and only then is there a reward (5.1): of a table drawn from the seed, or of a
rule that verifies the answer (the tokens before EOS).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from elodrome.envs.engine import GOLDEN, below, mix, unit
from elodrome.envs.game import Game, compiled, rule
from elodrome.envs.signatures import I8, REAL, WORDS
from elodrome.envs.tokens.rows import (
    LONGEST_ANSWER,
    MOST_PROMPTS,
    SEEDS,
    H,
    L,
    Tokens,
    V,
    answer_byte,
    clear,
    named,
    say,
    spread,
    token_world,
    whole,
)
from elodrome.errors import UserError, shown, unknown
from elodrome.seeding import generator

# The row: what all token worlds have, and these constants before the last three: rule, seed, and stride, offset,
# modulus: prompt k spells the number (stride k + offset) mod (V - 1)^L in base V - 1, so that prompts need no table.
_RULE, _SEED, _STRIDE, _OFFSET, _MODULUS = range(-8, -3)
RULES = ("table", "structured", "two_mode", "copy", "reverse", "sorted", "count", "sum")
_TABLE, _STRUCTURED, _TWO_MODE, _COPY, _REVERSE, _SORTED, _COUNT, _SUM = range(8)


@compiled(I8(WORDS, I8), _nrt=False)
def prompt_token(state: Any, j: int) -> int:
    """The j-th token of the prompt."""
    number = (state[_STRIDE] * state[0] + state[_OFFSET]) % state[_MODULUS]
    for _ in range(j):
        number //= state[V] - 1
    return number % (state[V] - 1)


@compiled(I8(WORDS, I8), _nrt=False)
def wanted(state: Any, j: int) -> int:
    """The j-th token of the answer that the rule wants, or EOS behind its end."""
    length = state[L]
    rule_ = state[_RULE]
    content = state[V] - 1
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
    return wanted(state, n) == state[V] - 1


@compiled(REAL(WORDS), _nrt=False)
def entry(state: Any) -> float:
    """The number in [0, 1) that a table drawn from the seed has for this prompt and finished answer."""
    word = mix(np.uint64(state[_SEED]) + np.uint64(state[0]) * GOLDEN)
    for t in range(~state[1]):
        word = mix(word + np.uint64(answer_byte(state, t)) * GOLDEN)
    return unit(word)


@compiled(REAL(WORDS), _nrt=False)
def structured(state: Any) -> float:
    """1/2 + sum_t (u(prompt, y_t) + w(y_{t-1}, y_t)) / 4H with u and w drawn in [-1, 1) from the seed, EOS included."""
    of_prompt = mix(np.uint64(state[_SEED]) + np.uint64(state[0] + 1) * GOLDEN)
    total, before = 0.0, 0
    for t in range(~state[1]):
        byte = answer_byte(state, t)
        of_token = mix(np.uint64(state[_SEED]) ^ mix(np.uint64(before)))
        total += unit(mix(of_prompt + np.uint64(byte) * GOLDEN)) + unit(mix(of_token + np.uint64(byte) * GOLDEN)) - 1.0
        before = byte
    return 0.5 + total / (2.0 * state[H])


@compiled(I8(WORDS, I8, I8), _nrt=False)
def mode_token(state: Any, mode: int, t: int) -> int:
    """The t-th token of the first or second (0, 1) best answer to the prompt; the two differ in every token."""
    word = mix(mix(np.uint64(state[_SEED]) + np.uint64(state[0]) * GOLDEN) + np.uint64(t) * GOLDEN)
    first = below(word, state[V] - 1)
    return (first + mode * (1 + below(mix(word), state[V] - 2))) % (state[V] - 1)


@compiled(REAL(WORDS), _nrt=False)
def nearness(state: Any) -> float:
    """(share of the H tokens that are those of the nearer of the two modes)^3: 1 at both, at most 1/8 half way."""
    nearest = 0
    for mode in range(2):
        same = 0
        for t in range(~state[1]):
            same += answer_byte(state, t) - 1 == mode_token(state, mode, t)
        nearest = max(nearest, same)
    return (nearest / state[H]) ** 3


@rule.reset
def reset(state: Any, chance: int) -> None:
    state[0] = chance
    clear(state)


@rule.step
def step(state: Any, action: int, chance: int, rewards: Any) -> None:
    if not say(state, action):
        return
    if state[_RULE] == _TABLE:
        rewards[0] = entry(state)
    elif state[_RULE] == _STRUCTURED:
        rewards[0] = structured(state)
    elif state[_RULE] == _TWO_MODE:
        rewards[0] = nearness(state)
    else:
        rewards[0] = correct(state)


@rule.observe
def observe(state: Any, seat: int, out: Any) -> None:
    length = state[L]
    number = (state[_STRIDE] * state[0] + state[_OFFSET]) % state[_MODULUS]
    for j in range(length):
        out[j] = number % (state[V] - 1) + 1
        number //= state[V] - 1
    for t in range(state[H]):
        out[length + t] = answer_byte(state, t)


def modes(world: Game, prompt: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The two best answers to the prompt of that number, where the reward is "two_mode"."""
    row = world.template.copy()
    world.reset(row, prompt)
    first, second = (tuple(mode_token(row, mode, t) for t in range(row[H])) for mode in range(2))
    return first, second


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
    entry a hash, so that no size is too large); "structured", a sum over tokens and pairs of neighbours, so that few
    answers tell of all; "two_mode", 1 for two answers that share no token (``modes``), less with every token that is
    not the nearer one's; or 1 for the one right answer and 0 for all others: "copy" the prompt, "reverse" it, its
    tokens "sorted", the "count" of its zeros or its "sum" (one token, modulo V - 1).
    Observation [prompt_length + horizon]: token ids + 1, 0 where nothing stands yet; an EOS that was said shows.
    Raises UserError for sizes that make no sense, or a horizon too short for the right answer.
    """
    numbers = {"vocabulary": vocabulary, "prompts": prompts, "horizon": horizon, "seed": seed}
    limits = {"vocabulary": (2, 250), "prompts": (1, MOST_PROMPTS), "horizon": (1, LONGEST_ANSWER), "seed": SEEDS}
    whole("token_mdp", limits, numbers)
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
    if reward == "two_mode" and vocabulary < 3:
        raise UserError("token_mdp: reward=two_mode needs a vocabulary of 3 at least, EOS and two tokens that differ")
    rng = generator(seed, "token_mdp")
    stride, offset = spread(rng, modulus)
    names = (*map(str, range(content)), "EOS")

    def prompt(k: int) -> tuple[int, ...]:
        return tuple((stride * k + offset) % modulus // content**j % content for j in range(length))

    tokens = Tokens(vocabulary, prompts, length, horizon, reward, prompt, names)
    default = {"vocabulary": 4, "prompts": 4, "horizon": 4, "reward": "table", "seed": 0, "prompt_length": None}
    chosen = {**numbers, "reward": reward, "prompt_length": prompt_length}
    table_seed = int(rng.integers(1 << 62))
    return token_world(
        tokens,
        id=named("token_mdp", chosen, default),
        summary=f"token generation, reward: {reward}",
        source="notes 5.2.1, definition 5.1",
        reset=reset,
        step=step,
        observe=observe,
        constants=np.array(
            [RULES.index(reward), table_seed, stride, offset, modulus, vocabulary, length, horizon], np.int64
        ),
    )
