"""The command line as a person meets it: its output, exit codes, and one line for every mistake (FAULTS 38, 40)."""

import json
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("mach",), "unknown command 'mach'; did you mean 'match'"),
        (("check", "agnt"), "unknown command 'agnt'; did you mean 'agent'"),
        (("envs", "--jsn"), "unknown option '--jsn'; did you mean '--json'"),
        (("match", "tictactoe", "random", "random"), "unknown environment 'tictactoe'; did you mean 'tic_tac_toe'"),
        (("match", "tic_tac_toe", "randm", "random"), "unknown agent 'randm'; did you mean 'random'"),
        (("match", "tic_tac_toe", "random:x=1", "random"), "random has no option 'x'; it takes none"),
        (("match", "tic_tac_toe", "random:x", "random"), "'x' is not key=value"),
        (("match", "tic_tac_toe", "random", "random", "--games", "0"), "games must be at least 1, not 0"),
        (("match", "tic_tac_toe", "random", "random", "--games", "ten"), "'--games'"),
        (("match", "tic_tac_toe", "random"), "Missing argument 'spec_b'"),
        (("train", "random", "--env", "tic_tac_toe"), "agent 'random' does not learn"),
        (("train", "q_learning", "--env", "tic_tac_toe", "--device", "tpu"), "choose auto, cpu or cuda"),
        (("check", "env", "gymnasium"), "gymnasium:CartPole-v1"),
        (("agents", "--env", "tic_tac_toe:size=4"), "options: none"),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, tuple) else "",
)
def test_a_mistake_is_answered_in_one_line_with_exit_code_2(elodrome, arguments, message) -> None:
    code, out, err = elodrome(*arguments)
    assert code == 2
    assert out == ""
    assert message in err
    assert err.count("\n") == 1


def test_cuda_that_is_absent_is_said_in_one_line_and_auto_falls_back(elodrome, monkeypatch) -> None:
    import torch

    from elodrome.agents.agent import check_device

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    code, _, err = elodrome("train", "q_learning", "--env", "tic_tac_toe", "--device", "cuda")
    assert (code, err.count("\n")) == (2, 1)
    assert "device cuda was asked for" in err
    assert check_device("auto") == "cpu"


def test_envs_and_agents_as_json(elodrome) -> None:
    code, out, _ = elodrome("envs", "--json")
    assert code == 0
    assert {"tic_tac_toe", "connect_four", "token_mdp"} <= {e["id"] for e in json.loads(out)["envs"]}
    code, out, _ = elodrome("agents", "--env", "tic_tac_toe", "--json")
    assert code == 0
    fit = {a["id"] for a in json.loads(out)["agents"]}
    assert {"random", "minimax", "q_learning", "mcts"} <= fit
    assert "value_iteration" not in fit


def test_a_match_as_json_holds_what_is_promised(elodrome) -> None:
    code, out, _ = elodrome("match", "tic_tac_toe", "minimax", "random", "--games", "40", "--json")
    assert code == 0
    document = json.loads(out)
    assert document["wins"] + document["draws"] == 40
    assert document["losses"] == 0
    assert {"env", "agents", "games", "by_seat", "mean_return", "terminations", "elo_difference", "elo_interval",
            "duplicate_games", "seconds"} <= document.keys()  # fmt: skip


def test_games_that_are_played_reach_the_ladder_once(elodrome) -> None:
    for _ in range(2):
        assert elodrome("match", "tic_tac_toe", "minimax", "random", "--games", "20")[0] == 0
    code, out, _ = elodrome("ladder", "--env", "tic_tac_toe", "--json")
    assert code == 0
    rows = {row["agent"]: row for row in json.loads(out)["rows"]}
    assert rows["minimax"]["games"] == 20
    assert rows["minimax"]["elo"] > rows["random"]["elo"]


