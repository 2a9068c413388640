"""RLHF, DPO, GRPO and their kin on the way to the closed-form optimum (notes 5.3.4, 5.4.2, 5.5, eq. 5.11).

A token MDP of all whose answers are known. Each curve is the exact divergence of a learner's policy from where theory
says that it comes to rest: the optimum for RLHF, RLOO, REINFORCE, DPO with all pairs and GRPO with the squared
log-ratio of answers as its loss; for GRPO with k3 token by token, whether or not normalised, a fixed point beside it.
To the right, what the policies are worth less the KL.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from elodrome.agents.agent import Budget, Task
from elodrome.agents.parts.threads import single_threaded
from elodrome.agents.registry import make_learner
from elodrome.envs.game import Reals
from elodrome.envs.tokens.exact import Answers, enumerate_answers, kl
from elodrome.envs.tokens.fixed_points import group_rest, token_rest
from elodrome.figures._tokens import policy_table
from elodrome.figures.figure import Curve, Figure, Tick, game
from elodrome.seeding import derive

WORLD, QUICK_WORLD = "token_mdp:vocabulary=4,prompts=3,horizon=3", "token_mdp:vocabulary=4,prompts=1,horizon=2"
BETA = 0.2
SFT_STEPS = 50
POINTS, QUICK_POINTS = 12, 6  # of each curve
COMMON: dict[str, Any] = {"best_of": 1, "sft_steps": SFT_STEPS, "prompts": 128, "rl_learning_rate": 3e-3}
QUICK: dict[str, Any] = {"width": 16, "heads": 2, "layers": 1, "batch": 32, "prompts": 32, "rl_learning_rate": 1e-2}


@dataclass(frozen=True)
class Way:
    """One learner: its settings, how many updates (quick runs have an eighth), and where it rests: "optimum",
    "tokens" or "ranks", the last two at the ``beta`` that counts for it."""

    kind: str
    settings: dict[str, Any]
    updates: int
    rest: str = "optimum"
    beta: float = BETA


GROUP = 4
ANSWERS = {"kl": "k2", "kl_of": "answer"}
WAYS = {
    "RLHF (PPO)": Way("rlhf", {"kl_coefficient": BETA}, 480),
    "DPO, all pairs": Way("dpo", {"beta": 10 * BETA, "certainty": 10.0, "labels": "share", "prompts": 256}, 960),
    "RLOO": Way("rloo", {"kl_coefficient": BETA}, 480),
    "REINFORCE": Way("text_reinforce", {"kl_coefficient": BETA, "prompts": 256}, 960),
    "GRPO, k2 of answers, no deviation": Way(
        "grpo", {"kl_coefficient": BETA * (GROUP - 1) / GROUP, "advantage": "centred", "group": GROUP, **ANSWERS}, 480
    ),
    "GRPO, k3 of tokens, no deviation": Way(
        *("grpo", {"kl_coefficient": BETA * (GROUP - 1) / GROUP, "advantage": "centred", "group": GROUP}, 480),
        rest="tokens",
    ),
    "GRPO, k3 of tokens, normalised": Way(
        "grpo", {"kl_coefficient": 0.7, "group": 2, "prompts": 256}, 480, rest="ranks", beta=0.7
    ),
}


def compute(quick: bool, seed: int, tick: Tick) -> Figure:
    """3 runs of each learner (quick: 1, of an eighth of the updates, with a smaller network in a smaller world)."""
    world, runs = game(QUICK_WORLD if quick else WORLD), 1 if quick else 3
    points, sizes = (QUICK_POINTS, QUICK) if quick else (POINTS, {})
    answers = enumerate_answers(world)
    distances, worths, remarks = [], [], []
    for number, (label, way) in enumerate(WAYS.items()):
        updates = way.updates // 8 if quick else way.updates
        found = []
        for k in range(runs):
            settings = {**COMMON, **way.settings, **sizes}
            found.append(run(answers, way, settings, updates, points, derive(seed, label, k)))
            tick(number * runs + k + 1, len(WAYS) * runs)
        x = np.arange(points + 1) * updates / points
        distances.append(Curve.of(label, x, np.array([one.distance for one in found])))
        worths.append(Curve.of(label, x, np.array([one.worth for one in found])))
        end = {"KL to its rest": distances[-1], "share of J(π*) - J(ref) that is missing": worths[-1]}
        values = [f"{name} {curve.mean[-1]:.4f} +- {curve.error[-1]:.4f}" for name, curve in end.items()]
        if way.rest != "optimum":
            values.append(f"{np.mean([one.at_rest for one in found]):.4f} at its rest")
        remarks.append(f"{label}: " + "; ".join(values))
    right = Figure(
        *("What is missing to the optimum", "updates", "(J(π*) - J(π)) / (J(π*) - J(ref))", worths),
        levels={"2 %": 0.02},
        log="y",
    )
    title = f"Distance from where theory sends them, {runs} runs"
    return Figure(title, "updates", "KL(π || rest), exactly", distances, remarks=remarks, log="y", beside=right)


@dataclass
class Run:
    """distance, worth: at each point; at_rest: what is missing to the optimum where it comes to rest."""

    distance: list[float] = field(default_factory=list)
    worth: list[float] = field(default_factory=list)
    at_rest: float = 0.0


def run(answers: Answers, way: Way, settings: dict[str, Any], updates: int, points: int, seed: int) -> Run:
    """One training, looked at exactly ``points`` times on the way."""
    learner = make_learner(way.kind, Task(answers.world, seed), settings)
    found = Run()
    with single_threaded():
        for _ in learner.learn(Budget(SFT_STEPS)):
            pass
        reference = policy_table(answers, learner.agent)
        optimum = answers.optimal(reference, BETA)
        rest = {
            "optimum": lambda: optimum,
            "tokens": lambda: answers.log_prob(token_rest(answers, reference, way.beta, "k3")),
            "ranks": lambda: answers.log_prob(group_rest(answers, reference, way.beta, "k3")),
        }[way.rest]()

        def missing(log_prob: Reals) -> float:
            """Of the way from the reference to the optimum."""
            best = answers.objective(optimum, reference, BETA).mean()
            start = answers.expected_reward(answers.log_prob(reference)).mean()
            return float((best - answers.objective(log_prob, reference, BETA).mean()) / (best - start))

        def look() -> None:
            log_prob = answers.log_prob(policy_table(answers, learner.agent))
            found.distance.append(float(kl(log_prob, rest).mean()))
            found.worth.append(missing(log_prob))

        found.at_rest = missing(rest)
        look()
        for progress in learner.learn(Budget(SFT_STEPS + updates)):
            if (progress.step - SFT_STEPS) % (updates // points) == 0:
                look()
    return found
