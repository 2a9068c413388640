"""Runs that are stopped, resumed, repeated and diverge."""

import json
import math
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from elodrome import make_env
from elodrome.agents.agent import Progress
from elodrome.agents.parts.saved import WEIGHTS, load_checkpoint, read_arrays, read_card, save_checkpoint
from elodrome.arena import training
from elodrome.arena.match import play_match
from elodrome.arena.training import CURVES, Stopped, read_curve, train
from elodrome.cli import main
from elodrome.errors import BrokenAgent, Diverged, UserError
from elodrome.seeding import derive

HERE = Path(__file__).parents[2] / "examples/plugin_agent/careful_agents/monte_carlo.py"
PLUGIN = f"{HERE}:MonteCarlo"


@pytest.fixture
def world():
    return make_env("tic_tac_toe")


def plugin(tmp_path: Path, body: str) -> str:
    """A learner like the example's, with another ``learn``."""
    file = tmp_path / "learner.py"
    file.write_text(HERE.read_text() + "\n\nclass Odd(MonteCarlo):\n" + body)
    return f"{file}:Odd"


def test_a_stopped_run_ends_as_an_unbroken_one(world, tmp_path: Path) -> None:
    unbroken = train(PLUGIN, world, steps=1000, out=tmp_path / "a", tensorboard=False)

    def stop(progress: Progress, total: int) -> None:
        if progress.step == 600:
            raise KeyboardInterrupt

    with pytest.raises(Stopped, match=r"600 of 1000; to go on: elodrome train .* --resume"):
        train(PLUGIN, world, steps=1000, out=tmp_path / "b", on_progress=stop, tensorboard=False)
    resumed = train(PLUGIN, world, steps=1000, out=tmp_path / "b", resume=True, tensorboard=False)
    one, two = (read_arrays(r.folder / "weights.safetensors") for r in (unbroken, resumed))
    assert all((one[k] == two[k]).all() for k in one)
    curves = [
        [{k: v for k, v in line.items() if k != "seconds"} for line in read_curve(r.folder / CURVES)]
        for r in (unbroken, resumed)
    ]
    assert curves[0] == curves[1]


def test_what_a_run_cost_the_processor_adds_up_over_its_parts(world, tmp_path: Path) -> None:
    out = tmp_path / "a"
    train(PLUGIN, world, steps=200, out=out, tensorboard=False)
    card = read_card(out)
    before = card.notes["cpu_seconds"]
    assert 0 < before < 60
    told = card.model_copy(update={"notes": {**card.notes, "cpu_seconds": before + 1000.0}})
    (out / "agent.json").write_text(told.model_dump_json())
    train(PLUGIN, world, steps=400, out=out, resume=True, tensorboard=False)
    assert before + 1000.0 < read_card(out).notes["cpu_seconds"] < before + 1060.0


def test_examinations_on_the_way_are_the_same_after_a_stop(world, tmp_path: Path) -> None:
    """An agent that learns scores against random and against its own past; stopped and resumed, it scores the same."""
    settings = {"steps": 4000, "tensorboard": False, "examine": 1000, "rivals": ["random"], "keep": 2000}
    unbroken = train(PLUGIN, world, out=tmp_path / "a", **settings)

    def stop(progress: Progress, total: int) -> None:
        if progress.step >= 3100:
            raise KeyboardInterrupt

    with pytest.raises(Stopped, match=r"--resume --keep 2000 --examine 1000 --rivals random$"):
        train(PLUGIN, world, out=tmp_path / "b", on_progress=stop, **settings)
    resumed = train(PLUGIN, world, out=tmp_path / "b", resume=True, **settings)
    curves = [
        [{k: v for k, v in line.items() if "score" in k or k == "promoted"} for line in read_curve(r.folder / CURVES)]
        for r in (unbroken, resumed)
    ]
    assert curves[0] == curves[1]
    scores = [line for line in curves[0] if line]
    assert len(scores) == 4
    assert scores[0].keys() == {"score/random"}
    assert scores[-1].keys() == {"score/random", "score/best", "promoted"}
    seed = derive(0, "examination", 4000)
    tally = play_match(world, f"{PLUGIN}:saved={resumed.folder}", "random", 40, seed=seed, opening=4).tally()
    assert scores[-1]["score/random"] == (tally["wins"] + tally["draws"] / 2) / 40
    assert sorted(p.name for p in (tmp_path / "b" / "kept").iterdir()) == ["2000", "4000"]


