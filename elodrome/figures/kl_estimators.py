"""k1, k2 and k3: what they tell of the KL, and where they pull as a loss (notes 5.6, eq. 5.25 to 5.28, appendix A.2).

Policies farther and farther from a reference in a token MDP, all answers counted, so that every number is exact. Left:
how far the mean of each estimator is from the KL, and how much one answer's estimate varies, as shares of the KL.
Right: how far the mean gradient of each as a loss is from the gradient of the KL, as a share of the latter's length.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from elodrome.agents.ops import kl
from elodrome.envs.game import Reals
from elodrome.envs.tokens.exact import Answers, enumerate_answers
from elodrome.figures.figure import Curve, Figure, Tick, game
from elodrome.seeding import generator

WORLD = "token_mdp:vocabulary=4,prompts=1,horizon=4"
SIZES = np.geomspace(0.2, 2.0, 12)  # deviations of the logits between policy and reference
ZERO = 1e-9  # what rounding leaves

Estimator = Callable[[Tensor, Tensor], Tensor]
ESTIMATORS: dict[str, Estimator] = {"k1": kl.k1, "k2": kl.k2, "k3": kl.k3}


def compute(quick: bool, seed: int, tick: Tick) -> Figure:
    """Twelve distances in one direction drawn from the seed (quick: the same, it is short)."""
    answers = enumerate_answers(game(WORLD))
    rng = generator(seed, "logits")
    start, direction = rng.normal(size=(2, *answers.uniform().shape))
    found = []
    for step, size in enumerate(SIZES):
        found.append(measure(answers, start + size * direction, start))
        tick(step + 1, len(SIZES))
    x = np.array([row["KL"] for row in found])
    curves = {label: Curve(label, x, np.array([row[label] for row in found]), 0.0 * x) for label in found[0]}
    told = [curve for label, curve in curves.items() if label != "KL"]
    shown = [curve for curve in told if curve.mean.max() > ZERO and not curve.label.startswith("k1 of tokens")]
    middle = int(np.abs(x - 0.5).argmin())
    remarks = [f"at a KL of {x[middle]:.3f}:"]
    remarks += [f"{curve.label}: {curve.mean[middle]:.4f} of it" for curve in told]
    gradients = [curve for curve in shown if "gradient" in curve.label]
    values = [curve for curve in shown if "gradient" not in curve.label]
    right = Figure("As losses", "KL(π || ref)", "error of the mean gradient / its length", gradients, log="x", low=0.0)
    return Figure(
        "As values", "KL(π || ref)", "share of the KL", values, remarks=remarks, log="xy", high=200.0, beside=right
    )


def measure(answers: Answers, logits: Reals, reference: Reals) -> dict[str, float]:
    """The KL between the policies of two tables of logits [1, N, V], and all that is drawn, by enumeration."""
    free = torch.tensor(logits, requires_grad=True)
    now, ref = spoken(answers, free), spoken(answers, torch.from_numpy(reference))
    whole, whole_ref = now.sum(dim=-1), ref.sum(dim=-1)
    share, share_ref = whole.detach().exp(), whole_ref.exp()
    exact = (whole.exp() * (whole - whole_ref)).sum()
    wanted = gradient(exact, free)
    found = {"KL": exact.item()}
    for name, estimator in ESTIMATORS.items():
        of_answers, of_tokens = estimator(whole, whole_ref), estimator(now, ref).sum(dim=-1)
        for kind, estimate in {"answers": of_answers, "tokens": of_tokens}.items():
            mean = (share * estimate).sum()
            label = f"{name} of {kind}"
            found[f"{label}: bias"] = ((mean - exact).abs() / exact).item()
            found[f"{label}: deviation"] = ((share * (estimate - mean).square()).sum().sqrt() / exact).item()
            error = gradient(mean, free) - wanted
            found[f"{label}: gradient"] = (error.norm() / wanted.norm()).item()
    stale = (share_ref * kl.corrected(kl.k3(whole, whole_ref), whole, whole_ref)).sum()
    error = gradient(stale, free) - wanted
    found["k3 of answers, corrected, on the reference's: gradient"] = (error.norm() / wanted.norm()).item()
    return found


def spoken(answers: Answers, logits: Tensor) -> Tensor:
    """log pi of every token of every complete answer [X, M, H], 0 behind the end, from a table of logits [X, N, V]."""
    at, token = map(torch.from_numpy, answers.steps)
    said = token >= 0
    table = torch.log_softmax(logits, dim=-1)
    return torch.where(said, table[:, torch.where(said, at, 0), torch.where(said, token, 0)], 0.0)


def gradient(value: Tensor, by: Tensor) -> Tensor:
    """Of a scalar."""
    (found,) = torch.autograd.grad(value, by, retain_graph=True)
    return found
