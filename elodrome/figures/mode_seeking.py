"""A student too small for its teacher: the reverse KL seeks a mode, the forward KL covers all (notes 5.7.3).

The teacher speaks in one of two ways, which its first words decide. The student sees nothing of what has been said, and
says every word with the same probabilities: either way it could learn, not both. Gradients are those of distillation,
in expectation over all answers.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from elodrome.agents.ops.distillation import forward_kl, reaching, reverse_kl
from elodrome.envs.game import Reals
from elodrome.envs.tokens.exact import Answers, enumerate_answers, kl
from elodrome.figures.figure import Curve, Figure, Tick, game

WAYS = ((0.6, 0.15), (0.4, 0.85))  # how often, and the share of ones among its words
END = 0.02  # how often either ends at any place
UPDATES, RATE = 300, 0.5
# Whether the divergence is the reverse, with what reaches through or without; the share of ones at first.
STUDENTS = {
    "forward KL": ("forward", 0.5),
    "reverse KL, from few ones": ("reverse", 0.4),
    "reverse KL, from many": ("reverse", 0.6),
    "place by place, from few": ("places", 0.4),
}


def compute(quick: bool, seed: int, tick: Tick) -> Figure:
    """Exact; nothing is drawn."""
    exact = enumerate_answers(game("token_mdp:vocabulary=3,prompts=1,horizon=8"))
    teacher = np.logaddexp(*(np.log(often) + exact.log_prob(blind(exact, ones)) for often, ones in WAYS))
    count = np.array([answer.count(1) for answer in exact.complete])

    def spread(log_prob: Reals) -> Reals:
        found: Reals = np.bincount(count, np.exp(log_prob[0]), exact.tokens.horizon + 1).astype(np.float64)
        return found

    curves = [Curve.of("teacher", np.arange(exact.tokens.horizon + 1), spread(teacher)[None])]
    remarks = []
    for number, (label, (divergence, ones)) in enumerate(STUDENTS.items()):
        words = distil(exact, exact.conditionals(teacher), divergence, ones)
        student = exact.log_prob(np.broadcast_to(words, (1, len(exact.prefixes), 3)))
        curves.append(Curve.of(label, curves[0].x, spread(student)[None]))
        middle = sum(spread(student)[3:6])
        remarks.append(
            f"{label}: {np.exp(words[1] - np.logaddexp(*words[:2])):.3f} of the words are ones; 3 to 5 of them in "
            f"{100 * middle:.1f} % of the answers; reverse KL {kl(student, teacher)[0]:.3f}, "
            f"forward KL {kl(teacher, student)[0]:.3f}"
        )
        tick(number + 1, len(STUDENTS))
    remarks.append(f"teacher: 3 to 5 ones in {100 * sum(spread(teacher)[3:6]):.1f} % of the answers")
    shares = np.linspace(0.05, 0.95, 91)
    students = [exact.log_prob(blind(exact, share)) for share in shares]
    apart = {
        "reverse KL(student ‖ teacher)": [kl(student, teacher) for student in students],
        "forward KL(teacher ‖ student)": [kl(teacher, student) for student in students],
    }
    right = [Curve.of(label, shares, np.array(values).T) for label, values in apart.items()]
    title = "How far each student is from the teacher"
    beside = Figure(title, "share of ones among the student's words", "nats", right, low=0.0, high=6.0)
    title = "A teacher of two ways, and students who can have but one"
    return Figure(title, "ones in an answer", "probability", curves, {}, remarks, beside=beside)


def blind(exact: Answers, ones: float) -> Reals:
    """The policy [1, N, V] that says every word with the same probabilities."""
    words = np.log([(1 - END) * (1 - ones), (1 - END) * ones, END])
    return np.broadcast_to(words, (1, len(exact.prefixes), len(words)))


def distil(exact: Answers, teacher: Reals, divergence: str, ones: float) -> Reals:
    """log-probabilities [V] of a blind student who began with that share of ones; teacher: a policy [1, N, V]."""
    number = {prefix: i for i, prefix in enumerate(exact.prefixes)}
    at = torch.zeros(len(exact.complete), exact.tokens.horizon, dtype=torch.int64)
    said, spoken = at.clone(), torch.zeros(at.shape, dtype=torch.float64)
    for m, answer in enumerate(exact.complete):
        for t, word in enumerate(answer):
            at[m, t], said[m, t], spoken[m, t] = number[answer[:t]], word, 1.0
    advice = torch.from_numpy(teacher[0])[at]
    theta = torch.from_numpy(blind(exact, ones)[0, 0].copy()).requires_grad_()

    def of(logits: Tensor) -> Tensor:
        return torch.log_softmax(logits, dim=-1).gather(2, said[..., None]).squeeze(2) * spoken

    for _ in range(UPDATES):
        logits = theta.expand(advice.shape)
        log_prob = of(logits)
        if divergence == "forward":
            speaker, each = of(advice), forward_kl(logits, advice)
        else:
            speaker, each = log_prob, reverse_kl(logits, advice)
            if divergence == "reverse":
                each = reaching(each, log_prob, spoken)
        chance = speaker.sum(dim=1).exp().detach()
        (gradient,) = torch.autograd.grad((chance * (each * spoken).sum(dim=1)).sum(), theta)
        with torch.no_grad():
            theta -= RATE / exact.tokens.horizon * gradient
    words: Reals = torch.log_softmax(theta.detach(), dim=0).numpy()
    return words
