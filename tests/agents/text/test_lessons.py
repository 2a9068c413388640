"""Data and marks against the rules themselves and against minimax."""

import numpy as np
import pytest

from elodrome import make_env
from elodrome.agents.games.minimax import Minimax
from elodrome.agents.text.language import Letters, Tokens, language_of
from elodrome.agents.text.lessons import BoardLesson, Question, TokenLesson, lesson_of
from elodrome.envs.game import Game
from elodrome.envs.tokens.exact import enumerate_answers
from elodrome.errors import UserError


@pytest.fixture(scope="module")
def board() -> BoardLesson:
    world = make_env("tic_tac_toe")
    lesson = lesson_of(world, Letters.of(world), explore=0.5, best_of=1)
    assert isinstance(lesson, BoardLesson)
    return lesson


def token_lesson(world: Game, best_of: int = 1) -> TokenLesson:
    language = language_of(world)
    assert isinstance(language, Tokens)
    return TokenLesson(world, language, best_of)


def test_demonstrations_are_best_moves_of_different_positions(board: BoardLesson) -> None:
    states, seats = board.positions(200, np.random.default_rng(0))
    assert len(np.unique(states, axis=0)) == len(states)
    assert seats.tolist() == states[:, 2].tolist()
    q = Minimax(board.world).values(states)
    _, answers = board.demonstrate(200, np.random.default_rng(0))
    actions = board.letters.read(answers)
    assert len(states) == len(actions) == 200
    assert (q[np.arange(200), actions] == q.max(axis=1)).all()


def test_all_best_moves_are_shown_equally_often(board: BoardLesson) -> None:
    counts = np.zeros(9)
    for seed in range(300):
        prompts, answers = board.demonstrate(40, np.random.default_rng(seed))
        empty = (prompts == board.letters.prompts(np.zeros((1, 3), np.int64), np.zeros(1, np.int64))).all(axis=1)
        for action in board.letters.read(answers[empty]):
            counts[action] += 1
    expected = counts.sum() / 9  # every first move draws
    assert counts.sum() > 100
    assert ((counts - expected) ** 2 / expected).sum() < 26.1  # chi-squared, 8 degrees of freedom, 1 in 1000


def test_marks_on_a_board_by_hand(board: BoardLesson) -> None:
    """X: a3 b3, O: a2 b2. X to move: c3 wins, c2 saves the draw or better, elsewhere loses."""
    state = np.array([[0b000000011, 0b000011000, 0]])
    question = Question(board.letters.prompts(state, np.zeros(1, np.int64)), states=state)
    nonsense = np.full((1, board.letters.answer_length), board.letters.end)
    answers = np.concatenate([board.letters.spelt[[2, 6, 0]], nonsense])
    rewards, illegal = board.mark(question, answers)
    assert rewards.tolist() == [1.0, 0.0, -1.0, -1.0]
    assert illegal.tolist() == [False, False, True, True]


def test_marks_of_groups_belong_to_their_prompts(board: BoardLesson) -> None:
    question = board.ask(10, np.random.default_rng(1))
    answers = board.letters.spelt[np.tile(np.arange(9), 10)]
    rewards, illegal = board.mark(question, answers)
    q = Minimax(board.world).values(question.states)
    want = np.where(np.isneginf(q), -1.0, 1.0 - (q.max(axis=1, keepdims=True) - np.maximum(q, -9)) / 2)
    assert rewards.reshape(10, 9).tolist() == want.tolist()
    assert illegal.reshape(10, 9).tolist() == np.isneginf(q).tolist()


def test_token_answers_earn_what_the_world_pays() -> None:
    world = make_env("token_mdp:vocabulary=3,prompts=2,horizon=3")
    lesson, exact = token_lesson(world), enumerate_answers(world)
    question = lesson.ask(6, np.random.default_rng(0))
    every = [answer + (2,) * (3 - len(answer)) for answer in exact.complete]
    rewards, illegal = lesson.mark(question, np.tile(np.array(every), (6, 1)))
    asked = [exact.tokens.prompt_tokens.index(tuple(p[1:])) for p in question.prompts.tolist()]
    assert len(set(asked)) == 2
    np.testing.assert_array_equal(rewards.reshape(6, -1), exact.reward[asked])
    assert not illegal.any()


