"""The recipe of k1.5: answers in pieces are the answers, loops are stopped, and what the objective comes to."""

from typing import Any

import numpy as np
import pytest
import torch

from elodrome import make_env
from elodrome.agents.agent import Budget, Learner, Task
from elodrome.agents.check import check_agent
from elodrome.agents.registry import make_learner
from elodrome.agents.text.transformer import answer_logits, log_prob_of
from elodrome.agents.text.tuned import Batch
from elodrome.envs.game import Game, World
from elodrome.envs.tokens.exact import enumerate_answers, kl
from elodrome.figures._tokens import policy_table

torch.set_num_threads(1)
SMALL = {"width": 16, "heads": 2, "layers": 1, "batch": 16, "sft_steps": 0, "prompts": 4}
LONG = "token_mdp:vocabulary=4,prompts=6,horizon=9"


@pytest.fixture(scope="module")
def tokens() -> Game:
    return make_env("token_mdp:vocabulary=3,prompts=2,horizon=3")


def make(world: World, **options: Any) -> Any:
    return make_learner("kimi_k15", Task(world, 5), {**SMALL, **options})


def same(one: Learner, other: Learner) -> bool:
    mine, theirs = one.weights(), other.weights()
    return all(np.array_equal(mine[name], theirs[name]) for name in mine)


def test_answers_in_pieces_are_the_answers() -> None:
    """A policy that stands still says in pieces what it says at once, from the same numbers; all is marked as before,
    and log-probabilities are those of one pass."""
    world = make_env(LONG)
    whole, pieces = make(world, rollout=9), make(world, rollout=2)
    at_once, bit_by_bit = [], []
    for updates in range(8):
        whole.updates = pieces.updates = updates
        at_once += groups(whole.converse())
        batch = pieces.converse()
        bit_by_bit += groups(batch)
        log_prob = log_prob_of(answer_logits(pieces.network, batch.prompts, batch.answers), batch.answers)
        torch.testing.assert_close(batch.old, log_prob * batch.spoken, atol=1e-5, rtol=0)
        assert (batch.ref == pieces.log_prob(pieces.reference, batch)).all()
    assert 0 < len(pieces.rounds) <= 5
    assert len(at_once) == 8 * 4
    while pieces.rounds:
        for begun in pieces.rounds:
            pieces.go_on(begun)
            bit_by_bit += groups(batch) if (batch := pieces.finished(begun)) else []
        pieces.rounds = [begun for begun in pieces.rounds if begun.waiting.any()]
    assert sorted(at_once) == sorted(bit_by_bit)


def groups(batch: Batch) -> list[tuple[Any, ...]]:
    """Each group's prompts, answers, what was spoken of them, and marks."""
    parts = (batch.prompts, batch.answers, batch.spoken, batch.marks)
    return [tuple(map(repr, group)) for group in zip(*(x.unflatten(0, (-1, 4)).tolist() for x in parts), strict=True)]


@pytest.mark.parametrize("rollout", [2, 9])
def test_an_answer_that_goes_round_in_circles_is_stopped(rollout: int) -> None:
    """With two copies nobody says the same twice in a row and goes on; whoever did is marked down for it."""
    learner = make(make_env(LONG), rollout=rollout, copies=2)
    batch = learner.converse()
    stopped = 0
    for answer, spoken, old, mark in zip(batch.answers, batch.spoken, batch.old, batch.marks, strict=True):
        said = answer[spoken > 0].tolist()
        assert (old[spoken == 0] == 0).all()
        loops = [
            t
            for t in range(2, len(said) + 1)
            for n in range(1, t // 2 + 1)
            if said[t - n : t] == said[t - 2 * n : t - n]
        ]
        assert set(loops) <= {len(said)}
        assert (mark == -1.0) == bool(loops)
        stopped += bool(loops)
    assert 0 < stopped < len(batch.marks)


def test_it_resumes_with_answers_under_way() -> None:
    world, options = make_env(LONG), {"rollout": 2, "sft_steps": 3}
    unbroken = make(world, **options)
    for progress in unbroken.learn(Budget(25)):
        if progress.step == 10:
            snapshot = unbroken.snapshot()
            assert len(snapshot["rounds"]) > 1
    resumed = make(world, **options)
    resumed.resume(snapshot)
    list(resumed.learn(Budget(25)))
    assert same(unbroken, resumed)


def test_it_comes_to_the_closed_form_of_one_step(tokens: Game) -> None:
    """Where the policy that speaks stands still (one batch after another from the same one), mirror descent ends at
    old exp(r / tau) / Z, up to the answer's own share in the estimate of Z."""
    exact, tau = enumerate_answers(tokens), 0.5
    learner = make(tokens, tau=tau, brevity=0.0, copies=0, prompts=8, group=64, minibatches=1, log_z="soft")
    old = policy_table(exact, learner.agent)
    speaker = [parameter.detach().clone() for parameter in learner.network.parameters()]
    for step in range(80):
        learner.updates = step
        now = [parameter.detach().clone() for parameter in learner.network.parameters()]
        put(learner, speaker)
        batch = learner.converse()
        put(learner, now)
        learner.learn_from(batch, 5e-3 if step < 50 else 1e-3)
    reached, wanted = exact.log_prob(policy_table(exact, learner.agent)), exact.optimal(old, tau)
    assert kl(exact.log_prob(old), wanted).min() > 0.05
    assert kl(reached, wanted).max() < 0.002


def put(learner: Any, parameters: list[torch.Tensor]) -> None:
    with torch.no_grad():
        for mine, other in zip(learner.network.parameters(), parameters, strict=True):
            mine.copy_(other)


@pytest.mark.parametrize("name", [LONG, "tic_tac_toe"])
def test_contract(name: str) -> None:
    spec = "kimi_k15:width=16,heads=2,layers=1,batch=16,sft_steps=8,prompts=4,rollout=2,log_z=soft"
    findings = check_agent(spec, make_env(name))
    assert [f for f in findings if "act answers" not in f or "not legal" not in f] == []
