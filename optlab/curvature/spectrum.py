"""The spectrum of the Hessian: its ends, trace and density, and for small P all of it.

All functions take an objective at ``theta`` ``[R, P]`` on data (one batch a run, ``[R, m, …]``, or
examples shared by all runs, ``[n, …]``) and return tensors with a leading run axis.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from optlab.core.errors import InvalidInput
from optlab.core.lazy import torch
from optlab.core.limits import MAX_DENSE
from optlab.curvature.extremes import Extremes, Settle, extremes
from optlab.curvature.landscape import Landscape, ObjectiveLandscape
from optlab.numerics.lanczos import lanczos
from optlab.objective.hessian import Hessian
from optlab.objective.objective import Objective
from optlab.objective.seeding import generator

DENSE_UP_TO = 1500
"""P up to which the full spectrum is computed by default: seconds."""
ZERO = 1e-6
"""Share of the largest absolute eigenvalue below which one counts as zero in double precision.

In single precision it is 1e-4.
"""


@dataclass(frozen=True)
class Trace:
    """Hutchinson's estimate of the trace.

    Attributes:
        mean: ``[R]``. standard_error: ``[R]``, of the mean over the probes.
        probes: their number; each costs one product.
    """

    mean: torch.Tensor
    standard_error: torch.Tensor
    probes: int


@dataclass(frozen=True)
class Density:
    """Spectral density by stochastic Lanczos quadrature.

    Attributes:
        grid: eigenvalues ``[R, G]``. density: ``[R, G]``, of integral 1 over the line: the
            quadrature smoothed by Gaussians.
        width: their standard deviation, ``[R]``. nodes, weights: the quadrature itself, ``[R, K]``;
            each run's weights add up to 1.
        moments: ``tr(Hʲ)/P`` for j = 0, 1, …, ``[R, J]``, estimated. probes: their number;
            products: number of Hessian products.
    """

    grid: torch.Tensor
    density: torch.Tensor
    nodes: torch.Tensor
    weights: torch.Tensor
    width: torch.Tensor
    moments: torch.Tensor
    probes: int
    products: int


@dataclass(frozen=True)
class FullSpectrum:
    """All eigenvalues.

    Attributes:
        values: ``[R, P]``, ascending. vectors: ``[R, P, P]``, a vector a row, or None where they
            were not requested.
        negative, zero: how many are negative (the index) and how many count as zero, ``[R]``.
        negative_share: ``[R]``, of all P.
    """

    values: torch.Tensor
    vectors: torch.Tensor | None
    negative: torch.Tensor
    zero: torch.Tensor

    @property
    def negative_share(self) -> torch.Tensor:
        """Share ``[R]`` of the eigenvalues that are negative."""
        return self.negative / self.values.shape[1]


def hessian(objective: Objective, theta: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> Hessian:
    """Return the Hessians at ``theta`` ``[R, P]``, for products."""
    return ObjectiveLandscape(objective, x, y).hessian(theta)


def hvp(
    objective: Objective, theta: torch.Tensor, x: torch.Tensor, y: torch.Tensor, v: torch.Tensor
) -> torch.Tensor:
    """Return ``H v`` for ``v`` ``[R, P]``, or for several vectors a run ``[R, k, P]``."""
    products = hessian(objective, theta, x, y)
    return products.product(v) if v.dim() == 2 else products.several(v)


def gradient(
    objective: Objective, theta: torch.Tensor, x: torch.Tensor, y: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the objective ``[R]``, weight decay included, and its gradient ``[R, P]``.

    Large data are evaluated in chunks.
    """
    return ObjectiveLandscape(objective, x, y).value_and_gradient(theta)


