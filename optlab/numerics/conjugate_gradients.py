"""Linear conjugate gradients: ``A x = b`` from products with A alone, for R systems at once.

Every system stops independently and is frozen afterwards, so that a run in a population gets the
numbers that it would get alone. Memory is O(P).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from optlab.core.lazy import torch
from optlab.numerics.scaling import power_of_two, row_dots

Product = Callable[["torch.Tensor"], "torch.Tensor"]
"""``v [R, P]`` → ``A v [R, P]``; every run has its own matrix."""


@dataclass(frozen=True)
class Solution:
    """Result of conjugate gradients.

    Attributes:
        x: solutions ``[R, P]``.
        residual: norms ``[R]`` of ``b − A x``.
        iterations: number of products used, ``[R]`` int64.
        negative: whether a direction of negative curvature ended the solve, ``[R]`` bool.
    """

    x: torch.Tensor
    residual: torch.Tensor
    iterations: torch.Tensor
    negative: torch.Tensor


def solve(product: Product, b: torch.Tensor, *, iterations: Any, tolerance: Any) -> Solution:
    """Solve ``A x = b`` from ``x = 0``, for symmetric A.

    A system ends when the norm of its residual is at most ``tolerance · ‖b‖``, or at a direction d
    with ``dᵀAd ≤ 0``, where A is not positive definite. In the second case the partial solution is
    returned; if d is the first direction, that is ``b`` itself.

    Args:
        product: ``v [R, P]`` → ``A v [R, P]``.
        b: right-hand sides ``[R, P]``.
        iterations: maximum number of products, a number or a column ``[R, 1]``.
        tolerance: relative residual, a number or a column ``[R, 1]``.

    Returns:
        The solutions ``[R, P]`` and how each was reached.
    """
    # The solution is linear in b, and powers of two scale it exactly.
    unit = power_of_two(b)
    b = b / unit
    limit = torch.as_tensor(iterations, device=b.device).reshape(-1)
    allowed = torch.as_tensor(tolerance, dtype=b.dtype, device=b.device).reshape(-1)
    x = torch.zeros_like(b)
    r = b.clone()
    d = r
    rr = row_dots(r, r)
    enough = allowed.square() * rr
    # A nan in the residual propagates into x, so that the failure is visible.
    active = rr != 0.0
    negative = torch.zeros_like(active)
    used = torch.zeros(b.shape[0], dtype=torch.int64, device=b.device)
    for number in range(int(limit.max())):
        active = active & (number < limit)
        if not bool(active.any()):
            break
        # Zero where a system has ended: its product is not used, and nobody counts it.
        product_d = product(torch.where(active.unsqueeze(1), d, 0.0))
        curvature = row_dots(d, product_d)
        bad = active & (curvature <= 0.0)
        used += active
        if bool(bad.any()):
            negative |= bad
            if number == 0:
                x = torch.where(bad.unsqueeze(1), b, x)
                r = torch.where(bad.unsqueeze(1), b - product_d, r)
                rr = torch.where(bad, row_dots(r, r), rr)
            active = active & ~bad
        alpha = (rr / curvature).unsqueeze(1)
        x = torch.where(active.unsqueeze(1), x + alpha * d, x)
        r = torch.where(active.unsqueeze(1), r - alpha * product_d, r)
        rr_next = row_dots(r, r)
        beta = (rr_next / rr).unsqueeze(1)
        d = torch.where(active.unsqueeze(1), r + beta * d, d)
        rr = torch.where(active, rr_next, rr)
        active = active & (rr > enough)
    return Solution(x * unit, rr.sqrt() * unit.squeeze(1), used, negative)
