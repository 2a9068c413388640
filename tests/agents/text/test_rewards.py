"""Reward models, alone and together, and what learns from them: against slow loops, exact enumeration and the marks."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from torch import Tensor

from elodrome import make_env
from elodrome.agents.agent import Budget, Positions, Task
from elodrome.agents.check import check_agent, sample_positions
from elodrome.agents.ops.preference import implicit_reward, preferred
from elodrome.agents.parts.saved import WEIGHTS, save_agent
from elodrome.agents.registry import make_agent
from elodrome.agents.text.dpo import DPO, DPOConfig
from elodrome.agents.text.grpo import GRPO, GRPOConfig
from elodrome.agents.text.policy import TextAgent, TextConfig
from elodrome.agents.text.reward_model import RewardModel
from elodrome.agents.text.rewards import RewardAgent, RewardConfig, agreed, learned_reward, score
from elodrome.agents.text.sft import SFT
from elodrome.envs.game import Game, Reals
from elodrome.errors import BrokenAgent, UserError
from elodrome.figures._answers import Everything

torch.set_num_threads(1)
WORLD = "token_mdp:vocabulary=3,prompts=2,horizon=3"
TINY: dict[str, Any] = {"width": 16, "heads": 2, "layers": 1, "batch": 16, "sft_steps": 2}
FEW: dict[str, Any] = {**TINY, "pairs": 16, "held_out": 16, "prompts": 4}
FITTED: dict[str, Any] = {
    **{"width": 32, "heads": 2, "layers": 2, "best_of": 1, "batch": 64, "sft_steps": 20},
    **{"rl_learning_rate": 4e-3},
}


@pytest.fixture(scope="module")
def tokens() -> Game:
    return make_env(WORLD)


@pytest.fixture(scope="module")
def everything(tokens: Game) -> Everything:
    return Everything.of(tokens)


def saved(folder: Path, learner: Any, kind: str = "reward_model") -> str:
    """The folder of what a learner is now."""
    save_agent(learner, kind, folder, 0)
    return str(folder)


def learned(learner: Any, steps: int) -> dict[str, float]:
    """The last metrics."""
    return list(learner.learn(Budget(steps)))[-1].metrics


def correlation(rewards: Any, everything: Everything) -> float:
    """Of rewards [X M] with the marks, both less their mean over each prompt's answers."""
    found, gold = (x - x.mean(axis=1, keepdims=True) for x in (everything.table(rewards), everything.exact.reward))
    return float((found * gold).sum() / np.sqrt((found**2).sum() * (gold**2).sum()))


def told(members: Any, config: RewardConfig, everything: Everything) -> Tensor:
    with torch.no_grad():
        return agreed(members, config, everything.prompts, everything.answers, everything.end)


def test_a_score_is_read_behind_the_last_spoken_token(tokens: Game, everything: Everything) -> None:
    member = RewardModel(Task(tokens), RewardConfig(**TINY)).members[0]
    scores = score(member, everything.prompts, everything.answers, everything.end)
    for row, answer in enumerate(everything.exact.complete * 2):
        text = torch.cat([everything.prompts[row], torch.tensor(answer)])[None]
        assert scores[row].item() == pytest.approx(member(text)[0, -1, 0].item(), abs=1e-6)


def test_members_as_one(tokens: Game, everything: Everything) -> None:
    members = RewardModel(Task(tokens), RewardConfig(**TINY, members=3)).members
    each = np.array([told([member], RewardConfig(), everything) for member in members])
    assert (np.ptp(each, axis=0) > 1e-4).all()
    for settings, wanted in (
        ({}, each.mean(axis=0)),
        ({"caution": 2.0}, each.mean(axis=0) - 2 * each.std(axis=0)),
        ({"together": "least"}, each.min(axis=0)),
    ):
        np.testing.assert_allclose(told(members, RewardConfig(**settings), everything), wanted, atol=1e-6)


def test_a_member_learns_the_same_in_any_company(tokens: Game) -> None:
    alone, three = (RewardModel(Task(tokens, 5), RewardConfig(**FEW, members=n)) for n in (1, 3))
    for learner in (alone, three):
        learned(learner, 6)
    weights = three.weights()
    for name, array in alone.weights().items():
        np.testing.assert_array_equal(array, weights[name])
    assert len(three.minibatch("pairs0")[1]) == 4
    assert not torch.equal(three.minibatch("pairs0")[0].answers, three.minibatch("pairs1")[0].answers)


