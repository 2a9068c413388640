"""Showdowns in small: they train, play and report; run again they have nothing to do; stopped or killed they go on."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from rich.progress import Progress

from elodrome.agents.agent import Learner
from elodrome.agents.specs import builtin, kinds, unfit
from elodrome.arena.record import GameRecord
from elodrome.arena.training import Stopped
from elodrome.envs.registry import make_env
from elodrome.errors import UserError
from elodrome.tournaments import plans, showdown
from elodrome.tournaments.plans import SHORT, Plan, Stage, Trained, full_plan
from elodrome.tournaments.showdown import run_showdown
from elodrome.tournaments.standings import marked, mean_and_error, returns_by_label

SMALL = Plan(
    stages=(
        Stage(
            world="tic_tac_toe",
            ready=("random",),
            trained=(Trained(kind="q_learning", steps=20_000), Trained(kind="sarsa", steps=20_000)),
            games=20,
        ),
    )
)
ALONE = Stage(
    world="cliff_walking",
    ready=("random", "value_iteration"),
    trained=(Trained(kind="q_learning", steps=20_000, trainings=3), Trained(kind="sarsa", steps=20_000, trainings=2)),
    games=5,
    alone=True,
)
TABLES = Plan(stages=(ALONE, SMALL.stages[0]), together=False, command=("--full",))


def test_it_trains_plays_and_reports_and_then_has_nothing_to_do(tmp_path: Path) -> None:
    with Progress(disable=True) as bars:
        first = run_showdown(tmp_path / "a", 2, "cpu", bars, SMALL)
        again = run_showdown(tmp_path / "a", 2, "cpu", bars, SMALL)
        alone = run_showdown(tmp_path / "b", 1, "cpu", bars, SMALL)
    assert (first.trained, first.played, first.kept) == (2, 60, 60)
    assert (again.trained, again.played, again.kept) == (0, 0, 60)
    assert first.sections[0].board == again.sections[0].board == alone.sections[0].board
    assert first.page.is_file()
    assert {row.agent for row in first.sections[0].board.rows} == {"random", "q_learning", "sarsa"}


def test_an_agent_whose_file_is_missing_after_its_last_checkpoint_is_written(tmp_path: Path) -> None:
    with Progress(disable=True) as bars:
        first = run_showdown(tmp_path / "a", 1, "cpu", bars, SMALL)
        (tmp_path / "a/agents/tic_tac_toe/sarsa/agent.json").unlink()
        (job,) = (j for j in showdown.training_jobs(tmp_path / "a", SMALL.stages[0]) if not j.done)
        showdown._train_alone(job, "cpu")
        assert job.done
    assert first.kept == 60


def test_stopped_while_training_it_says_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(showdown, "train_all", stop)
    with Progress(disable=True) as bars:
        with pytest.raises(Stopped, match=r"0 of 2 agents.*elodrome showdown --out"):
            run_showdown(tmp_path / "a", 1, "cpu", bars, SMALL)
        with pytest.raises(Stopped, match=r"0 of 7 agents.*elodrome showdown --full --out"):
            run_showdown(tmp_path / "a", 1, "cpu", bars, TABLES)
        with pytest.raises(Stopped, match=r"0 of 2 agents.*elodrome showdown --full --world tic_tac_toe --out"):
            run_showdown(tmp_path / "a", 1, "cpu", bars, TABLES.only(["tic_tac_toe"]))


def test_some_of_its_worlds_alone_by_any_of_their_names() -> None:
    assert [s.world for s in SHORT.only(["token_mdp", "go:size=5"]).stages] == ["go:size=5", "token_mdp"]
    with pytest.raises(UserError, match=r"^--world go: the showdown has no such world; known: .*go:size=5"):
        SHORT.only(["go"])
    with pytest.raises(UserError, match=r"^unknown environment 'tic_tac_to'; did you mean 'tic_tac_toe'"):
        SHORT.only(["tic_tac_to"])


def test_the_short_plan_shows_one_agent_of_each_family() -> None:
    ready = {name.partition(":")[0] for s in SHORT.stages for name in s.ready if name.partition(":")[0] in builtin()}
    assert ready == {"random", "minimax", "mcts", "value_iteration"}
    assert {t.kind for s in SHORT.stages for t in s.trained} == {"q_learning", "dqn", "ppo", "alphazero", "grpo"}
    assert len({make_env(stage.world).id for stage in SHORT.stages}) == 6


def test_tables_hold_every_agent_with_its_error_and_what_it_cost(tmp_path: Path) -> None:
    with Progress() as bars:
        result = run_showdown(tmp_path / "a", 2, "cpu", bars, TABLES)
        assert bars.tasks == []
    cliff, board = (section.table for section in result.sections)
    assert cliff is not None and board is not None  # noqa: PT018
    assert (cliff.rated, board.rated) == (False, True)
    rows = {row.agent: row for row in cliff.rows}
    assert set(rows) == {"random", "value_iteration", "q_learning", "sarsa"}
    assert (rows["value_iteration"].value, rows["value_iteration"].error) == (-13.0, 0.0)
    assert [row.value for row in cliff.rows] == sorted((row.value for row in cliff.rows), reverse=True)
    assert (rows["q_learning"].trainings, rows["q_learning"].steps) == (3, 20_000)
    assert rows["q_learning"].seconds is not None
    assert (rows["random"].trainings, rows["random"].steps, rows["random"].chapter) == (0, None, "1")
    # Everybody has the same dice, and each training was another.
    runs = {label: [r for r in result.sections[0].records if r.agents == (label,)] for label in ("sarsa", "sarsa#2")}
    assert [r.seed for r in runs["sarsa"]] == [r.seed for r in runs["sarsa#2"]]
    assert len({r.seed for r in runs["sarsa"]}) == 5
    text = result.tables.read_text()
    assert marked(cliff) in text
    assert marked(board) in text
    assert "sarsa#2" not in text
    page = result.page.read_text()
    assert page.count('<table class="ranks">') == 2
    assert page.count('<table class="cross">') == 1


def test_a_showdown_that_grew_trains_and_plays_what_is_new_alone(tmp_path: Path) -> None:
    fewer = ALONE.model_copy(update={"trained": ALONE.trained[:1]})
    with Progress(disable=True) as bars:
        first = run_showdown(tmp_path / "a", 1, "cpu", bars, Plan(stages=(fewer,), together=False))
        grown = run_showdown(tmp_path / "a", 1, "cpu", bars, Plan(stages=(ALONE,), together=False))
    assert (first.trained, first.played) == (3, 25)
    assert (grown.trained, grown.played) == (2, 10)


def test_an_agent_that_cannot_be_trained_is_left_out_with_the_reason(tmp_path: Path) -> None:
    bad = Trained(kind="dqn", steps=1000, settings={"rate": -1.0})
    stage = ALONE.model_copy(update={"trained": (bad, *ALONE.trained[:1])})
    with Progress(disable=True) as bars:
        result = run_showdown(tmp_path / "a", 1, "cpu", bars, Plan(stages=(stage,), together=False))
    (line,) = result.shortcomings
    assert line.startswith("cliff_walking: dqn could not be trained: dqn: rate=-1.0")
    table = result.sections[0].table
    assert table is not None
    assert "dqn could not be trained" in table.notes[0]
    assert [row.agent for row in table.rows] == ["q_learning", "value_iteration", "random"]


RUN = """
import sys
from pathlib import Path
from rich.progress import Progress
sys.path.insert(0, sys.argv[2])
from test_showdown import TABLES
from elodrome.tournaments.showdown import run_showdown
if __name__ == "__main__":
    with Progress(disable=True) as bars:
        run_showdown(Path(sys.argv[1]), 2, "cpu", bars, TABLES)
