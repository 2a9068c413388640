"""The page: whole, self-contained, its numbers and frames those of the records."""

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from elodrome.arena.match import play_match
from elodrome.arena.record import GameRecord, replay
from elodrome.envs.registry import make_env
from elodrome.errors import UserError
from elodrome.tournaments.ratings import leaderboard
from elodrome.tournaments.replays import FRAMES, featured, replay_document
from elodrome.tournaments.report import Section, build_report

AGENTS = """
from elodrome.agents.agent import Agent

class FirstLegal(Agent):
    def choose(self, position):
        return int(position.legal_actions[0])

class Crashing(Agent):
    def choose(self, position):
        raise ValueError("<script>alert(1)</script>")
"""


class Tags(HTMLParser):
    """Collects start tags, and checks that they are closed."""

    VOID = ("meta", "input", "br", "img")

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def section(world: str, pairs: list[tuple[str, str]], games: int, folder: Path) -> Section:
    file = folder / "agents.py"
    file.write_text(AGENTS)
    records: list[GameRecord] = []
    for first, second in pairs:
        specs = [name if name.islower() else f"{file}:{name}" for name in (first, second)]
        for record in play_match(world, *specs, games).records:
            named = tuple(label.rpartition(":")[2] for label in record.agents)
            records.append(record.model_copy(update={"id": f"{first}:{second}:{record.id}", "agents": named}))
    curve = folder / f"{world}.jsonl"
    lines = [{"agent": "random", "step": 10 * k, "seconds": k, "return": k**0.5} for k in range(1, 30)]
    curve.write_text("\n".join(map(json.dumps, lines)) + '\n{"step": 31')
    loss = folder / "loss.jsonl"
    loss.write_text('{"step": 1, "seconds": 0.1, "loss/sft": 4.0}\n')
    return Section(
        make_env(world),
        leaderboard(records, world),
        records,
        [("random", curve), ("sft", loss), ("x", folder / "none")],
    )


@pytest.fixture(scope="module")
def sections(tmp_path_factory: pytest.TempPathFactory) -> list[Section]:
    folder = tmp_path_factory.mktemp("data")
    return [
        section(
            "tic_tac_toe", [("random", "FirstLegal"), ("Crashing", "FirstLegal"), ("random", "Crashing")], 8, folder
        ),
        section("connect_four", [("random", "FirstLegal")], 4, folder),
        section("cliff_walking", [("random", "FirstLegal")], 3, folder),
        section("rock_paper_scissors", [("random", "FirstLegal")], 6, folder),
        section("token_mdp", [("random", "FirstLegal")], 4, folder),
    ]


