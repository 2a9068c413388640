"""SFT and GRPO: what they reach on worlds small enough to be known exactly, and the learner's contract."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from elodrome import make_env
from elodrome.agents.agent import Budget, Positions, Task
from elodrome.agents.check import check_agent, sample_positions
from elodrome.agents.ops.preference import preferred
from elodrome.agents.parts.saved import save_agent
from elodrome.agents.parts.solve import Judge
from elodrome.agents.registry import make_agent, make_learner
from elodrome.agents.text.dpo import DPO, DPOConfig
from elodrome.agents.text.grpo import GRPO, GRPOConfig
from elodrome.agents.text.policy import TextConfig, TextLearner
from elodrome.agents.text.sft import SFT
from elodrome.arena.match import play_match
from elodrome.envs.game import Game, World
from elodrome.envs.tokens.exact import enumerate_answers, kl
from elodrome.errors import BrokenAgent, UserError
from elodrome.figures._tokens import policy_table

torch.set_num_threads(1)
SMALL = {"width": 16, "heads": 2, "layers": 1}


def run(learner: TextLearner, steps: int) -> dict[str, float]:
    """The last metrics."""
    return list(learner.learn(Budget(steps)))[-1].metrics


@pytest.fixture(scope="module")
def tokens() -> Game:
    return make_env("token_mdp:vocabulary=3,prompts=2,horizon=3")


def test_sft_reaches_the_entropy_of_its_data(tokens: Game) -> None:
    """Uniformly random answers: KL(data || policy) is what the loss has above their entropy, and it vanishes."""
    learner = SFT(Task(tokens), TextConfig(**SMALL, best_of=1, batch=256, learning_rate=5e-3))
    run(learner, 60)
    exact = enumerate_answers(tokens)
    uniform = exact.log_prob(exact.uniform())
    entropy = -(np.exp(uniform) * uniform).sum(axis=1)
    assert entropy[0] == pytest.approx((1 + 2 / 3 + 4 / 9) * math.log(3))
    gap = kl(uniform, exact.log_prob(policy_table(exact, learner.agent)))
    assert gap.max() < 0.01


BETA = 0.2
OF_ANSWERS = {"kl": "k2", "kl_of": "answer", "advantage": "centred", "group": 8, "prompts": 32}
TO_OPTIMUM = {
    "rlhf": {"kl_coefficient": BETA, "prompts": 64},
    "rloo": {"kl_coefficient": BETA, "prompts": 64},
    "text_reinforce": {"kl_coefficient": BETA, "prompts": 128},
    "dpo": {"beta": 10 * BETA, "certainty": 10.0, "labels": "share", "prompts": 128, "pairs": 1024},
    "grpo": {"kl_coefficient": BETA * 7 / 8, **OF_ANSWERS},
}


@pytest.mark.parametrize("kind", TO_OPTIMUM)
def test_it_comes_near_the_closed_form_optimum(kind: str) -> None:
    """J = E[r] - beta KL against the best that any policy can reach, beta log Z (5.10, 5.11)."""
    tokens = make_env("token_mdp:vocabulary=4,prompts=1,horizon=2")
    settings = {**SMALL, "best_of": 1, "batch": 64, "sft_steps": 20, "rl_learning_rate": 1e-2, **TO_OPTIMUM[kind]}
    learner = make_learner(kind, Task(tokens), settings)
    assert isinstance(learner, TextLearner)
    run(learner, 20)
    exact = enumerate_answers(tokens)
    ref = policy_table(exact, learner.agent)
    run(learner, 70)
    log_prob = exact.log_prob(policy_table(exact, learner.agent))
    start = exact.objective(exact.log_prob(ref), ref, BETA).mean()
    reached = exact.objective(log_prob, ref, BETA).mean()
    best = BETA * exact.log_z(ref, BETA).mean()
    assert best - start > 0.05
    assert reached <= best + 1e-9
    assert (reached - start) / (best - start) > 0.9


def test_grpo_without_a_leash_takes_nearly_the_highest_reward(tokens: Game) -> None:
    config = GRPOConfig(**SMALL, sft_steps=20, kl_coefficient=0.0, prompts=32, rl_learning_rate=3e-3)
    learner = GRPO(Task(tokens), config)
    metrics = run(learner, 100)
    exact = enumerate_answers(tokens)
    reached = exact.expected_reward(exact.log_prob(policy_table(exact, learner.agent))).mean()
    assert reached > exact.reward.max(axis=1).mean() - 0.05
    assert metrics["reward"] == pytest.approx(reached, abs=0.1)


def test_sampling_follows_the_policy(tokens: Game) -> None:
    learner = SFT(Task(tokens), TextConfig(**SMALL, temperature=1.0))
    run(learner, 10)
    rows = np.arange(4000)
    one = sample_positions(tokens, 1, 0)
    many = Positions(
        tokens, np.repeat(one.observations, 4000, 0), np.repeat(one.legal, 4000, 0), np.zeros(4000, np.int64), None,
        rows.astype(np.uint64), rows, rows,
    )  # fmt: skip
    share = np.bincount(learner.agent.act(many), minlength=3) / 4000
    wanted = learner.agent.evaluate(one).policy[0]
    assert np.abs(share - wanted).max() < 4 * 0.5 / 4000**0.5


def test_a_text_policy_learns_legal_moves_and_an_advantage() -> None:
    world = make_env("tic_tac_toe")
    config = GRPOConfig(batch=128, sft_steps=150, prompts=32, temperature=0.0)
    learner = GRPO(Task(world), config)
    run(learner, 155)
    summary = play_match(world, learner.agent, "random", 200).summary()
    assert summary["terminations"].get("illegal", 0) <= 4
    for seat in summary["by_seat"]:
        assert seat["wins"] > seat["losses"]


def test_what_is_no_move_is_answered_as_such() -> None:
    world = make_env("tic_tac_toe")
    learner = SFT(Task(world), TextConfig(**SMALL, temperature=1.0))
    given = sample_positions(world, 24, 0)
    answers = learner.agent.act(given)  # an untrained policy babbles
    assert (answers == -1).any()
    record = play_match(world, learner.agent, "random", 4).records[0]
    assert record.termination == "illegal"


def test_evaluate_is_the_distribution_of_what_it_names() -> None:
    world = make_env("tic_tac_toe")
    learner = SFT(Task(world), TextConfig(**SMALL, temperature=1.0))
    run(learner, 20)
    one = sample_positions(world, 1, 3)
    rows = np.arange(6000)
    many = Positions(
        world, np.repeat(one.observations, 6000, 0), np.repeat(one.legal, 6000, 0), np.repeat(one.seats, 6000),
        np.repeat(one.states, 6000, 0), rows.astype(np.uint64), rows, rows,
    )  # fmt: skip
    said = learner.agent.act(many)
    named = np.bincount(said[said >= 0], minlength=9) / (said >= 0).sum()
    assert np.abs(named - learner.agent.evaluate(one).policy[0]).max() < 4 * 0.5 / (said >= 0).sum() ** 0.5


TINY = "width=16,heads=2,layers=1,batch=16"


TUNED = [f"{kind}{TINY},sft_steps=24,prompts=4" for kind in ("grpo:lag=2,", "rlhf:", "dpo:pairs=64,")]


@pytest.mark.parametrize("spec", [f"sft:{TINY}", *TUNED])
@pytest.mark.parametrize("name", ["token_mdp:vocabulary=3,prompts=2,horizon=3", "tic_tac_toe"])
def test_contract(spec: str, name: str) -> None:
    """Repeats from the seed, resumes exactly (in either phase), restores; on a board its moves may be illegal."""
    findings = check_agent(spec, make_env(name))
    assert [f for f in findings if "act answers" not in f or "not legal" not in f] == []


def test_the_agent_is_frozen_and_global_generators_untouched(tokens: Game) -> None:
    before = torch.random.get_rng_state()
    learner = GRPO(Task(tokens), GRPOConfig(**SMALL, batch=16, sft_steps=2, prompts=4))
    agent = learner.agent
    given = sample_positions(tokens, 8, 0)
    first = agent.evaluate(given).policy
    run(learner, 4)
    np.testing.assert_array_equal(agent.evaluate(given).policy, first)
    assert np.abs(learner.agent.evaluate(given).policy - first).max() > 0
    assert torch.equal(before, torch.random.get_rng_state())


def test_an_agent_of_sums_is_asked_more_digits_than_it_was_trained_on(tmp_path: Path) -> None:
    """Worlds of one layout: the saved agent plays the other, and says there what its network says."""
    few, more = make_env("arithmetic:digits=1,most_digits=2"), make_env("arithmetic:digits=2")
    learner = SFT(Task(few), TextConfig(**SMALL, temperature=0.0, batch=64))
    run(learner, 10)
    save_agent(learner, "sft", tmp_path, 10)
    for world in (few, more):
        agent = make_agent(str(tmp_path), world)
        assert all(record.termination != "illegal" for record in play_match(world, agent, "random", 4).records)
        given = sample_positions(world, 16, 0)
        np.testing.assert_array_equal(agent.act(given), learner.agent.act(given))
    with pytest.raises(
        BrokenAgent, match=r"trained for arithmetic:digits=1,most_digits=2, not for arithmetic:digits=3"
    ):
        make_agent(str(tmp_path), make_env("arithmetic:digits=3"))
    with pytest.raises(BrokenAgent, match="not for token_mdp"):
        make_agent(str(tmp_path), make_env("token_mdp"))


def test_bad_sizes_are_refused(tokens: Game) -> None:
    with pytest.raises(UserError, match="width 30 is no multiple of heads 4"):
        SFT(Task(tokens), TextConfig(width=30, heads=4))


def test_a_large_board_is_taught_by_two_plies() -> None:
    world: World = make_env("connect_four")
    assert isinstance(world, Game)
    assert not Judge(world).exact
    learner = GRPO(Task(world), GRPOConfig(**SMALL, batch=8, sft_steps=2, prompts=4))
    assert {"reward", "illegal", "kl", "entropy"} <= run(learner, 4).keys()


def test_only_groups_that_differ_are_learned_from_where_that_is_asked(tokens: Game) -> None:
    """Dynamic sampling (5.5.4): with short groups of a rule's marks many are all alike."""
    copy = make_env("token_mdp:vocabulary=3,prompts=4,horizon=3,reward=copy")
    given = {**SMALL, "best_of": 1, "batch": 16, "sft_steps": 4, "prompts": 24, "group": 2}
    alike = {}
    for dynamic in (False, True):
        learner = GRPO(Task(copy), GRPOConfig(**given, dynamic=dynamic))
        run(learner, 4)
        batch = learner.converse()
        marks = batch.marks.view(-1, 2)
        alike[dynamic] = int((marks[:, 0] == marks[:, 1]).sum())
        assert len(marks) <= 24
    assert alike[False] > 0
    assert alike[True] == 0


