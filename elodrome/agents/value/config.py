"""The settings of a deep Q-network and of every extension."""

from __future__ import annotations

from pydantic import Field

from elodrome.agents.parts.deep import DeepConfig


class DQNConfig(DeepConfig):
    """discount is below 1 even in games: of two ways to win the shorter one is better, and errors of bootstrapped
    maxima die out. envs games are stepped together, then ``updates`` gradient steps on ``batch`` transitions follow.
    capacity: of the replay buffer; in_bytes: keep observations as bytes; warmup: transitions before learning starts.
    The target network is copied every ``target_every`` steps (2.6.4) or, with tau above 0, moves by tau at each (2.65).
    Exploration falls in a straight line from epsilon to epsilon_end over the first ``exploration`` of the budget.
    huber: where the loss becomes linear, None: nowhere. temperature: of the softmax over Q (in units of the reward
    scale) that ``evaluate`` shows as a policy; the agent itself acts greedily.

    double: the online network chooses the next action (2.67). dueling: value and advantages (2.68). priority: alpha of
    prioritised replay, 0 is uniform; beta: of its importance weights at first, 1 at the end of the budget. n_step:
    rewards in a target, of what was done, exploration included. atoms: of the distribution of returns (C51), 1 learns
    its mean alone; they reach from v_min to v_max, in the world's own units, or (None) as far as rewards like those of
    the warm-up and the world's range allow. noisy: noise in the last layers at first, beside epsilon; 0 is none."""

    double: bool = False
    dueling: bool = False
    priority: float = Field(0.0, ge=0.0, le=1.0)
    beta: float = Field(0.4, ge=0.0, le=1.0)
    n_step: int = Field(1, ge=1)
    atoms: int = Field(1, ge=1)
    v_min: float | None = Field(None, lt=0.0)
    v_max: float | None = Field(None, gt=0.0)
    noisy: float = Field(0.0, ge=0.0)
    discount: float | None = Field(0.97, ge=0.0, le=1.0)
    envs: int = Field(32, ge=1)
    updates: int = Field(1, ge=1)
    batch: int = Field(256, ge=1)
    capacity: int = Field(100_000, ge=1)
    in_bytes: bool = False
    warmup: int = Field(1_000, ge=1)
    target_every: int = Field(200, ge=1)
    tau: float = Field(0.0, ge=0.0, le=1.0)
    epsilon: float = Field(1.0, ge=0.0, le=1.0)
    epsilon_end: float = Field(0.05, ge=0.0, le=1.0)
    exploration: float = Field(0.3, gt=0.0, le=1.0)
    huber: float | None = Field(None, gt=0.0)
    max_norm: float = Field(10.0, gt=0.0)
    anneal: bool = True
    temperature: float = Field(0.1, gt=0.0)
