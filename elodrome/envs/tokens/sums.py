"""Sums token by token: how tasks are drawn, what is right, and which written step is wrong; compiled (notes 5.2.1).

The row: what all token worlds have (``rows``), then where the prompt's "+" stands (of an addition) or its first token
(of an expression), then the prompt, one byte to a token, 0 in front where it is shorter than L. Constants before the
last three: task, whether demonstrations show steps, digits, numbers, seed.

Steps end with ";". Of an addition the i-th step is the i-th column from the right, ``abc=Cs;``: digits a and b, carry
in c, carry out C, digit of the sum s. Of an expression a step is a line with less to do and the same value, as
``2*(3+4)-5=`` goes on with ``2*7-5;`` ``14-5;``. What stands behind the last ";" is the result.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from elodrome.envs.engine import GOLDEN, ROWS, below, mix
from elodrome.envs.game import compiled
from elodrome.envs.intrinsics import row
from elodrome.envs.signatures import I8, WORDS
from elodrome.envs.tokens.rows import ANSWER, H, L, byte_at, length

NAMES = (*"0123456789+-*()=;", "EOS")
PLUS, MINUS, TIMES, OPEN, CLOSE, EQUALS, STEP, EOS = range(10, 18)
TASK, STEPS, DIGITS, NUMBERS, SEED = range(-8, -3)
TASKS = ("addition", "expression")
ADDITION, EXPRESSION = range(2)
DRAWN = 9  # digits of an addition's numbers that are drawn as one number; those beyond one by one
COLUMN = 7  # tokens of a step of an addition
_TOO_LARGE = 4e18  # a product; sums of the few that a line may hold do not come round to what a task is worth
PAIR = types.UniTuple(I8, 2)


@compiled(I8(WORDS), _nrt=False)
def prompt_word(state: Any) -> int:
    """The word where the prompt begins; the one before it says where in the prompt to look."""
    return ANSWER + (state[H] + 7) // 8 + 1


@compiled(types.void(WORDS, I8, I8), _nrt=False)
def put(state: Any, j: int, token: int) -> None:
    """Write the j-th token of the prompt."""
    state[prompt_word(state) + (j >> 3)] |= (token + 1) << ((j & 7) << 3)


@compiled(types.uint64(WORDS, I8), inline="always")
def drawn(state: Any, i: int) -> Any:
    """The i-th random word of this prompt."""
    return mix(mix(np.uint64(state[SEED]) + np.uint64(state[0]) * GOLDEN) + np.uint64(i) * GOLDEN)


@compiled(PAIR(WORDS), _nrt=False)
def pair(state: Any) -> Any:
    """The k-th pair of numbers of at most DRAWN digits, in random order and without repetition: four rounds of a
    Feistel network that adds modulo 10^digits, which is one to one whatever is added."""
    base = 10 ** min(state[DIGITS], DRAWN)
    left, right = state[0] // base, state[0] % base
    for i in range(4):
        added = below(mix(np.uint64(state[SEED]) + np.uint64(4 * right + i) * GOLDEN), base)
        left, right = right, (left + added) % base
    return left, right


@compiled(I8(WORDS, I8, I8), _nrt=False)
def drawn_digit(state: Any, which: int, i: int) -> int:
    """The i-th digit from the right that is drawn for the first or second number of an addition (0, 1)."""
    if i >= DRAWN:
        return below(drawn(state, 2 * i + which), 10)
    numbers = pair(state)
    return (numbers[1] if which else numbers[0]) // 10**i % 10


@compiled(I8(WORDS, I8, I8), _nrt=False)
def digit(state: Any, which: int, i: int) -> int:
    """The i-th digit from the right of the first or second number in the prompt of an addition; 0 beyond its end."""
    plus = state[prompt_word(state) - 1]
    j, first = (state[L] - 2 - i, plus + 1) if which else (plus - 1 - i, 0)
    return max(byte_at(state, prompt_word(state), j) - 1, 0) if j >= first else 0


@compiled(I8(WORDS, I8), _nrt=False)
def carry(state: Any, i: int) -> int:
    """What is carried into the i-th column from the right."""
    carried = 0
    for j in range(i):
        carried = (digit(state, 0, j) + digit(state, 1, j) + carried) // 10
    return carried


@compiled(I8(WORDS, I8, I8), _nrt=False)
def column_token(state: Any, i: int, t: int) -> int:
    """The t-th token of the step that adds the i-th column."""
    a, b, c = digit(state, 0, i), digit(state, 1, i), carry(state, i)
    total = a + b + c
    if t < 2:
        return a if t == 0 else b
    if t < 4:
        return c if t == 2 else EQUALS
    if t < 6:
        return total // 10 if t == 4 else total % 10
    return STEP


@compiled(I8(WORDS), _nrt=False)
def columns(state: Any) -> int:
    """The columns of an addition: the digits of the longer number."""
    first = 0
    while byte_at(state, prompt_word(state), first) == 0:
        first += 1
    plus = state[prompt_word(state) - 1]
    return max(plus - first, state[L] - 2 - plus)


@compiled(types.void(WORDS), _nrt=False)
def ask_addition(state: Any) -> None:
    """Write the prompt ``a+b=``, from its end."""
    j = state[L] - 1
    put(state, j, EQUALS)
    for which in (1, 0):
        count = state[DIGITS]
        while count > 1 and drawn_digit(state, which, count - 1) == 0:
            count -= 1
        for i in range(count):
            j -= 1
            put(state, j, drawn_digit(state, which, i))
        if which == 1:
            j -= 1
            put(state, j, PLUS)
            state[prompt_word(state) - 1] = j


@compiled(types.void(WORDS), _nrt=False)
def ask_expression(state: Any) -> None:
    """Write a prompt such as ``2*(3+4)-5=``, from its end: each number and sign equally likely, and a bracket begins at
    every second chance, and ends so once it holds two numbers; none in another, and none around all."""
    j = state[L] - 1
    put(state, j, EQUALS)
    inside = 0  # numbers in the bracket that is open; 0 where none is
    most = state[NUMBERS] - 1
    for i in range(state[NUMBERS]):
        word = drawn(state, i)
        if i > 0:
            j -= 1
            put(state, j, PLUS + below(mix(word + np.uint64(1)), 3))
        last, coin = i == state[NUMBERS] - 1, (mix(word + np.uint64(2)) & np.uint64(1)) > np.uint64(0)
        if inside > 0:
            inside += 1
        elif coin and not last and most > 1:
            j -= 1
            put(state, j, CLOSE)
            inside = 1
        number = below(word, 10 ** state[DIGITS])
        j -= 1
        put(state, j, number % 10)
        while number >= 10:
            number //= 10
            j -= 1
            put(state, j, number % 10)
        if inside > 1 and (last or coin or inside == most):
            j -= 1
            put(state, j, OPEN)
            inside = 0
    state[prompt_word(state) - 1] = j


@compiled(PAIR(WORDS, I8, I8, I8), _nrt=False)
def evaluate(state: Any, word: int, start: int, end: int) -> Any:
    """How many signs are left to work out, and the value, of tokens [start, end) from a word on.

    -1 signs where they are no expression: numbers without needless zeros, each with a "-" of its own if need be,
    between + - *, in brackets if need be, none of which is in another; or where a number is too large.
    """
    nothing = (-1, 0)
    total, term, sign, times = 0, 1, 1, False  # what is summed, the product at its end, its sign, whether it goes on
    outer_total, outer_term, outer_sign, outer_times = 0, 1, 1, False
    inside, signs = False, 0
    t = start
    while True:
        # A number, perhaps behind a bracket that opens
        if t < end and byte_at(state, word, t) - 1 == OPEN:
            if inside:
                return nothing
            outer_total, outer_term, outer_sign, outer_times = total, term, sign, times
            total, term, sign, times, inside = 0, 1, 1, False, True
            t += 1
        negative = t < end and byte_at(state, word, t) - 1 == MINUS
        t += negative
        first, value = t, 0
        while t < end and byte_at(state, word, t) <= 10:
            value = 10 * value + byte_at(state, word, t) - 1
            t += 1
            if t - first > 18:
                return nothing
        if t == first or (t > first + 1 and byte_at(state, word, first) == 1):
            return nothing
        value = -value if negative else value
        # What comes behind it
        while True:
            if times and abs(float(term) * float(value)) > _TOO_LARGE:
                return nothing
            term = term * value if times else value
            if not (inside and t < end and byte_at(state, word, t) - 1 == CLOSE):
                break
            value = total + sign * term
            total, term, sign, times, inside = outer_total, outer_term, outer_sign, outer_times, False
            t += 1
        if t == end:
            return nothing if inside else (signs, total + sign * term)
        token = byte_at(state, word, t) - 1
        t += 1
        signs += 1
        times = token == TIMES
        if PLUS <= token <= MINUS:
            total, sign = total + sign * term, (1 if token == PLUS else -1)
        elif not times:
            return nothing


@compiled(PAIR(WORDS), _nrt=False)
def asked(state: Any) -> Any:
    """Signs and value of the prompt's expression."""
    return evaluate(state, prompt_word(state), state[prompt_word(state) - 1], state[L] - 1)