@pytest.mark.parametrize("best_of", [1, 8])
def test_the_best_of_k_is_as_good_as_order_statistics_say(best_of: int) -> None:
    world = make_env("token_mdp:vocabulary=3,prompts=1,horizon=3")
    lesson, exact = token_lesson(world, best_of), enumerate_answers(world)
    prompts, answers = lesson.demonstrate(2000, np.random.default_rng(0))
    assert prompts.shape == (2000, lesson.tokens.prompt_length)
    number = {answer + (2,) * (3 - len(answer)): m for m, answer in enumerate(exact.complete)}
    got = exact.reward[0][[number[tuple(answer)] for answer in answers.tolist()]]
    reward, chance = exact.reward[0], np.exp(exact.log_prob(exact.uniform())[0])
    order = np.argsort(reward)
    below = np.concatenate([[0.0], np.cumsum(chance[order])]) ** best_of  # P(max <= r)
    mean = (np.diff(below) * reward[order]).sum()
    assert got.mean() == pytest.approx(mean, abs=4 * got.std() / 2000**0.5)


def told(prompts: np.ndarray, answers: np.ndarray) -> list[tuple[str, str]]:
    """Prompts and answers of a world of sums as text."""
    letters = "0123456789+-*()=;"
    spell = lambda row: "".join(letters[i] for i in row if i < len(letters))  # noqa: E731
    return [(spell(p), spell(a)) for p, a in zip(prompts.tolist(), answers.tolist(), strict=True)]


@pytest.mark.parametrize("steps", [False, True])
def test_sums_are_demonstrated_right(steps: bool) -> None:
    """However few random answers would be right, each demonstration is, with its steps where they are wanted."""
    world = make_env("arithmetic", digits=3, steps=steps)
    lesson = token_lesson(world, best_of=4)
    prompts, answers = lesson.demonstrate(300, np.random.default_rng(0))
    assert prompts.shape == (300, lesson.tokens.prompt_length)
    assert answers.shape == (300, world.max_steps)
    pairs = told(prompts, answers)
    assert len({prompt for prompt, _ in pairs}) > 280
    for prompt, answer in pairs:
        a, b = map(int, prompt.rstrip("=").split("+"))
        assert answer.rpartition(";")[2] == str(a + b)
        assert answer.count(";") == steps * max(len(str(a)), len(str(b)))
    # The same draws ask the same prompts, and the answers to them earn the whole mark.
    question = lesson.ask(300, np.random.default_rng(0))
    np.testing.assert_array_equal(question.prompts, prompts)
    marks, illegal = lesson.mark(question, answers)
    assert (marks == 1).all()
    assert not illegal.any()


def test_steps_are_marked_one_by_one() -> None:
    world = make_env("arithmetic:digits=2,steps=true")
    lesson = token_lesson(world)
    question = lesson.ask(50, np.random.default_rng(1))
    _, right = lesson.demonstrate(50, np.random.default_rng(1))
    wrong = right.copy()
    wrong[:, 5] = (wrong[:, 5] + 1) % 10  # the digit of the sum in the first column
    marks = lesson.mark_steps(question, np.stack([right, wrong], axis=1).reshape(100, -1)).reshape(50, 2, -1)
    ends = (right == 16) | ((right == 17) & (np.cumsum(right == 17, axis=1) == 1))
    np.testing.assert_array_equal(marks[:, 0], ends)
    np.testing.assert_array_equal(marks[:, 1, 6], -1)
    marks[:, 1, 6] = 1
    np.testing.assert_array_equal(marks[:, 1], ends)
    lesson = token_lesson(make_env("token_mdp"))
    question = lesson.ask(2, np.random.default_rng(0))
    with pytest.raises(UserError, match="token_mdp checks no steps"):
        lesson.mark_steps(question, np.zeros((2, 4), np.int64))