def test_games_that_are_shorter_than_the_opening_are_examined(tmp_path: Path) -> None:
    """Two plies, of which none is random then: the learner would have no move."""
    world = make_env("rock_paper_scissors")
    assert world.max_steps == 2
    result = train("ppo", world, steps=600, examine=300, out=tmp_path, tensorboard=False)
    assert 0 <= result.metrics["score/random"] <= 1


def test_a_finished_run_has_nothing_to_do(world, tmp_path: Path) -> None:
    train(PLUGIN, world, steps=20, out=tmp_path / "a", tensorboard=False)
    assert train(PLUGIN, world, steps=20, out=tmp_path / "a", resume=True, tensorboard=False).already_done


def test_a_used_folder_is_refused(world, tmp_path: Path) -> None:
    train(PLUGIN, world, steps=20, out=tmp_path / "a", tensorboard=False)
    with pytest.raises(UserError, match="already holds a run; add --resume"):
        train(PLUGIN, world, steps=20, out=tmp_path / "a", tensorboard=False)
    with pytest.raises(UserError, match="seed was 0, now 1"):
        train(PLUGIN, world, steps=20, seed=1, out=tmp_path / "a", resume=True, tensorboard=False)


def test_a_loss_that_is_no_number_stops_with_step_and_reason(world, tmp_path: Path) -> None:
    spec = plugin(
        tmp_path,
        "    def learn(self, budget):\n"
        "        for progress in super().learn(budget):\n"
        "            yield Progress(progress.step, {'loss': float('nan') if progress.step > 200 else 0.5})\n",
    )
    with pytest.raises(Diverged, match="at step 400: loss is not a number"):
        train(spec, world, steps=1000, out=tmp_path / "run", tensorboard=False)
    assert all(math.isfinite(line["loss"]) for line in read_curve(tmp_path / "run" / CURVES))


def test_what_fails_since_its_values_are_no_numbers_is_told_as_that(world, tmp_path: Path) -> None:
    """The same error with sound values is told as it is."""
    for value, error, words in (
        ("float('nan')", Diverged, "at step 400: values is not a number any more; the checkpoint of step 200 stays"),
        ("0.5", ZeroDivisionError, "no action"),
    ):
        folder = tmp_path / error.__name__
        folder.mkdir()
        spec = plugin(
            folder,
            "    def learn(self, budget):\n"
            "        for progress in super().learn(budget):\n"
            "            yield progress\n"
            "            if progress.step == 400:\n"
            f"                next(iter(self.table.values()))[:] = {value}\n"
            "                raise ZeroDivisionError('no action')\n",
        )
        with pytest.raises(error, match=words):
            train(spec, world, steps=1000, out=folder / "run", tensorboard=False, checkpoint=3600.0)


