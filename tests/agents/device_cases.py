"""Every deep learner on a device that is not the CPU: it learns, is frozen, saved and resumed there, and waits for the
device a bounded number of times."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from elodrome.agents.agent import Budget, Learner, Task
from elodrome.agents.check import sample_positions
from elodrome.agents.parts.networks import FlatAdam
from elodrome.agents.parts.saved import load_checkpoint, save_checkpoint
from elodrome.agents.registry import make_learner
from elodrome.agents.specs import builtin
from elodrome.envs.registry import make_env
from tests.regulator import Regulator

QUICK = {"envs": 8, "batch": 32, "warmup": 64, "hidden": [16], "target_every": 10}
BATCHES = {"envs": 8, "horizon": 8, "hidden": [16]}
SPEAKING = {"width": 16, "heads": 2, "layers": 1, "batch": 16}
SMALL = {
    **dict.fromkeys(("dqn", *builtin()["dqn"].about.presets), QUICK),
    **{kind: {**BATCHES, "minibatch": 32} for kind in ("ppo", "ppo_kl", "trpo", "ppo:state_noise=3")},
    "a2c": BATCHES,
    "reinforce": {"episodes": 8, "hidden": [16]},
    "off_policy_pg": {"episodes": 8, "hidden": [16], "baseline": "optimal"},
    "sft": SPEAKING,
    **{
        kind: {**SPEAKING, "sft_steps": 12, "prompts": 4} for kind in ("grpo", *builtin()["grpo"].about.presets, "rlhf")
    },
    "dpo": {**SPEAKING, "sft_steps": 12, "prompts": 4, "pairs": 32},
    "distillation": {**SPEAKING, "sft_steps": 6, "teacher_steps": 6, "prompts": 4},
    "kimi_k15": {**SPEAKING, "sft_steps": 16, "prompts": 2, "rollout": 2, "minibatches": 1},
    "reward_model": {**SPEAKING, "sft_steps": 12, "prompts": 4, "pairs": 16, "held_out": 16, "members": 2},
    "alphazero": {"games": 16, "hidden": [16], "self_play": 4, "batch": 32},
    "muzero": {
        "games": 16,
        "moves": 8,
        "width": 16,
        "latent": 16,
        "self_play": 2,
        "batch": 32,
        "reuse": 0.5,
        "unroll": 2,
    },
    **{kind: {"hidden": [16], "batch": 16, "warmup": 1} for kind in ("sac", "td3", "ddpg")},
    "alphago": {"games": 16, "hidden": [16], "expert": "random", "batch": 32},
}
REAL = Regulator()  # for those whose actions are real numbers
BUDGETS = {"steps": 400, "updates": 24, "positions": 600}
# Copies to the host at most: for each step of the vector environment, each gradient step, and each report.
BOUNDS = {
    **{"dqn": (1, 0, 1), "rainbow": (1, 1, 1), "sac": (1, 0, 1), "td3": (1, 0, 1)},
    **{"a2c": (1, 2, 1), "reinforce": (1, 1, 1), "ppo": (1, 0.2, 2), "ppo:state_noise=3": (1, 0.2, 2)},
}


@pytest.fixture(scope="module")
def pretend():
    """The device, for one thread."""
    if not hasattr(torch.utils.backend_registration, "_setup_privateuseone_for_python_backend"):
        pytest.skip("this torch lets no device be written in Python")
    spec = importlib.util.spec_from_file_location("pretend", Path(__file__).with_name("pretend.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield module
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def many_reports(monkeypatch):
    """A device in Python is slow: short trainings, with several reports all the same."""
    monkeypatch.setattr("elodrome.agents.value.dqn.REPORT_EVERY", 20)
    monkeypatch.setattr("elodrome.agents.policy.a2c.REPORT_EVERY", 100)
    monkeypatch.setattr("elodrome.agents.policy.offpolicy.REPORT_EVERY", 100)
    monkeypatch.setattr("elodrome.agents.text.sft.REPORT_EVERY", 6)
    monkeypatch.setattr("elodrome.agents.text.tuned.REPORT_EVERY", 6)


def make(kind: str, device: str, world: str = "tic_tac_toe") -> Learner:
    real = "state_noise" in kind or builtin()[kind].about.actions == ("continuous",)
    where = REAL if real else make_env(world)
    return make_learner(kind, Task(where, 3, device), SMALL[kind])


def same(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("kind", SMALL)
def test_it_learns_is_frozen_saved_and_resumed_there(kind, pretend, tmp_path, monkeypatch):
    monkeypatch.setattr("elodrome.agents.text.policy.check_device", lambda device: device)
    learner = make(kind, pretend.NAME)
    modules = [value for value in vars(learner).values() if isinstance(value, torch.nn.Module)]
    assert all(p.device.type == pretend.NAME for module in modules for p in module.parameters())
    budget, saved = Budget(BUDGETS[learner.unit]), 0
    before = learner.weights()
    for report in learner.learn(budget):
        if not saved and report.step >= budget.steps / 2:
            save_checkpoint(tmp_path, report.step, learner.snapshot())
            saved = report.step
    assert 0 < saved < budget.steps
    assert not same(before, learner.weights())
    agent, given = learner.agent, sample_positions(learner.world, 16, 0)
    shown = agent.evaluate(given).policy
    assert np.allclose(
        shown, type(learner).restore(learner.world, learner.config, learner.weights()).evaluate(given).policy
    )
    resumed = make(kind, pretend.NAME)
    resumed.resume(load_checkpoint(tmp_path)[1])
    list(resumed.learn(budget))
    assert same(learner.weights(), resumed.weights())
    assert np.array_equal(agent.evaluate(given).policy, shown)


@pytest.mark.parametrize("kind", BOUNDS)
def test_it_waits_for_the_device_seldom(kind, pretend, monkeypatch):
    """In a world of one seat, where no opponent asks the network."""
    from elodrome.agents.parts.vector import SeatEnv

    counts = {"steps": 0, "updates": 0}

    def counting(name, function):
        def called(*args, **options):
            counts[name] += 1
            return function(*args, **options)

        return called

    monkeypatch.setattr(SeatEnv, "step", counting("steps", SeatEnv.step))
    monkeypatch.setattr(FlatAdam, "descend", counting("updates", FlatAdam.descend))
    monkeypatch.setattr(torch.optim.RMSprop, "step", counting("updates", torch.optim.RMSprop.step))
    learner = make(kind, pretend.NAME, "gridworld:map=S../.#./..G,slip=0.2,max_steps=30")
    pretend.copies.clear()
    reports = len(list(learner.learn(Budget(400))))
    each_step, each_update, each_report = BOUNDS[kind]
    waits = pretend.copies["to host"]
    print(kind, waits, counts, reports)
    assert (
        counts["steps"]
        <= waits
        <= each_step * counts["steps"] + each_update * counts["updates"] + each_report * reports
    )
