"""Symmetric systems through their eigenvalues: ``(A + λI)⁻¹b`` and ``(|A| + λI)⁻¹b`` for R matrices
at once, for small P.

The eigenvalues show what a triangular factorization hides: the sign of the curvature, and
directions in which A is singular. In those (softmax regression has some) b has no part either, up
to rounding, and the solution of least norm has none: they are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from optlab.core.lazy import torch
from optlab.numerics.conjugate_gradients import Product


@dataclass(frozen=True)
class Spectral:
    """Solutions ``x`` ``[R, P]``, and the eigenvalues ``[R, P]`` of A, ascending."""

    x: torch.Tensor
    eigenvalues: torch.Tensor


def solve(
    matrix: torch.Tensor, b: torch.Tensor, damping: Any = 0.0, *, absolute: bool = False
) -> Spectral:
    """Solve ``(A + λI) x = b``, or with the absolute values of the eigenvalues ``(|A| + λI) x =
    b``.

    Directions whose damped eigenvalue is zero to rounding (P times the machine's precision of the
    largest) are left out of ``x``. A matrix that is not finite gives an ``x`` of nan.

    Args:
        matrix: symmetric, ``[R, P, P]``. b: ``[R, P]``. damping: λ, a number or a column ``[R,
            1]``.
    """
    finite = torch.isfinite(matrix).flatten(1).all(dim=1)
    eye = torch.eye(matrix.shape[1], dtype=matrix.dtype, device=matrix.device)
    values, vectors = torch.linalg.eigh(torch.where(finite.view(-1, 1, 1), matrix, eye))
    scaled = (values.abs() if absolute else values) + damping
    size = scaled.abs()
    kept = size > matrix.shape[1] * torch.finfo(matrix.dtype).eps * size.amax(dim=1, keepdim=True)
    inverse = torch.where(kept, 1.0 / scaled, 0.0)
    inverse = torch.where(finite.unsqueeze(1), inverse, float("nan"))
    coefficients = torch.einsum("rpi,rp->ri", vectors, b)
    return Spectral(torch.einsum("rpi,ri->rp", vectors, inverse * coefficients), values)


def dense(product: Product, like: torch.Tensor) -> torch.Tensor:
    """The matrices ``[R, P, P]`` behind a product, column by column; for small P. ``like``: ``[R,
    P]``.
    """
    columns = []
    for place in range(like.shape[1]):
        unit = torch.zeros_like(like)
        unit[:, place] = 1.0
        columns.append(product(unit))
    return torch.stack(columns, dim=2)
