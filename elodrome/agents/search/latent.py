"""Tree search in a learned model: no rules are asked below the root (Schrittwieser et al. 2020, appendix B)."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from elodrome.agents.search import records, tree
from elodrome.agents.search.forest import Forest, Found, SearchConfig
from elodrome.envs.game import Floats, Mask, World
from elodrome.envs.signatures import ACTIONS, MAX_STEPS
from elodrome.seeding import U64

Array = npt.NDArray[Any]


class LatentModel(Protocol):
    """What is searched in. Latents [k, H], actions int64 [k], logits [k, A]; values [k] are of the seat to act, gains
    [k] what the seat that acted was given for its action."""

    def root(self, observations: Floats) -> tuple[Array, Array, Array]:
        """(latents, logits, values) of observations [k, *shape]: h, then f."""

    def step(self, latents: Array, actions: Array) -> tuple[Array, Array, Array, Array]:
        """(latents, gains, logits, values) behind the actions: g, then f."""


class LatentForest(Forest):
    """The trees of up to ``games`` positions. In worlds of two seats these take turns, also in the model; the seat to
    act at the root counts as the first. Works for foreign worlds as well."""

    def __init__(self, world: World, games: int, config: SearchConfig, discount: float) -> None:
        super().__init__(world, games, config, latent=True)  # type: ignore[arg-type]
        self.numbers[records.DISCOUNT] = discount
        header = np.zeros(15, np.int64)
        header[ACTIONS], header[MAX_STEPS] = world.actions, world.max_steps
        self.nowhere: Any = (header, np.zeros(0, np.int64))  # a world without rules: none are called

    def dream(
        self, observations: Floats, legal: Mask, seeds: U64, model: LatentModel, *, explore: bool = False
    ) -> Found:
        """Search positions: observations [B, *shape], legal [B, A] at the root, seeds [B]; at most ``games`` of them.

        explore: with Dirichlet or Gumbel noise.
        """
        size = len(observations)
        self.restart()
        streams = self._prepare(size, seeds, explore)
        grown: Any = tuple(a[:size] for a in self.tree)
        leaves: Any = tuple(a[:size] for a in self.leaves)
        waiting, _seats, _states, masks, _seen = leaves
        roots, plies = np.zeros((size, 0), np.int64), np.zeros(size, np.int64)
        kept: Array | None = None  # the latents of all nodes [B, N, H]
        found, gains = 0, np.zeros(0, np.float32)
        logits, values = gains.reshape(0, 0), gains
        while True:
            found = tree.grow(
                *(self.nowhere, grown, leaves, found, logits, values, gains, streams, roots, plies),
                *(self.numbers, self.share, self.schedule, self.scratch, 1),
            )
            if not found:
                return self._conclude(size, grown, streams)
            leaf = waiting[:found]
            if kept is None:  # the first walk of all trees ends at their roots
                masks[:] = legal
                latents, logits, values = model.root(observations)
                kept = np.zeros((size, self.config.simulations + 2, latents.shape[1]), latents.dtype)
            else:
                before = kept[leaf["game"], leaf["above"]]
                latents, some, logits, values = model.step(before, np.ascontiguousarray(leaf["taken"]))
                gains = np.ascontiguousarray(some, np.float32)
            kept[leaf["game"], leaf["node"]] = latents
            logits, values = self._checked(found, logits, values)
