"""SGF: what is written is read back, GNU Go reads it too, and what is broken is refused in one clear message."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from elodrome import make_env, play_match
from elodrome.agents.agent import RESIGN, Agent, Position
from elodrome.agents.parts.gtp import Engine, action_of
from elodrome.arena.record import GameRecord, replay
from elodrome.arena.sgf import alternating, parse, read_sgf, record_of, to_sgf, write_games
from elodrome.errors import UserError

GNUGO = shutil.which("gnugo", path=os.environ["PATH"] + ":/usr/games")


def read(folder: Path, text: str) -> GameRecord:
    file = folder / "game.sgf"
    file.write_text(text, encoding="utf-8")
    return read_sgf(file)


def test_a_file_by_hand() -> None:
    """A corner capture on 3 x 3, checked letter by letter against the specification."""
    record = GameRecord(
        id="7",
        env="go:size=3,komi=0.5",
        agents=("a]b\\", "White"),
        seed=0,
        agent_seed=0,
        opening=0,
        moves=((0, 1, 8, 3, 9, 9),),
        returns=(-1.0, 1.0),
        scores=(0.0, 1.0),
        termination="win",
        reason="fine: [well]",
    )
    # White's b3 and a2 have taken a3; Black has c1. Area: White 3 (two stones and a3), Black 1, four points shared.
    assert to_sgf(record, make_env("go:size=3,komi=0.5")) == (
        "(;FF[4]GM[1]CA[UTF-8]AP[Elodrome]RU[Tromp-Taylor]SZ[3]KM[0.5]PB[a\\]b\\\\]PW[White]GN[7]RE[W+2.5]"
        "C[fine: [well\\]]\n;B[aa];W[ba];B[cc];W[ab];B[];W[])\n"
    )


def test_games_come_back_as_they_were(tmp_path: Path) -> None:
    world = make_env("go:size=5")
    records = play_match(world, "random", "random", games=6).records
    write_games(records, world, tmp_path / "new")
    files = sorted((tmp_path / "new").iterdir())
    assert [f.name for f in files] == [f"{n:04d}.sgf" for n in range(1, 7)]
    for file, record in zip(files, records, strict=True):
        back = read_sgf(file)
        for field in ("env", "agents", "moves", "returns", "scores", "termination"):
            assert getattr(back, field) == getattr(record, field)


class Resigning(Agent):
    def choose(self, position: Position) -> int:
        return RESIGN if position.ply > 3 else int(position.legal_actions[0])


class Illegal(Agent):
    def choose(self, position: Position) -> int:
        return int(np.argmin(position.legal)) if position.ply > 3 else int(position.legal_actions[0])


class Slow(Agent):
    def choose(self, position: Position) -> int:
        if position.ply > 3:
            raise TimeoutError("too slow")
        return int(position.legal_actions[0])


@pytest.mark.parametrize(
    ("agent", "mark", "termination"),
    [(Resigning, "R", "resign"), (Illegal, "F", "illegal"), (Slow, "T", "time-out")],
)
def test_games_that_the_rules_did_not_end_come_back_too(
    agent: type[Agent], mark: str, termination: str, tmp_path: Path
) -> None:
    world = make_env("go:size=5")
    for record, winner in zip(play_match(world, agent(world), "random", games=2).records, "WB", strict=True):
        assert record.termination == termination
        text = to_sgf(record, world)
        assert f"RE[{winner}+{mark}]" in text
        back = read(tmp_path, text)
        assert (back.termination, back.scores, back.culprit) == (termination, record.scores, record.culprit)
        assert back.moves == record.moves
        assert len(list(replay(back, make_env(back.env)))) == record.plies + 1


@pytest.mark.skipif(GNUGO is None, reason="GNU Go is missing; it is Debian's package gnugo")
def test_gnu_go_reads_our_files(tmp_path: Path) -> None:
    world = make_env("go:size=7")
    records = play_match(world, "random", "random", games=3).records
    write_games(records, world, tmp_path)
    engine = Engine([str(GNUGO), "--mode", "gtp"])
    for number, record in enumerate(records, 1):
        engine.ask(f"loadsgf {tmp_path}/{number:04d}.sgf", 10)
        *_, (table, _) = replay(record, world)
        states = table.states(np.zeros(1, np.int64))
        cells = world.look.cells(states[0])  # type: ignore[attr-defined]
        for seat, colour in enumerate(("black", "white")):
            theirs = {action_of(v, 7) for v in engine.ask(f"list_stones {colour}", 10).split()}
            assert theirs == set(np.flatnonzero(cells == seat + 1).tolist())
        assert float(engine.ask("get_komi", 10)) == 8.5
    engine.close()


# Reading what others wrote


def test_the_main_line_of_a_tree(tmp_path: Path) -> None:
    """The specification's own example of variations: the main line is a, b, c, d, e."""
    text = "(;FF[4]SZ[9]C[root](;B[aa]C[a];W[bb]C[b](;B[cc]C[c](;W[dd];B[ee])(;W[ff];B[gg]))(;B[hh](;W[ii])(;W[aa])))"
    text += "(;B[bb]))"
    assert [action for _, action in parse(text).moves] == [0, 10, 20, 30, 40]
    assert [action for _, action in parse("(;SZ[9](;B[aa])(;B[bb](;W[cc])))").moves] == [0]


