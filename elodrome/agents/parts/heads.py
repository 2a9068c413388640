"""How outputs of a network become actions: the distributions that agents draw from and learners differentiate.

Acting is on the host in NumPy, in double precision, from quantiles that are given: what is drawn depends on the seed
alone. Learning is on the device in torch.

Actions that are real numbers are learned in units in which the world's bounds are -1 and 1; ``onto`` takes them there.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from elodrome.agents.agent import Ints, Positions
from elodrome.agents.ops import gaussian
from elodrome.agents.ops import policy_gradient as pg
from elodrome.envs.actions import Actions, box
from elodrome.envs.game import Mask, Reals, World
from elodrome.seeding import mix64, units

Outputs = npt.NDArray[Any]  # of a network, on the host


class Head(ABC):
    """A distribution over the actions of each of B decisions."""

    @classmethod
    @abstractmethod
    def of(cls, outputs: Tensor, legal: Tensor | None) -> Self:
        """From a network's outputs [B, ...] and a bool mask [B, A]; None: all are legal."""

    @abstractmethod
    def log_prob(self, actions: Tensor) -> Tensor:
        """log pi(a | s) [B] of the actions [B, ...], of real numbers a density."""

    @abstractmethod
    def entropy(self) -> Tensor:
        """H(pi(. | s)) [B] in nats."""

    @abstractmethod
    def kl_from(self, old: Self) -> Tensor:
        """KL(old || self) [B] in nats."""

    @abstractmethod
    def score_square(self, actions: Tensor) -> Tensor:
        """|grad log pi(a | s)|^2 [B] with respect to the outputs, a weight in the baseline of least variance (3.34)."""

    @abstractmethod
    def detach(self) -> Self:
        """The same, without a gradient."""

    @abstractmethod
    def at(self, rows: Tensor) -> Self:
        """That of some of the decisions."""

    @staticmethod
    @abstractmethod
    def draw(outputs: Outputs, legal: Mask, quantiles: Reals) -> Actions:
        """The action at each row's quantile, on the host."""

    @staticmethod
    @abstractmethod
    def mode(outputs: Outputs, legal: Mask) -> Actions:
        """The most probable actions, on the host."""


@dataclass(frozen=True)
class Categorical(Head):
    """A distribution over the legal actions of each of B decisions: log-probabilities [B, A]."""

    log_probs: Tensor

    @classmethod
    def of(cls, logits: Tensor, legal: Tensor | None) -> Self:
        """From logits [B, A]: illegal actions have probability 0."""
        return cls(pg.masked_log_probs(logits, legal))

    def log_prob(self, actions: Tensor) -> Tensor:
        """log pi(a | s) [B] of the actions int64 [B]."""
        return pg.taken(self.log_probs, actions)

    def entropy(self) -> Tensor:
        return pg.entropy(self.log_probs)

    def kl_from(self, old: Self) -> Tensor:
        return pg.categorical_kl(old.log_probs, self.log_probs)

    def score_square(self, actions: Tensor) -> Tensor:
        """|grad log pi(a | s)|^2 [B] with respect to the logits."""
        return pg.score_square(self.log_probs, actions)

    def detach(self) -> Self:
        return type(self)(self.log_probs.detach())

    def at(self, rows: Tensor) -> Self:
        return type(self)(self.log_probs[rows])

    @staticmethod
    def draw(logits: Outputs, legal: Mask, quantiles: Reals) -> Ints:
        """The action [B] at each row's quantile [B]."""
        return pick(probabilities(logits, legal), quantiles)

    @staticmethod
    def mode(logits: Outputs, legal: Mask) -> Ints:
        """The most probable action [B]."""
        return greedy_legal(logits, legal)