@pytest.mark.parametrize("start", ["fresh", "sft"])
def test_it_starts_fresh_or_from_the_policy_but_for_the_head(tokens: Game, start: str) -> None:
    learner = RewardModel(Task(tokens), RewardConfig(**TINY, start=start))
    learned(learner, 2)
    before = learner.members[0].head.weight.clone()
    learner.begin()
    body = learner.members[0].blocks[0].query.weight
    assert torch.equal(body, learner.network.blocks[0].query.weight) == (start == "sft")
    assert torch.equal(learner.members[0].head.weight, before)


def ceiling(everything: Everything, reference: Reals, certainty: float) -> float:
    """How often a preference between two answers of the reference is foreseen by who knows the marks."""
    mass = np.exp(reference)
    gap = certainty * (everything.exact.reward[:, :, None] - everything.exact.reward[:, None, :])
    sure = np.maximum(preferred(torch.tensor(gap), torch.zeros(1)).numpy(), 1 / (1 + np.exp(gap)))
    return float((mass[:, :, None] * mass[:, None, :] * sure).sum(axis=(1, 2)).mean())


def test_with_all_pairs_the_marks_are_found_up_to_a_constant(tokens: Game, everything: Everything) -> None:
    learner = RewardModel(Task(tokens), RewardConfig(**FITTED, labels="share"))
    metrics = learned(learner, 220)
    rewards = told(learner.members, learner.config, everything)
    assert correlation(rewards, everything) > 0.99
    slope = np.polyfit(
        *((x - x.mean(axis=1, keepdims=True)).ravel() for x in (everything.exact.reward, everything.table(rewards))), 1
    )[0]
    assert slope == pytest.approx(1.0, abs=0.1)  # in units of the marks
    assert metrics["ceiling"] - 0.005 < metrics["accuracy"] <= metrics["ceiling"]
    exact = ceiling(everything, everything.log_prob(learner.reference), 10.0)
    assert metrics["ceiling"] == pytest.approx(exact, abs=4 * 0.18 / 1024**0.5)


def test_from_drawn_preferences_held_out_ones_are_foreseen_as_often_as_noise_allows(tokens: Game) -> None:
    learner = RewardModel(Task(tokens), RewardConfig(**FITTED, certainty=4.0, pairs=8192))
    metrics = learned(learner, 170)
    assert metrics["ceiling"] < 0.75
    assert metrics["ceiling"] - 0.015 < metrics["accuracy"] <= metrics["ceiling"]


def test_the_constant_of_a_prompt_is_drawn_to_zero(tokens: Game, everything: Everything) -> None:
    """Where preferences say nothing at all, only the pull is left."""
    rewards = []
    for centring in (0.0, 1.0):
        settings = {**FEW, "prompts": 32, "certainty": 1e-9, "rl_learning_rate": 5e-3, "centring": centring}
        learner = RewardModel(Task(tokens), RewardConfig(**settings))
        with torch.no_grad():
            learner.members[0].head.bias += 0.3
        learned(learner, 60)
        rewards.append(told(learner.members, learner.config, everything))
    assert rewards[0].min() > 0.2
    assert rewards[1].abs().max() < 0.05


def test_the_implicit_reward_of_dpo_is_the_marks_up_to_a_constant(tokens: Game, everything: Everything) -> None:
    learner = DPO(Task(tokens), DPOConfig(**FITTED, labels="share"))
    learned(learner, 320)
    both = (torch.tensor(everything.log_prob(network)) for network in (learner.network, learner.reference))
    assert correlation(implicit_reward(*both, learner.config.beta), everything) > 0.99


def at_start(world: Game, count: int) -> Positions:
    """Positions before the first token."""
    table, rows = world.table(count), np.arange(count)
    table.reset(rows, rows.astype(np.uint64))
    return Positions.at(table, rows, rows.astype(np.uint64))


def spoken(world: Game, agent: RewardAgent, count: int) -> list[tuple[list[int], list[int]]]:
    """Prompts and the answers to them, asked token by token."""
    table, rows = world.table(count), np.arange(count)
    table.reset(rows, rows.astype(np.uint64))
    prompts = agent.language.prompts(table.observe(rows)).tolist()
    answers: list[list[int]] = [[] for _ in range(count)]
    while len(live := rows[table.seats >= 0]):
        actions = agent.act(Positions.at(table, live, live.astype(np.uint64)))
        table.step(live, actions)
        for row, action in zip(live, actions, strict=True):
            answers[row].append(int(action))
    return list(zip(prompts, answers, strict=True))


