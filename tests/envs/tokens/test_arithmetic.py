"""Sums token by token: prompts, writer, verifier and checker against Python's own integers and expressions."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from elodrome import make_env
from elodrome.envs.check import check_env
from elodrome.envs.game import Game
from elodrome.envs.tokens.exact import enumerate_answers
from elodrome.envs.tokens.sums import NAMES
from elodrome.errors import UserError
from elodrome.seeding import streams

EOS = 17
WORLDS = (
    "arithmetic",
    "arithmetic:digits=1,steps=true,most_digits=3",
    "arithmetic:digits=3,steps=true",
    "arithmetic:digits=12,steps=true",
    "arithmetic:digits=64,steps=true,prompts=200",
    "arithmetic:digits=5",
    "arithmetic:task=expression,digits=1",
    "arithmetic:task=expression,steps=true,most_digits=4",
    "arithmetic:task=expression,steps=true,numbers=7",
    "arithmetic:task=expression,numbers=2,digits=9,steps=true",
    "arithmetic:task=expression,numbers=9,digits=2",
)
each_world = pytest.mark.parametrize("name", WORLDS)


def states(world: Game, count: int, seed: int = 0) -> np.ndarray:
    """Start states [B, W] of random prompts."""
    table, rows = world.table(count), np.arange(count)
    table.reset(rows, streams(seed, count))
    found = table.states(rows)
    assert found is not None
    return found


def written(world: Game, state: np.ndarray) -> str:
    """The prompt as text."""
    return world.extra.spelt(world.extra.prompt(int(state[0])))


def ids(text: str) -> list[int]:
    return [NAMES.index(c) for c in text]


def said(world: Game, state: np.ndarray, answer: list[int]) -> tuple[np.ndarray, float]:
    """The state after an answer, and what it was paid."""
    state, total, paid = np.array(state), 0.0, np.zeros(1)
    for token in answer:
        assert world.player(state) == 0
        paid[:] = 0
        world.step(state, token, 0, paid)
        total += paid[0]
    return state, total


def finished(world: Game, text: str) -> list[int]:
    """An answer with EOS, where there is room for it."""
    return [*ids(text), EOS][: world.max_steps]


def python(prompt: str) -> int:
    return int(eval(re.sub(r"\b0+(?=\d)", "", prompt.rstrip("="))))


@each_world
def test_prompts_are_what_is_asked_for(name: str) -> None:
    world = make_env(name)
    digits = int(found[1]) if (found := re.search(r"\bdigits=(\d+)", name)) else 2
    seen = set()
    for state in states(world, 300):
        prompt = written(world, state)
        seen.add(prompt)
        numbers = re.findall(r"\d+", prompt)
        assert all(len(n) <= digits and (n == "0" or n[0] != "0") for n in numbers)
        if "expression" in name:
            wanted = int(found[1]) if (found := re.search(r"numbers=(\d+)", name)) else 3
            assert len(numbers) == wanted
            inside = re.findall(r"\(([^()]*)\)", prompt)
            assert prompt.count("(") == prompt.count(")") == len(inside)
            assert all(1 < len(re.findall(r"\d+", b)) < wanted for b in inside)
        else:
            assert re.fullmatch(r"\d+\+\d+=", prompt)
        out = np.full(world.observation_size, np.nan, np.float32)
        world.observe(state, 0, out)
        length = world.extra.prompt_length
        assert out.tolist() == [0] * (length - len(prompt)) + [i + 1 for i in ids(prompt)] + [0] * world.max_steps
    assert len(seen) > 60


def test_every_sign_and_bracket_comes_up() -> None:
    world = make_env("arithmetic:task=expression,digits=1,numbers=4")
    text = "".join(written(world, s) for s in states(world, 2000))
    signs = [text.count(sign) for sign in "+-*"]
    assert all(abs(count - 2000) < 4 * np.sqrt(6000 * 2 / 9) for count in signs)
    digits = [text.count(d) for d in "0123456789"]
    assert all(abs(count - 800) < 4 * np.sqrt(8000 * 0.09) for count in digits)
    assert 1000 < text.count("(") < 3000


@pytest.mark.parametrize(("digits", "base"), [(1, 10), (2, 100)])
def test_all_additions_are_there_once(digits: int, base: int) -> None:
    for seed in (0, 5):
        world = make_env("arithmetic", digits=digits, seed=seed)
        prompts = {world.extra.spelt(p) for p in world.extra.prompt_tokens}
        assert prompts == {f"{a}+{b}=" for a in range(base) for b in range(base)}


def test_another_seed_asks_others_and_all_digits_are_drawn_evenly() -> None:
    worlds = [make_env("arithmetic:digits=4,prompts=2000", seed=seed) for seed in (0, 1)]
    pools = [{world.extra.spelt(p) for p in world.extra.prompt_tokens} for world in worlds]
    assert [len(pool) for pool in pools] == [2000, 2000]
    assert len(pools[0] & pools[1]) < 5  # 2000 of 10^8
    for digits in (4, 20):
        world = make_env(f"arithmetic:digits={digits},prompts=2000")
        text = "".join(
            "".join(n.zfill(digits) for n in re.findall(r"\d+", written(world, s))) for s in states(world, 500)
        )
        share = len(text) / 10
        assert (
            sum((text.count(d) - share) ** 2 / share for d in "0123456789") < 27.9
        )  # chi-squared, 9 degrees, 1 in 1000


@each_world
def test_the_writer_is_right_by_verifier_checker_and_python(name: str) -> None:
    world = make_env(name)
    some = states(world, 60 if "64" in name else 300)
    longest = 0
    for state, answer in zip(some, world.extra.solutions(some), strict=True):
        prompt, tokens = written(world, state), [*answer.tolist(), EOS]
        text = "".join(NAMES[i] for i in tokens[: tokens.index(EOS)])
        *lines, result = text.split(";")
        assert result == str(python(prompt))
        if "steps=true" not in name:
            assert not lines
        elif "expression" in name:
            assert len(lines) == prompt.count("+") + prompt.count("-") + prompt.count("*") - 1
            for line in lines:
                assert re.fullmatch(r"[-+*()\d]+", line)
                assert python(line) == python(prompt)
        else:
            a, b = (n[::-1] for n in prompt.rstrip("=").split("+"))
            assert len(lines) == max(len(a), len(b))
            carry = 0
            for i, line in enumerate(lines):
                x, y = (int(n[i]) if i < len(n) else 0 for n in (a, b))
                assert line == f"{x}{y}{carry}={(x + y + carry) // 10}{(x + y + carry) % 10}"
                carry = (x + y + carry) // 10
        end, reward = said(world, state, finished(world, text))
        assert reward == 1
        marks, wrong = world.extra.marks(end[None])
        assert wrong.tolist() == [-1]
        assert np.flatnonzero(marks[0]).tolist() == [
            *(i for i, c in enumerate(text) if c == ";"),
            min(len(text), world.max_steps - 1),
        ]
        assert marks.min() == 0
        longest = max(longest, len(text) + 1)
    assert longest <= world.max_steps


@each_world
def test_one_other_token_is_found_out(name: str) -> None:
    """A token of a right answer is exchanged: the verifier pays by the result alone, and the checker names the step."""
    world, rng = make_env(name), np.random.default_rng(0)
    some = states(world, 40 if "64" in name else 200, seed=1)
    for state, answer in zip(some, world.extra.solutions(some), strict=True):
        length = int((answer != EOS).sum())
        at = int(rng.integers(length))
        other = answer.tolist()[:length]
        other[at] = int(rng.choice([i for i in range(EOS) if i != other[at]]))
        text = "".join(NAMES[i] for i in other)
        *lines, result = text.split(";")
        end, reward = said(world, state, finished(world, text))
        value = python(written(world, state))
        assert reward == (result == str(value)), (written(world, state), text)
        marks, wrong = world.extra.marks(end[None])
        right = [*steps_right(written(world, state), lines, addition="expression" not in name), result == str(value)]
        assert wrong[0] == (right.index(False) if False in right else -1), (written(world, state), text)
        if result or len(other) < world.max_steps:
            assert marks[0][marks[0] != 0].tolist() == [1 if r else -1 for r in right]


def steps_right(prompt: str, lines: list[str], *, addition: bool) -> list[bool]:
    """What the checker should say of written steps, from Python's own evaluation."""
    if addition:
        a, b = (n[::-1] for n in prompt.rstrip("=").split("+"))
        columns, carry = [], 0
        for i in range(max(len(a), len(b))):
            x, y = (int(n[i]) if i < len(n) else 0 for n in (a, b))
            columns.append(f"{x}{y}{carry}={(x + y + carry) // 10}{(x + y + carry) % 10}")
            carry = (x + y + carry) // 10
        return [i < len(columns) and line == columns[i] for i, line in enumerate(lines)]
    found, before = [], signs_of(prompt.rstrip("="))
    for line in lines:
        good = well_formed(line) and python(line) == python(prompt) and signs_of(line) < before
        before = signs_of(line) if good else before
        found.append(good)
    return found


