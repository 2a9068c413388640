"""Networks of action values: plain, dueling (notes 2.6.6.2), noisy and distributional (2.6.6.3), in any combination;
the loss of each, and the agent that plays them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from elodrome.agents.agent import Agent, Evaluation, Ints, Positions
from elodrome.agents.ops import dqn as ops
from elodrome.agents.parts.heads import greedy_legal, probabilities
from elodrome.agents.parts.networks import Arrays, Torso, frozen, linear, load_module, make_torso, seeded
from elodrome.agents.parts.saved import expect
from elodrome.agents.parts.vector import Flags
from elodrome.agents.value.config import DQNConfig
from elodrome.envs.game import Reals, World


class NoisyLinear(nn.Module):
    """A layer whose weights are perturbed by learned amounts of factorised noise (Fortunato et al. 2018), the same for
    a whole batch or other for each row; in evaluation mode, and as long as no noise was drawn, a plain one."""

    def __init__(self, inputs: int, outputs: int, sigma: float) -> None:
        super().__init__()
        mean = nn.Linear(inputs, outputs)  # uniform in +- 1 / sqrt(inputs), as the paper has it
        self.weight, self.bias = mean.weight, mean.bias
        self.weight_sigma = nn.Parameter(torch.full((outputs, inputs), sigma * inputs**-0.5))
        self.bias_sigma = nn.Parameter(torch.full((outputs,), sigma * inputs**-0.5))
        self.register_buffer("ahead", torch.zeros(1, inputs), persistent=False)
        self.register_buffer("behind", torch.zeros(1, outputs), persistent=False)
        self.ahead: Tensor
        self.behind: Tensor

    def renew(self, rng: np.random.Generator, rows: int = 1) -> None:
        """Draw fresh noise, one for all rows of a batch or one for each of ``rows``: batches may then have fewer."""
        (outputs, inputs), device = self.weight_sigma.shape, self.ahead.device
        for name, size in (("ahead", inputs), ("behind", outputs)):
            normal = torch.from_numpy(rng.standard_normal((rows, size), np.float32)).to(device)
            setattr(self, name, ops.factored_noise(normal))

    def forward(self, inputs: Tensor) -> Tensor:
        mean = nn.functional.linear(inputs, self.weight, self.bias)
        if not self.training:
            return mean
        rows = len(inputs)
        ahead, behind = (
            each if len(each) <= rows else each.narrow_copy(0, 0, rows) for each in (self.ahead, self.behind)
        )
        # The noise is an outer product, so that no row needs weights of its own.
        return mean + behind * nn.functional.linear(inputs * ahead, self.weight_sigma, self.bias_sigma)


class QNet(nn.Module):
    """Action values [B, A] out of a torso and one layer behind it. duel: two layers, for a value and advantages
    (eq. 2.68). sigma: above 0 these layers are noisy. atoms: above 1 each value is the mean of a distribution over so
    many returns, the atoms."""

    def __init__(
        self,
        world: World,
        hidden: Sequence[int],
        channels: int = 32,
        torso: Torso = "auto",
        duel: bool = False,
        sigma: float = 0.0,
        atoms: int = 1,
    ) -> None:
        super().__init__()

        def layer(outputs: int) -> nn.Module:
            return NoisyLinear(features, outputs, sigma) if sigma else linear(features, outputs, 0.1)

        self.torso, features = make_torso(world.observation_shape, hidden, channels, torso, world.pixels)
        self.values = layer(atoms) if duel else None
        self.advantages = layer(world.actions * atoms)
        self.noisy = [layer for layer in (self.values, self.advantages) if isinstance(layer, NoisyLinear)]
        self.actions = world.actions
        self.plain = atoms == 1 and not duel  # a layer that gives the values as they are
        if atoms > 1:
            self.register_buffer("atoms", torch.linspace(-1.0, 1.0, atoms))
            self.atoms: Tensor

    def logits(self, observations: Tensor) -> Tensor:
        """Of the distributions of returns [B, A, Z]."""
        features = self.torso(observations)
        advantages: Tensor = self.advantages(features).view(len(features), self.actions, -1)
        return advantages if self.values is None else ops.dueling(self.values(features)[:, None], advantages)

    def forward(self, observations: Tensor) -> Tensor:
        if self.plain:
            return self.advantages.forward(self.torso.forward(observations))
        logits = self.logits(observations)
        if logits.shape[-1] == 1:
            return logits.squeeze(-1)
        return torch.softmax(logits, -1) @ self.atoms

    def spread(self, low: float, high: float) -> None:
        """Set the atoms, evenly from ``low`` to ``high``."""
        self.atoms.copy_(torch.linspace(low, high, len(self.atoms)))

    def renew(self, rng: np.random.Generator, rows: int = 1) -> None:
        """Draw fresh noise for the layers that have it, see ``NoisyLinear``."""
        for layer in self.noisy:
            layer.renew(rng, rows)


def make_net(world: World, config: DQNConfig) -> QNet:
    """The network that the settings ask for."""
    c = config
    return QNet(world, c.hidden, c.channels, c.torso, c.dueling, c.noisy, c.atoms)


class GreedyQ(Agent):
    """A frozen Q-network, played greedily. Value: max Q in the world's own units."""

    config: DQNConfig

    def __init__(self, world: World, config: DQNConfig, weights: Arrays) -> None:
        super().__init__(world, config)
        net = seeded(0, make_net, world, config)
        load_module(net, weights)
        self._net: Any = frozen(net)
        self._scale = float(expect(weights, "scale", ())[()])

    def _q(self, positions: Positions) -> Any:
        return self._net(torch.from_numpy(positions.observations.astype(np.float64))).numpy()

    def act(self, positions: Positions) -> Ints:
        return greedy_legal(self._q(positions), positions.legal)

    def evaluate(self, positions: Positions) -> Evaluation:
        q = self._q(positions)
        value = np.where(positions.legal > 0, q, -np.inf).max(axis=1) * self._scale
        return Evaluation(probabilities(q / self.config.temperature, positions.legal), value)


