"""Our agents as Go engines: a scripted session, GNU Go as the oracle of answers, and our own client against it."""

import io
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from elodrome import make_env, play_match
from elodrome.agents.parts.gtp import Engine, Refused, action_of, vertex
from elodrome.arena.gtp import GtpServer, serve
from elodrome.errors import UserError

GNUGO = shutil.which("gnugo", path=os.environ["PATH"] + ":/usr/games")
needs_gnugo = pytest.mark.skipif(GNUGO is None, reason="GNU Go is missing; it is Debian's package gnugo")
SERVER = f"gtp:{sys.executable} -m elodrome gtp"


@pytest.fixture
def server() -> GtpServer:
    return GtpServer("random", "go:size=5", seed=1)


def ask(server: GtpServer, line: str) -> str:
    answer = server.respond(line)
    assert answer is not None
    assert answer.endswith("\n\n")
    assert "\n\n" not in answer[:-2]
    return answer[:-2]


def script(server: GtpServer, text: str) -> None:
    """Lines "command -> answer"; without an arrow any success will do."""
    for line in filter(None, (line.strip() for line in text.splitlines())):
        command, arrow, wanted = line.partition(" -> ")
        answer = ask(server, command)
        assert answer == wanted if arrow else answer.startswith("="), (command, answer)


def test_a_session(server: GtpServer) -> None:
    script(
        server,
        """
        protocol_version -> = 2
        17 name -> =17 Elodrome random
        known_command genmove -> = true
        known_command genmve -> = false
        3 play black C3 -> =3
        play w c3 -> ? illegal move
        PLAY w c4 -> ? unknown command
        play w J9 -> ? invalid color or coordinate: 'J9' is no point of a board of 5 x 5
        play red c4 -> ? invalid color or coordinate
        play w -> ? invalid color or coordinate
        final_score -> = B+0.5
        komi 3 -> =
        final_score -> = B+22
        komi many -> ? komi not a float
        komi nan -> ? komi not a float
        final_status_list alive -> = C3
        final_status_list dead -> =
        undo -> =
        undo -> ? cannot undo
        final_score -> = W+3
        time_settings 60 10 5 -> =
        time_left b 10 0 -> =
        genmove b
        genmove w
        genmove green -> ? invalid color
        boardsize x -> ? boardsize not an integer
        boardsize 25 -> ? unacceptable size: go: size must be a whole number from 2 to 19, not 25
        boardsize 7 -> =
        clear_board -> =
        fixed_handicap 2 -> = C3 E5
        fixed_handicap 2 -> ? board not empty
        final_score -> = B+46
        12 -> ?12 syntax error
        quit -> =
        """,
    )
    assert not server.open
    assert server.respond("# a comment") is None
    assert server.respond("  \t ") is None
    assert ask(server, "\x01name\x07\t # who") == "= Elodrome random"


def test_every_listed_command_is_known_and_none_raises(server: GtpServer) -> None:
    names = ask(server, "list_commands")[2:].split("\n")
    assert {"play", "genmove", "undo", "boardsize", "clear_board", "komi", "final_score", "quit"} <= set(names)
    for name in names:
        assert ask(server, f"known_command {name}") == "= true"
        for arguments in ("", " x", " 3", " b a1 c d", " \xff\u2603", " -1", " " + "9" * 5000):
            assert ask(server, name + arguments)[0] in "=?"


def test_colours_may_move_out_of_turn(server: GtpServer) -> None:
    script(
        server,
        """
        play b a1 -> =
        play b b1 -> =
        play w a2 -> =
        play w b2 -> =
        undo -> =
        undo -> =
        play w c1 -> =
        undo -> =
        undo -> =
        final_status_list alive -> = A1
        play w pass -> =
        play w c3 -> ? illegal move: out of turn after a pass, and two passes end the game
        play b pass -> =
        play w c3 -> ? illegal move: the game is over
        genmove w -> = pass
        undo -> =
        play b e5 -> =
        """,
    )


def test_an_illegal_move_out_of_turn_changes_nothing(server: GtpServer) -> None:
    script(server, "play b a1\nplay b a1 -> ? illegal move\nplay w b1\nfinal_status_list alive")
    assert sorted(ask(server, "final_status_list alive")[2:].split()) == ["A1", "B1"]
    assert server.moves == [(0, 20), (1, 21)]


def test_a_failing_agent_is_an_error_and_the_board_stays(tmp_path: Path) -> None:
    file = tmp_path / "odd.py"
    file.write_text(
        "from elodrome.agents.agent import Agent, RESIGN\n"
        "class Odd(Agent):\n"
        "    def choose(self, position):\n"
        "        if position.ply == 0: raise ValueError('two\\n\\nlines')\n"
        "        return RESIGN if position.ply < 3 else 99\n"
    )
    server = GtpServer(f"{file}:Odd", "go:size=3")
    script(
        server,
        """
        genmove b -> ? ValueError: two lines (odd.py, line 4)
        play b a1 -> =
        genmove b -> = resign
        genmove w -> = resign
        play w b1 -> =
        play b c1 -> =
        """,
    )
    assert re.fullmatch(r"\? .*Odd answered 99, not an action from 0 to 9", ask(server, "genmove w"))
    assert len(server.moves) == 3


