"""The spectrum of the Hessian: its ends, its trace, its density, and for small P all of it.

Everything is asked of an objective at ``theta`` ``[R, P]`` on data (one batch a run, ``[R, m, …]``,
or examples shared by all runs, ``[n, …]``), and answered in tensors with a leading run axis.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from optlab.core.errors import InvalidInput
from optlab.core.lazy import torch
from optlab.core.limits import MAX_DENSE
from optlab.curvature.extremes import Extremes, Settle, extremes
from optlab.curvature.hessian import Hessian
from optlab.curvature.landscape import Landscape, ObjectiveLandscape
from optlab.numerics.lanczos import lanczos
from optlab.objective.objective import Objective
from optlab.objective.seeding import generator

DENSE_UP_TO = 1500
"""P up to which the whole spectrum is computed without being asked for: seconds."""
ZERO = 1e-6
"""Share of the largest absolute eigenvalue below which an eigenvalue counts as zero in double
precision; in single precision it is 1e-4.
"""


@dataclass(frozen=True)
class Trace:
    """Hutchinson's estimate of the trace.

    Attributes:
        mean: ``[R]``. standard_error: ``[R]``, of the mean over the probes.
        probes: how many there were; each costs one product.
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
        moments: ``tr(Hʲ)/P`` for j = 0, 1, …, ``[R, J]``, estimated. probes: how many there were;
            products: Hessian products taken.
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
class Whole:
    """All eigenvalues.

    Attributes:
        values: ``[R, P]``, rising. vectors: ``[R, P, P]``, a vector a row, or None where they were
            not asked for.
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
    """The Hessians at ``theta`` ``[R, P]``, by products."""
    return ObjectiveLandscape(objective, x, y).hessian(theta)


def hvp(
    objective: Objective, theta: torch.Tensor, x: torch.Tensor, y: torch.Tensor, v: torch.Tensor
) -> torch.Tensor:
    """``H v`` for ``v`` ``[R, P]``, or for several vectors a run ``[R, k, P]``."""
    here = hessian(objective, theta, x, y)
    return here.product(v) if v.dim() == 2 else here.several(v)


def gradient(
    objective: Objective, theta: torch.Tensor, x: torch.Tensor, y: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The objective ``[R]``, weight decay included, and its gradient ``[R, P]``; on whole data in
    chunks.
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
    most: int = 1000,
) -> Extremes:
    """The largest and smallest eigenvalues with their vectors; see
    :func:`optlab.curvature.extremes.extremes`.

    For a monitor of the largest eigenvalue alone, ``settle="value"`` with the last vectors as
    ``start`` needs the fewest products.
    """
    here = hessian(objective, theta, x, y)
    return extremes(
        here.product,
        here.theta,
        top=top,
        bottom=bottom,
        start=start,
        tolerance=tolerance,
        settle=settle,
        most=most,
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
    """The trace by random signs z: the mean of ``zᵀHz`` (M. Hutchinson, 1990).

    Raises:
        InvalidInput: fewer than two probes, which have no standard error.
    """
    return trace_of(hessian(objective, theta, x, y), probes=probes, seed=seed)


def trace_of(here: Hessian, *, probes: int = 32, seed: int = 0) -> Trace:
    """:func:`trace` of a Hessian that is at hand."""
    if probes < 2:
        raise InvalidInput(
            f"A trace with a standard error needs two probes at least, but {probes} was asked for.",
            "probes",
        )
    source = generator(seed, "trace")
    values = torch.stack([here.along(_signs(here.theta, source)) for _ in range(probes)])
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
    """The spectral density (S. Ubaru, J. Chen, Y. Saad, *Fast estimation of tr(f(A))*, 2017).

    A Krylov space of ``steps`` dimensions from a random start is a Gauss quadrature of the spectrum
    as that start sees it: exact for polynomials up to degree ``2·steps − 1``. The mean over random
    starts estimates the spectrum itself.

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
    here: Hessian,
    *,
    probes: int = 8,
    steps: int = 64,
    points: int = 256,
    moments: int = 5,
    seed: int = 0,
) -> Density:
    """:func:`density` of a Hessian that is at hand."""
    source = generator(seed, "density")
    before = here.products
    all_nodes, all_weights = [], []
    for _ in range(probes):
        krylov = lanczos(here.product, _signs(here.theta, source), steps)
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
    place = torch.linspace(0.0, 1.0, points, dtype=nodes.dtype, device=nodes.device)
    grid = low - 4.0 * width + place * (high - low + 8.0 * width)
    away = (grid.unsqueeze(2) - nodes.unsqueeze(1)) / width.unsqueeze(2)
    smooth = (weights.unsqueeze(1) * torch.exp(-0.5 * away.square())).sum(dim=2) / (
        width * math.sqrt(2.0 * math.pi)
    )
    powers = torch.stack([(weights * nodes**power).sum(dim=1) for power in range(moments)], dim=1)
    return Density(
        grid, smooth, nodes, weights, width.squeeze(1), powers, probes, here.products - before
    )


