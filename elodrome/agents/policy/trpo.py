"""Trust region policy optimisation (notes 3.8.2, definition 3.4; Schulman et al. 2015)."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from elodrome.agents.agent import Budget, Progress, Task
from elodrome.agents.ops import policy_gradient as pg
from elodrome.agents.ops.trust_region import conjugate_gradient, largest_step
from elodrome.agents.parts.deep import annealed, require_finite
from elodrome.agents.parts.heads import Head
from elodrome.agents.parts.networks import adam, descend
from elodrome.agents.policy.learner import ActorCriticConfig, PolicyLearner

ABOUT = {
    "cls": "TRPO",
    "chapter": "3",
    "summary": "natural policy gradient within a trust region, with a line search",
    "actions": ("discrete", "continuous"),
}


class TRPOConfig(ActorCriticConfig):
    """delta: bound on the mean KL(pi_old || pi) of an update (3.71), in nats. cg_steps: of conjugate gradient. damping:
    added to the Fisher matrix. search: how often the step is halved until it keeps the bound and improves the
    surrogate. standardise: advantages of a batch to mean 0 and deviation 1. rate, value_epochs, minibatch: of the
    critic. The rest as ``ActorCriticConfig`` says."""

    delta: float = Field(0.01, gt=0.0)
    cg_steps: int = Field(10, ge=1)
    damping: float = Field(0.1, ge=0.0)
    search: int = Field(10, ge=1)
    standardise: bool = True
    value_epochs: int = Field(5, ge=1)
    minibatch: int = Field(256, ge=1)
    entropy: float = Field(0.0, ge=0.0)


class TRPO(PolicyLearner):
    """Learns a policy by steps of a bounded divergence, and its value by regression; a step is one decision."""

    KEEPS = (*PolicyLearner.KEEPS, "critic")
    config_class = TRPOConfig
    config: TRPOConfig

    def __init__(self, task: Task, config: TRPOConfig | None = None) -> None:
        super().__init__(task, config)
        self.env = self.seats(self.config.envs)
        self.critic = adam(self.net.critic, self.config.rate)

    def learn(self, budget: Budget) -> Iterator[Progress]:
        c = self.config
        while self.steps < budget.steps:
            if c.anneal:
                annealed(self.critic, c.rate, self.steps, budget.steps)
            experience = self.collected(c.horizon)
            batch = self.judged(experience, c.gae_lambda)
            metrics = experience.metrics | self.improve(batch)
            count, losses = len(batch["action"]), []
            for _ in range(c.value_epochs):
                for chosen in torch.split(self.tensor(self.rng.permutation(count)), c.minibatch):
                    loss = pg.value_loss(self.net.value(batch["observation"][chosen]), batch["target"][chosen])
                    descend(self.critic, loss, c.max_norm)
                    losses.append(loss.detach())
            self.steps += count
            metrics["loss/value"] = torch.stack(losses).mean().item()
            require_finite(self.steps, metrics)
            yield Progress(self.steps, metrics)

    def improve(self, batch: dict[str, Tensor]) -> dict[str, float]:
        """One step of the policy, as far as its divergence allows and the surrogate (3.70) improves; none where no step
        does both. The measurements."""
        c, actor = self.config, list(self.net.actor.parameters())
        advantage = pg.standardised(batch["advantage"]) if c.standardise else batch["advantage"]

        def policy() -> Head:
            return self.net.policy(batch["observation"], batch.get("legal"))

        def surrogate(new: Head) -> Tensor:
            ratio = pg.importance_ratio(new.log_prob(batch["action"]), log_prob)
            return (ratio * advantage).mean() + c.entropy * new.entropy().mean()

        def fisher(vector: Tensor) -> Tensor:
            """The Hessian of the mean divergence, which is the Fisher matrix, times a vector."""
            return _flat(torch.autograd.grad(slope @ vector, actor, retain_graph=True)) + c.damping * vector

        new = policy()
        old = new.detach()
        log_prob = old.log_prob(batch["action"])
        gradient = _flat(torch.autograd.grad(surrogate(new), actor, retain_graph=True))
        slope = _flat(torch.autograd.grad(new.kl_from(old).mean(), actor, create_graph=True))
        direction = conjugate_gradient(fisher, gradient, c.cg_steps)
        step = largest_step(direction, fisher(direction), c.delta)
        names = ("loss/policy", "kl", "entropy")
        with torch.no_grad():
            start, before = parameters_to_vector(actor), surrogate(old)
            for halvings in range(c.search):
                vector_to_parameters(start + 0.5**halvings * step, actor)
                tried = policy()
                measured = [before - surrogate(tried), tried.kl_from(old).mean(), tried.entropy().mean()]
                metrics = dict(zip(names, torch.stack(measured).tolist(), strict=True))
                if metrics["loss/policy"] < 0 and metrics["kl"] <= c.delta:
                    return metrics
            vector_to_parameters(start, actor)
            return {"loss/policy": 0.0, "kl": 0.0, "entropy": old.entropy().mean().item()}


def _flat(gradients: tuple[Tensor, ...]) -> Tensor:
    return torch.cat([gradient.reshape(-1) for gradient in gradients])
