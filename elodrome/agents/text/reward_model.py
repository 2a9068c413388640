"""A reward model: preferences in, a number for every answer out (notes 5.3.3); by itself it speaks the best of N.

The policy is what supervised fine-tuning leaves, and stays so. The networks read prompt and answer and are fitted to
pairs of the policy's answers.
"""

from __future__ import annotations

from typing import Any, cast

import numpy.typing as npt
import torch
from torch import Tensor, nn

from elodrome.agents.agent import Config, Task
from elodrome.agents.ops.preference import bradley_terry_loss
from elodrome.agents.parts.networks import descend, load_module, module_arrays
from elodrome.agents.text.pairs import PairLearner, agreement
from elodrome.agents.text.policy import build
from elodrome.agents.text.rewards import RewardAgent, RewardConfig, agreed, score
from elodrome.agents.text.transformer import Transformer
from elodrome.envs.game import World
from elodrome.seeding import derive

ABOUT = {
    "cls": "RewardModel",
    "chapter": "5",
    "summary": "a reward learned from preferences (Bradley-Terry), also as an ensemble; speaks the best of N by it",
    "needs": ("text",),
    "fallible": True,
}


class RewardModel(PairLearner):
    """Fits rewards to pairs, so that the preferred answer has the higher one."""

    KEEPS = (*PairLearner.KEEPS, "members", "fitters")
    config_class = RewardConfig
    config: RewardConfig
    default_steps = 800
    _held_out: tuple[Tensor, Tensor, Tensor] | None = None

    def __init__(self, task: Task, config: Config | None = None) -> None:
        super().__init__(task, config)
        self.members = nn.ModuleList(
            build(task.world, self.config, self.language, outputs=1).start(derive(task.seed, "member", k))
            for k in range(self.config.members)
        ).to(self.device)
        rate = self.config.rl_learning_rate
        self.fitters = [torch.optim.AdamW(member.parameters(), lr=rate, weight_decay=0.01) for member in self.members]

    def begin(self) -> None:
        super().begin()
        self._held_out = None
        if self.config.start == "sft":  # but for the head, which said words
            body = {name: tensor for name, tensor in self.network.state_dict().items() if not name.startswith("head")}
            for member in self.members:
                member.load_state_dict(body, strict=False)

    def improve(self, rate: float) -> dict[str, Tensor | float]:
        losses, agreements, norms = [], [], []
        for k, fitter in enumerate(self.fitters):
            # 1. Pairs (x, y_w, y_l) from the data, in an order of its own
            batch, shares = self.minibatch(f"pairs{k}")
            # 2. Rewards of both answers, and the likelihood of the preferences under them (5.4); what is the same for
            #    all answers to a prompt is drawn to zero (Eisenstein et al. 2023)
            rewards = self.score(k, batch.prompts, batch.answers).view(-1, 2)
            first, second = (self.config.certainty * rewards).unbind(dim=1)
            loss = bradley_terry_loss(first, second, shares)
            pull = self.config.centring * rewards.sum(dim=1).square().mean()
            # 3. One step down
            fitter.param_groups[0]["lr"] = rate
            norms.append(torch.as_tensor(descend(fitter, loss + pull, 1.0)))
            losses.append(loss.detach())
            agreements.append(agreement(rewards, shares))
        means = (torch.stack(values).mean() for values in (losses, agreements, norms))
        return dict(zip(("loss/reward", "agreement", "gradient_norm"), means, strict=True))

    def score(self, member: int, prompts: Tensor, answers: Tensor) -> Tensor:
        """A member's rewards [B]."""
        return score(cast(Transformer, self.members[member]), prompts, answers, self.language.end)

    @torch.no_grad()
    def examined(self) -> dict[str, Tensor | float]:
        """accuracy: how often the members together order a held-out pair as it is preferred, in expectation over the
        preferences; ceiling: how often that could be at best, by who knew the marks."""
        if self._held_out is None:
            batch, shares = self.asked_about("held out", self.config.held_out)
            self._held_out = batch.prompts, batch.answers, shares
        prompts, answers, shares = self._held_out
        first, second = agreed(self.members, self.config, prompts, answers, self.language.end).view(-1, 2).unbind(1)
        right = torch.where(first > second, shares, torch.where(first < second, 1 - shares, 0.5))
        return {"accuracy": right.mean(), "ceiling": torch.maximum(shares, 1 - shares).mean()}

    def weights(self) -> dict[str, npt.NDArray[Any]]:
        return {**super().weights(), **module_arrays(self.members, "members.")}

    @classmethod
    def restore(cls, world: World, config: Any, weights: dict[str, npt.NDArray[Any]]) -> RewardAgent:
        policy = super().restore(world, config, weights)
        members = nn.ModuleList(build(world, config, policy.language, outputs=1) for _ in range(config.members))
        load_module(members, weights, "members.")
        return RewardAgent(world, config, policy.language, policy.network, members)
