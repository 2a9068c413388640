"""Saved agents that were tampered with, cut short, or meant for something else (FAULTS 29, 30)."""

import errno
import json
import os
import pickle
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from elodrome import make_agent, make_env
from elodrome.agents.parts.saved import (
    SavedAgent,
    load_checkpoint,
    read_card,
    replace_file,
    save_checkpoint,
    world_slug,
)
from elodrome.arena.training import train
from elodrome.errors import BrokenAgent, UserError

PLUGIN = str(Path(__file__).parents[2] / "examples/plugin_agent/careful_agents/monte_carlo.py") + ":MonteCarlo"


def own(folder: Path) -> str:
    """The spec of what a class in a file of the user's has learned."""
    return f"{PLUGIN}:saved={folder}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small trained agent."""
    return train(PLUGIN, make_env("tic_tac_toe"), steps=50, out=tmp_path / "mc", tensorboard=False).folder


def test_a_saved_agent_plays(folder: Path) -> None:
    assert make_agent(own(folder), make_env("tic_tac_toe"))


def test_a_card_that_names_a_file_runs_nothing_and_says_how_to_name_it_oneself(folder: Path, tmp_path: Path) -> None:
    (folder / "model.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    card = json.loads((folder / "agent.json").read_text())
    for kind in (f"{folder}/model.py:M", "model.py:M", f"{folder}/model.py:M:x=1"):
        (folder / "agent.json").write_text(json.dumps({**card, "kind": kind}))
        with pytest.raises(BrokenAgent, match=r"agent\.json names a Python file .* runs nothing.*:saved="):
            make_agent(str(folder), make_env("tic_tac_toe"))
    for kind in ("os:system", "elodrome.agents.random:Random", "nobody"):
        (folder / "agent.json").write_text(json.dumps({**card, "kind": kind}))
        with pytest.raises(BrokenAgent, match=r"agent\.json: unknown agent"):
            make_agent(str(folder), make_env("tic_tac_toe"))
    assert not (tmp_path / "ran").exists()


def test_a_class_and_what_it_has_learned_must_belong_together(folder: Path) -> None:
    card = json.loads((folder / "agent.json").read_text())
    (folder / "agent.json").write_text(json.dumps({**card, "kind": "q_learning"}))
    with pytest.raises(BrokenAgent, match="of kind 'q_learning', not of 'MonteCarlo'"):
        make_agent(own(folder), make_env("tic_tac_toe"))


@pytest.mark.parametrize("kind", ["BF16", "F8_E4M3", "F8_E5M2", "C64"])
def test_numbers_that_numpy_has_not_are_named(folder: Path, kind: str) -> None:
    size = {"BF16": 2, "C64": 8}.get(kind, 1)
    header = json.dumps({"values": {"dtype": kind, "shape": [1], "data_offsets": [0, size]}}).encode()
    (folder / "weights.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(size))
    with pytest.raises(BrokenAgent, match=rf"'values' is of type {kind}, .*save it as .*F32"):
        make_agent(own(folder), make_env("tic_tac_toe"))


def test_a_file_that_is_none_is_refused(folder: Path) -> None:
    for name in ("weights.safetensors", "agent.json"):
        kept = (folder / name).read_bytes()
        (folder / name).unlink()
        (folder / name).symlink_to("/dev/zero")
        with pytest.raises(UserError):
            make_agent(own(folder), make_env("tic_tac_toe"))
        (folder / name).unlink()
        (folder / name).write_bytes(kept)


@pytest.mark.parametrize("elo", ["1e400", "NaN", "Infinity", "true", "1" + "0" * 400])
def test_an_elo_that_is_none_is_left_out(folder: Path, elo: str) -> None:
    text = (folder / "agent.json").read_text().replace('"notes": {', f'"notes": {{"elo": {elo},')
    (folder / "agent.json").write_text(text)
    assert SavedAgent("x", read_card(folder), shipped=False).elo is None


def test_a_long_name_of_a_world_makes_a_folder_all_the_same() -> None:
    long = [world_slug("gridworld:map=" + "." * n) for n in (300, 301)]
    assert len(set(long)) == 2
    assert max(len(name) for name in long) <= 120
    assert world_slug("go:size=5") == "go-size-5"


class Bomb:
    """Pickled, it would write a file when it is loaded."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.target,)


@pytest.mark.parametrize("name", ["weights.safetensors", "agent.json", "checkpoint.safetensors"])
def test_a_pickle_in_place_of_a_file_is_refused_and_never_runs(folder: Path, tmp_path: Path, name: str) -> None:
    (folder / name).write_bytes(pickle.dumps(Bomb(tmp_path / "ran")))
    load = load_checkpoint if name.startswith("checkpoint") else partial(make_agent, world=make_env("tic_tac_toe"))
    with pytest.raises(BrokenAgent, match=name):
        load(folder if load is load_checkpoint else own(folder))
    assert not (tmp_path / "ran").exists()


def test_a_pt_file_is_no_agent(tmp_path: Path) -> None:
    (tmp_path / "agent.pt").write_bytes(pickle.dumps(Bomb(tmp_path / "ran")))
    with pytest.raises(UserError):
        make_agent(str(tmp_path / "agent.pt"), make_env("tic_tac_toe"))
    assert not (tmp_path / "ran").exists()


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, before = tmp_path / "checkpoint", []
    replace_file(file, b"old")

    def full(descriptor: int) -> None:
        before.append(file.read_bytes())
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(UserError, match=r"cannot write \S+checkpoint: No space left"):
            replace_file(file, b"new")
    assert before == [b"old"]  # where a kill may come, too
    assert [(found.name, found.read_bytes()) for found in tmp_path.iterdir() if found.is_file()] == [
        ("checkpoint", b"old")
    ]
    replace_file(file, b"new")
    assert file.read_bytes() == b"new"


def test_a_truncated_file_is_named(folder: Path) -> None:
    weights = folder / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-7])
    with pytest.raises(BrokenAgent, match=r"weights\.safetensors: not a whole safetensors file"):
        make_agent(own(folder), make_env("tic_tac_toe"))


def test_nan_weights_are_named(folder: Path) -> None:
    save_file(
        {"keys": np.zeros((1, 18), np.float32), "values": np.full((1, 9, 2), np.nan)}, folder / "weights.safetensors"
    )
    with pytest.raises(BrokenAgent, match=r"weights\.safetensors: values holds NaN"):
        make_agent(own(folder), make_env("tic_tac_toe"))


def test_a_wrong_shape_is_named(folder: Path) -> None:
    save_file({"keys": np.zeros((1, 17), np.float32), "values": np.zeros((1, 9, 2))}, folder / "weights.safetensors")
    with pytest.raises(BrokenAgent, match=r"weights\.safetensors: keys \(1, 17\)"):
        make_agent(own(folder), make_env("tic_tac_toe"))


def test_a_missing_array_is_named(folder: Path) -> None:
    save_file({"keys": np.zeros((1, 18), np.float32)}, folder / "weights.safetensors")
    with pytest.raises(BrokenAgent, match=r"weights\.safetensors.*values"):
        make_agent(own(folder), make_env("tic_tac_toe"))


def test_another_world_is_named(folder: Path) -> None:
    with pytest.raises(BrokenAgent, match=r"agent\.json: trained for tic_tac_toe, not for connect_four"):
        make_agent(own(folder), make_env("connect_four"))


def test_a_name_trained_for_other_worlds_says_for_which() -> None:
    with pytest.raises(UserError, match=r"'alphazero-strong' is trained for connect_four, .*, not for go:size=6$"):
        make_agent("alphazero-strong:simulations=5", make_env("go:size=6"))


def test_a_folder_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^no saved agent at .*/nowhere$"):
        make_agent(f"{tmp_path}/nowhere:simulations=5", make_env("tic_tac_toe"))


def test_a_card_with_missing_fields_is_named(folder: Path) -> None:
    card = json.loads((folder / "agent.json").read_text())
    del card["config"]
    (folder / "agent.json").write_text(json.dumps(card))
    with pytest.raises(BrokenAgent, match=r"agent\.json: not a saved agent's card"):
        make_agent(own(folder), make_env("tic_tac_toe"))


def test_a_folder_without_an_agent_says_so(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(BrokenAgent, match=r"no agent\.json in it"):
        make_agent(str(tmp_path / "empty"), make_env("tic_tac_toe"))


def test_a_checkpoint_comes_back_whole(tmp_path: Path) -> None:
    state = {"w": np.arange(6.0).reshape(2, 3), "steps": np.array([1, 2]), "rng": {"state": 2**70}, "name": "x"}
    save_checkpoint(tmp_path, 7, state)
    step, back = load_checkpoint(tmp_path)
    assert step == 7
    assert back.keys() == state.keys()
    assert np.array_equal(back["w"], state["w"])
    assert back["rng"] == state["rng"]


def test_an_unwritable_place_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        save_checkpoint(tmp_path / "file" / "below", 1, {"w": np.zeros(1)})


def test_a_number_keeps_its_shape(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 1, {"scale": np.array(2.5)})
    assert load_checkpoint(tmp_path)[1]["scale"].shape == ()
