"""The README runs: its Python, its ten-line agent, and its commands, word for word."""

import json
import os
import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest

from elodrome import cli

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
WINDOWS = ("play", "watch", "gtp")  # need a person, or a program on the other side
GNUGO = shutil.which("gnugo", path=os.environ["PATH"] + ":/usr/games")  # Debian's package gnugo
LONG = ("showdown",)


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def commands() -> list[list[str]]:
    """Every ``elodrome ...`` line of the shell blocks as words."""
    lines = "\n".join(blocks("bash")).replace("\\\n", " ").splitlines()
    return [words[1:] for line in lines if (words := shlex.split(line, comments=True)) and words[0] == "elodrome"]


def test_the_python_runs() -> None:
    first = next(block for block in blocks("python") if "play_match" in block)
    exec(compile(first, "README.md", "exec"), {})


def test_the_commands_run_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    agent = next(block for block in blocks("python") if "my_agent.py" in block)
    (tmp_path / "my_agent.py").write_text(agent)
    monkeypatch.chdir(tmp_path)
    ran = 0
    for words in commands():
        if words[0] in WINDOWS + LONG or (GNUGO is None and any("gnugo" in word for word in words)):
            continue
        monkeypatch.setattr(sys, "argv", ["elodrome", *words])
        with pytest.raises(SystemExit) as done:
            cli.main()
        assert not done.value.code, (words, capsys.readouterr().err)
        ran += 1
    assert ran >= 8
    assert (tmp_path / "runs/first/report.html").is_file()


def test_the_agent_has_ten_lines() -> None:
    agent = next(block for block in blocks("python") if "my_agent.py" in block)
    assert len([line for line in agent.splitlines()[1:] if line.strip()]) <= 10


def test_every_link_and_picture_exists() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_boards_tables_are_those_of_the_documentation() -> None:
    marked = re.compile(r"<!-- showdown (\w+) -->\n.*?<!-- end -->", re.DOTALL)
    documented = {match[1]: match[0] for match in marked.finditer((ROOT / "docs/showdown.md").read_text("utf-8"))}
    tables = {match[1]: match[0] for match in marked.finditer(README)}
    assert set(tables) == {"tic_tac_toe", "connect_four"}
    for name, table in tables.items():
        assert table == documented[name]
        assert re.search(r"\| random \| 1 \| 0 \|", table)


@pytest.mark.parametrize(("row", "world"), [("Go 7x7", "go-size-7"), ("Go 9x9", "go")])
def test_the_go_lines_say_what_the_cards_say(row: str, world: str) -> None:
    card = json.loads((ROOT / "elodrome" / "trained" / world / "alphazero-strong" / "agent.json").read_text())
    (line,) = [line for line in README.splitlines() if line.startswith(f"| {row}")]
    for level, said in (("10", "of {of} games against GNU Go level 10"), ("1", "against level 1")):
        won = card["notes"]["strength"]["gnugo"][f"level {level}"]["all"]["score"]
        share = f"{100 * won['share']:.0f} % [{100 * won['low']:.0f}, {100 * won['high']:.0f}]"
        assert f"{share} {said.format(**won)}" in line