def extreme_eigenvalues(
    objective: Objective,
    theta: torch.Tensor,
    x: torch.Tensor,
    y: torch.Tensor,
    *,
    top: int = 1,
    bottom: int = 0,
    start: torch.Tensor | None = None,
    tolerance: float = 1e-5,
    settle: Settle = "vector",
    max_products: int = 1000,
) -> Extremes:
    """Return the largest and smallest eigenvalues at ``theta`` ``[R, P]`` with their vectors.

    See :func:`optlab.curvature.extremes.extremes`. For a monitor of the largest eigenvalue alone,
    ``settle="value"`` with the last vectors ``[R, k, P]`` as ``start`` needs the fewest products.
    """
    return extremes(
        hessian(objective, theta, x, y).product,
        theta,
        top=top,
        bottom=bottom,
        start=start,
        tolerance=tolerance,
        settle=settle,
        max_products=max_products,
    )


def trace(
    objective: Objective,
    theta: torch.Tensor,
    x: torch.Tensor,
    y: torch.Tensor,
    *,
    probes: int = 32,
    seed: int = 0,
) -> Trace:
    """Estimate the trace ``[R]`` by random signs z: the mean of ``zᵀHz`` (M. Hutchinson, 1990).

    Raises:
        InvalidInput: there are fewer than two probes, which have no standard error.
    """
    return trace_of(hessian(objective, theta, x, y), probes=probes, seed=seed)


def trace_of(at_point: Hessian, *, probes: int = 32, seed: int = 0) -> Trace:
    """Estimate the trace of an existing Hessian; see :func:`trace`.

    Raises:
        InvalidInput: there are fewer than two probes, which have no standard error.
    """
    if probes < 2:
        raise InvalidInput(
            f"A trace with a standard error needs at least two probes, not {probes}.",
            "probes",
        )
    source = generator(seed, "trace")
    values = torch.stack([at_point.along(_signs(at_point.theta, source)) for _ in range(probes)])
    return Trace(values.mean(dim=0), values.std(dim=0) / math.sqrt(probes), probes)


def density(
    objective: Objective,
    theta: torch.Tensor,
    x: torch.Tensor,
    y: torch.Tensor,
    *,
    probes: int = 8,
    steps: int = 64,
    points: int = 256,
    moments: int = 5,
    seed: int = 0,
) -> Density:
    """Estimate the spectral density at ``theta`` ``[R, P]``.

    A Krylov space of ``steps`` dimensions from a random start is a Gauss quadrature of the spectrum
    as weighted by that start: exact for polynomials up to degree ``2·steps − 1``. The mean over
    random starts estimates the spectrum itself (S. Ubaru, J. Chen, Y. Saad, *Fast estimation of
    tr(f(A))*, 2017).

    Args:
        probes: random starts. steps: products for each. points: of the grid. moments: how many to
            report.
    """
    return density_of(
        hessian(objective, theta, x, y),
        probes=probes,
        steps=steps,
        points=points,
        moments=moments,
        seed=seed,
    )


def density_of(
    at_point: Hessian,
    *,
    probes: int = 8,
    steps: int = 64,
    points: int = 256,
    moments: int = 5,
    seed: int = 0,
) -> Density:
    """Estimate the spectral density of an existing Hessian; see :func:`density`."""
    source = generator(seed, "density")
    before = at_point.products
    all_nodes, all_weights = [], []
    for _ in range(probes):
        krylov = lanczos(at_point.product, _signs(at_point.theta, source), steps)
        values, vectors = torch.linalg.eigh(krylov.matrix)
        # Rows beyond a run's own space are zero, and no part of the first basis vector: their
        # weight is zero, too.
        all_nodes.append(values)
        all_weights.append(vectors[:, 0, :].square())
    nodes, weights = torch.cat(all_nodes, dim=1), torch.cat(all_weights, dim=1) / probes
    low, high = nodes.amin(dim=1, keepdim=True), nodes.amax(dim=1, keepdim=True)
    scale = torch.maximum(low.abs(), high.abs()).clamp_min(torch.finfo(nodes.dtype).tiny)
    spread = torch.maximum(high - low, 1e-3 * scale)
    width = spread / 100.0
    position = torch.linspace(0.0, 1.0, points, dtype=nodes.dtype, device=nodes.device)
    grid = low - 4.0 * width + position * (high - low + 8.0 * width)
    away = (grid.unsqueeze(2) - nodes.unsqueeze(1)) / width.unsqueeze(2)
    smooth = (weights.unsqueeze(1) * torch.exp(-0.5 * away.square())).sum(dim=2) / (
        width * math.sqrt(2.0 * math.pi)
    )
    powers = torch.stack([(weights * nodes**power).sum(dim=1) for power in range(moments)], dim=1)
    return Density(
        grid, smooth, nodes, weights, width.squeeze(1), powers, probes, at_point.products - before
    )


