"""What figures of ways through a map share: the length of episodes while tables are learned, and of greedy paths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from elodrome.agents.parts.tabular import TabularLearner
from elodrome.agents.parts.walk import STEP
from elodrome.envs.game import Game, Reals
from elodrome.envs.information import InformationStates
from elodrome.figures.figure import Curve, Tick
from elodrome.seeding import derive

Kinds = Mapping[str, tuple[type[TabularLearner], dict[str, Any]]]


def learning_curves(
    world: Game, kinds: Kinds, runs: int, episodes: int, seed: int, tick: Tick, smooth_over: int = 1
) -> tuple[list[Curve], dict[str, Reals], dict[str, Reals]]:
    """For each kind with its settings: the length of episodes, means of ``smooth_over``; by label the lengths [runs,
    episodes], and the lengths of the greedy paths at the end [runs]."""
    curves, lengths, paths = [], {}, {}
    for done, (label, (cls, settings)) in enumerate(kinds.items(), 1):
        seeds = [derive(seed, label, k) for k in range(runs)]
        lengths[label], paths[label] = learn_paths(cls, world, settings, seeds, episodes)
        smooth = np.apply_along_axis(np.convolve, 1, lengths[label], np.full(smooth_over, 1 / smooth_over), "valid")
        curves.append(Curve.of(label, np.arange(smooth_over, episodes + 1), smooth))
        tick(done, len(kinds))
    return curves, lengths, paths


def learn_paths(
    cls: type[TabularLearner], world: Game, settings: dict[str, Any], seeds: Sequence[int], episodes: int
) -> tuple[Reals, Reals]:
    """The lengths of all episodes [K, episodes], and of the greedy path at the end [K], from scratch for every seed."""
    states, config = InformationStates.of(world), cls.config_class.model_validate(settings)
    lengths, paths = np.zeros((len(seeds), episodes)), np.zeros(len(seeds))
    for k, seed in enumerate(seeds):
        run, before = cls.fresh(states, config, seed), 0
        for episode in range(episodes):
            cls.advance(states, run, np.zeros((1, world.players)), world.max_steps)
            lengths[k, episode] = run.clock[STEP] - before
            before = int(run.clock[STEP])
        paths[k] = greedy_path(states, cls.values(run))
    return lengths, paths


def greedy_path(states: InformationStates, q: Reals) -> float:
    """The number of steps to the end by the first of the best actions of q [I, A], in a world without dice; infinite
    where it never comes there."""
    tables, at = states.tables, int(states.tables.starts[0])
    for steps in range(tables.size):
        if tables.seats[at] < 0:
            return float(steps)
        edge = at * tables.legal.shape[1] + int(q[states.info[at]].argmax())
        at = int(tables.next_state[tables.offsets[edge]])
    return np.inf
