"""A person at the terminal, played by a text file."""

import io

import pytest

from elodrome.agents.human import Human
from elodrome.arena.match import play_match
from elodrome.arena.ui.session import HUMAN, Driver, Session
from elodrome.envs.registry import make_env
from elodrome.errors import UserError

TTT = make_env("tic_tac_toe")


def ask(monkeypatch, text):
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    return Human(TTT).choose(Session(TTT, [Driver(HUMAN)], seed=0).positions()[0])


def test_names_and_numbers(monkeypatch, capsys):
    assert ask(monkeypatch, "b2\n") == 4
    assert ask(monkeypatch, " B3 \n") == 1
    assert ask(monkeypatch, "8\n") == 8
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "X to play; legal: a3, b3" in shown.err


def test_bad_input_is_asked_again(monkeypatch, capsys):
    assert ask(monkeypatch, "z9\n\n99\nc1\n") == 8
    assert "'z9' is not legal here" in capsys.readouterr().err


def test_the_end_of_input(monkeypatch):
    with pytest.raises(UserError, match="input ended"):
        ask(monkeypatch, "")


def test_a_match_at_the_terminal(monkeypatch):
    monkeypatch.setattr(
        "sys.stdin", io.StringIO("\n".join(["a3", "b3", "c3", "a2", "b2", "c2", "a1", "b1", "c1"] * 20))
    )
    result = play_match(TTT, "human", "random", games=1)
    assert result.records[0].termination in ("win", "draw")