NUMBER = r"-?(?:0|[1-9]\d{0,17})"
FLAT = rf"{NUMBER}(?:[-+*]{NUMBER})*"
FACTOR = rf"(?:{NUMBER}|\({FLAT}\))"


def well_formed(line: str) -> bool:
    return re.fullmatch(rf"{FACTOR}(?:[-+*]{FACTOR})*", line) is not None


def signs_of(line: str) -> int:
    """Signs between numbers; those of the numbers themselves are none."""
    return len(re.findall(r"(?<=[\d)])[-+*]", line))


@pytest.mark.parametrize(
    ("line", "right"),
    [
        ("2*7-5", True), ("14-5", True), ("9", True), ("(2*7)-5", True), ("-5+14", True), ("-5--14", True),
        ("3*3", True), ("(9)", True), ("2*7-(5)", True), ("0*12345678901+9", True),
        ("2*(3+4)-5", False),  # nothing done
        ("2*7-6", False), ("", False), ("2*7-", False), ("*9", False), ("2*7--5", False), ("09", False), ("+9", False),
        ("((9))", False), ("(9", False), ("9)", False), ("()9", False), ("2(7)-5", False), ("9=", False),
        ("--9", False), ("-(-9)", False), ("9+", False),
        ("1234567890123456789-1234567890123456780", False),  # too large to be worked out
        ("999999999999999999*999999999999999999", False),
        ("902240676187735463*601749614615257807", False),  # 9 modulo 2^64
    ],
)  # fmt: skip
def test_lines_by_hand(line: str, right: bool) -> None:
    world, state = asking("2*(3+4)-5=")
    end, _ = said(world, state, ids(line + ";"))
    marks, wrong = world.extra.marks(end[None])
    assert wrong[0] == (-1 if right else 0)
    assert marks[0, len(line)] == (1 if right else -1)
    assert (np.delete(marks[0], len(line)) == 0).all()


