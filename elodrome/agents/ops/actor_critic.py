"""Equations of the off-policy actor-critics: twin critics, their targets and what the actor climbs (SAC and TD3 in
the table of notes 6.2.3; Fujimoto et al. 2018, Haarnoja et al. 2018).

Shapes: B transitions, two critics, actions of D numbers in units of their bounds. Rewards and discounts are [B];
discount is 0 where the transition ended its episode.
"""

from __future__ import annotations

from torch import Tensor


def twin_target(reward: Tensor, discount: Tensor, q_next: Tensor) -> Tensor:
    """``r + gamma min_i Q_i(s', a')`` [B], from both target critics [2, B]: the smaller of two errs less upwards."""
    return reward + discount * q_next.amin(0)


def soft_target(reward: Tensor, discount: Tensor, q_next: Tensor, log_prob: Tensor, alpha: Tensor) -> Tensor:
    """``r + gamma (min_i Q_i(s', a') - alpha log pi(a' | s'))`` [B]: what comes next counts with its entropy."""
    return twin_target(reward, discount, q_next - alpha * log_prob)


def soft_actor_loss(q: Tensor, log_prob: Tensor, alpha: Tensor) -> Tensor:
    """``E[alpha log pi(a | s) - min_i Q_i(s, a)]`` of actions that carry the policy's gradient; q [2, B]."""
    return (alpha * log_prob - q.amin(0)).mean()


def temperature_loss(log_alpha: Tensor, log_prob: Tensor, entropy: float) -> Tensor:
    """``-log alpha E[log pi(a | s) + H]``: alpha rises as long as the policy's entropy is below ``entropy``, and falls
    above it."""
    return -(log_alpha * (log_prob.detach() + entropy)).mean()


def smoothed(action: Tensor, noise: Tensor, bound: float) -> Tensor:
    """Target policy smoothing: an action [B, D] with noise that is cut off at ``bound``, itself cut off at the world's
    bounds."""
    return (action + noise.clamp(-bound, bound)).clamp(-1.0, 1.0)
