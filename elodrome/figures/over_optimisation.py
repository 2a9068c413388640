"""Over-optimisation: what a learned reward says goes up, what is meant goes down (notes 5.3.4.1; Gao et al. 2023).

A token world with a table of rewards. A reward model is fitted to few noisy pairs of a fine-tuned policy's answers, and
GRPO follows it: alone, held near that policy by the KL, and on an ensemble's mean less its deviation. All answers are
known, so what the policy earns by either reward, and how far it went, are exact.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from elodrome.agents.agent import Budget, Task
from elodrome.agents.parts.threads import single_threaded
from elodrome.agents.text.grpo import GRPO, GRPOConfig
from elodrome.agents.text.reward_model import RewardModel
from elodrome.agents.text.rewards import RewardConfig, agreed
from elodrome.envs.game import Reals
from elodrome.figures._answers import Everything
from elodrome.figures.figure import Curve, Figure, Tick, game
from elodrome.seeding import derive

WORLD = "token_mdp:vocabulary=4,prompts=8,horizon=4"
SIZES: dict[str, Any] = {"width": 32, "layers": 1, "heads": 2}
FITTED: dict[str, Any] = {
    **{"sft_steps": 300, "batch": 128, "best_of": 16, "learning_rate": 5e-3},
    **{"pairs": 200, "certainty": 4.0, "prompts": 32, "rl_learning_rate": 3e-3},
    **{"members": 4, "caution": 2.0, "centring": 0.1},
}
FITS = 250  # updates of the reward models
LEARNED: dict[str, Any] = {
    **{"sft_steps": 0, "prompts": 32, "group": 8, "rl_learning_rate": 1e-3},
    **{"advantage": "centred", "kl": "k2", "kl_of": "answer"},
}
LEASH = 0.2
RUNS: dict[str, tuple[bool, float]] = {  # whether all members are asked, and lambda_KL of (5.23)
    "one model": (False, 0.0),
    f"one model, KL coefficient {LEASH}": (False, LEASH),
    f"{FITTED['members']} models, less {FITTED['caution']:g} deviations": (True, 0.0),
}


def compute(quick: bool, seed: int, tick: Tick) -> Figure:
    """12 worlds, 300 updates (quick: 1, 150)."""
    worlds, updates = (1, 150) if quick else (12, 300)
    found = np.zeros((len(RUNS), worlds, updates // 10 + 1, 3))
    for k in range(worlds):
        task = Task(game(f"{WORLD},seed={derive(seed, 'world', k) % 10**6}"), seed)
        model = fitted(task)
        for number, (together, leash) in enumerate(RUNS.values()):
            found[number, k] = over_optimised(task, model, together, leash, updates)
            tick(k * len(RUNS) + number + 1, worlds * len(RUNS))
    gains = found[..., 1:] - found[:, :, :1, 1:]
    proxies, golds = (
        [Curve.of(label, found[n, ..., 0].mean(axis=0), gains[n, ..., which]) for n, label in enumerate(RUNS)]
        for which in (0, 1)
    )
    remarks = []
    for proxy, gold in zip(proxies, golds, strict=True):
        best = int(gold.mean.argmax())
        remarks.append(
            f"{gold.label}: by the world {gold.mean[best]:+.3f} at best, KL {gold.x[best]:.2f}, and "
            f"{gold.mean[-1]:+.3f} +- {gold.error[-1]:.3f} at the end, KL {gold.x[-1]:.2f}; "
            f"by the model {proxy.mean[best]:+.3f} and {proxy.mean[-1]:+.3f} +- {proxy.error[-1]:.3f}"
        )
    x, y = "KL(π || π_ref) in nats, exactly", "gain over the reference, exactly"
    beside = Figure("... and by the world's marks", x, y, golds)
    title = f"GRPO on learned rewards, {worlds} token worlds: by the model"
    return Figure(title, x, y, proxies, remarks=remarks, beside=beside)


def fitted(task: Task) -> RewardModel:
    """The reward models of a world, all of them."""
    config = RewardConfig(**SIZES, **FITTED)
    model = RewardModel(task, config)
    with single_threaded():
        list(model.learn(Budget(config.sft_steps + FITS)))
    return model


def over_optimised(task: Task, model: RewardModel, together: bool, leash: float, updates: int) -> Reals:
    """GRPO on all the models together or the first alone, from the policy that they were fitted on: KL to it, and the
    expected reward by the model and by the world, before the first update and after every tenth
    [1 + updates / 10, 3]."""
    everything = Everything.of(game(task.world.id))
    learner = GRPO(task, GRPOConfig(**SIZES, **LEARNED, kl_coefficient=leash))
    learner.network.load_state_dict(model.network.state_dict())

    @torch.no_grad()
    def reward(prompts: torch.Tensor, answers: torch.Tensor) -> torch.Tensor:
        if together:
            return agreed(model.members, model.config, prompts, answers, everything.end)
        return model.score(0, prompts, answers)

    def measured() -> tuple[float, float, float]:
        log_prob = everything.log_prob(learner.network)
        by_model = float((np.exp(log_prob) * proxy).sum(axis=1).mean())
        return everything.kl(log_prob, reference), by_model, float(everything.exact.expected_reward(log_prob).mean())

    learner.reward = reward
    with single_threaded():
        proxy = everything.table(reward(everything.prompts, everything.answers))
        reference = everything.log_prob(model.network)
        return np.array([measured(), *(measured() for _ in learner.learn(Budget(updates)))])