def test_odd_but_valid_files() -> None:
    sgf = parse(
        "junk before (\n; GM [1]\tSZ[5]\n KM[ 6.5 ]PB[Ann \\]\\\\ \\\nLee]PlayerWhite[]PW[]C[(;B[aa\\])]AB[][x]"[:-7]
        + ";B [tt] ; W[] \n;C[a comment: \\] ) (] W[ab]) (;GM[2]) junk"
    )
    assert (sgf.size, sgf.komi) == (5, 6.5)
    assert sgf.players[0].startswith("Ann ]\\")
    assert sgf.players[1] == "White"
    assert sgf.moves == ((0, 25), (1, 25), (1, 5))
    assert parse("(;FF[3]GaMe[1]SiZe[9];Black[ab])").moves == ((0, 9),)
    assert parse("(;)").size == 19


def test_a_handicap_becomes_moves_with_passes() -> None:
    record = record_of(parse("(;SZ[5]KM[0.5]HA[2]AB[bb][dd];W[cc];B[aa];B[ee]RE[W+R])"))
    assert record.moves == ((6, 25, 18, 12, 0, 25, 24),)
    assert alternating([(1, 3), (1, 4)], 5) == [25, 3, 25, 4]


@pytest.mark.parametrize(
    ("result", "termination", "scores", "culprit"),
    [
        ("B+R", "resign", (1.0, 0.0), None),
        ("w+resign", "resign", (0.0, 1.0), None),
        ("W+T", "time-out", (0.0, 1.0), 0),
        ("B+F", "illegal", (1.0, 0.0), 1),
        ("B+12.5", "win", (1.0, 0.0), None),
        ("0", "draw", (0.5, 0.5), None),
        ("Void", "void", (), None),
        ("?", "void", (), None),
        ("", "void", (), None),
    ],
)
def test_a_result_that_the_moves_do_not_tell(result: str, termination: str, scores: tuple, culprit: int | None) -> None:
    record = record_of(parse(f"(;SZ[5]RE[{result}];B[aa];W[bb])"))
    assert (record.termination, record.scores, record.culprit) == (termination, scores, culprit)