def test_a_column_too_many_is_wrong_and_the_result_right() -> None:
    world = make_env("arithmetic:digits=2,steps=true,most_digits=4")
    some = states(world, 50)
    for state, answer in zip(some, world.extra.solutions(some), strict=True):
        *lines, result = "".join(NAMES[i] for i in answer if i != EOS).split(";")
        carry = lines[-1][-2]
        text = ";".join([*lines, f"00{carry}=0{carry}", result])
        end, paid = said(world, state, finished(world, text))
        assert paid == 1
        marks, wrong = world.extra.marks(end[None])
        assert wrong[0] == len(lines)
        assert marks[0][marks[0] != 0].tolist() == [*(1 for _ in lines), -1, 1]


def asking(prompt: str) -> tuple[Game, np.ndarray]:
    """A world of expressions and a state in which it asks just that."""
    from elodrome.envs.tokens import sums

    world = make_env("arithmetic:task=expression,digits=1,numbers=9,steps=true")
    state = world.template.copy()
    world.reset(state, 0)
    word = sums.prompt_word(state)
    state[word - 1 : world.state_words] = 0
    first = world.extra.prompt_length - len(prompt)
    for j, token in enumerate(ids(prompt)):
        sums.put(state, first + j, token)
    state[word - 1] = first
    return world, state


@pytest.mark.parametrize(
    ("prompt", "lines"),
    [
        ("2*(3+4)-5=", "2*7-5;14-5;9"),
        ("9-(2-8)*3=", "9--6*3;9--18;27"),
        ("(1-9)*(2-5)=", "-8*(2-5);-8*-3;24"),
        ("5-3*4=", "5-12;-7"),
        ("(0-3-4)*2=", "(-3-4)*2;-7*2;-14"),
        ("8-(1-2)+3=", "8--1+3;9+3;12"),
        ("1-2*3-4*5=", "1-6-4*5;1-6-20;-5-20;-25"),
    ],
)
def test_lines_are_worked_out_as_people_do(prompt: str, lines: str) -> None:
    from elodrome.envs.tokens import sums

    text, p = np.zeros(200, np.int64), len(prompt) - 1
    text[:p] = ids(prompt[:-1])
    start, end = 0, p
    for _ in range(lines.count(";") + 1):
        start, end = end + 1, sums.next_line(text, start, end)
    assert "".join(NAMES[i] for i in text[p + 1 : end]) == lines
    world, state = asking(prompt)
    assert said(world, state, finished(world, lines))[1] == 1