def test_strength_says_what_the_world_offers(elodrome) -> None:
    code, out, _ = elodrome("strength", "alphazero-weak", "--env", "tic_tac_toe", "--games", "4", "--json")
    assert code == 0
    document = json.loads(out)
    assert set(document) == {"agent", "env", "seed", "every_reply", "rivals"}
    assert document["every_reply"]["X"]["lines"] == sum(
        document["every_reply"]["X"][name] for name in ("won", "drawn", "lost")
    )
    code, out, _ = elodrome("strength", "random", "--env", "connect_four", "--games", "2")
    assert code == 0
    assert "Moves that lose value, after random play" in out
    assert "24 positions" in out
    code, _, err = elodrome("strength", "random", "--env", "tic_tac_toe", "--games", "0")
    assert (code, err.count("\n")) == (2, 1)


def test_agents_that_ship_are_listed_with_their_elo(elodrome) -> None:
    code, out, _ = elodrome("agents", "--env", "tic_tac_toe", "--json")
    assert code == 0
    trained = {a["name"]: a for a in json.loads(out)["trained"]}
    assert trained["alphazero-strong"]["shipped"]
    assert trained["alphazero-strong"]["elo"] > trained["alphazero-weak"]["elo"]


def test_check_says_whether_a_world_and_an_agent_conform(elodrome) -> None:
    assert elodrome("check", "env", "tic_tac_toe")[:2] == (0, "world tic_tac_toe: conforms\n")
    code, out, _ = elodrome("check", "agent", "random", "--env", "tic_tac_toe")
    assert (code, out) == (0, "agent random on tic_tac_toe: conforms\n")


def test_help_lists_the_commands(elodrome) -> None:
    code, out, _ = elodrome("--help")
    assert code == 0
    for command in (
        "envs",
        "agents",
        "check",
        "train",
        "match",
        "strength",
        "tournament",
        "ladder",
        "play",
        "watch",
        "gtp",
        "showdown",
    ):
        assert command in out


def test_debug_shows_the_traceback_and_without_it_one_line_says_where(elodrome, monkeypatch, tmp_path) -> None:
    from elodrome.envs import registry

    monkeypatch.setattr(registry, "entries", lambda: 1 / 0)
    monkeypatch.setenv("ELODROME_DEBUG", "0")
    code, _, err = elodrome("envs")
    assert (code, err.count("\n")) == (70, 1)
    assert "unexpected ZeroDivisionError" in err
    assert "--debug" in err
    for words in (("--debug", "envs"), ("envs", "--debug")):
        monkeypatch.setenv("ELODROME_DEBUG", "0")
        code, _, err = elodrome(*words)
        assert code == 70
        assert "Traceback" in err
    assert "Traceback" in elodrome("match", "nowhere", "random", "random")[2]  # of bad input too


def test_markup_and_escapes_are_shown_and_not_obeyed(elodrome, tmp_path) -> None:
    agent = tmp_path / "a.py"
    agent.write_text(
        "from elodrome.agents.agent import Agent\nclass A(Agent):\n"
        "    def choose(self, p): raise RuntimeError('[/b] \\x1b[2J \\u202e $x_{$ \\ud800')\n"
    )
    code, out, err = elodrome("match", "tic_tac_toe", f"{agent}:A", "random", "--games", "2")
    assert code == 1
    assert err.endswith("crashed or ran out of time in all of its 2 games\n")
    assert r"[/b] \x1b[2J \u202e $x_{$ \ud800" in out
    code, out, _ = elodrome("ladder", "--env", "tic_tac_toe", "--json")
    assert r"\x1b[2J" in json.loads(out)["rows"][-1]["reasons"].popitem()[0]


def test_whose_rights_a_file_has_is_said_where_it_is_checked(elodrome, tmp_path) -> None:
    agent = tmp_path / "a.py"
    agent.write_text("from elodrome.agents.random import Random\nclass A(Random): pass\n")
    code, out, _ = elodrome("check", "agent", f"{agent}:A", "--env", "tic_tac_toe")
    assert code == 0
    assert "a.py runs with your rights" in out
    assert "rights" not in elodrome("check", "agent", "random", "--env", "tic_tac_toe")[1]


@pytest.mark.parametrize("arguments", [("--help",), ("agents",), ("envs", "--json")])
def test_a_reader_that_goes_away_is_no_fault(arguments: tuple[str, ...]) -> None:
    """As with `elodrome agents | head -1`."""
    told = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-m", "elodrome", *arguments], **told) as command:
        command.stdout.close()
        assert command.stderr.read() == ""
        assert command.wait(60) == 141