def test_no_checkpoint_stands_without_its_agent(world, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever a kill comes, the agent is as far as the checkpoint beside it."""
    real, found = training.save_checkpoint, []

    def look(folder: Path, step: int, snapshot: dict[str, object]) -> None:
        found.append((read_card(folder).steps, step))
        real(folder, step, snapshot)

    monkeypatch.setattr(training, "save_checkpoint", look)
    train(PLUGIN, world, steps=600, out=tmp_path / "run", tensorboard=False, checkpoint=0.0)
    assert found[:3] == [(200, 200), (400, 400), (600, 600)]


def test_a_curve_cut_short_by_a_kill_is_read_up_to_the_cut(tmp_path: Path) -> None:
    file = tmp_path / CURVES
    file.write_text(json.dumps({"step": 1, "seconds": 0.5}) + "\n" + '{"step": 2, "sec')
    assert read_curve(file) == [{"step": 1, "seconds": 0.5}]


def scalars(folder: Path, tag: str) -> list[tuple[int, float]]:
    """What TensorBoard reads as plain scalars."""
    events = EventAccumulator(str(folder / "tensorboard")).Reload()
    return [(event.step, event.value) for event in events.Scalars(tag)]


def test_curves_reach_tensorboard_as_scalars(world, tmp_path: Path) -> None:
    folder = train(PLUGIN, world, steps=700, out=tmp_path / "a").folder
    wanted = [(line["step"], line["states"]) for line in read_curve(folder / CURVES)]
    assert scalars(folder, "states") == wanted
    assert len(wanted) == 4


def test_what_a_killed_run_told_tensorboard_past_its_checkpoint_is_void(world, tmp_path: Path) -> None:
    died = tmp_path / "died"
    spec = plugin(
        tmp_path,
        "    def learn(self, budget):\n"
        "        from pathlib import Path\n"
        f"        died = Path({str(died)!r})\n"
        "        for progress in super().learn(budget):\n"
        "            yield progress if died.exists() else Progress(progress.step, {'states': -1.0})\n"
        "            if progress.step == 600 and not died.exists():\n"
        "                died.touch()\n"
        "                raise MemoryError\n",
    )
    with pytest.raises(MemoryError):  # the checkpoint is that of the first report, step 200
        train(spec, world, steps=1000, out=tmp_path / "a")
    assert [step for step, _ in scalars(tmp_path / "a", "states")] == [200, 400, 600]
    assert load_checkpoint(tmp_path / "a")[0] == 200
    time.sleep(1.1)  # TensorBoard sorts its files by the second
    train(spec, world, steps=1000, out=tmp_path / "a", resume=True)
    found = scalars(tmp_path / "a", "states")
    assert [step for step, _ in found] == [200, 400, 600, 800, 1000]
    assert [value < 0 for _, value in found] == [True, False, False, False, False]


def test_without_tensorboard_training_goes_on_and_says_so(
    world, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("tensorboard")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    result = train(PLUGIN, world, steps=20, out=tmp_path / "a")
    (remark,) = result.remarks
    assert "no curves for TensorBoard" in remark
    assert "pip install tensorboard" in remark
    assert read_curve(result.folder / CURVES)


def test_the_first_report_can_be_played_and_resumed(world, tmp_path: Path) -> None:
    """Killed right after its first report, long before the first 20 seconds are over."""
    out = tmp_path / "run"

    def die(progress: Progress, total: int) -> None:
        if progress.step == 400:
            raise MemoryError

    with pytest.raises(MemoryError):
        train(PLUGIN, world, steps=1000, out=out, on_progress=die, tensorboard=False)
    assert read_card(out).steps == load_checkpoint(out)[0] == 200
    assert len(play_match(world, f"{PLUGIN}:saved={out}", "random", 4).records) == 4
    unbroken = train(PLUGIN, world, steps=1000, out=tmp_path / "whole", tensorboard=False)
    train(PLUGIN, world, steps=1000, out=out, resume=True, tensorboard=False)
    assert (out / WEIGHTS).read_bytes() == (unbroken.folder / WEIGHTS).read_bytes()


def test_before_the_first_report_a_person_is_told_how_to_go_on(world, tmp_path: Path) -> None:
    """Interrupted amid its first step: nothing is saved of what is no whole state, and the message says what to do."""
    spec = plugin(
        tmp_path,
        "    def learn(self, budget):\n        self.games = 17\n        raise KeyboardInterrupt\n        yield\n",
    )
    out = tmp_path / "run"
    with pytest.raises(Stopped, match=r"stopped before anything was saved; to go on: elodrome train .* --resume"):
        train(spec, world, steps=1000, out=out, tensorboard=False)
    assert load_checkpoint(out) is None
    with pytest.raises(BrokenAgent, match=r"stopped before anything was saved; to go on: elodrome train .* --resume"):
        play_match(world, f"{out}/", "random", 2)


def test_an_interrupt_amid_an_update_saves_no_half_state(world, tmp_path: Path) -> None:
    spec = plugin(
        tmp_path,
        "    def learn(self, budget):\n"
        "        for progress in super().learn(budget):\n"
        "            yield progress\n"
        "            if progress.step == 600:\n"
        "                self.table.clear()\n"
        "                raise KeyboardInterrupt\n",
    )
    with pytest.raises(Stopped, match="stopped at game 200 of 1000"):
        train(spec, world, steps=1000, out=tmp_path / "run", tensorboard=False)
    assert load_checkpoint(tmp_path / "run")[0] == 200


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_waits_for_the_next_report(world, tmp_path: Path, number: signal.Signals) -> None:
    spec = plugin(
        tmp_path,
        "    def learn(self, budget):\n"
        "        import os\n"
        "        for progress in super().learn(budget):\n"
        "            yield progress\n"
        f"            if progress.step == 400: os.kill(os.getpid(), {int(number)})\n",
    )
    before = signal.getsignal(number)
    with pytest.raises(Stopped, match="stopped at game 600 of 1000"):
        train(spec, world, steps=1000, out=tmp_path / "run", tensorboard=False)
    assert signal.getsignal(number) is before
    assert read_card(tmp_path / "run").steps == load_checkpoint(tmp_path / "run")[0] == 600


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "nan", "1e999"])
@pytest.mark.parametrize(
    ("kind", "setting"),
    [("q_learning", "initial"), ("dqn", "rate"), ("ppo", "entropy"), ("alphazero", "c_scale"), ("sft", "temperature")],
)
def test_settings_that_are_no_finite_number_are_refused(
    kind: str, setting: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    out = tmp_path / "run"
    line = ["elodrome", "train", kind, "--env", "tic_tac_toe", "--steps", "9", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", [*line, "--set", f"{setting}={value}"])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    (message,) = capsys.readouterr().err.splitlines()
    assert setting in message
    assert "number" in message
    assert not out.exists()


@pytest.mark.parametrize("seconds", [-1.0, math.nan, math.inf])
def test_a_checkpoint_every_so_many_seconds_needs_a_number_of_them(world, tmp_path: Path, seconds: float) -> None:
    with pytest.raises(UserError, match="checkpoint must be a number of seconds, 0 or more, not"):
        train(PLUGIN, world, steps=20, out=tmp_path / "a", checkpoint=seconds, tensorboard=False)
    assert not (tmp_path / "a").exists()


def test_what_kills_left_behind_is_cleared_away_on_resume(world, tmp_path: Path) -> None:
    out = train(PLUGIN, world, steps=20, out=tmp_path / "a", tensorboard=False).folder
    for name in (".checkpoint.safetensors.77", ".agent.json.77", ".weights.safetensors.77"):
        (out / name).write_bytes(b"half")
    train(PLUGIN, world, steps=20, out=out, resume=True, tensorboard=False)
    assert not list(out.glob(".*"))


@pytest.mark.parametrize("where", ["weights", "snapshot"])
def test_arrays_that_are_not_finite_are_never_saved(world, tmp_path: Path, where: str) -> None:
    spec = plugin(
        tmp_path,
        f"    def {where}(self):\n"
        f"        arrays = super().{where}()\n"
        "        return {**arrays, 'values': arrays['values'] / float(self.games < 500 or 'nan')}\n"
        + (
            "    def snapshot(self):\n        return {**super().weights(), 'games': self.games}\n"
            * (where == "weights")
        ),
    )
    with pytest.raises(
        Diverged, match="at step 600: values is not a number any more; the checkpoint of step 400 stays"
    ):
        train(spec, world, steps=1000, out=tmp_path / "run", tensorboard=False, checkpoint=0.0)
    assert load_checkpoint(tmp_path / "run")[0] == read_card(tmp_path / "run").steps == 400
    assert np.isfinite(read_arrays(tmp_path / "run" / WEIGHTS)["values"]).all()


def test_a_broken_run_file_or_checkpoint_is_named(world, tmp_path: Path) -> None:
    train(PLUGIN, world, steps=20, out=tmp_path / "a", tensorboard=False)
    save_checkpoint(tmp_path / "a", 10, {"games": 10})
    with pytest.raises(BrokenAgent, match=r"checkpoint\.safetensors: does not fit this learner"):
        train(PLUGIN, world, steps=20, out=tmp_path / "a", resume=True, tensorboard=False)
    (tmp_path / "a" / "run.json").write_text("[]")
    with pytest.raises(UserError, match=r"run\.json: no JSON object"):
        train(PLUGIN, world, steps=20, out=tmp_path / "a", resume=True, tensorboard=False)


@pytest.mark.parametrize(("option", "message"), [("epsilon", "greater than 0"), ("epsilom", "did you mean 'epsilon'")])
def test_bad_settings_are_named(world, tmp_path: Path, option: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        train(PLUGIN, world, steps=1, out=tmp_path / "a", options={option: 0}, tensorboard=False)
    assert not (tmp_path / "a").exists()
