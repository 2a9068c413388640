"""Noise that is a function of the state, against sums written out and matrices of noise drawn by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from elodrome.agents.agent import Budget, Task
from elodrome.agents.check import check_acting
from elodrome.agents.parts.heads import normal_at
from elodrome.agents.parts.networks import SmoothActor
from elodrome.agents.parts.saved import load_checkpoint, save_checkpoint
from elodrome.agents.registry import make_learner
from elodrome.envs.registry import make_env
from elodrome.errors import UserError
from tests.regulator import STEPS, Regulator

WORLD = Regulator()
SMALL = {"hidden": [5], "discount": 0.9, "state_noise": 4}
BATCHES = {
    **{kind: {**SMALL, "envs": 4, "horizon": 12, "minibatch": 16} for kind in ("ppo", "ppo_kl", "trpo")},
    "a2c": {**SMALL, "envs": 4, "horizon": 6},
    "reinforce": {**SMALL, "episodes": 4},
}


def learner_of(kind="ppo", world=WORLD, **settings):
    """One whose noise differs from entry to entry and whose units are not all silent."""
    learner = make_learner(kind, Task(world, 3), {**BATCHES[kind], **settings})
    rng = np.random.default_rng(0)
    with torch.no_grad():
        for parameter in learner.net.actor.parameters():
            parameter += torch.from_numpy(rng.normal(size=parameter.shape) / 3)
    return learner


def written_out(learner, seen):
    """Features [B, F] and means [B, D] of a network with one layer between, and the deviations [F, D], in NumPy."""
    arrays = {name: value.astype(np.float64) for name, value in learner.weights().items()}
    first, last = "actor.0.1", "actor.1"
    features = np.maximum(seen @ arrays[f"{first}.weight"].T + arrays[f"{first}.bias"], 0)
    return (
        features,
        features @ arrays[f"{last}.weight"].T + arrays[f"{last}.bias"],
        np.exp(arrays["actor.log_std"]),
    )


def seen_of(learner, rows):
    return np.random.default_rng(1).normal(size=(rows, *learner.world.observation_shape)).astype(np.float32)


PLANE = replace(WORLD, action_shape=(1, 2), low=(-1.0, 0.0), high=(3.0, 0.5), observation_shape=(3,))


def test_the_density_is_that_of_a_sum_of_normal_variables():
    learner = learner_of(world=PLANE)
    seen = seen_of(learner, 40)
    features, mean, std = written_out(learner, seen)
    variance = np.array([[(row**2 * std[:, d] ** 2).sum() for d in range(2)] for row in features])
    assert (features > 0).any(1).mean() > 0.5
    policy = learner.net.policy(torch.from_numpy(seen), None)
    oracle = torch.distributions.Normal(torch.from_numpy(mean), torch.from_numpy(variance + 1e-6).sqrt())
    actions = oracle.sample()
    wanted = oracle.log_prob(actions).sum(-1)
    assert torch.allclose(policy.log_prob(actions.float()[:, None]), wanted.float(), rtol=1e-4, atol=1e-4)
    assert torch.allclose(policy.entropy(), oracle.entropy().sum(-1).float(), atol=1e-4)
    policy.entropy().sum().backward()
    assert {name for name, p in learner.net.actor.named_parameters() if p.grad is not None and p.grad.any()} == {
        "log_std"  # the features learn nothing from the noise
    }


def test_what_is_drawn_has_that_mean_and_variance_and_is_shared_by_the_states_of_a_game():
    """Over 100,000 matrices, within four standard errors; two states under each of them."""
    learner, count = learner_of(world=PLANE), 100_000
    seen = seen_of(learner, 40)
    pair = seen[np.argsort(written_out(learner, seen)[0].sum(1))[-2:]]
    features, mean, std = written_out(learner, pair)
    quantiles = np.random.default_rng(2).random((count, *std.shape))
    one, other = (learner.smooth(np.repeat(pair[[i]], count, 0), None, quantiles)[:, 0] for i in (0, 1))
    shared = (features[0] * features[1]) @ std**2
    variance = features**2 @ std**2
    assert (shared > 0.1).all()  # a correlation that can be seen
    for i, drawn in enumerate((one, other)):
        assert (np.abs(drawn.mean(0) - mean[i]) < 4 * (variance[i] / count) ** 0.5).all()
        assert (np.abs(drawn.var(0) / variance[i] - 1) < 4 * (2 / count) ** 0.5).all()
    products = (one - mean[0]) * (other - mean[1])
    assert (np.abs(products.mean(0) - shared) < 4 * products.std(0) / count**0.5).all()
    across = (one - mean[0])[:, 0] * (one - mean[0])[:, 1]
    assert abs(across.mean()) < 4 * across.std() / count**0.5  # entries of an action have noise of their own


@pytest.mark.parametrize("kind", ["ppo", "reinforce"])
def test_a_matrix_stands_for_so_many_decisions_of_one_game(kind):
    """What was played is solved for the matrices: one fits each stretch of a game, and no two are alike."""
    learner = learner_of(kind, hidden=[3], state_noise=5)
    matrices = []
    for _ in range(2):
        got = learner.collected(None if kind == "reinforce" else 12)
        assert got.live.all()
        steps = len(got.action)
        assert steps == (STEPS if kind == "reinforce" else 12)
        for game in range(4):
            for start in range(0, steps, 5):
                part = slice(start, min(start + 5, steps))
                features, mean, _ = written_out(learner, got.observation[:-1][part, game])
                away = got.action[part, game] - mean
                matrix, *_ = np.linalg.lstsq(features, away, rcond=1e-6)
                assert features @ matrix == pytest.approx(away, abs=1e-4)
                matrices += [matrix] if np.abs(matrix).max() > 1e-6 else []
    assert len({tuple(matrix[:, 0].round(5)) for matrix in matrices}) == len(matrices) > 8


def test_the_first_update_finds_the_policy_that_played():
    learner = learner_of(epochs=1, minibatch=1_000, envs=8, horizon=10)
    played, std = [], written_out(learner, np.zeros((0, 1)))[2]
    smooth = learner.smooth

    def watched(seen, legal, quantiles):
        drawn = smooth(seen, legal, quantiles)
        features, mean, _ = written_out(learner, seen)
        away = np.einsum("bf,bfd->bd", features, std * normal_at(quantiles))
        assert drawn == pytest.approx(mean + away, abs=1e-5)
        spread = torch.from_numpy(features**2 @ std**2 + 1e-6).sqrt()
        oracle = torch.distributions.Normal(torch.from_numpy(mean), spread)
        played.append(oracle.log_prob(torch.from_numpy(drawn)).sum(-1))
        return drawn

    learner.smooth = watched
    update, told = learner._update, []
    learner._update = lambda batch, old: told.append(batch["log_prob"]) or update(batch, old)
    report = next(learner.learn(Budget(80)))
    assert torch.allclose(told[0], torch.cat(played).float(), rtol=1e-3, atol=1e-3)
    assert report.metrics["kl"] == 0.0  # of what is as it was, to the bit


@pytest.mark.parametrize("kind", BATCHES)
def test_it_learns_the_same_from_the_same_seed_and_after_a_stop(kind, tmp_path, monkeypatch):
    monkeypatch.setattr("elodrome.agents.policy.a2c.REPORT_EVERY", 50)

    def made():
        return make_learner(kind, Task(WORLD, 3), BATCHES[kind])

    learner, again, resumed, budget = made(), made(), made(), Budget(480)
    before, saved = learner.weights(), 0
    for report in learner.learn(budget):
        if not saved and report.step >= 240:
            save_checkpoint(tmp_path, report.step, learner.snapshot())
            saved = report.step
    list(again.learn(budget))
    resumed.resume(load_checkpoint(tmp_path)[1])
    assert 0 < resumed.steps < learner.steps
    list(resumed.learn(budget))
    for name, array in learner.weights().items():
        assert np.array_equal(array, again.weights()[name])
        assert np.array_equal(array, resumed.weights()[name])
    assert not np.array_equal(before["actor.log_std"], learner.weights()["actor.log_std"])


def test_acting_agents_draw_for_themselves():
    for greedy in (True, False):
        assert check_acting(learner_of(greedy=greedy).agent, WORLD) == []


def test_it_is_refused_where_actions_are_numbered():
    with pytest.raises(UserError, match=r"^state_noise needs actions that are real numbers; tic_tac_toe numbers its"):
        make_learner("ppo", Task(make_env("tic_tac_toe")), {"state_noise": 4})
    assert not isinstance(make_learner("ppo", Task(WORLD), {}).net.actor, SmoothActor)