def whole(
    objective: Objective,
    theta: torch.Tensor,
    x: torch.Tensor,
    y: torch.Tensor,
    *,
    vectors: bool = False,
) -> Whole:
    """All eigenvalues, and what signs they have; for small P.

    Raises:
        InvalidInput: P is larger than :data:`MAX_DENSE`.
    """
    return whole_of(hessian(objective, theta, x, y), vectors=vectors)


def whole_of(here: Hessian, *, vectors: bool = False) -> Whole:
    """:func:`whole` of a Hessian that is at hand."""
    parameters = here.theta.shape[1]
    if parameters > MAX_DENSE:
        raise InvalidInput(
            f"All {parameters:,} eigenvalues cannot be had: the matrix may have {MAX_DENSE:,} rows at most; ask for those at the ends, or the density."
        )
    matrix = here.dense()
    if vectors:
        values, columns = torch.linalg.eigh(matrix)
        found = columns.transpose(1, 2)
    else:
        values, found = torch.linalg.eigvalsh(matrix), None
    threshold = zero_share(values.dtype) * values.abs().amax(dim=1, keepdim=True)
    return Whole(
        values, found, (values < -threshold).sum(dim=1), (values.abs() <= threshold).sum(dim=1)
    )


def convexity(
    landscape: Landscape, path: torch.Tensor, tolerance: float | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Smallest eigenvalue ``[T]`` at each point of a path ``[T, P]``, and whether the Hessian is
    positive semidefinite there, ``[T]`` bool.

    Args:
        tolerance: share of the largest absolute eigenvalue by which the smallest may be negative;
            by default :func:`zero_share`.
    """
    share = zero_share(path.dtype) if tolerance is None else tolerance
    smallest, largest = [], []
    for point in path.split(1):
        here = landscape.hessian(point)
        if point.shape[1] <= DENSE_UP_TO:
            values = torch.linalg.eigvalsh(here.dense())
            low, high = values[:, 0], values.abs().amax(dim=1)
        else:
            found = extremes(here.product, point, top=1, bottom=1, tolerance=1e-4)
            low, high = (
                found.bottom[:, 0],
                torch.maximum(found.top[:, 0].abs(), found.bottom[:, 0].abs()),
            )
        smallest.append(low)
        largest.append(high)
    low, high = torch.cat(smallest), torch.cat(largest)
    return low, low >= -share * high


def zero_share(dtype: torch.dtype) -> float:
    """Share of the largest absolute eigenvalue below which one counts as zero: what products in
    this precision can tell apart, and a margin.
    """
    return ZERO if dtype == torch.float64 else 100.0 * ZERO


def _signs(like: torch.Tensor, source: torch.Generator) -> torch.Tensor:
    """Random signs ``[R, P]``, the same for every run, so that runs are compared by the same
    probes.
    """
    drawn = torch.randint(0, 2, (like.shape[1],), generator=source)
    return (2.0 * drawn - 1.0).to(like).expand(like.shape)
