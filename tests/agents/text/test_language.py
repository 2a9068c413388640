"""What a text policy reads and how its answers are understood, by hand."""

import numpy as np
import pytest

from elodrome import make_env
from elodrome.agents.text.language import Letters, Tokens, describe, language_of
from elodrome.errors import BrokenAgent, UserError


@pytest.fixture(scope="module")
def letters() -> Letters:
    return Letters.of(make_env("tic_tac_toe"))


def spell(letters: Letters, text: str) -> np.ndarray:
    ids = [letters.letters.index(c) for c in text]
    return np.array([ids + [letters.end] * (letters.answer_length - len(ids))])


def test_a_board_is_told_from_the_movers_side() -> None:
    world = make_env("tic_tac_toe")
    state = np.array([0b000000001, 0b000010000, 0])
    assert describe(world, state, 0) == "X..\n.O.\n...\nX"
    assert describe(world, state, 1) == "O..\n.X.\n...\nO"


def test_prompts_are_the_text_letter_by_letter(letters: Letters) -> None:
    state = np.array([[0b000000001, 0b000010000, 0]])
    prompt = letters.prompts(state, np.array([0]))[0]
    assert "".join(letters.letters[i] for i in prompt) == "X..\n.O.\n...\nX"


@pytest.mark.parametrize(
    ("text", "action"), [("a3", 0), ("b2", 4), ("c1", 8), ("a", -1), ("3a", -1), ("aX", -1), ("a3a", -1), ("", -1)]
)
def test_answers_are_names_or_nothing(letters: Letters, text: str, action: int) -> None:
    answer = spell(letters, text)
    assert letters.read(answer).tolist() == [action]
    assert letters.say(answer[0]) == text


def test_every_name_is_read_back(letters: Letters) -> None:
    assert letters.read(letters.spelt).tolist() == list(range(9))


def test_letters_come_back_from_their_arrays(letters: Letters) -> None:
    again = Letters.restore(letters.world, letters.weights())
    assert (again.letters, again.prompt_length) == (letters.letters, letters.prompt_length)
    with pytest.raises(BrokenAgent, match="letters"):
        Letters.restore(letters.world, {})


def test_unknown_letters_and_long_texts_do_no_harm() -> None:
    world = make_env("tic_tac_toe")
    few = Letters(world, "X.\nabc123", 9)  # no O; and the text has 13 letters
    prompt = few.prompts(np.array([[1, 16, 0]]), np.array([0]))[0]
    assert "".join("?" if i == few.pad else few.letters[i] for i in prompt) == ".?.\n...\nX"
    padded = Letters(world, "X.\nabc123", 15).prompts(np.array([[1, 16, 0]]), np.array([0]))[0]
    assert padded[:3].tolist() == [few.pad, few.pad, 0]


def test_token_worlds_speak_for_themselves() -> None:
    world = make_env("token_mdp:vocabulary=5,prompts=3,horizon=4")
    tokens = language_of(world)
    assert isinstance(tokens, Tokens)
    length = world.observation_size - 4
    observation = np.array([[1] * length + [3, 5, 0, 0]], np.float32)
    assert tokens.texts(observation).tolist() == [[tokens.begin] + [0] * length + [2, 4, tokens.pad, tokens.pad]]
    assert tokens.prompts(observation).tolist() == [[tokens.begin] + [0] * length]
    assert (tokens.words, tokens.end, tokens.answer_length) == (5, 4, 4)


def test_hidden_states_are_refused() -> None:
    with pytest.raises(UserError, match="hides its state"):
        language_of(make_env("rock_paper_scissors"))