@compiled(I8(WORDS, I8, I8), _nrt=False)
def result_right(state: Any, start: int, end: int) -> int:
    """Whether the tokens [start, end) of the answer are the result, a number without needless zeros."""
    if state[TASK] == ADDITION:
        count = columns(state)
        count += carry(state, count)  # one digit more, a 1
        if end - start != count:
            return 0
        for i in range(count):
            right = (digit(state, 0, i) + digit(state, 1, i) + carry(state, i)) % 10
            if byte_at(state, ANSWER, end - 1 - i) - 1 != right:
                return 0
        return 1
    signs, value = evaluate(state, ANSWER, start, end)
    if signs != 0 or value != asked(state)[1]:
        return 0
    plain = byte_at(state, ANSWER, start) - 1 != OPEN
    return plain and not (value == 0 and end - start > 1)  # neither (7) nor -0


@compiled(I8(WORDS, I8, I8, I8, I8, I8), _nrt=False)
def step_right(state: Any, i: int, start: int, end: int, before: int, value: int) -> int:
    """Whether the tokens [start, end) of the answer are a right i-th step: a column, or a line of that value with fewer
    signs than ``before``. How many signs are left in it (0 for a column), or -1 where it is wrong."""
    if state[TASK] == EXPRESSION:
        signs, found = evaluate(state, ANSWER, start, end)
        return signs if 0 <= signs < before and found == value else -1
    if i >= columns(state) or end - start != COLUMN - 1:
        return -1
    for t in range(COLUMN - 1):
        if byte_at(state, ANSWER, start + t) - 1 != column_token(state, i, t):
            return -1
    return 0