@pytest.mark.parametrize(
    ("answer", "reward", "wrong"),
    [
        ("9", 1, -1), ("14-5;9", 1, -1), ("14-4;9", 1, 0), ("14-5;8", 0, 1), ("14-5;7+2;9", 1, 1), ("14-5;", 0, 1),
        ("2*7-5;14-5;9;9", 1, -1), ("9;9;9", 1, 1), ("2*7-5;9", 1, -1), ("", 0, 0), ("(9)", 0, 0), ("09", 0, 0),
        ("8+1", 0, 0), ("9;", 0, 1), ("-9", 0, 0),
    ],
)  # fmt: skip
def test_answers_by_hand(answer: str, reward: float, wrong: int) -> None:
    world, state = asking("2*(3+4)-5=")
    end, paid = said(world, state, finished(world, answer))
    assert (paid, world.extra.marks(end[None])[1][0]) == (reward, wrong)


def test_nothing_is_no_minus_nothing() -> None:
    world, state = asking("3-3=")
    assert [said(world, state, finished(world, a))[1] for a in ("0", "-0", "00", "(0)")] == [1, 0, 0, 0]


def test_unfinished_answers_are_checked_as_far_as_they_go() -> None:
    world, state = asking("2*(3+4)-5=")
    for text, wrong in (("2*7-5", -1), ("2*7-5;", -1), ("2*7-4", -1), ("2*7-4;", 0), ("2*7-5;14-5;8", -1)):
        end, paid = said(world, state, ids(text))
        assert (world.extra.marks(end[None])[1][0], paid) == (wrong, 0)


def test_a_step_that_fills_the_answer_leaves_no_result() -> None:
    world = make_env("arithmetic:task=expression,numbers=2,digits=1,steps=true")
    state = next(s for s in states(world, 200) if python(written(world, s)) >= 10)
    end, paid = said(world, state, ids(f"({python(written(world, state))});"))
    marks, wrong = world.extra.marks(end[None])
    assert (paid, world.player(end), wrong.tolist(), marks.tolist()) == (0, -1, [1], [[0, 0, 0, 0, 1]])


def test_at_the_horizon_no_eos_is_needed() -> None:
    world = make_env("arithmetic:digits=1")
    assert world.max_steps == 3
    answers = enumerate_answers(world)
    assert answers.reward.shape == (100, 1 + 17 + 17**2 * 18)
    for x, prompt in enumerate(answers.tokens.prompt_tokens):
        a, b = prompt[0], prompt[2]
        right = {tuple(ids(str(a + b)))}
        best = {tuple(t for t in answers.complete[m] if t != EOS) for m in np.flatnonzero(answers.reward[x])}
        assert {said for said in best if ids(";")[0] not in said} == right
        assert set(np.unique(answers.reward[x])) == {0.0, 1.0}


def test_worlds_of_other_digits_look_alike() -> None:
    few, many = make_env("arithmetic:digits=3,steps=true,most_digits=4"), make_env("arithmetic:digits=4,steps=true")
    other = make_env("arithmetic:digits=3,steps=true")
    assert few.layout == many.layout != other.layout
    assert (few.observation_shape, few.actions, few.max_steps) == (many.observation_shape, many.actions, many.max_steps)
    assert few.id != many.id
    # The same prompt shows the same.
    shown = {}
    for world in (few, many):
        for state in states(world, 4000):
            out = np.zeros(world.observation_size, np.float32)
            world.observe(state, 0, out)
            shown.setdefault(written(world, state), set()).add(out.tobytes())
    assert max(map(len, shown.values())) == 1


def test_the_longest_setting_conforms() -> None:
    assert check_env(make_env("arithmetic:digits=64,steps=true")) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"task": "additon"}, "did you mean 'addition'"),
        ({"task": 3}, "unknown task '3'"),
        ({"digits": 0}, "digits=0 is not between 1 and 64"),
        ({"digits": "two"}, "digits='two' is not a whole number"),
        ({"digits": 65}, "digits=65 is not between 1 and 64"),
        ({"steps": 1}, "steps=1 is neither true nor false"),
        ({"most_digits": 1}, "most_digits=1 is not between 2 and 64"),
        ({"prompts": 10_001}, "prompts=10001 is not between 1 and 10000"),
        ({"prompts": 100_001, "digits": 3}, "prompts=100001 is not between 1 and 100000"),
        ({"digits": -1}, "digits=-1 is not between"),
        ({"prompts": 0}, "prompts=0 is not between 1 and 10000"),
        ({"task": "expression", "numbers": 1}, "numbers=1 is not between 2 and 9"),
        ({"task": "expression", "numbers": 9, "digits": 3}, "18 digits in all at most"),
    ],
)
def test_refusals(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError) as caught:
        make_env("arithmetic", **options)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
