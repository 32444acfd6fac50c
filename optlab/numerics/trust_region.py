"""The least value of a quadratic model within a ball, for one system.

``m(p) = gᵀp + ½pᵀAp`` with ``‖p‖ ≤ Δ``: by conjugate gradients that end at the boundary (Steihaug), for
products with any symmetric A; or by the damping whose step has the length Δ (Moré), for a matrix
without negative eigenvalues.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from optlab.core.lazy import torch
from optlab.numerics.conjugate_gradients import Product
from optlab.numerics.scaling import dot, norms, power_of_two

WITHIN = 0.1
"""Share of the radius by which the length of a damped step may differ from it (MINPACK)."""
_ROUNDS = 10
"""Iterations for the damping, at most (MINPACK)."""


@dataclass(frozen=True)
class Step:
    """A step within the ball.

    Attributes:
        p: the step ``[1, P]``.
        value: value of the model there, at most 0.
        at_boundary: whether the boundary ended it.
        negative: whether it met a direction of negative curvature.
        products: products with A that were computed.
    """

    p: torch.Tensor
    value: float
    at_boundary: bool
    negative: bool
    products: int


def steihaug(
    product: Product, g: torch.Tensor, radius: float, *, iterations: int, tolerance: float
) -> Step:
    """Minimize the model by conjugate gradients from zero (Nocedal and Wright, algorithm 7.2).

    They end where the norm of the residual is at most ``tolerance``, at the boundary, or along a
    direction of negative curvature, which is followed to the boundary.

    Args:
        product: ``v [1, P]`` → ``A v``. g: ``[1, P]``. radius: Δ, more than 0.
        iterations: products, at most. tolerance: absolute norm of the residual.
    """
    # Directions and residuals are in units of a power of two, which changes no bit, so that products
    # with large or small gradients stay in range.
    unit = float(power_of_two(g))
    tolerance /= unit
    z, r = torch.zeros_like(g), g / unit
    d = -r
    # A z, so that the value of the model costs no further product.
    az = torch.zeros_like(g)
    rr = dot(r, r)
    if math.sqrt(rr) <= tolerance:
        return Step(z, 0.0, at_boundary=False, negative=False, products=0)

    def value(p: torch.Tensor, ap: torch.Tensor) -> float:
        return dot(g, p) + 0.5 * dot(p, ap)

    for number in range(1, iterations + 1):
        ad = product(d)
        curvature = dot(d, ad)
        if curvature <= 0.0:
            ends = [(z + t * d, az + t * ad) for t in _crossings(z, d, radius)]
            best = min(ends, key=lambda end: value(*end))
            return Step(best[0], value(*best), at_boundary=True, negative=True, products=number)
        alpha = rr / curvature
        after = z + (alpha * unit) * d
        if math.sqrt(dot(after, after)) >= radius:
            t = _crossings(z, d, radius)[1]
            z, az = z + t * d, az + t * ad
            return Step(z, value(z, az), at_boundary=True, negative=False, products=number)
        z, az, r = after, az + (alpha * unit) * ad, r + alpha * ad
        rr_next = dot(r, r)
        # Not a number ends here, too.
        if not math.sqrt(rr_next) > tolerance:
            break
        d = -r + (rr_next / rr) * d
        rr = rr_next
    return Step(z, value(z, az), at_boundary=False, negative=False, products=number)


def _crossings(z: torch.Tensor, d: torch.Tensor, radius: float) -> tuple[float, float]:
    """Return the two t, ascending, with ``‖z + t d‖ = radius``, for rows ``[1, P]``."""
    a, b, c = dot(d, d), 2.0 * dot(z, d), dot(z, z) - radius**2
    root = math.sqrt(max(b * b - 4.0 * a * c, 0.0))
    # Without cancellation.
    half = b + math.copysign(root, b)
    if half == 0.0:
        # From z = 0 with a radius whose square is zero.
        return 0.0, 0.0
    low, high = sorted((-half / (2.0 * a), -2.0 * c / half))
    return low, high


class DampedSteps:
    """The steps ``q(α) = −(B + αI)⁻¹ b`` for one matrix B without negative eigenvalues.

    Directions in which B is zero up to rounding are left out of the step without damping.

    Args:
        matrix: B ``[1, n, n]``, finite. b: ``[1, n]``.
    """

    def __init__(self, matrix: torch.Tensor, b: torch.Tensor) -> None:
        values, self._vectors = torch.linalg.eigh(matrix[0])
        least = len(values) * torch.finfo(values.dtype).eps * float(values[-1])
        self._values = values.clamp(min=0.0)
        self._kept = values > least
        self._b = b[0] @ self._vectors
        self.norm = _norm(self._b)

    def at(self, alpha: float) -> torch.Tensor:
        """Return ``q(α)`` ``[1, n]``."""
        q: torch.Tensor = self._vectors @ -self._divided(self._b, alpha)
        return q.unsqueeze(0)

    def within(self, radius: float, alpha: float) -> tuple[torch.Tensor, float]:
        """Return the step ``[1, n]`` whose length is about the radius, and its damping.

        That is the step without damping where it is short enough. The iteration is that of
        MINPACK's ``lmpar`` (J. Moré, 1978).

        Args:
            radius: Δ, more than 0. alpha: first guess of the damping.
        """
        length, slope = self._length(0.0)
        excess = length - radius
        if excess <= WITHIN * radius:
            return self.at(0.0), 0.0
        low = excess / (radius * slope) if bool(self._kept.all()) else 0.0
        alpha = min(max(alpha, low), self.norm / radius) or self.norm / length
        # 1/‖q‖ is concave in α, so from below the iteration stays below, and the bounds of lmpar need
        # no updates.
        for _ in range(_ROUNDS):
            length, slope = self._length(alpha)
            excess = length - radius
            if abs(excess) <= WITHIN * radius:
                break
            alpha = max(low, alpha + excess / (radius * slope)) or 1e-3 * alpha
        return self.at(alpha), alpha

    def _length(self, alpha: float) -> tuple[float, float]:
        """Return ``‖q‖``, and minus the relative derivative ``q̂ᵀ(B + αI)⁻¹q̂`` by α."""
        q = self._divided(self._b, alpha)
        length = _norm(q)
        unit = q / length
        return length, float(unit @ self._divided(unit, alpha))

    def _divided(self, b: torch.Tensor, alpha: float) -> torch.Tensor:
        """Return ``(B + αI)⁻¹ b`` in the basis of eigenvectors."""
        if alpha > 0.0:
            damped: torch.Tensor = b / (self._values + alpha)
            return damped
        return torch.where(self._kept, b / self._values, 0.0)


def _norm(v: torch.Tensor) -> float:
    """Return the norm of a vector ``[n]``, also where its square is out of range."""
    square, numbers = float(v @ v), torch.finfo(v.dtype)
    if numbers.tiny / numbers.eps < square < math.inf:
        return math.sqrt(square)
    return float(norms(v.unsqueeze(0)))
