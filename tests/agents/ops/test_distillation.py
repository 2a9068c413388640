"""Both divergences and their gradients against exact sums over all answers of a token world."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from elodrome import make_env
from elodrome.agents.ops.distillation import forward_kl, reaching, reverse_kl
from elodrome.agents.ops.kl import k1, k2
from elodrome.envs.tokens.exact import Answers, enumerate_answers, kl


@pytest.fixture(scope="module")
def exact() -> Answers:
    return enumerate_answers(make_env("token_mdp:vocabulary=3,prompts=2,horizon=3"))


class Said:
    """Every answer to every prompt, one row each: B = X M, as a student and a teacher of random tables speak it."""

    def __init__(self, exact: Answers) -> None:
        x, n, v = len(exact.reward), len(exact.prefixes), exact.tokens.vocabulary
        rng = np.random.default_rng(5)
        self.exact = exact
        self.theta = torch.tensor(rng.normal(size=(x, n, v)), requires_grad=True)
        self.other = torch.tensor(rng.normal(size=(x, n, v)))
        number = {prefix: i for i, prefix in enumerate(exact.prefixes)}
        horizon = exact.tokens.horizon
        at = torch.zeros(len(exact.complete), horizon, dtype=torch.int64)
        words, spoken = at.clone(), torch.zeros(len(exact.complete), horizon, dtype=torch.float64)
        for m, answer in enumerate(exact.complete):
            for t, word in enumerate(answer):
                at[m, t], words[m, t], spoken[m, t] = number[answer[:t]], word, 1.0
        self.words, self.spoken = words.repeat(x, 1), spoken.repeat(x, 1)
        self.logits, self.teacher_logits = (table[:, at].flatten(0, 1) for table in (self.theta, self.other))
        self.log_prob, self.teacher_log_prob = map(self.of, (self.logits, self.teacher_logits))

    def of(self, logits: Tensor) -> Tensor:
        """log-probabilities of the words said [B, L], 0 behind the end."""
        return torch.log_softmax(logits, -1).gather(2, self.words[..., None]).squeeze(2) * self.spoken

    def expected(self, each: Tensor, log_prob: Tensor) -> Tensor:
        """The mean over answers of one speaker, drawn as it would, of something at each place, summed: no gradient
        comes through who speaks."""
        return (log_prob.sum(1).exp().detach() * (each * self.spoken).sum(1)).sum()

    def gradient(self, value: Tensor) -> Tensor:
        return torch.autograd.grad(value, self.theta, retain_graph=True)[0]

    def exact_kl(self, p: Tensor, q: Tensor) -> Tensor:
        """KL between whole answers by its definition, summed over prompts, differentiable."""
        return (p.sum(1).exp() * (p.sum(1) - q.sum(1))).sum()

    def table_kl(self, first: Tensor, second: Tensor) -> float:
        """The same from ``envs.tokens.exact``."""
        p, q = (self.exact.log_prob(torch.log_softmax(t.detach(), -1).numpy()) for t in (first, second))
        return float(kl(p, q).sum())


@pytest.fixture(scope="module")
def said(exact: Answers) -> Said:
    return Said(exact)


def near(one: Tensor, other: Tensor) -> None:
    torch.testing.assert_close(one, other, atol=1e-12, rtol=0)


def test_by_hand() -> None:
    half, quarter = torch.tensor([[[0.0, 0.0]]]), torch.tensor([[[0.0, math.log(3.0)]]])  # (1/2, 1/2), (1/4, 3/4)
    assert reverse_kl(half, quarter).item() == pytest.approx(0.5 * math.log(2.0) + 0.5 * math.log(2.0 / 3.0))
    assert forward_kl(half, quarter).item() == pytest.approx(0.25 * math.log(0.5) + 0.75 * math.log(1.5))


def test_what_follows_a_word_by_hand() -> None:
    """Three words, and one behind the end; to what is past or was due anyway a word adds nothing."""
    log_prob = torch.zeros(1, 4, requires_grad=True)
    spoken = torch.tensor([[1.0, 1.0, 1.0, 0.0]])
    total = (reaching(torch.tensor([[0.5, 0.25, 2.0, 9.0]]), log_prob, spoken) * spoken).sum()
    assert total.item() == pytest.approx(2.75)
    assert torch.autograd.grad(total, log_prob)[0].tolist() == [[2.25, 2.0, 0.0, 0.0]]


def test_the_sums_are_the_divergences_of_whole_answers(said: Said) -> None:
    reverse = said.expected(reverse_kl(said.logits, said.teacher_logits), said.log_prob)
    assert reverse.item() == pytest.approx(said.table_kl(said.theta, said.other), abs=1e-12)
    forward = said.expected(forward_kl(said.logits, said.teacher_logits), said.teacher_log_prob)
    assert forward.item() == pytest.approx(said.table_kl(said.other, said.theta), abs=1e-12)
    apart = [said.table_kl(said.theta, said.other), said.table_kl(said.other, said.theta)]
    assert abs(apart[0] - apart[1]) > 0.01


def test_forward_kl_on_the_teachers_answers_has_the_gradient_of_its_whole(said: Said) -> None:
    wanted = said.gradient(said.exact_kl(said.teacher_log_prob, said.log_prob))
    over_words = said.expected(forward_kl(said.logits, said.teacher_logits), said.teacher_log_prob)
    near(said.gradient(over_words), wanted)
    of_what_was_said = said.expected(-said.log_prob, said.teacher_log_prob)  # cross entropy
    near(said.gradient(of_what_was_said), wanted)


def test_reverse_kl_on_the_students_answers_needs_what_reaches_through(said: Said) -> None:
    wanted = said.gradient(said.exact_kl(said.log_prob, said.teacher_log_prob))
    places = reverse_kl(said.logits, said.teacher_logits)
    whole = reaching(places, said.log_prob, said.spoken)
    near(whole, places)
    near(said.gradient(said.expected(whole, said.log_prob)), wanted)
    alone = said.gradient(said.expected(places, said.log_prob))
    assert (alone - wanted).abs().max() > 0.01
    # So does k2 of whole answers, and not that of the words.
    log, teacher = said.log_prob.sum(1), said.teacher_log_prob.sum(1)
    near(said.gradient((log.exp().detach() * k2(log, teacher)).sum()), wanted)
    near(said.gradient(said.expected(k2(said.log_prob, said.teacher_log_prob), said.log_prob)), alone)


def test_place_by_place_it_is_the_divergence_under_visits_that_stand_still(said: Said) -> None:
    """Each place's own KL, weighed by how often the student comes by: prefix by prefix, in a loop. It is also the
    policy gradient of log(teacher / student) as the reward of the word alone."""
    student, teacher = torch.log_softmax(said.theta, -1), torch.log_softmax(said.other, -1)
    total = said.theta.new_zeros(())
    for x in range(len(said.theta)):
        for n, prefix in enumerate(said.exact.prefixes):
            on_the_way = [student[x, said.exact.prefixes.index(prefix[:t]), w].item() for t, w in enumerate(prefix)]
            visits = math.exp(sum(on_the_way))
            total = total + visits * (student[x, n].exp() * (student[x, n] - teacher[x, n])).sum()
    places = said.expected(reverse_kl(said.logits, said.teacher_logits), said.log_prob)
    assert places.item() == pytest.approx(total.item(), abs=1e-12)
    near(said.gradient(places), said.gradient(total))
    advantage = -k1(said.log_prob, said.teacher_log_prob).detach()
    near(said.gradient(said.expected(-advantage * said.log_prob, said.log_prob)), said.gradient(total))


def test_what_is_behind_the_end_is_nobodys(said: Said) -> None:
    places = reverse_kl(said.logits, said.teacher_logits)
    spoilt = torch.where(said.spoken > 0, places, 1e6)
    got = said.expected(reaching(spoilt, said.log_prob, said.spoken), said.log_prob)
    near(said.gradient(got), said.gradient(said.exact_kl(said.log_prob, said.teacher_log_prob)))