def test_who_speaks_is_as_old_as_the_lag_says(tokens: Game) -> None:
    learner = GRPO(Task(tokens), GRPOConfig(**SMALL, batch=16, sft_steps=2, prompts=8, lag=3))
    run(learner, 2)
    learner.begin()
    weights: list[torch.Tensor] = []
    for _ in range(2, 10):
        weights.append(learner.network.head.weight.detach().clone())
        speaker = learner.spoken_by().head.weight
        assert torch.equal(speaker, weights[max(0, len(weights) - 1 - 3)])
        learner.improve(1e-3)
        learner.updates += 1


def test_another_temperature_and_precision_speak_otherwise(tokens: Game) -> None:
    """What spoke is told by the log-probabilities that come with the answers; the policy's own differ (5.41)."""
    given = {**SMALL, "batch": 16, "sft_steps": 20, "prompts": 32}
    gaps = {}
    for name, settings in {
        "same": {}, "hot": {"speaking_temperature": 2.0}, "rounded": {"speaking_precision": "bfloat16"},
    }.items():  # fmt: skip
        learner = GRPO(Task(tokens), GRPOConfig(**given, **settings))
        run(learner, 20)
        batch = learner.converse()
        with torch.no_grad():
            own = learner.log_prob(learner.network, batch)
        gaps[name] = float((own - batch.old).abs().max())
    assert gaps["same"] < 1e-5
    assert gaps["hot"] > 0.05
    assert 1e-4 < gaps["rounded"] < 0.1


