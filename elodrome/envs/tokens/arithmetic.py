"""Arithmetic token by token: sums and small expressions, their results verified, their steps checked (notes 5.2, 5.8).

State: the task and the tokens so far. Action: the next token. The episode ends with EOS or at the horizon, and only
then is there a reward: 1 where the result is right, which is what stands behind the last ";", and 0 elsewhere. Steps
before it may be written or not, in any of these worlds; what they are worth is for ``Arithmetic.marks`` to say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from elodrome.envs.game import Game, Words, rule
from elodrome.envs.tokens.rows import (
    ANSWER,
    MOST_PROMPTS,
    POOL,
    SEEDS,
    H,
    L,
    Tokens,
    answer_byte,
    answer_words,
    byte_at,
    clear,
    length,
    named,
    say,
    token_world,
    whole,
)
from elodrome.envs.tokens.sums import (
    ADDITION,
    COLUMN,
    DRAWN,
    NAMES,
    STEP,
    TASK,
    TASKS,
    ask_addition,
    ask_expression,
    check_steps,
    prompt_word,
    result_right,
    write_solutions,
)
from elodrome.errors import UserError, shown, unknown
from elodrome.seeding import derive

Ints = npt.NDArray[np.int64]


@rule.reset
def reset(state: Any, chance: int) -> None:
    state[0] = chance
    clear(state)
    for i in range(prompt_word(state) - 1, prompt_word(state) + (state[L] + 7) // 8):
        state[i] = 0
    if state[TASK] == ADDITION:
        ask_addition(state)
    else:
        ask_expression(state)


@rule.step
def step(state: Any, action: int, chance: int, rewards: Any) -> None:
    if not say(state, action):
        return
    end = length(state)
    start = end
    while start > 0 and answer_byte(state, start - 1) - 1 != STEP:
        start -= 1
    rewards[0] = result_right(state, start, end)


@rule.observe
def observe(state: Any, seat: int, out: Any) -> None:
    for j in range(state[L]):
        out[j] = byte_at(state, prompt_word(state), j)
    for t in range(state[H]):
        out[state[L] + t] = answer_byte(state, t)


@dataclass(frozen=True)
class Arithmetic(Tokens):
    """The sizes of a world of sums, who writes its right answers, and who checks steps. Shapes: B states, H horizon."""

    def solutions(self, states: Words) -> Ints:
        """The right answers to the prompts of states [B, W], steps before the result where the world has ``steps``:
        int64 [B, H], EOS from the end on."""
        out = np.empty((len(states), self.horizon), np.int64)
        write_solutions(np.ascontiguousarray(states), out)
        return out

    def marks(self, states: Words) -> tuple[Ints, Ints]:
        """What is right in the answers of states [B, W], finished or not: int64 [B, H], 1 or -1 at the token that ends
        a step and at the last one of a finished answer, 0 elsewhere; and the number of the first step that is wrong
        [B] (the result comes after the last step), -1 where none is.

        A step of an addition is right when it is the column whose turn it is. A step of an expression is right when
        its value is that of the prompt and fewer signs are left than in the last right one. The last mark of a finished
        answer is 1 exactly where the reward is.
        """
        marks = np.empty((len(states), self.horizon), np.int64)
        return marks, np.array([check_steps(state, mark) for state, mark in zip(states, marks, strict=True)], np.int64)


def arithmetic(
    task: str = "addition",
    digits: int = 2,
    steps: bool = False,
    numbers: int = 3,
    prompts: int | None = None,
    seed: int = 0,
    most_digits: int | None = None,
) -> Game:
    """Sums token by token, with the reward at the end (notes 5.2.1).

    task: "addition" of two numbers, or an "expression" of ``numbers`` numbers, + - * and brackets that are not nested.
    digits: the most digits of a number; a prompt's numbers are drawn from all of them. steps: whether demonstrations
    show the work before the result; the answer has room for it. Of an addition each column from the right, ``abc=Cs;``:
    digits a and b, carry in, carry out, digit of the sum; of an expression the line after each sign is worked out.
    prompts: how many there are (by default all additions of the digits, but 10,000 at most), chosen by the seed:
    another seed asks others. most_digits: as many as prompt and answer have room for. Worlds that share task, numbers,
    steps and most_digits look alike, and an agent of one plays the others.
    Vocabulary: 0 1 2 3 4 5 6 7 8 9 + - * ( ) = ; EOS. Observation [prompt_length + horizon]: token ids + 1; 0 in front
    of the prompt where it is shorter than the longest, and where nothing is said yet.
    Raises UserError for sizes that make no sense.
    """
    if task not in TASKS:
        raise unknown("task", task if isinstance(task, str) else shown(task), TASKS)
    if not isinstance(steps, bool):
        raise UserError(f"arithmetic: steps={shown(steps)} is neither true nor false")
    longest = 64 if task == "addition" else 9
    room = digits if most_digits is None else most_digits
    limits = {"digits": (1, longest), "numbers": (2, 9), "seed": SEEDS}
    whole("arithmetic", limits, {"digits": digits, "numbers": numbers, "seed": seed})
    whole("arithmetic", {"most_digits": (digits, longest)}, {"most_digits": room})
    if task == "expression" and room * numbers > 18:
        raise UserError(f"arithmetic: numbers={numbers} of digits={room} are too large; 18 digits in all at most")
    there = 10 ** (2 * min(digits, DRAWN)) if task == "addition" else MOST_PROMPTS
    pool = min(there, POOL) if prompts is None else prompts
    whole("arithmetic", {"prompts": (1, min(there, MOST_PROMPTS))}, {"prompts": pool})
    prompt_length, horizon = _room(task, room, numbers, steps)
    constants = np.array(
        [
            TASKS.index(task),
            steps,
            digits,
            numbers,
            derive(seed, "arithmetic") >> 1,
            len(NAMES),
            prompt_length,
            horizon,
        ],
        np.int64,
    )
    state_words = ANSWER + answer_words(horizon) + 1 + (prompt_length + 7) // 8

    def prompt(k: int) -> tuple[int, ...]:
        row = np.concatenate([np.zeros(state_words, np.int64), constants])
        reset(row, k)
        return tuple(b - 1 for j in range(prompt_length) if (b := byte_at(row, prompt_word(row), j)))

    tokens = Arithmetic(len(NAMES), pool, prompt_length, horizon, "right", prompt, NAMES, glue="")
    chosen = {"task": task, "digits": digits, "steps": steps, "numbers": numbers if task == "expression" else 3}
    chosen |= {"prompts": prompts, "seed": seed, "most_digits": None if room == digits else room}
    default = {"task": "addition", "digits": 2, "steps": False, "numbers": 3}
    default |= {"prompts": None, "seed": 0, "most_digits": None}
    return token_world(
        tokens,
        id=named("arithmetic", chosen, default),
        state_words=state_words,
        summary=f"arithmetic token by token: {task}" + ", with steps" * steps,
        source="notes 5.2.1, definition 5.1; 5.8",
        layout=f"arithmetic, {prompt_length} and {horizon} tokens",
        reset=reset,
        step=step,
        observe=observe,
        constants=constants,
    )


def _room(task: str, digits: int, numbers: int, steps: bool) -> tuple[int, int]:
    """The longest prompt and the longest right answer, EOS included, in tokens."""
    if task == "addition":
        return 2 * digits + 2, COLUMN * digits * steps + digits + 2
    line = numbers * digits + numbers - 1 + 2 * (numbers // 2)
    if not steps:
        return line + 1, numbers * digits + 2
    # Each sign that is worked out makes a line shorter by a token at least; a ";" or EOS ends each.
    return line + 1, sum(line - i + 1 for i in range(1, numbers))