def test_our_rules_decide_a_game_that_they_end() -> None:
    record = record_of(parse("(;SZ[5]KM[0.5]RE[W+9.5];B[aa];W[];B[])"))
    assert (record.termination, record.scores) == ("win", (1.0, 0.0))
    assert record.reason == "RE[W+9.5], but B+24.5 by our rules"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "there is no '\\('"),
        ("hello", "there is no '\\('"),
        ("()", "no nodes"),
        ("(;B[aa]", "ends before the game does: 1 '\\(' without '\\)'"),
        ("(;B[aa", r"line 1: '\[aa' is not SGF"),
        ("(;SZ[5]\n;B[aa]\n;W{bb})", "line 3: 'W{bb}\\)' is not SGF"),
        ("(;[aa])", "line 1: a value without a property"),
        ("(B[aa])", "line 1: a value without a property"),
        ("(;SZ[9:13])", r"SZ\[9:13\] is no number"),
        ("(;SZ[1])", r"SZ\[1\] is no size"),
        ("(;SZ[25])", r"SZ\[25\] is no size"),
        ("(;SZ[nan])", r"SZ\[nan\] is no number"),
        ("(;KM[inf]SZ[5])", r"KM\[inf\] is no number"),
        ("(;GM[2])", r"GM\[2\] is not Go"),
        ("(;SZ[5];B[ff])", r"move 1: \[ff\] is no point of a board of 5 x 5"),
        ("(;SZ[5];B[a])", r"move 1: \[a\] is no point"),
        ("(;SZ[5];B[aa]W[bb])", "node 2 has a move of both colours"),
        ("(;SZ[5]AW[aa])", "AW in the root changes stones"),
        ("(;SZ[5];B[aa];AB[bb])", "AB in node 3 changes stones"),
        ("(;SZ[5];AE[bb])", "AE in node 2 changes stones"),
        ("(;SZ[5]AB[])", "AB\\[\\] is no point"),
        ("(;SZ[5];B[aa];W[aa])", r"move 2 \(White A5\) is illegal"),
        ("(;SZ[5];B[];W[];B[aa])", "move 3 of 3 comes after the end"),
        ("(;SZ[2];B[aa];W[ab];B[bb];W[aa])", "move 4"),
        ("(" * 100_000, "100000 '\\(' without"),
        ("(;" * 50_000 + ")" * 50_000, ""),
        ("\x00\xff(;\x00)", "is not SGF"),
    ],
)
def test_what_is_broken_is_refused_by_name(text: str, words: str, tmp_path: Path) -> None:
    if not words:  # deep but sound
        assert read(tmp_path, text).plies == 0
        return
    with pytest.raises(UserError, match=words) as caught:
        read(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path}/game.sgf: ")


def test_three_thousand_moves(tmp_path: Path) -> None:
    """On 19 x 19 the game is over by our rules after 3 * 361 plies; the message says where."""
    cycle = [(row, column) for row in range(19) for column in range(19)]
    moves = "".join(f";{'BW'[i % 2]}[{chr(97 + c)}{chr(97 + r)}]" for i, (r, c) in enumerate(cycle * 9))
    with pytest.raises(UserError, match=r"move \d+ "):
        read(tmp_path, f"(;SZ[19]{moves})")
    alone = "".join(f";B[{chr(97 + i % 19)}{chr(97 + i // 19)}];W[]" for i in range(300))
    assert read(tmp_path, f"(;SZ[19]{alone})").plies == 600
    long = "".join(";C[nothing]" for _ in range(3000))
    assert read(tmp_path, f"(;SZ[19]{long};B[aa])").plies == 1


def test_files_that_cannot_be_read_or_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"cannot read .*none\.sgf: No such file"):
        read_sgf(tmp_path / "none.sgf")
    with pytest.raises(UserError, match="Is a directory"):
        read_sgf(tmp_path)
    (tmp_path / "binary.sgf").write_bytes(bytes(range(256)))
    with pytest.raises(UserError, match=r"binary\.sgf: the game has no nodes"):
        read_sgf(tmp_path / "binary.sgf")
    monkeypatch.setattr("elodrome.arena.sgf.GAME", 10)
    with pytest.raises(UserError, match="larger than"):
        read(tmp_path, "(;SZ[5];B[aa])")
    (tmp_path / "taken").write_text("")
    world = make_env("go:size=5")
    with pytest.raises(UserError, match="cannot write"):
        write_games(play_match(world, "random", "random", games=1).records, world, tmp_path / "taken")


def test_other_worlds_have_no_sgf() -> None:
    world = make_env("tic_tac_toe")
    with pytest.raises(UserError, match="tic_tac_toe is not Go"):
        to_sgf(play_match(world, "random", "random", games=1).records[0], world)


def test_the_command(tmp_path: Path) -> None:
    def match(env: str) -> subprocess.CompletedProcess[str]:
        words = ["match", env, "random", "random", "--games", "2", "--no-keep", "--sgf", str(tmp_path / "games")]
        return subprocess.run([sys.executable, "-m", "elodrome", *words], capture_output=True, text=True)

    refused = match("connect_four")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "connect_four is not Go" in refused.stderr
    assert match("go:size=5").returncode == 0
    assert len(list((tmp_path / "games").glob("*.sgf"))) == 2
