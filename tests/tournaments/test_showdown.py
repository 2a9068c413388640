"""A showdown in small: it trains, plays and reports; run again it has nothing to do; stopped it says how to go on."""

from pathlib import Path

import pytest
from rich.progress import Progress

from elodrome.agents.specs import builtin
from elodrome.arena.training import Stopped
from elodrome.envs.registry import make_env
from elodrome.tournaments import showdown
from elodrome.tournaments.showdown import PLAN, Stage, Trained, run_showdown

SMALL = (
    Stage(
        world="tic_tac_toe",
        ready=("random",),
        trained=(Trained(kind="q_learning", steps=20_000), Trained(kind="sarsa", steps=20_000)),
        games=20,
    ),
)


def test_it_trains_plays_and_reports_and_then_has_nothing_to_do(tmp_path: Path) -> None:
    with Progress(disable=True) as bars:
        first = run_showdown(tmp_path / "a", 2, "cpu", bars, SMALL)
        again = run_showdown(tmp_path / "a", 2, "cpu", bars, SMALL)
        alone = run_showdown(tmp_path / "b", 1, "cpu", bars, SMALL)
    assert (first.trained, first.played, first.kept) == (2, 60, 60)
    assert (again.trained, again.played, again.kept) == (0, 0, 60)
    assert first.boards == again.boards == alone.boards
    assert first.page.is_file()
    assert {row.agent for row in first.boards[0].rows} == {"random", "q_learning", "sarsa"}


def test_an_agent_whose_file_is_missing_after_its_last_checkpoint_is_written(tmp_path: Path) -> None:
    with Progress(disable=True) as bars:
        first = run_showdown(tmp_path / "a", 1, "cpu", bars, SMALL)
        (tmp_path / "a/agents/tic_tac_toe/sarsa/agent.json").unlink()
        (job,) = (j for j in showdown.training_jobs(tmp_path / "a", SMALL) if not j.done)
        showdown._train_alone(job, "cpu")
        assert job.done
    assert first.kept == 60


def test_stopped_while_training_it_says_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(showdown, "train_all", stop)
    with Progress(disable=True) as bars, pytest.raises(Stopped, match=r"0 of 2 agents.*elodrome showdown --out"):
        run_showdown(tmp_path / "a", 1, "cpu", bars, SMALL)


def test_every_chapter_has_an_agent_in_the_plan() -> None:
    names = {name.partition(":")[0] for s in PLAN for name in s.ready if name.partition(":")[0] in builtin()}
    names |= {t.kind for s in PLAN for t in s.trained}
    assert {builtin()[name].about.chapter[0] for name in names} >= {"1", "2", "3", "4", "5"}
    assert len({make_env(stage.world).id for stage in PLAN}) == 6