def test_an_agent_of_one_komi_plays_on_and_is_scored_by_another(tmp_path: Path) -> None:
    file = tmp_path / "trained.py"
    file.write_text(
        "from elodrome.agents.agent import Agent\n"
        "from elodrome.errors import UserError\n"
        "class Trained(Agent):\n"
        "    def __init__(self, world, config=None):\n"
        "        super().__init__(world, config)\n"
        "        if world.id not in ('go:size=5', 'go:size=3'): raise UserError('trained for another world')\n"
        "    def choose(self, position):\n"
        "        return int(position.legal_actions[0])\n"
    )
    script(
        GtpServer(f"{file}:Trained", "go:size=5"),
        """
        play b c3 -> =
        komi 1.5 -> =
        final_score -> = B+23.5
        genmove w -> = A5
        boardsize 3 -> =
        genmove b -> = A3
        final_score -> = B+7.5
        boardsize 7 -> ? unacceptable size: trained for another world
        final_score -> = B+7.5
        """,
    )


def test_an_agent_that_does_not_fit_is_refused_before_the_session() -> None:
    for spec, env, words in (("random", "connect_four", "not Go"), ("minmax", "go:size=5", "unknown agent 'minmax'")):
        with pytest.raises(UserError, match=words):
            GtpServer(spec, env)


def test_games_are_loaded_from_sgf(server: GtpServer, tmp_path: Path) -> None:
    file = tmp_path / "game.sgf"
    file.write_text("(;SZ[3]KM[2];B[aa];W[bb];B[cc])")
    assert ask(server, f"loadsgf {file}") == "="
    assert ask(server, "final_status_list alive") == "= A3\nB2\nC1"
    assert ask(server, f"loadsgf {file} 3") == "="
    assert ask(server, "final_status_list alive") == "= A3\nB2"
    assert ask(server, f"loadsgf {tmp_path}/none.sgf").startswith("? cannot read")


def test_serving_ends_with_the_input_or_with_quit(server: GtpServer) -> None:
    out = io.StringIO()
    serve(server, ["name\n", "quit\n", "name\n"], out)
    assert out.getvalue() == "= Elodrome random\n\n=\n\n"


def test_the_command_keeps_stdout_clean_and_never_shows_a_traceback(tmp_path: Path) -> None:
    file = tmp_path / "talker.py"
    file.write_text(
        "from elodrome.agents.agent import Agent\n"
        "class Talker(Agent):\n"
        "    def choose(self, position):\n"
        "        print('thinking aloud')\n"
        "        return int(position.legal_actions[0])\n"
    )
    command = [sys.executable, "-m", "elodrome", "gtp", f"{file}:Talker", "--env", "go:size=3"]
    done = subprocess.run(
        command,
        input="genmove b\nfoo\n",
        capture_output=True,
        text=True,
        env={**os.environ, "ELODROME_HOME": str(tmp_path)},
    )
    assert (done.returncode, done.stdout) == (0, "= A3\n\n? unknown command\n\n")
    assert done.stderr == "thinking aloud\n"


def test_our_client_seats_our_server(tmp_path: Path) -> None:
    """Through another process and the protocol, an agent plays the very games that it plays at home."""
    file = tmp_path / "middle.py"
    file.write_text(
        "from elodrome.agents.agent import Agent\n"
        "class Middle(Agent):\n"
        "    def choose(self, position):\n"
        "        legal = position.legal_actions\n"
        "        return int(legal[len(legal) // 2])\n"
    )
    result = play_match("go:size=5", f"{SERVER} {file}:Middle --env go:size=5", "random", games=2)
    at_home = play_match("go:size=5", f"{file}:Middle", "random", games=2)
    assert [r.moves for r in result.records] == [r.moves for r in at_home.records]
    assert [r.scores for r in result.records] == [r.scores for r in at_home.records]
    assert {r.reason for r in result.records} == {""}  # they agree on every score


# GNU Go as the oracle


@pytest.fixture
def gnugo():
    engine = Engine([str(GNUGO), "--mode", "gtp", "--chinese-rules"])
    yield engine
    engine.close()


@needs_gnugo
@pytest.mark.parametrize("size", [7, 8, 9, 13, 18, 19])
def test_handicap_stones_stand_where_gnu_go_puts_them(gnugo: Engine, size: int) -> None:
    server = GtpServer("random", f"go:size={size}")
    gnugo.ask(f"boardsize {size}", 10)
    for stones in range(2, 11):
        gnugo.ask("clear_board", 10)
        ask(server, "clear_board")
        try:
            theirs = sorted(gnugo.ask(f"fixed_handicap {stones}", 10).split())
        except Refused:
            assert ask(server, f"fixed_handicap {stones}") == "? invalid number of stones"
        else:
            assert sorted(ask(server, f"fixed_handicap {stones}")[2:].split()) == theirs


@needs_gnugo
def test_gnu_go_takes_our_moves_and_we_take_its(gnugo: Engine) -> None:
    """Both are controlled as a referee would; both boards stay the same and the last score is the same."""
    world = make_env("go:size=5,komi=0.5")
    server = GtpServer("random", world.id, seed=4)
    for command in ("boardsize 5", "komi 0.5", "clear_board"):
        gnugo.ask(command, 10)
    for ply in range(24):
        colour = "bw"[ply % 2]
        if ply % 2:
            move = gnugo.ask(f"genmove {colour}", 30)
            script(server, f"play {colour} {move} -> =")
        else:
            move = ask(server, f"genmove {colour}")[2:]
            gnugo.ask(f"play {colour} {move}", 10)
        theirs = gnugo.ask("list_stones black", 10).split() + gnugo.ask("list_stones white", 10).split()
        assert sorted(theirs) == sorted(ask(server, "final_status_list alive")[2:].split())
        if server.table.seats[0] < 0:
            break
    assert action_of(vertex(7, 5), 5) == 7
    assert np.isfinite(float(ask(server, "final_score")[4:] or 0))