@compiled(I8(WORDS, WORDS), _nrt=False)
def check_steps(state: Any, marks: Any) -> int:
    """Mark the token that ends a step, and the last of a finished answer, with 1 where step or result is right and -1
    where it is wrong: marks [H], 0 elsewhere. The number of the first wrong step (the result comes after the last one),
    or -1 where all that stands is right."""
    marks[:] = 0
    said = length(state)
    before, value = asked(state) if state[TASK] == EXPRESSION else (0, 0)
    start, i, wrong = 0, 0, -1
    for t in range(said):
        if byte_at(state, ANSWER, t) - 1 != STEP:
            continue
        left = step_right(state, i, start, t, before, value)
        before = left if left >= 0 else before
        marks[t] = 1 if left >= 0 else -1
        if left < 0 and wrong < 0:
            wrong = i
        i += 1
        start = t + 1
    if state[1] < 0:
        right = result_right(state, start, said)
        last = ~state[1] - 1
        if last >= start:
            marks[last] = 1 if right else -1
        if not right and wrong < 0:
            wrong = i
    return wrong


@compiled(I8(WORDS, I8, I8), _nrt=False)
def number_at(text: Any, start: int, end: int) -> int:
    """The number that tokens [start, end) spell, a "-" in front of it or not."""
    value = 0
    for t in range(start, end):
        if text[t] < 10:
            value = 10 * value + text[t]
    return -value if text[start] == MINUS else value


