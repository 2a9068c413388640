"""REINFORCE, its baselines, and steps away from the policy that played (notes 3.3, 3.4 and 3.7, algorithm 7; Williams
1992).

The gradient of one episode is ``sum_t grad log pi(a_t | s_t) (G_t - b(s_t))`` (3.25, 3.32), and that of an update its
mean over whole episodes: without bias where the discount is 1 and ``standardise`` and ``entropy`` are off. (Below 1 the
notes, like everybody, leave out the ``gamma^t`` in front that the gradient of the discounted J would ask for.)

Where episodes are used again (``passes``), the policy is no longer the one that played them. Importance weights of
whole episodes (3.64) keep the estimate without bias, at the price of their variance; those of single decisions (3.66)
leave out how much more often the new policy comes to a state (3.67), and that it goes on otherwise from there. Where
the world can be enumerated, the former is known: (3.67) has no bias then, and less variance than whole episodes, since
the ratio of how often states are met is the mean of the weights of all that led there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from elodrome.agents.agent import Budget, Ints, Progress, Task
from elodrome.agents.ops import policy_gradient as pg
from elodrome.agents.ops.returns import discounted_returns
from elodrome.agents.parts.collecting import Experience
from elodrome.agents.parts.deep import annealed, require_finite
from elodrome.agents.parts.heads import probabilities
from elodrome.agents.parts.networks import adam, descend
from elodrome.agents.policy.learner import PolicyConfig, PolicyLearner
from elodrome.agents.policy.visits import Visits, from_here_on
from elodrome.envs.game import Reals

ABOUT = {
    "cls": "Reinforce",
    "chapter": "3",
    "summary": "Monte Carlo policy gradient; baseline none, constant, value or optimal",
    "actions": ("discrete", "continuous"),
    "presets": {"off_policy_pg": {"passes": 4, "weights": "decision"}},
}


class ReinforceConfig(PolicyConfig):
    """episodes: whole episodes per update; decisions: as many more rounds of them until they have so many.
    baseline: what is subtracted from G_t: nothing; a constant, the mean return of the other episodes; V(s) (3.33),
    fitted by ``value_epochs`` gradient steps per batch; or the b(s) of least variance (3.34), fitted likewise.
    standardise: divide advantages by their standard deviation (a bias that vanishes with the batch). passes:
    gradient steps on the same episodes; weights: of importance, from the second on: of the decision (3.66), of its
    whole episode (3.64), or of its state and all decisions from it on (3.67): then the gradient is that of the
    discounted J itself. The rest as ``PolicyConfig`` says."""

    episodes: int = Field(64, ge=1)
    decisions: int = Field(1, ge=1)
    baseline: Literal["none", "constant", "value", "optimal"] = "value"
    value_epochs: int = Field(4, ge=1)
    standardise: bool = True
    passes: int = Field(1, ge=1)
    weights: Literal["none", "decision", "episode", "state"] = "decision"
    entropy: float = Field(0.1, ge=0.0)


class Reinforce(PolicyLearner):
    """Learns a policy from returns of whole episodes; a step is one decision of the learner."""

    KEEPS = (*PolicyLearner.KEEPS, "actor", "critic")
    config_class = ReinforceConfig
    config: ReinforceConfig

    def __init__(self, task: Task, config: ReinforceConfig | None = None) -> None:
        super().__init__(task, config)
        self.env = self.seats(self.config.episodes, restart=False)
        self.actor, self.critic = adam(self.net.actor, self.config.rate), adam(self.net.critic, self.config.rate)
        self.played = self.config.episodes  # episodes of a batch
        self.visits = Visits(self.world, self.discount) if self.config.weights == "state" else None

    @property
    def learns_baseline(self) -> bool:
        """Whether the critic is the baseline."""
        return self.config.baseline in ("value", "optimal")

    def learn(self, budget: Budget) -> Iterator[Progress]:
        c = self.config
        while self.steps < budget.steps:
            if c.anneal:
                annealed(self.actor, c.rate, self.steps, budget.steps)
            rounds: list[dict[str, Tensor]] = []
            while sum(len(part["action"]) for part in rounds) < c.decisions:
                experience = self.collected()
                part = self.batch(experience)
                part["episode"] += len(rounds) * c.episodes
                rounds.append(part)
            batch = {name: torch.cat([part[name] for part in rounds]) for name in rounds[0]}
            self.played = len(rounds) * c.episodes
            for _ in range(c.passes):
                policy_loss, entropy = self.policy_loss(batch)
                descend(self.actor, policy_loss - c.entropy * entropy, c.max_norm)
            measured = {"loss/policy": policy_loss, "entropy": entropy}
            for _ in range(c.value_epochs if self.learns_baseline else 0):
                measured["loss/value"] = self._baseline_loss(batch)
                descend(self.critic, measured["loss/value"], c.max_norm)
            self.steps += len(batch["action"])
            numbers = torch.stack(list(measured.values())).tolist()
            metrics = experience.metrics | dict(zip(measured, numbers, strict=True))
            require_finite(self.steps, metrics)
            yield Progress(self.steps, metrics)

    def batch(self, experience: Experience) -> dict[str, Tensor]:
        """All N decisions of an episode in each game, with their returns and what is subtracted from these. What
        truncation cut off counts as the critic expects it, as 0 where there is none."""
        live = experience.live
        rest = np.zeros(live.shape)
        if self.learns_baseline and len(experience.final):
            rest[experience.truncated] = self.values(self.tensor(experience.final))
        scaled = experience.reward / self.scale.update(experience.reward[live])
        discount = self.discount * ~experience.terminated
        returns, episode = discounted_returns(scaled, discount, rest, experience.continues)[live], np.nonzero(live)[1]
        baseline = np.zeros(len(returns))
        if self.config.baseline == "constant":
            baseline = mean_of_others(returns, episode)
        arrays = {
            "observation": experience.observation[:-1][live],
            "legal": experience.legal[live],
            "action": experience.action[live],
            "return": returns,
            "baseline": baseline,
            "episode": episode,
        }
        if self.visits:
            state = self.visits.find(arrays["observation"], arrays["legal"])
            arrays |= {"state": state, "met": self.visits.met(self.everywhere(self.visits))[state]}
        batch = {name: self.tensor(array) for name, array in arrays.items()}
        with torch.no_grad():
            played = self.net.policy(batch["observation"], batch["legal"])
            batch["log_prob"] = played.log_prob(batch["action"])
            if self.learns_baseline:
                batch["baseline"] = self.net.value(batch["observation"])
        return batch

    def everywhere(self, visits: Visits) -> Reals:
        """The policy [I, A] in all states."""
        with torch.no_grad():
            return probabilities(self.net.outputs(self.tensor(visits.observations)).cpu().numpy(), visits.legal)

    def policy_loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """What has minus (3.32) as its gradient, and the entropy of an episode; means over episodes."""
        advantage = batch["return"] - batch["baseline"]
        if self.config.standardise:
            advantage = pg.standardised(advantage)
        policy = self.net.policy(batch["observation"], batch["legal"])
        log_prob = policy.log_prob(batch["action"])
        weight = self._importance(log_prob.detach() - batch["log_prob"], batch)
        length = len(advantage) / self.played
        loss = pg.policy_gradient_loss(log_prob, weight * advantage)
        return loss * length, policy.entropy().mean() * length

    def _importance(self, log_ratio: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """How much likelier the policy makes each decision [N], or its whole episode, or its state and what follows,
        than the one that played."""
        if self.config.weights == "none":
            return torch.ones_like(log_ratio)
        if self.config.weights == "decision":
            return log_ratio.exp()
        whole = torch.zeros(self.played, device=log_ratio.device).index_add(0, batch["episode"], log_ratio)
        if not self.visits:
            return whole[batch["episode"]].exp()
        wanted = self.tensor(self.visits.wanted(self.everywhere(self.visits)))
        return wanted[batch["state"]] / batch["met"] * from_here_on(log_ratio, batch["episode"], whole).exp()

    def _baseline_loss(self, batch: dict[str, Tensor]) -> Tensor:
        """What is least where the critic is V(s) or, where asked for, b*(s): returns weighed by how far each moves the
        policy."""
        weight = torch.ones_like(batch["return"])
        if self.config.baseline == "optimal":
            with torch.no_grad():
                policy = self.net.policy(batch["observation"], batch["legal"])
            weight = policy.score_square(batch["action"])
        return pg.value_loss(self.net.value(batch["observation"]), batch["return"], weight)


def mean_of_others(returns: Reals, episode: Ints) -> Reals:
    """For each decision [N] the mean return of the decisions of all other episodes, 0 where there are none: with that
    as baseline the estimate stays without bias, as it would not with the mean over all."""
    sums, counts = np.bincount(episode, returns), np.bincount(episode)
    others: Reals = (sums.sum() - sums) / np.maximum(counts.sum() - counts, 1)
    return others[episode]