def test_with_many_tries_it_speaks_the_answer_of_the_highest_reward(tokens: Game, everything: Everything) -> None:
    learner = RewardModel(Task(tokens), RewardConfig(**TINY, members=2, tries=400))
    learned(learner, 2)
    rewards = everything.table(told(learner.members, learner.config, everything))
    best = {
        tuple(prompt): list(everything.exact.complete[rewards[x].argmax()])
        for x, prompt in enumerate(everything.prompts.view(2, -1, everything.prompts.shape[1])[:, 0].tolist())
    }
    said = spoken(tokens, learner.agent, 12)
    assert {tuple(prompt) for prompt, _ in said} == best.keys()
    assert all(answer == best[tuple(prompt)] for prompt, answer in said)


def test_with_one_try_it_speaks_as_its_policy() -> None:
    world = make_env("tic_tac_toe")
    learner = RewardModel(Task(world), RewardConfig(**{**TINY, "sft_steps": 20}, tries=1))
    learned(learner, 20)
    agent, given = learner.agent, sample_positions(world, 40, 0)
    policy = TextAgent(world, TextConfig(temperature=1.0), agent.language, agent.network)
    np.testing.assert_array_equal(agent.act(given), policy.act(given))


def test_what_is_not_legal_is_not_spoken(tokens: Game) -> None:
    agent = RewardModel(Task(tokens), RewardConfig(**TINY)).agent
    given = at_start(tokens, 32)
    for token in range(3):
        given.legal[:] = np.arange(3) == token
        assert (agent.act(given) == token).all()


