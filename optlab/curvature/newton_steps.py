"""Safe Newton steps, in the eigenvectors of a Hessian or in a Krylov space.

One kind leads to a zero of the gradient, the other downhill.
"""

from __future__ import annotations

from dataclasses import dataclass

from optlab.core.lazy import torch

_NO_CURVATURE = 1e-10
"""Share of the largest absolute eigenvalue below which a direction counts as flat."""


@dataclass(frozen=True)
class SearchProgress:
    """How far a search is. ``steps`` taken, Hessian ``products`` computed, the ``gradient_norm``."""

    steps: int
    products: int
    gradient_norm: float


class Equations:
    """``min ‖g + Hs‖² + μ‖s‖²`` for one point, ready for any μ.

    In an orthonormal basis of the steps it is ``min ‖c + Ay‖² + μ‖y‖²``.

    Args:
        basis: ``[k, P]``. matrix: A, ``[l, k]``. c: ``[l]``.
    """

    def __init__(self, basis: torch.Tensor, matrix: torch.Tensor, c: torch.Tensor) -> None:
        self._basis = basis
        u, self._singular, v = torch.linalg.svd(matrix, full_matrices=False)
        self._right = v.T
        self._c = u.T @ c
        # No step can reduce the part outside of A's image.
        self._outside = float((c @ c - self._c @ self._c).clamp_min(0.0))

    def step(self, damping: float) -> tuple[torch.Tensor, float]:
        """Return the step ``[1, P]`` for a relative damping, and the norm of ``g + Hs``.

        Args:
            damping: μ over the square of the largest singular value.
        """
        scale = float(self._singular.max()) if len(self._singular) else 0.0
        mu = damping * scale**2
        size = self._singular.square() + mu
        factor = torch.where(
            size > 0.0, self._singular / size.clamp_min(torch.finfo(size.dtype).tiny), 0.0
        )
        left = self._c * (1.0 - factor * self._singular)
        y = -(self._right @ (factor * self._c))
        return (y @ self._basis).unsqueeze(0), float(left @ left + self._outside) ** 0.5


class Spectrum:
    """Eigenvalues and eigenvectors at one point, with the gradient in their coordinates.

    Args:
        values: ascending, ``[k]``; eigenvalues or Ritz values. vectors: of unit length, ``[k, P]``.
            c: the gradient in their coordinates, ``[k]``.
    """

    def __init__(self, values: torch.Tensor, vectors: torch.Tensor, c: torch.Tensor) -> None:
        self.values, self.vectors, self.c = values, vectors, c
        self.scale = float(values.abs().max()) if len(values) else 0.0

    def step(self, radius: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the downhill step ``[1, P]`` within ``radius``, and its coordinates ``[k]``.

        Along each vector it is the slope divided by the absolute value of the curvature.
        """
        size = self.values.abs().clamp_min(
            max(_NO_CURVATURE * self.scale, torch.finfo(self.values.dtype).tiny)
        )
        coordinates = -self.c / size
        if not float(coordinates.norm()) <= radius:
            # More damping shortens it; between no step and that of the gradient alone, the length
            # falls steadily.
            low, high = 0.0, float(self.c.norm()) / radius
            for _ in range(60):
                middle = 0.5 * (low + high)
                coordinates = -self.c / (size + middle)
                low, high = (middle, high) if float(coordinates.norm()) > radius else (low, middle)
            coordinates = -self.c / (size + high)
        return (coordinates @ self.vectors).unsqueeze(0), coordinates
