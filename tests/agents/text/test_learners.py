"""SFT and GRPO: what they reach on worlds small enough to be known exactly, and the learner's contract."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from elodrome import make_env
from elodrome.agents.agent import Budget, Positions, Task
from elodrome.agents.check import check_agent, sample_positions
from elodrome.agents.parts.saved import save_agent
from elodrome.agents.parts.solve import Judge
from elodrome.agents.registry import make_agent
from elodrome.agents.text.grpo import GRPO, GRPOConfig
from elodrome.agents.text.policy import TextAgent, TextConfig, TextLearner
from elodrome.agents.text.sft import SFT
from elodrome.arena.match import play_match
from elodrome.envs.game import Game, Reals, World
from elodrome.envs.tokens.exact import Answer, Answers, enumerate_answers, kl
from elodrome.errors import BrokenAgent, UserError

torch.set_num_threads(1)
SMALL = {"width": 16, "heads": 2, "layers": 1}


def run(learner: TextLearner, steps: int) -> dict[str, float]:
    """The last metrics."""
    return list(learner.learn(Budget(steps)))[-1].metrics


def policy_table(answers: Answers, agent: TextAgent) -> Reals:
    """The policy [X, N, V] as the acting agent evaluates it, position by position."""
    world, size = answers.world, answers.tokens.vocabulary

    def policy(prompt: Answer, prefix: Answer) -> Reals:
        seen = np.array([*prompt, *prefix]) + 1.0
        observation = np.zeros((1, world.observation_size), np.float32)
        observation[0, : len(seen)] = seen
        one = np.zeros(1, np.int64)
        legal = np.ones((1, size), np.uint8)
        given = Positions(world, observation, legal, one, None, one.astype(np.uint64), one, one)
        return np.log(agent.evaluate(given).policy[0])

    return answers.table(policy)


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


def test_grpo_comes_near_the_closed_form_optimum(tokens: Game) -> None:
    """J = E[r] - beta KL against the best that any policy can reach, beta log Z (5.10, 5.11)."""
    beta = 0.2
    config = GRPOConfig(
        **SMALL, best_of=1, batch=64, sft_steps=20, kl_coefficient=beta, kl="k2", kl_of="answer", normalise=False,
        prompts=32, group=8, rl_learning_rate=5e-3,
    )  # fmt: skip
    learner = GRPO(Task(tokens), config)
    run(learner, 20)
    exact = enumerate_answers(tokens)
    ref = policy_table(exact, learner.agent)
    run(learner, 220)
    log_prob = exact.log_prob(policy_table(exact, learner.agent))
    start = exact.objective(exact.log_prob(ref), ref, beta).mean()
    reached = exact.objective(log_prob, ref, beta).mean()
    best = beta * exact.log_z(ref, beta).mean()
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


@pytest.mark.parametrize("spec", [f"sft:{TINY}", f"grpo:{TINY},sft_steps=24,prompts=4"])
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