def reach(world: World, rewards: Reals, ends: Flags, discount: float) -> tuple[float, float]:
    """The least and greatest value of an optimal policy to expect, ``rewards`` [N] being those of random play and
    ``ends`` [N] whether the episode was then over: the best of them all the time, as long as the discount or the limit
    of steps lets it count, but what ends an episode once; or the worst of them once and then what random play brings on
    its way, for no optimal policy is worse than that. Not beyond the world's own range.

    (The worst all the time would be lower, but then cliffs, say, would push the atoms so far apart that single steps
    are lost between two of them; and so would a goal that pays 1 at the end, were it counted all the time.)"""
    horizon = 1 / max(1 - discount, 1 / world.max_steps)
    low, high = world.return_range
    worst, on_the_way = float(rewards.min()), rewards[~ends] if not ends.all() else np.zeros(1)
    steady, final = float(on_the_way.max()), float(rewards[ends].max(initial=-np.inf))
    low = max(low, worst * horizon, worst + min(float(on_the_way.mean()), 0.0) * horizon)
    high = min(high, max(final, steady * (horizon - 1) + max(final, steady)))
    return min(low, -1e-3 * max(high, 1.0)), max(high, 1e-3 * max(-low, 1.0))  # either side of 0, however near


def scalar_loss(
    net: QNet, target: QNet, batch: Mapping[str, Tensor], double: bool, delta: float | None
) -> tuple[Tensor, Tensor, Tensor]:
    """How far Q lies from its target (2.63), or from that of Double DQN (2.67): loss [B], priorities |error| [B]
    and Q(s, a) [B]. Beyond ``delta`` the loss is linear. "next_legal" is absent where all actions are."""
    reward, discount, legal_next = batch["reward"], batch["discount"], batch.get("next_legal")
    with torch.no_grad():
        q_next = target(batch["next_observation"])
        if double:
            wanted = ops.double_q_target(reward, discount, q_next, net(batch["next_observation"]), legal_next)
        else:
            wanted = ops.q_target(reward, discount, q_next, legal_next)
    q = net(batch["observation"]).gather(1, batch["action"][:, None]).squeeze(1)
    error = q - wanted
    return ops.huber(error, delta) if delta else error.square(), error.detach().abs(), q.detach()


def categorical_loss(
    net: QNet, target: QNet, batch: Mapping[str, Tensor], double: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """How far the distribution of the return lies from that of ``r + gamma Z(s', a*)`` (Bellemare et al. 2017): loss
    [B], priorities (the same numbers) and Q(s, a) [B]."""
    rows = torch.arange(len(batch["action"]), device=batch["action"].device)
    with torch.no_grad():
        logits = target.logits(batch["next_observation"])
        q_next = net(batch["next_observation"]) if double else torch.softmax(logits, -1) @ target.atoms
        best = ops.greedy(q_next, batch.get("next_legal"))
        probs = torch.softmax(logits[rows, best], -1)
        wanted = ops.categorical_projection(target.atoms, probs, batch["reward"], batch["discount"])
    log_probs = torch.log_softmax(net.logits(batch["observation"])[rows, batch["action"]], -1)
    loss = ops.categorical_divergence(wanted, log_probs)
    return loss, loss.detach(), (log_probs.detach().exp() @ net.atoms)
