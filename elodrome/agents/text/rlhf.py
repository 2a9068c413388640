"""RLHF with PPO (notes 5.3.4, algorithm 13): a critic, GAE over tokens, and the KL to the reference in the reward."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from elodrome.agents.agent import Config, Task
from elodrome.agents.ops import kl
from elodrome.agents.ops.grpo import clipped_share
from elodrome.agents.ops.policy_gradient import clipped_surrogate, standardised
from elodrome.agents.ops.returns import gae
from elodrome.agents.parts.networks import descend
from elodrome.agents.text.online import OnlineConfig, OnlineLearner
from elodrome.agents.text.policy import build
from elodrome.agents.text.transformer import answer_logits
from elodrome.agents.text.tuned import Batch

ABOUT = {
    "cls": "RLHF",
    "chapter": "5",
    "summary": "a small transformer: supervised fine-tuning, then PPO with a critic and the KL in the reward",
    "needs": ("text",),
    "fallible": True,
}


class RLHFConfig(OnlineConfig):
    """kl_coefficient: beta of (5.5), of k1 at every token. clip: of the ratio (3.72). gae_lambda: of (3.59); discount
    is 1. value_rate: of the critic (AdamW); value_epochs: passes of it over an update's answers. standardise:
    advantages have mean 0 and deviation 1 in an update."""

    group: int = Field(2, ge=2)
    kl_coefficient: float = Field(0.01, ge=0.0)
    clip: float = Field(0.2, gt=0.0, lt=1.0)
    gae_lambda: float = Field(0.95, ge=0.0, le=1.0)
    value_rate: float = Field(1e-3, gt=0.0)
    value_epochs: int = Field(2, ge=1)
    standardise: bool = True


class RLHF(OnlineLearner):
    """PPO token by token, on marks less the KL."""

    KEEPS = (*OnlineLearner.KEEPS, "critic", "critic_optimiser")
    config_class = RLHFConfig
    config: RLHFConfig

    def __init__(self, task: Task, config: Config | None = None) -> None:
        super().__init__(task, config)
        self.critic = build(task.world, self.config, self.language, outputs=1).start(task.seed).to(self.device)
        self.critic_optimiser = torch.optim.AdamW(self.critic.parameters(), lr=self.config.value_rate)

    def learn_from(self, batch: Batch, rate: float) -> dict[str, Tensor | float]:
        config, spoken = self.config, batch.spoken
        # 1. Rewards of every token: -beta k1, and the mark at the last one (lines 5 to 7 of algorithm 13)
        last = spoken - torch.cat([spoken[:, 1:], torch.zeros_like(spoken[:, :1])], dim=1)
        rewards = last * self.rewards(batch)[:, None] - config.kl_coefficient * kl.k1(batch.old, batch.ref)
        # 2. Advantages by GAE (line 8), time first
        with torch.no_grad():
            values = self.values(batch)
        following = torch.cat([values[:, 1:], torch.zeros_like(values[:, :1])], dim=1)
        goes_on = spoken - last
        advantages = gae(rewards.T, goes_on.T, values.T, following.T, goes_on.T, config.gae_lambda).T
        targets = advantages + values
        if config.standardise:
            said = spoken > 0
            advantages = torch.zeros_like(advantages).masked_scatter(said, standardised(advantages[said]))
        # 3. PPO-Clip on the policy (line 9)
        for rows in self.minibatches(len(rewards)):
            part = batch.rows(rows)
            log_prob = self.log_prob(self.network, part)
            ratio = torch.exp(log_prob - part.old)
            surrogate = clipped_surrogate(ratio, advantages[rows], config.clip)
            loss = -(surrogate * part.spoken).sum(dim=1).mean()
            norm = self.descend(loss, rate)
        # 4. The critic towards the targets (line 10)
        for _ in range(config.value_epochs):
            error = ((self.values(batch) - targets).square() * spoken).sum() / spoken.sum()
            descend(self.critic_optimiser, error, 1.0)
        with torch.no_grad():
            clipped = clipped_share(log_prob, part.old, advantages[rows], part.spoken, clip=config.clip)
        return {"loss/ppo": loss.detach(), "loss/value": error.detach(), "clipped": clipped, "gradient_norm": norm}

    def values(self, batch: Batch) -> Tensor:
        """V of the state in which each token was spoken [B, L], 0 behind the end."""
        return answer_logits(self.critic, batch.prompts, batch.answers).squeeze(-1) * batch.spoken
