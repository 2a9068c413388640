"""Policies at rest: the expected gradient of what is trained vanishes there, by automatic differentiation."""

import numpy as np
import pytest
import torch

from elodrome import make_env
from elodrome.agents.ops import kl as estimators
from elodrome.envs.game import Reals
from elodrome.envs.tokens.exact import Answers, enumerate_answers
from elodrome.envs.tokens.exact import kl as divergence
from elodrome.envs.tokens.fixed_points import group_rest, ranks, token_rest
from elodrome.errors import UserError
from elodrome.seeding import generator

BETA = 0.3


@pytest.fixture(scope="module")
def answers() -> Answers:
    return enumerate_answers(make_env("token_mdp:vocabulary=3,prompts=2,horizon=3"))


@pytest.fixture(scope="module")
def reference(answers: Answers) -> Reals:
    logits = generator(0, "reference").normal(size=answers.uniform().shape)
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def expected_gradient(answers: Answers, policy: Reals, reference: Reals, kl: str, normalised: bool) -> float:
    """The greatest entry, in size, of the mean gradient over all answers (pairs of them where they are normalised) of
    what GRPO ascends, by the logits."""
    at, token = map(torch.from_numpy, answers.steps)
    said = token >= 0
    logits = torch.tensor(policy, requires_grad=True)

    def spoken(table: torch.Tensor) -> torch.Tensor:
        return torch.where(said, table[:, torch.where(said, at, 0), torch.where(said, token, 0)], 0.0)

    log_prob = spoken(torch.log_softmax(logits, dim=-1))  # [X, M, H]
    share = log_prob.detach().sum(-1).exp()  # [X, M]
    reward = torch.from_numpy(answers.reward)
    if normalised:
        pairs = torch.stack(torch.broadcast_tensors(reward[:, :, None], reward[:, None, :]))
        centred = pairs[0] - pairs.mean(0)
        advantage = (centred / (pairs.std(0, correction=0) + 1e-12) * share[:, None, :]).sum(-1)
    else:
        advantage = reward
    leash = getattr(estimators, kl)(log_prob, spoken(torch.from_numpy(reference))).sum(-1)
    (share * (advantage * log_prob.sum(-1) - BETA * leash)).sum().backward()
    assert logits.grad is not None
    return float(logits.grad.abs().max())


@pytest.mark.parametrize("kl", ["k2", "k3"])
def test_nothing_pulls_at_the_policy_at_rest(answers: Answers, reference: Reals, kl: str) -> None:
    rest = token_rest(answers, reference, BETA, kl)
    assert expected_gradient(answers, rest, reference, kl, normalised=False) < 1e-9
    other = token_rest(answers, reference, BETA, "k3" if kl == "k2" else "k2")
    assert expected_gradient(answers, other, reference, kl, normalised=False) > 1e-3
    optimum = answers.conditionals(answers.optimal(reference, BETA))
    assert expected_gradient(answers, optimum, reference, kl, normalised=False) > 1e-3


@pytest.mark.parametrize("kl", ["k2", "k3"])
def test_nothing_pulls_where_groups_of_two_are_normalised(answers: Answers, reference: Reals, kl: str) -> None:
    rest = group_rest(answers, reference, BETA, kl)
    assert expected_gradient(answers, rest, reference, kl, normalised=True) < 1e-8
    assert expected_gradient(answers, rest, reference, kl, normalised=False) > 1e-3


def test_at_one_token_k2_rests_at_the_optimum(reference: Reals) -> None:
    """No token is behind the first: nothing is left unpaid."""
    short = enumerate_answers(make_env("token_mdp:vocabulary=3,prompts=2,horizon=1"))
    first = reference[:, :1]
    rest = short.log_prob(token_rest(short, first, BETA, "k2"))
    np.testing.assert_allclose(divergence(rest, short.optimal(first, BETA)), 0.0, atol=1e-12)


def test_ranks_by_hand(answers: Answers) -> None:
    log_prob = np.log([[0.5, 0.3, 0.2]])
    np.testing.assert_allclose(ranks(log_prob, np.array([[1.0, 2.0, 1.0]])), [[-0.3, 0.7, -0.3]])


def test_a_beta_of_nothing_is_refused(answers: Answers, reference: Reals) -> None:
    with pytest.raises(UserError, match="beta=0 must be greater than 0"):
        token_rest(answers, reference, 0, "k2")
    with pytest.raises(UserError, match="no fixed point found within 3 rounds"):
        group_rest(answers, reference, BETA, "k2", rounds=3)