@compiled(I8(WORDS, I8, I8), _nrt=False)
def spell(text: Any, at: int, value: int) -> int:
    """Write a number from ``at`` on; its end."""
    if value < 0:
        text[at] = MINUS
        at += 1
        value = -value
    end, rest = at + 1, value
    while rest >= 10:
        rest //= 10
        end += 1
    for t in range(end - 1, at - 1, -1):
        text[t] = value % 10
        value //= 10
    return end


@compiled(I8(WORDS, I8, I8), _nrt=False)
def next_line(text: Any, start: int, end: int) -> int:
    """Work out one sign of the line [start, end), in the bracket that comes first, else anywhere: the first "*", else
    the first + or -. Write ";" behind the line, and the new one behind that; its end."""
    low, high, bracket = start, end, 0
    for t in range(start, end):
        if text[t] == OPEN:
            low, bracket = t + 1, 1
        if text[t] == CLOSE:
            high = t
            break
    at = -1
    for t in range(end - 1, low, -1):
        if t < high and text[t] == TIMES:
            at = t
    if at < 0:
        at = low + 1
        while not (PLUS <= text[at] <= MINUS and text[at - 1] < 10):
            at += 1
    left, right = at, at + 2  # a number has one token at least: its digit, or its sign
    while left > low and text[left - 1] < 10:
        left -= 1
    if left > low and text[left - 1] == MINUS and (left - 1 == low or text[left - 2] >= 10):
        left -= 1
    while right < high and text[right] < 10:
        right += 1
    a, b = number_at(text, left, at), number_at(text, at + 1, right)
    value = a * b if text[at] == TIMES else (a + b if text[at] == PLUS else a - b)
    alone = bracket if left == low and right == high else 0  # then the bracket goes
    text[end] = STEP
    to = end + 1
    for t in range(start, left - alone):
        text[to] = text[t]
        to += 1
    to = spell(text, to, value)
    for t in range(right + alone, end):
        text[to] = text[t]
        to += 1
    return to


@compiled(types.void(ROWS, ROWS))
def write_solutions(states: Any, out: Any) -> None:
    """The right answer to the prompt of each state [B, W], with steps where the world wants them shown: out [B, H], EOS
    from its end on."""
    for b in range(states.shape[0]):
        state, said = row(states, b), row(out, b)
        said[:] = EOS
        at = 0
        if state[TASK] == ADDITION:
            count = columns(state)
            for i in range(count * state[STEPS]):
                for t in range(COLUMN):
                    said[at] = column_token(state, i, t)
                    at += 1
            count += carry(state, count)
            for i in range(count - 1, -1, -1):
                said[at] = (digit(state, 0, i) + digit(state, 1, i) + carry(state, i)) % 10
                at += 1
        elif state[STEPS]:
            text = np.empty(state[L] + state[H] + 1, np.int64)
            start, end = 0, 0
            for j in range(state[prompt_word(state) - 1], state[L] - 1):
                text[end] = byte_at(state, prompt_word(state), j) - 1
                end += 1
            begin = end + 1
            for _ in range(state[NUMBERS] - 1):
                start, end = end + 1, next_line(text, start, end)
            said[: end - begin] = text[begin:end]
        else:
            spell(said, 0, asked(state)[1])