def full_spectrum(
    objective: Objective,
    theta: torch.Tensor,
    x: torch.Tensor,
    y: torch.Tensor,
    *,
    vectors: bool = False,
) -> FullSpectrum:
    """Return all eigenvalues at ``theta`` ``[R, P]`` and the counts of their signs; for small P.

    Raises:
        InvalidInput: P is larger than :data:`MAX_DENSE`.
    """
    return full_spectrum_of(hessian(objective, theta, x, y), vectors=vectors)


def full_spectrum_of(at_point: Hessian, *, vectors: bool = False) -> FullSpectrum:
    """Return all eigenvalues of an existing Hessian; see :func:`full_spectrum`.

    Raises:
        InvalidInput: P is larger than :data:`MAX_DENSE`.
    """
    parameters = at_point.theta.shape[1]
    if parameters > MAX_DENSE:
        raise InvalidInput(
            f"All {parameters:,} eigenvalues cannot be computed: the matrix may have at most "
            f"{MAX_DENSE:,} rows; compute those at the ends, or the density."
        )
    matrix = at_point.dense()
    if vectors:
        values, columns = torch.linalg.eigh(matrix)
        rows: torch.Tensor | None = columns.transpose(1, 2)
    else:
        values, rows = torch.linalg.eigvalsh(matrix), None
    threshold = zero_share(values.dtype) * values.abs().amax(dim=1, keepdim=True)
    return FullSpectrum(
        values, rows, (values < -threshold).sum(dim=1), (values.abs() <= threshold).sum(dim=1)
    )


def convexity(
    landscape: Landscape, path: torch.Tensor, tolerance: float | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the smallest eigenvalue ``[T]`` at each point of a path ``[T, P]``, and its convexity.

    Args:
        tolerance: share of the largest absolute eigenvalue by which the smallest may be negative;
            by default :func:`zero_share`.

    Returns:
        The eigenvalues, and whether the Hessian is positive semidefinite there, ``[T]`` bool.
    """
    share = zero_share(path.dtype) if tolerance is None else tolerance
    smallest, largest = [], []
    for point in path.split(1):
        at_point = landscape.hessian(point)
        if point.shape[1] <= DENSE_UP_TO:
            values = torch.linalg.eigvalsh(at_point.dense())
            low, high = values[:, 0], values.abs().amax(dim=1)
        else:
            ends = extremes(at_point.product, point, top=1, bottom=1, tolerance=1e-4)
            low, high = (
                ends.bottom[:, 0],
                torch.maximum(ends.top[:, 0].abs(), ends.bottom[:, 0].abs()),
            )
        smallest.append(low)
        largest.append(high)
    low, high = torch.cat(smallest), torch.cat(largest)
    return low, low >= -share * high


def zero_share(dtype: torch.dtype) -> float:
    """Return the share of the largest absolute eigenvalue below which one counts as zero.

    It is what products in this precision can distinguish, with a margin.
    """
    return ZERO if dtype == torch.float64 else 100.0 * ZERO


def _signs(like: torch.Tensor, source: torch.Generator) -> torch.Tensor:
    """Return random signs ``[R, P]``, the same for every run, so that runs are comparable."""
    drawn = torch.randint(0, 2, (like.shape[1],), generator=source)
    return (2.0 * drawn - 1.0).to(like).expand(like.shape)
