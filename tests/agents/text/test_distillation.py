"""Distillation: its gradient on a network against exact sums, what it comes to, its teachers, and who cannot be one."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from elodrome import make_env
from elodrome.agents.agent import Budget, Learner, Task
from elodrome.agents.check import check_agent
from elodrome.agents.parts.saved import WEIGHTS, read_arrays, save_agent
from elodrome.agents.registry import make_learner
from elodrome.agents.text.transformer import answer_logits, log_prob_of
from elodrome.envs.game import Game, rule
from elodrome.envs.tokens.exact import enumerate_answers
from elodrome.errors import UserError
from elodrome.figures._tokens import policy_table

torch.set_num_threads(1)
SMALL = {"width": 16, "heads": 2, "layers": 1, "batch": 16}
FEW = {**SMALL, "sft_steps": 4, "teacher_steps": 4, "prompts": 4}


@pytest.fixture(scope="module")
def tokens() -> Game:
    return make_env("token_mdp:vocabulary=3,prompts=2,horizon=3")


def learned(kind: str, world: Game, steps: int, seed: int = 3, **options: Any) -> Learner:
    learner = make_learner(kind, Task(world, seed), options)
    list(learner.learn(Budget(steps)))
    return learner


def same(one: Learner, other: Learner) -> bool:
    mine, theirs = one.weights(), other.weights()
    return mine.keys() == theirs.keys() and all(np.array_equal(mine[name], theirs[name]) for name in mine)


@pytest.mark.parametrize(
    ("speaks", "divergence", "over", "whole"),
    [
        ("student", "reverse", "answer", True),
        ("student", "reverse", "words", False),
        ("student", "reverse", "said", False),
        ("teacher", "forward", "words", True),
        ("teacher", "forward", "said", True),
    ],
)
def test_the_expected_gradient_on_a_network(tokens: Game, speaks: str, divergence: str, over: str, whole: bool) -> None:
    """Over all answers as the speaker says them: of the KL between whole answers, where the settings promise that."""
    options = {**FEW, "speaks": speaks, "divergence": divergence, "over": over}
    learner: Any = make_learner("distillation", Task(tokens), options)
    for seed, network in enumerate((learner.network, learner.teacher)):
        network.start(seed).head.weight.data.mul_(40.0)
    exact = enumerate_answers(tokens)
    horizon, end = exact.tokens.horizon, learner.language.end
    answers = torch.tensor([[*y, *[end] * (horizon - len(y))] for y in exact.complete]).repeat(2, 1)
    spoken = torch.tensor([[1.0] * len(y) + [0.0] * (horizon - len(y)) for y in exact.complete]).repeat(2, 1).double()
    question = learner.lesson.ask(64, np.random.default_rng(0))
    prompts = torch.from_numpy(np.unique(question.prompts, axis=0)).repeat_interleave(len(exact.complete), dim=0)
    networks = [network.double() for network in (learner.network, learner.teacher)]
    logits, advice = (answer_logits(network, prompts, answers) for network in networks)
    mine, teachers = (log_prob_of(x, answers) * spoken for x in (logits, advice))
    p, q = (x.sum(dim=1) for x in ((mine, teachers) if divergence == "reverse" else (teachers, mine)))
    parameters = [parameter for parameter in learner.network.parameters() if parameter.requires_grad]

    def gradient(value: torch.Tensor) -> torch.Tensor:
        found = torch.autograd.grad(value, parameters, retain_graph=True, allow_unused=True)
        return torch.cat([part.flatten() for part in found if part is not None])

    wanted = gradient((p.exp() * (p - q)).sum())
    chance = (mine if speaks == "student" else teachers).sum(dim=1).exp().detach()
    each = learner.apart(logits, advice.detach(), mine, teachers.detach(), spoken)
    off = (gradient((chance * each).sum()) - wanted).abs().max() / wanted.abs().max()
    assert off < 1e-9 if whole else off > 0.01


@pytest.mark.parametrize("kind", ["on_policy_distillation", "off_policy_distillation"])
def test_a_student_becomes_its_teacher(tokens: Game, kind: str) -> None:
    """Another network, which saw no reward: as good as one that learned from rewards for three times as long."""
    options = {**SMALL, "sft_steps": 20, "prompts": 32, "kl_coefficient": 0.0, "rl_learning_rate": 1e-2}
    learner: Any = learned(kind, tokens, 20 + 90 + 30, teacher_steps=90, teacher_rate=3e-3, **options)
    exact = enumerate_answers(tokens)
    teacher = learner.restore(tokens, learner.config, {k: v.numpy() for k, v in learner.teacher.state_dict().items()})
    begun = learner.restore(tokens, learner.config, {k: v.numpy() for k, v in learner.reference.state_dict().items()})
    first, last, aim = (
        exact.expected_reward(exact.log_prob(policy_table(exact, agent))).mean()
        for agent in (begun, learner.agent, teacher)
    )
    assert aim > first + 0.2
    assert last > first + 0.95 * (aim - first)


def test_kdrl_that_distils_nothing_is_grpo(tokens: Game) -> None:
    few = {**SMALL, "sft_steps": 4, "prompts": 4}
    plain = learned("grpo", tokens, 12, **few, rl_learning_rate=1e-3)
    kdrl = learned("kdrl", tokens, 15, **few, teacher_steps=3, distil=0.0, distil_end=0.0)
    assert same(plain, kdrl)
    assert not same(plain, learned("kdrl", tokens, 15, **few, teacher_steps=3))


def test_only_those_who_did_badly_are_taught(tokens: Game) -> None:
    """Nobody's mark is below 0 here: then the rewards alone are learned from; below 2 all are."""
    nobody, everybody, no_mask = (learned("kdrl", tokens, 12, **FEW, distil_below=below) for below in (0.0, 2.0, None))
    assert same(nobody, learned("kdrl", tokens, 12, **FEW, distil=0.0, distil_end=0.0))
    assert same(everybody, no_mask)
    assert not same(nobody, no_mask)