@dataclass(frozen=True)
class Gaussian(Head):
    """Independent normal distributions of the D entries of each of B actions: means and logarithms of standard
    deviations [B, D], in units of the bounds. What falls outside is cut off as it is played, and counts as drawn."""

    mean: Tensor
    log_std: Tensor

    @classmethod
    def of(cls, outputs: Tensor, legal: Tensor | None) -> Self:
        """From outputs [B, 2 D], means first; there is no mask."""
        return cls(*outputs.chunk(2, dim=-1))

    def log_prob(self, actions: Tensor) -> Tensor:
        """log pi(a | s) [B], a density, of the actions [B, *action_shape]."""
        return gaussian.log_density(self.mean, self.log_std, actions.flatten(1)).sum(-1)

    def entropy(self) -> Tensor:
        return gaussian.entropy(self.log_std).sum(-1)

    def kl_from(self, old: Self) -> Tensor:
        return gaussian.kl(old.mean, old.log_std, self.mean, self.log_std).sum(-1)

    def score_square(self, actions: Tensor) -> Tensor:
        """|grad log pi(a | s)|^2 [B] with respect to the outputs."""
        return gaussian.score_square(self.mean, self.log_std, actions.flatten(1)).sum(-1)

    def detach(self) -> Self:
        return type(self)(self.mean.detach(), self.log_std.detach())

    def at(self, rows: Tensor) -> Self:
        return type(self)(self.mean[rows], self.log_std[rows])

    @staticmethod
    def draw(outputs: Outputs, legal: Mask, quantiles: Reals) -> Reals:
        """The action at each row's quantiles, [B, *action_shape] as these are."""
        mean, log_std = np.split(outputs.astype(np.float64), 2, axis=1)
        noise = normal_at(quantiles.reshape(mean.shape))
        return (mean + np.exp(log_std) * noise).reshape(quantiles.shape)

    @staticmethod
    def mode(outputs: Outputs, legal: Mask) -> Reals:
        """The means [B, D]."""
        return np.split(outputs.astype(np.float64), 2, axis=1)[0]


@dataclass(frozen=True)
class SquashedGaussian:
    """tanh of a normal variable in each of the D entries of B actions (Haarnoja et al. 2018, appendix C): means and
    logarithms of standard deviations [B, D] of the variable before."""

    mean: Tensor
    log_std: Tensor

    LEAST, MOST = -5.0, 2.0  # of log_std

    @classmethod
    def of(cls, outputs: Tensor) -> SquashedGaussian:
        """From outputs [B, 2 D], means first; the second half is squashed between its bounds."""
        mean, raw = outputs.chunk(2, dim=-1)
        return cls(mean, cls.LEAST + 0.5 * (cls.MOST - cls.LEAST) * (torch.tanh(raw) + 1))

    def sample(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Actions [B, D] in (-1, 1) from standard normal noise [B, D], and their log-densities [B]; both carry the
        gradient (the reparameterisation)."""
        before = self.mean + self.log_std.exp() * noise
        density = gaussian.log_density(self.mean, self.log_std, before) - gaussian.log_slope_of_tanh(before)
        return torch.tanh(before), density.sum(-1)


def head_of(world: World) -> type[Head]:
    """How a policy over the actions of this world is kept."""
    return Gaussian if world.continuous else Categorical


def onto(world: World, actions: npt.NDArray[Any]) -> Actions:
    """Actions [B, ...] as the world takes them: numbers as they are; real ones from units of the bounds, cut off
    there."""
    if not world.continuous:
        return actions
    low, high = box(world)
    share = (np.clip(actions, -1.0, 1.0).reshape(-1, *world.action_shape) + 1) / 2
    return np.clip((low + share * (high.astype(np.float64) - low)).astype(np.float32), low, high)


def normal_at(quantiles: Reals) -> Reals:
    """The standard normal variable at quantiles in [0, 1)."""
    inside = np.clip(quantiles, 2.0**-54, 1 - 2.0**-53)
    normal: Reals = torch.special.ndtri(torch.from_numpy(inside)).numpy()
    return normal


def probabilities(logits: npt.NDArray[Any], legal: Mask) -> Reals:
    """Softmax [B, A] over the legal actions; rows without any are uniform over all."""
    masked: Reals = np.where(legal > 0, logits, -1e9).astype(np.float64)
    weights: Reals = np.exp(masked - masked.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def pick(probs: Reals, quantiles: Reals) -> Ints:
    """The action [B] at each row's quantile in [0, 1): actions of probability 0 are never picked."""
    sums = probs.cumsum(axis=1)
    total = sums[:, -1]
    at = np.minimum(quantiles * total, np.nextafter(total, 0.0))
    return (sums <= at[:, None]).sum(axis=1)


def greedy_legal(values: npt.NDArray[Any], legal: Mask) -> Ints:
    """The legal action of the greatest value [B], the first of equals: the mode, where the values are logits."""
    return np.where(legal > 0, values, -np.inf).argmax(axis=1)


def quantiles_of(positions: Positions) -> Reals:
    """Numbers in [0, 1) [B, *action_shape] (one per position where actions are numbered), from its seed alone."""
    shape = positions.world.action_shape
    words: Any = positions.seeds
    if shape:
        words = (words[:, None] + np.arange(math.prod(shape), dtype=np.uint64)).reshape(len(words), *shape)
    return units(mix64(words))