@pytest.fixture(scope="module")
def page(sections: list[Section], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_report(sections, tmp_path_factory.mktemp("report") / "new")


def test_the_page_is_whole_and_asks_nobody_for_anything(page: Path, sections: list[Section]) -> None:
    text = page.read_text()
    tags = Tags()
    tags.feed(text)
    assert tags.open == []
    for _, attributes in tags.tags:
        assert not {"src", "srcset", "action", "data"} & set(attributes)
        for name in ("href", "xlink:href"):
            assert (attributes.get(name) or "#").startswith("#")
    assert "url(http" not in text
    assert "@import" not in text
    ids = [a["id"] for _, a in tags.tags if a.get("id")]
    assert len(ids) == len(set(ids))
    assert {s.world.id for s in sections} <= set(ids)
    assert sum(tag == "select" for tag, _ in tags.tags) == 5


def test_what_agents_say_is_shown_and_never_run(page: Path) -> None:
    text = page.read_text()
    assert "<script>alert" not in text
    assert "ValueError: &lt;script&gt;alert(1)&lt;/script&gt;" in text


def test_pictures_are_sound_svg_and_png(page: Path) -> None:
    pictures = re.findall(r"<svg.*?</svg>", page.read_text(), re.DOTALL)
    assert len(pictures) == 10
    for picture in pictures:
        assert ET.fromstring(picture).get("viewBox")
    for name in ("tic_tac_toe-ratings", "tic_tac_toe-learning", "token_mdp-ratings"):
        assert (page.parent / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_the_json_holds_the_same_numbers(page: Path, sections: list[Section]) -> None:
    document = json.loads((page.parent / "report.json").read_text())
    assert [ladder["env"] for ladder in document["ladders"]] == [s.world.id for s in sections]
    first, board = document["ladders"][0], sections[0].board
    assert {k: v for k, v in first.items() if k != "learning"} == json.loads(json.dumps(board.document()))
    assert [(c["agent"], c["measure"], len(c["values"])) for c in first["learning"]] == [
        ("random", "return", 29),
        ("sft", "loss/sft", 1),
    ]


def test_the_same_input_gives_the_same_page(page: Path, sections: list[Section], tmp_path: Path) -> None:
    assert build_report(sections, tmp_path).read_bytes() == page.read_bytes()


def test_frames_are_the_positions_of_the_record(sections: list[Section]) -> None:
    shown = sections[1]
    ((record, stream),) = featured(shown.records, [row.agent for row in shown.board.rows])
    document = replay_document(record, stream, shown.world)
    assert len(document["frames"]) == record.plies + 1
    cells = None
    for frame, (table, _) in zip(document["frames"], replay(record, shown.world), strict=True):
        cells = frame.get("cells", cells)
        drawn = table.draw(0).splitlines()
        stones = sum(line.count("X") + line.count("O") for line in drawn)
        assert sum(value > 0 for line in cells for value in line) == stones
    assert "Red" in document["frames"][1]["caption"]
    assert document["frames"][0]["caption"] == "start"


def test_a_walk_without_end_is_cut_and_says_so(sections: list[Section]) -> None:
    shown = sections[2]
    games = featured(shown.records, ["FirstLegal", "random"])
    assert [record.agents[stream] for record, stream in games] == ["FirstLegal", "random"]
    document = replay_document(*games[0], shown.world)
    assert len(document["frames"]) == FRAMES
    assert f"the first {FRAMES - 1} of" in document["result"]
    assert all(len(frame["marker"]) == 2 for frame in document["frames"])
    assert "cells" not in document["frames"][1]  # a map does not change


def test_each_run_of_a_solo_world_is_told_by_its_own_ending(
    elodrome: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    """One reaches the goal, the other is cut: the pair's termination is "length", as in databases of old."""
    command = ("tournament", "run", "--env", "cliff_walking", "--agents", "value_iteration,random", "--games", 3)
    assert elodrome(*command, "--workers", 1, "--out", tmp_path / "out")[0] == 0
    (ladder,) = json.loads((tmp_path / "out" / "report.json").read_text())["ladders"]
    assert "length" in ladder["terminations"]
    page = (tmp_path / "out" / "report.html").read_text()
    (script,) = re.findall(r'<script type="application/json" id="game-cliff_walking">(.*?)</script>', page, re.DOTALL)
    best, worst = (game["result"] for game in json.loads(script))
    assert best == "value_iteration: 13 steps, return \N{MINUS SIGN}13; the end was reached"
    assert "cut at the limit of steps; the first 399 of" in worst


def test_a_report_without_games_is_still_a_page(tmp_path: Path) -> None:
    empty = Section(make_env("tic_tac_toe"), leaderboard([], "tic_tac_toe", agents=("minimax",)), [])
    text = build_report([empty], tmp_path / "out").read_text()
    assert "unrated" in text
    assert "NaN" not in text


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        build_report([], tmp_path / "file" / "out")


@pytest.mark.parametrize("name", ["$x_{$", "_hidden", "[/b]\x1b", "\u540d", "x" * 1000, "a\nb"])
def test_any_name_can_be_drawn(name: str) -> None:
    from elodrome.tournaments.plots import Curve, learning_plot, png, svg

    figure = learning_plot({"return": [Curve(name, "return", [1, 2], [1.0, 2.0], [0.0, 1.0])]})
    assert figure is not None
    assert png(figure)
    page = svg(figure, "x")
    assert "(2 steps" in page
    assert len(page) < 60_000