@rule.step
def contains_a_nought(state: Any, action: int, chance: int, rewards: Any) -> None:
    """Token generation in which every answer with a 0 in it is right; the constants stand as in ``generation``."""
    n = state[1]
    state[2 + (n >> 3)] |= (action + 1) << ((n & 7) << 3)
    n += 1
    if action != state[-8] - 1 and n < state[-6]:
        state[1] = n
        return
    state[1] = ~n
    for t in range(n):
        if (state[2 + (t >> 3)] >> ((t & 7) << 3)) & 255 == 1:
            rewards[0] = 1.0


def test_long_to_short_keeps_what_is_right() -> None:
    """The teacher's answers are as long as imitation left them; the student's at least a third shorter, and as good."""
    world = replace(make_env("token_mdp:vocabulary=6,prompts=2,horizon=10"), step=contains_a_nought)
    options = {**SMALL, "sft_steps": 20, "prompts": 32, "teacher_rate": 5e-3, "rl_learning_rate": 5e-3}
    learner = make_learner("long2short", Task(world, 1), {**options, "teacher_steps": 40})
    metrics = {progress.step: progress.metrics for progress in learner.learn(Budget(120))}
    long, short = metrics[60], metrics[120]
    assert long["teacher/reward"] > 0.95
    assert short["reward"] >= long["teacher/reward"] - 0.02
    assert short["answer_length"] < long["teacher/answer_length"] * 2 / 3


def test_the_coefficient_falls_in_a_line(tokens: Game) -> None:
    few = {**FEW, "distil_below": None, "distil": 2.0, "distil_end": 0.5, "distil_steps": 4}
    learner: Any = make_learner("kdrl", Task(tokens, 3), few)
    seen = []
    for updates in (4, 5, 6, 8, 20):
        learner.updates = updates
        seen.append(learner.coefficient)
    assert seen == pytest.approx([2.0, 1.625, 1.25, 0.5, 0.5])


@pytest.fixture
def teacher(tokens: Game, tmp_path: Path) -> Path:
    """A folder with a teacher who is wider than its students."""
    made = learned("sft", tokens, 6, width=32, heads=2, layers=1, batch=16)
    save_agent(made, "sft", tmp_path / "teacher", 6)
    return tmp_path / "teacher"


def test_a_teacher_of_a_name_and_of_another_size(tokens: Game, teacher: Path) -> None:
    few = {**SMALL, "sft_steps": 4, "prompts": 4, "teacher": str(teacher)}
    unbroken: Any = learned("on_policy_distillation", tokens, 24, **few)
    assert unbroken.teacher.head.in_features == 32
    saved = read_arrays(teacher / WEIGHTS)
    assert np.array_equal(unbroken.teacher.head.weight.numpy(), saved["head.weight"])
    first = make_learner("on_policy_distillation", Task(tokens, 3), few)
    snapshot = next(first.snapshot() for progress in first.learn(Budget(24)) if progress.step >= 10)
    assert not any(name.startswith("tutor") for name in snapshot)
    second = make_learner("on_policy_distillation", Task(tokens, 3), few)
    second.resume(snapshot)
    list(second.learn(Budget(24)))
    assert same(second, unbroken)


def test_who_cannot_teach_is_told_in_one_line(tokens: Game, teacher: Path, tmp_path: Path) -> None:
    board = make_env("tic_tac_toe")
    speller = learned("sft", board, 1, **SMALL)
    save_agent(speller, "sft", tmp_path / "speller", 1)
    weights = read_arrays(tmp_path / "speller" / WEIGHTS)
    save_file({**weights, "letters": weights["letters"] + 1}, tmp_path / "speller" / WEIGHTS)
    for world, options, words in (
        (
            board,
            {"teacher": str(teacher)},
            r"teacher=\S+: \S+agent\.json: trained for token_mdp.*, not for tic_tac_toe",
        ),
        (tokens, {"teacher": f"{tmp_path}/nobody"}, r"teacher=\S+nobody: no saved agent at \S+nobody"),
        (tokens, {"teacher": "grppo"}, "teacher=grppo: unknown agent 'grppo'; did you mean 'grpo'"),
        (tokens, {"teacher": "grpo"}, "teacher=grpo: agent 'grpo' learns: elodrome train grpo"),
        (tokens, {"teacher": "random"}, "teacher=random: no text policy; name a saved one of token_mdp"),
        (board, {"teacher": str(tmp_path / "speller")}, r"teacher=\S+: it reads or speaks other letters"),
        (tokens, {"speaks": "teacher", "reinforce": True}, "reinforce=true learns from answers of the student's own"),
        (tokens, {"divergence": "forward", "over": "said"}, "speaks=student,over=said tells divergence=reverse"),
    ):
        with pytest.raises(UserError, match=f"^{words}") as refused:
            make_learner("distillation", Task(world), {**SMALL, **options})
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["token_mdp:vocabulary=3,prompts=2,horizon=3", "tic_tac_toe"])
def test_contract(name: str) -> None:
    """Repeats, resumes exactly in each of the three phases, restores."""
    spec = "distillation:" + ",".join(f"{key}={json.dumps(value)}" for key, value in FEW.items())
    findings = check_agent(spec + ",reinforce=true,over=said", make_env(name))
    assert [f for f in findings if "act answers" not in f or "not legal" not in f] == []
