"""Symmetric systems solved by eigendecomposition, for R matrices at once and small P.

The systems are ``(A + λI) x = b`` and ``(|A| + λI) x = b``. Eigenvalues show what a triangular
factorization hides: the sign of the curvature, and directions in which A is singular. Along the
latter (softmax regression has some) b is zero up to rounding error, and so is the solution of least
norm; they are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from optlab.core.lazy import torch
from optlab.numerics.conjugate_gradients import Product


@dataclass(frozen=True)
class Spectral:
    """Result of a solve.

    Attributes:
        x: solutions ``[R, P]``.
        eigenvalues: eigenvalues of A ``[R, P]``, ascending.
    """

    x: torch.Tensor
    eigenvalues: torch.Tensor


def solve(
    matrix: torch.Tensor, b: torch.Tensor, damping: Any = 0.0, *, absolute: bool = False
) -> Spectral:
    """Solve ``(A + λI) x = b`` or, with absolute eigenvalues, ``(|A| + λI) x = b``.

    Directions whose damped eigenvalue is zero up to rounding error (P times the machine epsilon
    times the largest) are left out of ``x``. A matrix that is not finite gives nan.

    Args:
        matrix: symmetric matrices A ``[R, P, P]``.
        b: right-hand sides ``[R, P]``.
        damping: λ, a number or a column ``[R, 1]``.
        absolute: whether eigenvalues are replaced by their absolute values.

    Returns:
        The solutions ``[R, P]`` and the eigenvalues of A.
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
    """Return the matrices ``[R, P, P]`` of a product, computed column by column, for small P.

    Args:
        product: ``v [R, P]`` → ``A v [R, P]``.
        like: a tensor ``[R, P]`` of the wanted type and device.
    """
    columns = []
    for column in range(like.shape[1]):
        unit = torch.zeros_like(like)
        unit[:, column] = 1.0
        columns.append(product(unit))
    return torch.stack(columns, dim=2)
