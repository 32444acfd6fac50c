"""Directions in which a function is known to be flat, so that they do not count at its points.

There are two kinds:

* those in which a continuous symmetry leaves the point (:meth:`Landscape.symmetries`): the function
  is constant along the orbit, so at a critical point they are in the null space of the Hessian;
* parameters without effect near the point, such as those of units that no example activates: their
  rows of gradient and Hessian are exactly zero, and moving them changes no digit of the gradient.
  The second condition excludes points such as 0 of x⁴, where the derivatives only happen to vanish.

Without them each minimum of a network with a softmax would be called degenerate.
"""

from __future__ import annotations

from dataclasses import dataclass

from optlab.core.lazy import functional, torch
from optlab.curvature.extremes import extremes
from optlab.curvature.landscape import Landscape
from optlab.objective.hessian import Hessian
from optlab.objective.seeding import generator

WITHOUT_EFFECT = "parameters without effect"
_INDEPENDENT = 1e-7
"""Singular value of unit vectors below which one depends on the others."""
_MAX_PRODUCTS = 512
"""Directions of a family, at most, where each costs a Hessian product."""
_PROBES = 4
"""Random combinations of the directions of a family, which mostly make its products unnecessary."""
_MOVED = 1e-3
"""Distance, relative to 1 + the largest parameter, by which parameters without effect are moved."""


@dataclass(frozen=True)
class FlatDirections:
    """Directions in which a function is flat at a point.

    Attributes:
        basis: orthonormal, ``[k, P]``. families: names, and how many directions each contributes.
    """

    basis: torch.Tensor
    families: tuple[tuple[str, int], ...]

    @property
    def clause(self) -> str:
        """The directions as the end of a sentence; "" where there are none."""
        count = len(self.basis)
        if not count:
            return ""
        parts = [
            f"{number} {name}" if name == WITHOUT_EFFECT else f"{number} by {name}"
            for name, number in self.families
        ]
        return (
            f", apart from {count} flat direction{'s' if count > 1 else ''} of the model "
            f"({', '.join(parts)})"
        )


def flat_directions(
    landscape: Landscape,
    theta: torch.Tensor,
    g: torch.Tensor,
    hessian: Hessian,
    dense: torch.Tensor | None,
    zero: float,
) -> FlatDirections:
    """Return the directions in which the function is flat at ``theta`` ``[1, P]``.

    Args:
        landscape: the function.
        g: its gradient ``[1, P]`` there.
        hessian: its Hessian there.
        dense: the same as a matrix ``[P, P]``, where there is one.
        zero: share of the largest absolute eigenvalue up to which curvature counts as zero.
    """
    parameters = theta.shape[1]
    unused = _without_effect(landscape, theta, g, hessian, dense).nonzero()[:, 0]
    found = {
        WITHOUT_EFFECT: functional.one_hot(unused, parameters).to(theta),
        **landscape.symmetries(theta),
    }
    basis, families = theta.new_zeros(0, parameters), []
    threshold = zero * _scale(hessian, dense) if any(map(len, found.values())) else 0.0
    for name, directions in found.items():
        further = _independent(directions, basis)
        if len(further):
            further = _in_null_space(further, hessian, dense, threshold)
        if len(further):
            basis = torch.cat([basis, further])
            families.append((name, len(further)))
    if len(basis) == parameters:  # a constant function: nothing would be left to classify
        return FlatDirections(basis[:0], ())
    return FlatDirections(basis, tuple(families))


def _scale(hessian: Hessian, dense: torch.Tensor | None) -> float:
    """Return the largest absolute eigenvalue, where P is large approximately."""
    if dense is not None:
        return float(torch.linalg.eigvalsh(dense).abs().max())
    ends = extremes(hessian.product, hessian.theta, top=1, bottom=1, tolerance=1e-2)
    return float(torch.cat([ends.top[0], ends.bottom[0]]).abs().max())


def _in_null_space(
    directions: torch.Tensor, hessian: Hessian, dense: torch.Tensor | None, threshold: float
) -> torch.Tensor:
    """Return the part of orthonormal ``directions`` ``[k, P]`` that the Hessian maps to zero.

    The gradient of a point is never quite zero, and beside the fixed point of a symmetry, such as
    all weights zero, that is enough for its directions to have curvature.
    """
    if dense is None and len(directions) > _PROBES and _all_flat(directions, hessian, threshold):
        return directions
    if dense is None and len(directions) > _MAX_PRODUCTS:
        return directions[:0]
    products = (
        directions @ dense if dense is not None else hessian.several(directions.unsqueeze(0))[0]
    )
    combinations, singular, _ = torch.linalg.svd(products, full_matrices=False)
    kept: torch.Tensor = combinations[:, singular <= threshold].T @ directions
    return kept


def _all_flat(directions: torch.Tensor, hessian: Hessian, threshold: float) -> bool:
    """Return whether random combinations show that the Hessian maps all ``directions`` to zero.

    The mean square of such a product is the sum of the squares of all, so few of them bound the largest.
    """
    source = generator(0, "flat directions")
    shares = torch.randn(_PROBES, len(directions), generator=source, dtype=torch.float64)
    products = hessian.several((shares.to(directions) @ directions).unsqueeze(0))[0]
    return float(torch.linalg.vector_norm(products, dim=1).max()) <= threshold


def _independent(directions: torch.Tensor, basis: torch.Tensor) -> torch.Tensor:
    """Return an orthonormal basis of what ``directions`` ``[k, P]`` add to ``basis`` ``[l, P]``."""
    lengths = torch.linalg.vector_norm(directions, dim=1, keepdim=True)
    unit: torch.Tensor = directions[lengths[:, 0] > 0.0] / lengths[lengths[:, 0] > 0.0]
    for _ in range(2):  # the second time for the rounding errors of the first
        unit = unit - (unit @ basis.T) @ basis
    if not len(unit):
        return unit
    _, singular, vectors = torch.linalg.svd(unit, full_matrices=False)
    independent: torch.Tensor = vectors[singular > _INDEPENDENT]
    return independent


def _without_effect(
    landscape: Landscape,
    theta: torch.Tensor,
    g: torch.Tensor,
    hessian: Hessian,
    dense: torch.Tensor | None,
) -> torch.Tensor:
    """Return which parameters have no effect near the point, as booleans ``[P]``."""
    source = generator(0, "onwards")
    drawn = torch.randn(theta.shape, generator=source, dtype=torch.float64).to(theta)
    # A row of zeros times a random vector is zero, and no other row is.
    rows = dense != 0.0 if dense is not None else hessian.product(drawn)[0].unsqueeze(1) != 0.0
    unused: torch.Tensor = ~rows.any(dim=1) & (g[0] == 0.0)
    if unused.any():
        size = _MOVED * (1.0 + float(theta.abs().max()))
        moved = landscape.value_and_gradient(theta + size * drawn * unused)[1]
        if not torch.equal(moved, g):
            return torch.zeros_like(unused)
    return unused
