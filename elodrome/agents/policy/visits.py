"""How often policies come to each state: the correction (3.67) of what another policy has played, where all states can
be enumerated (notes 3.7.4)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from elodrome.agents.agent import Ints
from elodrome.agents.parts.exact import Decisions
from elodrome.envs.game import Floats, Mask, Reals, World
from elodrome.envs.index import RowIndex
from elodrome.envs.information import InformationStates, keys_of
from elodrome.errors import UserError

LIMIT = 500  # states: the visits are a linear system of as many equations, solved at every update


class Visits:
    """The I states of a world in which there is something to decide, and how often policies [I, A] come there.

    observations float32 [I, *shape], legal uint8 [I, A]. Raises UserError unless the world has one seat, at most
    ``LIMIT`` states, and shows in every state which one it is.
    """

    def __init__(self, world: World, discount: float) -> None:
        if world.players != 1:
            raise UserError(f"weights=state needs a world of one seat; {world.id} has {world.players}")
        states = InformationStates.of(world, LIMIT)
        self._process = Decisions.of(states.tables, discount)
        self._live, self._limit = states.first, world.max_steps
        if len(self._live) < (states.tables.seats >= 0).sum():
            raise UserError(f"weights=state needs a world that shows its state; {world.id} looks the same in several")
        self.observations = states.observations.reshape(-1, *world.observation_shape)
        self.legal = states.legal
        self._index = RowIndex(keys_of(states.seats, states.observations, states.legal))

    def find(self, observations: Floats, legal: Mask) -> Ints:
        """The states [N] that look like this."""
        return self._index.find(keys_of(np.zeros(len(observations), np.int64), observations, legal))

    def met(self, policy: Reals) -> Reals:
        """How often an episode comes to each state [I], in expectation, until it ends or the world's limit of steps
        cuts it off: what a policy's own episodes are drawn from."""
        return replace(self._process, discount=1.0).visits(self._whole(policy), self._limit)[self._live]

    def wanted(self, policy: Reals) -> Reals:
        """``sum_t gamma^t P(s_t = s)`` [I], the weights of states in the gradient of J: (1 - gamma) of it is d_pi. No
        limit of steps counts here: being cut off is no end (``SeatEnv``)."""
        return self._process.visits(self._whole(policy))[self._live]

    def _whole(self, policy: Reals) -> Reals:
        """The policy over all states [S, A], zeros where the episode is over."""
        whole = 0.0 * self._process.legal
        whole[self._live] = policy
        return whole


def from_here_on(x: Tensor, episode: Tensor, whole: Tensor) -> Tensor:
    """Sums [N] of x over each decision and the later ones of its episode, of decisions in the order of time; ``whole``
    [B]: the sums over all of each."""
    order = torch.argsort(episode, stable=True)
    ordered, total = x[order].double(), whole.double()
    earlier = torch.zeros_like(ordered)
    earlier[order] = ordered.cumsum(0) - ordered - (total.cumsum(0) - total)[episode[order]]
    return whole[episode] - earlier.to(x.dtype)