@pytest.fixture(scope="module")
def models(tokens: Game, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Folders of two reward models."""
    folder = tmp_path_factory.mktemp("models")
    return [
        saved(folder / str(seed), RewardModel(Task(tokens, seed), RewardConfig(**FEW, members=seed + 1)))
        for seed in range(2)
    ]


def test_a_weighted_sum_of_saved_ones(tokens: Game, everything: Everything, models: list[str]) -> None:
    one, two = (
        told(agent.members.float(), agent.config, everything)
        for agent in (make_agent(model, tokens) for model in models)
    )
    assert (one - two).abs().min() > 0
    language = make_agent(models[0], tokens).language
    for spec, wanted in (
        (models[0], one),
        (f"{models[0]}*0.7+{models[1]}*0.3", 0.7 * one + 0.3 * two),
        (f"{models[1]}:together=least*-2", -2 * _least(models[1], tokens, everything)),
    ):
        reward = learned_reward(spec, tokens, language, "cpu")
        torch.testing.assert_close(reward(everything.prompts, everything.answers), wanted)


def _least(model: str, world: Game, everything: Everything) -> Tensor:
    agent = make_agent(model, world)
    return torch.stack([told([m.float()], agent.config, everything) for m in agent.members]).amin(dim=0)


def test_what_is_no_reward_is_refused_in_one_line(tokens: Game, models: list[str], tmp_path: Path) -> None:
    sft = saved(tmp_path / "sft", SFT(Task(tokens), TextConfig(width=16, heads=2)), "sft")
    for spec, words in (
        (str(tmp_path / "none"), f"reward={tmp_path}/none: no saved agent at {tmp_path}/none"),
        ("nobody", "reward=nobody: unknown agent 'nobody'"),
        ("random", "reward=random: random is no reward model; train one: elodrome train reward_model"),
        (sft, f"reward={sft}: {sft} is no reward model"),
        (f"{models[0]}*much", f"reward={models[0]}*much: 'much' is no weight; a weighted sum is NAME"),
        (f"{models[0]}*nan", "'nan' is no weight"),
        (f"{models[0]}+", "reward="),
    ):
        with pytest.raises(UserError) as refused:
            GRPO(Task(tokens), GRPOConfig(**TINY, reward=spec))
        assert words in str(refused.value), spec
        assert "\n" not in str(refused.value)
    with pytest.raises(BrokenAgent, match=r"reward=.*trained for token_mdp:vocabulary=3.*, not for token_mdp"):
        GRPO(Task(make_env("token_mdp")), GRPOConfig(**TINY, reward=models[0]))


def test_a_reward_model_of_other_letters_is_refused(tmp_path: Path) -> None:
    world = make_env("tic_tac_toe")
    model = saved(tmp_path / "model", RewardModel(Task(world), RewardConfig(**TINY)))
    assert GRPO(Task(world), GRPOConfig(**TINY, reward=model)).reward
    arrays = load_file(tmp_path / "model" / WEIGHTS)
    arrays["letters"] = arrays["letters"][::-1].copy()
    save_file(arrays, tmp_path / "model" / WEIGHTS)
    with pytest.raises(UserError, match=r"reward=.*: .* reads other letters than these; train it anew"):
        GRPO(Task(world), GRPOConfig(**TINY, reward=model))


@pytest.mark.parametrize("kind", ["grpo", "rlhf"])
def test_what_is_learned_from_is_the_models_word_and_the_worlds_is_told_beside_it(
    kind: str, tokens: Game, everything: Everything, models: list[str]
) -> None:
    small = ",".join(f"{key}={value}" for key, value in TINY.items())
    assert check_agent(f"{kind}:{small},prompts=4,reward={models[0]}*0.5+{models[1]}*0.5", tokens) == []
    learner = GRPO(Task(tokens), GRPOConfig(**TINY, prompts=4, reward=models[0]))
    learned(learner, 2)
    batch = learner.converse()
    agent = make_agent(models[0], tokens)
    with torch.no_grad():
        wanted = agreed(agent.members.float(), agent.config, batch.prompts, batch.answers, learner.language.end)
    torch.testing.assert_close(batch.marks, wanted)
    assert torch.equal(learner.rewards(batch), batch.marks)
    exact = {
        (tuple(prompt), answer): mark
        for prompt, marks in zip(everything.exact.tokens.prompt_tokens, everything.exact.reward, strict=True)
        for answer, mark in zip(everything.exact.complete, marks, strict=True)
    }
    for prompt, answer, said, gold in zip(batch.prompts, batch.answers, batch.spoken, batch.gold, strict=True):
        whole = tuple(answer[: int(said.sum())].tolist())
        assert gold.item() == pytest.approx(exact[tuple(prompt[1:].tolist()), whole])
    metrics = learned(learner, 4)
    assert {"reward", "gold"} <= metrics.keys()


def test_a_policy_rises_on_the_models_word(tokens: Game, everything: Everything, models: list[str]) -> None:
    settings = {**TINY, "prompts": 16, "group": 8, "kl_coefficient": 0.0, "rl_learning_rate": 5e-3}
    learner = GRPO(Task(tokens), GRPOConfig(**settings, reward=models[0]))
    learned(learner, 80)
    rewards = everything.table(learner.reward(everything.prompts, everything.answers))
    reached = (np.exp(everything.log_prob(learner.network)) * rewards).sum(axis=1)
    assert (reached > rewards.max(axis=1) - 0.1 * np.ptp(rewards, axis=1)).all()


def test_a_model_that_is_gone_stops_what_would_go_on_in_one_line(
    models: list[str], elodrome: Any, tmp_path: Path
) -> None:
    model, out = tmp_path / "model", tmp_path / "run"
    shutil.copytree(models[0], model)
    command = ["train", "grpo", "--env", WORLD, "--out", out, "--set", f"reward={model}"]
    command += [word for key, value in {**TINY, "prompts": 4}.items() for word in ("--set", f"{key}={value}")]
    assert elodrome(*command, "--steps", "4")[0] == 0
    before = (out / WEIGHTS).read_bytes()
    shutil.move(model, tmp_path / "elsewhere")
    code, told_out, err = elodrome(*command, "--steps", "8", "--resume")
    assert (code, told_out, err.count("\n")) == (2, "", 1)
    assert f"reward={model}: no saved agent at {model}" in err
    assert (out / WEIGHTS).read_bytes() == before
    assert make_agent(str(out), make_env(WORLD))  # to play it needs no reward


@pytest.mark.parametrize("name", [WORLD, "tic_tac_toe"])
def test_contract(name: str) -> None:
    small = ",".join(f"{key}={value}" for key, value in {**FEW, "members": 2, "tries": 3}.items())
    findings = check_agent(f"reward_model:{small}", make_env(name))
    assert [f for f in findings if "act answers" not in f or "not legal" not in f] == []
