"""Runs that are stopped, resumed, repeated and diverge."""

import json
import math
from pathlib import Path

import pytest

from elodrome import make_env
from elodrome.agents.agent import Progress
from elodrome.agents.parts.saved import read_arrays
from elodrome.arena import training
from elodrome.arena.match import play_match
from elodrome.arena.training import CURVES, Stopped, read_curve, train
from elodrome.errors import Diverged, UserError
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


def test_a_stopped_run_ends_as_an_unbroken_one(world, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.0)
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


def test_examinations_on_the_way_are_the_same_after_a_stop(
    world, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An agent that learns scores against random and against its own past; stopped and resumed, it scores the same."""
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.0)
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
    tally = play_match(world, str(resumed.folder), "random", 40, seed=seed, opening=4).tally()
    assert scores[-1]["score/random"] == (tally["wins"] + tally["draws"] / 2) / 40
    assert sorted(p.name for p in (tmp_path / "b" / "kept").iterdir()) == ["2000", "4000"]


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


def test_a_curve_cut_short_by_a_kill_is_read_up_to_the_cut(tmp_path: Path) -> None:
    file = tmp_path / CURVES
    file.write_text(json.dumps({"step": 1}) + "\n" + '{"step": 2, "sec')
    assert read_curve(file) == [{"step": 1}]


def test_curves_reach_tensorboard(world, tmp_path: Path) -> None:
    folder = train(PLUGIN, world, steps=20, out=tmp_path / "a").folder
    assert list((folder / "tensorboard").glob("events.out.tfevents.*"))


@pytest.mark.parametrize(("option", "message"), [("epsilon", "greater than 0"), ("epsilom", "did you mean 'epsilon'")])
def test_bad_settings_are_named(world, tmp_path: Path, option: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        train(PLUGIN, world, steps=1, out=tmp_path / "a", options={option: 0}, tensorboard=False)
    assert not (tmp_path / "a").exists()
