"""Data and marks against the rules themselves and against minimax."""

import numpy as np
import pytest

from elodrome import make_env
from elodrome.agents.games.minimax import Minimax
from elodrome.agents.text.language import Letters, Tokens, language_of
from elodrome.agents.text.lessons import BoardLesson, Question, TokenLesson, lesson_of
from elodrome.envs.game import Game
from elodrome.envs.tokens.exact import enumerate_answers


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
