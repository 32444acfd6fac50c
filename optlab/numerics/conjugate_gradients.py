"""Linear conjugate gradients: ``A x = b`` from products with A alone, for R systems at once.

Every system stops by itself and is frozen from then on, so that a run in a population gets the
numbers that it would get alone. Memory grows with P, not P².
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from optlab.core.lazy import torch

Product = Callable[["torch.Tensor"], "torch.Tensor"]
"""``v [R, P]`` → ``A v [R, P]``, each run with its own matrix."""


@dataclass(frozen=True)
class Solution:
    """What conjugate gradients found.

    Attributes:
        x: the solutions ``[R, P]``. residual: norms ``[R]`` of ``b − A x``. iterations: products
            taken, ``[R]``.
        negative: where a direction of negative curvature ended the solve, ``[R]`` bool.
    """

    x: torch.Tensor
    residual: torch.Tensor
    iterations: torch.Tensor
    negative: torch.Tensor


def solve(product: Product, b: torch.Tensor, *, iterations: Any, tolerance: Any) -> Solution:
    """Solve ``A x = b`` from ``x = 0``, for symmetric A.

    A system ends when its residual is at most ``tolerance · ‖b‖``, or at a direction d with ``dᵀAd
    ≤ 0``, where A is not positive definite: what was reached before stays (at the first direction
    that is ``b`` itself, the steepest descent step of unit length).

    Args:
        b: ``[R, P]``.
        iterations: most products to take; tolerance: relative residual. Numbers, or columns ``[R,
            1]`` where systems differ.
    """
    most = torch.as_tensor(iterations, device=b.device).reshape(-1)
    allowed = torch.as_tensor(tolerance, dtype=b.dtype, device=b.device).reshape(-1)
    x = torch.zeros_like(b)
    r = b.clone()
    d = r
    rr = _dot(r, r)
    enough = allowed.square() * rr
    # A residual of nan goes on into x, so that what is broken is seen to be.
    going = rr != 0.0
    negative = torch.zeros_like(going)
    taken = torch.zeros(b.shape[0], dtype=torch.int64, device=b.device)
    for number in range(int(most.max())):
        going = going & (number < most)
        if not bool(going.any()):
            break
        product_d = product(d)
        curvature = _dot(d, product_d)
        bad = going & (curvature <= 0.0)
        taken += going
        if bool(bad.any()):
            negative |= bad
            if number == 0:
                x = torch.where(bad.unsqueeze(1), b, x)
                r = torch.where(bad.unsqueeze(1), b - product_d, r)
                rr = torch.where(bad, _dot(r, r), rr)
            going = going & ~bad
        alpha = torch.where(going, rr / curvature, 0.0).unsqueeze(1)
        x = torch.where(going.unsqueeze(1), x + alpha * d, x)
        r = torch.where(going.unsqueeze(1), r - alpha * product_d, r)
        rr_next = _dot(r, r)
        beta = torch.where(going, rr_next / rr, 0.0).unsqueeze(1)
        d = torch.where(going.unsqueeze(1), r + beta * d, d)
        rr = torch.where(going, rr_next, rr)
        going = going & (rr > enough)
    return Solution(x, rr.sqrt(), taken, negative)


def _dot(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Inner products ``[R]`` of rows."""
    return (a * b).sum(dim=1)
