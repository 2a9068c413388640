"""The step of TRPO (notes 3.8.2; Schulman et al. 2015): the natural gradient, no further than the divergence allows."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def conjugate_gradient(product: Callable[[Tensor], Tensor], b: Tensor, steps: int, tolerance: float = 1e-10) -> Tensor:
    """x with ``A x = b`` [N], A symmetric and positive, known by its products with vectors alone: exact after N steps,
    near long before. Branches on nothing that lies on the device, so that nothing waits for it."""
    x, residual, direction = torch.zeros_like(b), b, b
    square = b @ b
    for _ in range(steps):
        image = product(direction)
        rate = square / (direction @ image).clamp_min(tolerance)
        x = x + rate * direction
        residual = residual - rate * image
        fresh = residual @ residual
        direction = residual + fresh / square.clamp_min(tolerance) * direction
        square = fresh
    return x


def largest_step(direction: Tensor, image: Tensor, delta: float) -> Tensor:
    """The direction as long as the quadratic model ``KL = x^T F x / 2`` lets it be: ``sqrt(2 delta / x^T F x) x``, of
    which ``image = F x`` is known (Schulman et al. 2015, appendix C)."""
    return (2 * delta / (direction @ image).clamp_min(1e-10)).sqrt() * direction