"""


def _living(group: int) -> bool:
    """Whether any process of a group is still there."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_killed_at_any_time_it_ends_with_the_same_tables(tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    script.write_text(RUN)
    out, went = tmp_path / "killed", False
    for seconds in (4.0, 6.0, 8.0):
        with subprocess.Popen([sys.executable, script, out, Path(__file__).parent], start_new_session=True) as run:
            time.sleep(seconds)
            went = run.poll() is None or went
            run.kill()  # it alone: its workers see to themselves
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and _living(run.pid):
            time.sleep(0.1)
        assert not _living(run.pid)
    assert went
    with Progress(disable=True) as bars:
        killed = run_showdown(out, 2, "cpu", bars, TABLES)
        whole = run_showdown(tmp_path / "whole", 1, "cpu", bars, TABLES)
    for a, b in zip(killed.sections, whole.sections, strict=True):
        assert a.board == b.board
        assert a.table is not None and b.table is not None  # noqa: PT018
        assert [(r.agent, r.value, r.error, r.steps) for r in a.table.rows] == [
            (r.agent, r.value, r.error, r.steps) for r in b.table.rows
        ]


def test_the_full_plan_holds_whatever_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = full_plan()
    assert len({stage.world for stage in plan.stages}) == len(plan.stages) > 12
    for stage in plan.stages:
        world = make_env(stage.world)
        fit = {
            name: issubclass(kind.load(), Learner)
            for name, kind in kinds()[0].items()
            if kind.origin == "elodrome" and name not in ("human", "gtp") and unfit(kind.about, world) is None
        }
        assert {t.kind for t in stage.trained} == {name for name, learns in fit.items() if learns}
        here = {spec.partition(":")[0] for spec in stage.ready}
        assert {name for name, learns in fit.items() if not learns} <= here
        assert stage.alone == (world.players == 1)
    # One that comes later joins by itself.
    newcomer = builtin()["dqn"]
    later = {**kinds()[0], "newcomer": newcomer.__class__(**{**vars(newcomer), "id": "newcomer"})}
    monkeypatch.setattr(plans, "kinds", lambda: (later, {}))
    assert all("newcomer" in {t.kind for t in s.trained} for s in full_plan().stages if len(s.trained) > 15)