def test_minibatches_are_whole_groups_and_pass_over_all(tokens: Game) -> None:
    config = GRPOConfig(**SMALL, batch=16, sft_steps=2, prompts=10, group=4, epochs=2, minibatches=3)
    learner = GRPO(Task(tokens), config)
    parts = [part.tolist() for part in learner.minibatches(40)]
    assert len(parts) == 6
    for passed in (parts[:3], parts[3:]):
        assert sorted(row for part in passed for row in part) == list(range(40))
    for part in parts:
        groups = np.array(part).reshape(-1, 4)
        assert (groups == groups[:, :1] + np.arange(4)).all()
        assert (groups[:, 0] % 4 == 0).all()
    assert parts[0] != parts[3]


def test_pairs_are_the_references_and_preferred_as_often_as_bradley_and_terry_say(tokens: Game) -> None:
    learner = DPO(Task(tokens), DPOConfig(**SMALL, batch=16, sft_steps=10, best_of=1, pairs=3000, certainty=3.0))
    run(learner, 10)
    learner.begin()
    batch, drawn = learner.pairs()
    shares = preferred(*(3.0 * batch.marks.view(-1, 2)).unbind(dim=1))
    assert set(drawn.tolist()) == {0.0, 1.0}
    error = (shares * (1 - shares)).sum().sqrt() / len(shares)
    assert abs(float((drawn - shares).mean())) < 4 * float(error)
    with torch.no_grad():
        assert torch.allclose(learner.log_prob(learner.reference, batch), batch.ref, atol=1e-5)
    again = DPO(Task(tokens), learner.config)
    run(again, 10)
    again.begin()
    assert torch.equal(again.pairs()[0].answers, batch.answers)
    assert torch.equal(again.pairs()[1], drawn)
