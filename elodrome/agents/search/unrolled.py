"""Memory of games for models that are unrolled: what lies K steps ahead of a position, and behind its end."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from elodrome.agents.ops.muzero import n_step_values
from elodrome.envs.game import Game, World

Array = npt.NDArray[Any]


class Unrolled(NamedTuple):
    """m positions and K steps on from each: observations float32 [m, *shape], actions int64 [m, K], rewards float32
    [m, K] of the movers, policies float32 [m, K + 1, A], values float32 [m, K + 1] (z). Which of them are known, as
    float32: reward_known [m, K], policy_known and value_known [m, K + 1]."""

    observations: Array
    actions: Array
    rewards: Array
    policies: Array
    values: Array
    reward_known: Array
    policy_known: Array
    value_known: Array


class Trajectories:
    """The last ``length`` decisions of each of ``lanes`` games that are played on and on, as arrays [length, lanes].

    Behind an end (``ops.td.cut_is_end`` tells whether the limit of steps is one) lie absorbing states: whatever is done
    there, rewards and values are 0. What lies behind a truncation nobody knows.
    """

    def __init__(self, world: World, lanes: int, length: int, discount: float, ahead: int) -> None:
        self.world, self.lanes, self.length = world, lanes, length
        self.discount, self.ahead = discount, ahead
        self.count = 0  # decisions ever added to a lane
        shape = (length, lanes)
        self.ring: dict[str, Array] = {
            "observation": np.zeros((*shape, world.observation_size), np.float32),
            "action": np.zeros(shape, np.int64),
            "reward": np.zeros(shape, np.float32),
            "policy": np.zeros((*shape, world.actions), np.float32),
            "value": np.zeros(shape, np.float32),
            "end": np.zeros(shape, np.int8),  # 0 goes on, 1 ended by the rules, 2 truncated
            "tail": np.zeros(shape, np.float32),  # value of the state that was cut off
            "target": np.zeros(shape, np.float32),
        }

    def __len__(self) -> int:
        """Decisions kept, of all lanes."""
        return min(self.count, self.length) * self.lanes

    def add(self, **decision: Array) -> None:
        """One decision in every lane: an array for each name of ``ring`` but target."""
        at = self.count % self.length
        for name, array in decision.items():
            self.ring[name][at] = array
        self.count += 1

    def aim(self, fresh: int) -> None:
        """Value targets of the last ``fresh`` decisions, and of those before that look ahead to them."""
        size = min(self.count, self.length, fresh + self.ahead)
        at = np.arange(self.count - size, self.count) % self.length
        ring = self.ring
        turn = -1.0 if self.world.players == 2 else 1.0
        goes_on = (ring["end"][at] == 0).astype(np.float64)
        ring["target"][at] = n_step_values(
            ring["reward"][at], ring["value"][at], goes_on, ring["tail"][at], turn, self.discount, self.ahead
        )

    def sample(self, size: int, steps: int, rng: np.random.Generator) -> Unrolled:
        """``size`` positions uniformly at random, each seen from a random side of the board, and ``steps`` on."""
        kept = min(self.count, self.length)
        time = self.count - kept + rng.integers(0, kept, size)[:, None] + np.arange(steps + 1)
        lane = rng.integers(0, self.lanes, size)[:, None]
        at = (time % self.length, lane)
        ring = self.ring
        there = time < self.count
        end = np.where(there, ring["end"][at], 2)
        ended = np.zeros(time.shape, np.int64)  # 0 in the game, 1 absorbed, 2 unknown
        for k in range(1, steps + 1):
            ended[:, k] = np.where(ended[:, k - 1] > 0, ended[:, k - 1], end[:, k - 1])
            ended[:, k] = np.where((ended[:, k] == 0) & ~there[:, k], 2, ended[:, k])
        inside = ended == 0
        seen = ring["observation"][time[:, 0] % self.length, lane[:, 0]]
        actions = np.where(inside, ring["action"][at], rng.integers(0, self.world.actions, time.shape))[:, :-1]
        policies = ring["policy"][at]
        sides = self.world.symmetries if isinstance(self.world, Game) else None
        if sides is not None:
            side = rng.integers(0, len(sides.cells), size)
            planes = seen.reshape(size, self.world.observation_shape[0], -1)
            seen = np.take_along_axis(planes, sides.cells[side][:, None, :], axis=2)
            policies = np.take_along_axis(policies, sides.actions[side][:, None, :], axis=2)
            actions = np.take_along_axis(np.argsort(sides.actions[side], axis=1), actions, axis=1)
        # The step that leaves a game has its reward, truncated or not; only the newest decision has no successor.
        known = (ended < 2).astype(np.float32)
        return Unrolled(
            seen.reshape(size, *self.world.observation_shape),
            np.ascontiguousarray(actions),
            (ring["reward"][at] * inside)[:, :-1],
            policies,
            ring["target"][at] * inside,
            known[:, :-1],
            inside.astype(np.float32),
            known,
        )

    def snapshot(self) -> dict[str, Any]:
        """What is kept, as arrays."""
        kept = min(self.count, self.length)
        return {**{name: array[:kept].copy() for name, array in self.ring.items()}, "count": self.count}

    def resume(self, snapshot: dict[str, Any]) -> None:
        """Go back to a snapshot of a memory of the same size."""
        self.count = int(snapshot["count"])
        for name, array in self.ring.items():
            array[: len(snapshot[name])] = snapshot[name]