def test_the_interval_allows_for_trainings_and_for_games() -> None:
    # Trainings 1, 2, 3 whose games are all alike: standard deviation 1, t(2) = 4.303.
    mean, error = mean_and_error([[1.0] * 4, [2.0] * 4, [3.0] * 4])
    assert mean == 2.0
    assert error == pytest.approx(4.303 / np.sqrt(3))
    # Three equal trainings: what is left is the games, 1, 3, 5 with t(2) again; as of one training.
    assert mean_and_error([[1.0, 3.0, 5.0]] * 3) == (3.0, pytest.approx(4.303 * 2 / np.sqrt(3)))
    assert mean_and_error([[1.0, 3.0, 5.0]]) == (3.0, pytest.approx(4.303 * 2 / np.sqrt(3)))
    assert mean_and_error([[4.0]]) == (4.0, None)
    assert mean_and_error([]) == (None, None)
    # Simulated: trainings and games of unit variance each, and a noise of both; true mean 0.
    rng, held = np.random.default_rng(3), 0
    for _ in range(400):
        returns = rng.normal(size=(3, 1)) + rng.normal(size=(1, 30)) + rng.normal(size=(3, 30))
        mean, error = mean_and_error(returns.tolist())
        held += abs(mean) <= error
    assert 0.92 <= held / 400 <= 0.99


def test_who_fails_alone_gets_the_worst_return() -> None:
    world = make_env("cliff_walking")
    common = {"env": world.id, "agents": ("a",), "seed": 1, "agent_seed": 1, "opening": 0, "moves": ((0,),)}
    sound = GameRecord(id="0", returns=(-20.0,), scores=(0.5,), termination="draw", **common)
    failed = GameRecord(id="1", returns=(-1.0,), scores=(), termination="void", reason="illegal", **common)
    assert returns_by_label(world, [sound, failed]) == {"a": [-20.0, world.return_range[0]]}
