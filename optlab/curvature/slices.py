"""Slices: the loss on a line or a plane through parameter space.

A plane is a point and two directions. A path drawn on it comes with two numbers: the share of the
path's variance that the plane holds, and each point's distance from the plane. Without them a
picture of a path on a plane proves nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from optlab.core.errors import InvalidInput
from optlab.core.layout import Layout
from optlab.core.lazy import torch
from optlab.core.limits import MAX_TRIVIAL_POINTS
from optlab.curvature.combinations import Combinations
from optlab.objective.objective import Objective
from optlab.objective.seeding import generator


@dataclass(frozen=True)
class Plane:
    """A plane ``origin + a·first + b·second``.

    Attributes:
        origin: ``[P]``. first, second: directions ``[P]``, of any length and angle.
        labels: what the two coordinates are, as text.
    """

    origin: torch.Tensor
    first: torch.Tensor
    second: torch.Tensor
    labels: tuple[str, str]

    def points(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """Return the parameters ``[K, P]`` at coordinates ``a``, ``b`` ``[K]``."""
        return torch.addmm(
            self.origin, torch.stack([a, b], dim=1), torch.stack([self.first, self.second])
        )

    def coordinates(self, points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Project ``points`` ``[K, P]`` onto the plane.

        Returns:
            Coordinates ``[K, 2]`` of the projections, and distances ``[K]`` from the plane.

        Raises:
            InvalidInput: the two directions are parallel, or one of them is zero.
        """
        directions = torch.stack([self.first, self.second]).double()
        offsets = points.double() - self.origin.double()
        gram = directions @ directions.T
        if not float(torch.linalg.det(gram)) > 1e-20 * float(gram[0, 0] * gram[1, 1]):
            raise InvalidInput(
                "The two directions of the slice are parallel or zero, so they span no plane; "
                "choose others."
            )
        coordinates = torch.linalg.solve(gram, directions @ offsets.T).T
        return coordinates, torch.linalg.vector_norm(offsets - coordinates @ directions, dim=1)

    def explained(self, path: torch.Tensor) -> float:
        """Return the share of the variance of a path ``[K, P]`` that the plane holds.

        It is nan for a path that does not move.
        """
        deviations = path.double() - path.double().mean(dim=0)
        basis = torch.linalg.qr(torch.stack([self.first, self.second], dim=1).double()).Q
        total = float(deviations.square().sum())
        return float((deviations @ basis).square().sum()) / total if total > 0.0 else float("nan")


@dataclass(frozen=True)
class Line:
    """Losses on a line, with their spread over batches.

    Attributes:
        at: positions ``[K]``. mean: over all examples, ``[K]``. standard_error: of the mean over
            batches, ``[K]``.
        spread: standard deviation of a batch, ``[K]``. batches: their number.
    """

    at: torch.Tensor
    mean: torch.Tensor
    standard_error: torch.Tensor
    spread: torch.Tensor
    batches: int


def filter_normalized(layout: Layout, theta: torch.Tensor, source: torch.Generator) -> torch.Tensor:
    """Return a random direction ``[P]`` with the row lengths of ``theta`` ``[P]``.

    Each output row of a weight is as long as that row of ``theta``; biases and scales are zero. So
    a step of length one is as large for every unit as the unit's own weights, at any scale of the
    layers (H. Li et al., *Visualizing the loss landscape of neural nets*, 2018).
    """
    drawn = torch.randn(theta.shape, generator=source, dtype=torch.float64).to(theta)
    parts = []
    for spec, weight, direction in zip(
        layout.parameters, theta.split(layout.sizes), drawn.split(layout.sizes), strict=True
    ):
        if spec.role != "weight" or len(spec.shape) < 2:
            parts.append(torch.zeros_like(direction))
            continue
        rows, drawn_rows = weight.view(spec.shape[0], -1), direction.view(spec.shape[0], -1)
        length = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
        parts.append(
            (
                drawn_rows * length / torch.linalg.vector_norm(drawn_rows, dim=1, keepdim=True)
            ).flatten()
        )
    return torch.cat(parts)


def random_plane(layout: Layout, theta: torch.Tensor, seed: int = 0) -> Plane:
    """Return the plane through ``theta`` ``[P]`` along two filter-normalized random directions."""
    source = generator(seed, "slice")
    first, second = (
        filter_normalized(layout, theta, source),
        filter_normalized(layout, theta, source),
    )
    return Plane(theta, first, second, ("random direction 1", "random direction 2"))


def path_plane(path: torch.Tensor) -> Plane:
    """Return the plane of the first two principal components of a path ``[K, P]``.

    It passes through the path's last point; its directions have length 1.

    Raises:
        InvalidInput: the path has fewer than three points, or lies on a line.
    """
    if len(path) < 3:
        raise InvalidInput(
            f"A plane through a path needs at least three points of the path, not {len(path)}."
        )
    deviations = (path - path.mean(dim=0)).double()
    # From the small matrix of inner products: K points of P numbers, K far below P.
    values, vectors = torch.linalg.eigh(deviations @ deviations.T)
    if not float(values[-2]) > 1e-12 * float(values[-1]):
        raise InvalidInput("The path lies on a line, so it spans no plane.")
    directions = (vectors[:, [-1, -2]] / values[[-1, -2]].sqrt()).T @ deviations
    # The sign of an eigenvector is arbitrary: the path ends on the positive side.
    directions = directions * torch.where(
        (directions @ (deviations[-1] - deviations[0])) < 0.0, -1.0, 1.0
    ).unsqueeze(1)
    shares = (values[[-1, -2]] / values.clamp_min(0.0).sum()).tolist()
    labels = (
        (
            f"first component ({shares[0]:.1%} of the variance)",
            f"second component ({shares[1]:.1%})",
        )
        if len(path) > MAX_TRIVIAL_POINTS
        else ("first component", "second component")
    )
    return Plane(path[-1], directions[0].to(path), directions[1].to(path), labels)


def plane_between(a: torch.Tensor, b: torch.Tensor, across: torch.Tensor) -> Plane:
    """Return the plane with ``a`` at (0, 0) and ``b`` at (1, 0).

    The other direction is the part of ``across`` at right angles to their line, as long as the
    line; all ``[P]``.
    """
    along = b - a
    return Plane(a, along, _orthogonal(across, along), ("from one to the other", "across"))


def gradient_plane(theta: torch.Tensor, gradient: torch.Tensor, vector: torch.Tensor) -> Plane:
    """Return the plane of the gradient and the top eigenvector through ``theta``; all ``[P]``.

    The directions are made orthonormal in this order.
    """
    first = gradient / torch.linalg.vector_norm(gradient)
    return Plane(
        theta,
        first,
        _orthogonal(vector, first),
        ("along the gradient", "along the top eigenvector, across the gradient"),
    )


def grid(
    objective: Objective,
    plane: Plane,
    x: torch.Tensor,
    y: torch.Tensor,
    a: torch.Tensor,
    b: torch.Tensor,
    *,
    penalty: bool = True,
    precision: torch.dtype | None = None,
) -> torch.Tensor:
    """Return the objective ``[A, B]`` on a grid of the plane, in the precision of the plane.

    Args:
        x, y: examples that all points share, ``[n, …]``. a, b: coordinates ``[A]``, ``[B]``.
        penalty: whether weight decay counts.
        precision: of the evaluations in between, by default that of the plane; single precision is
            enough for a picture and takes about half the time.
    """
    coefficients = torch.stack([a.repeat_interleave(len(b)), b.repeat(len(a))], dim=1)
    combinations = _combinations(
        objective, plane.origin, torch.stack([plane.first, plane.second]), x, y, precision
    )
    return _objective_at(combinations, coefficients, plane.origin, penalty).view(len(a), len(b))


def line(
    objective: Objective,
    origin: torch.Tensor,
    direction: torch.Tensor,
    x: torch.Tensor,
    y: torch.Tensor,
    at: torch.Tensor,
    *,
    batch: int = 32,
    penalty: bool = True,
    precision: torch.dtype | None = None,
) -> Line:
    """Return the objective at ``origin + at·direction``, with error bars over batches.

    Args:
        origin, direction: ``[P]``. at: ``[K]``. x, y: examples ``[n, …]``.
        batch: consecutive examples of a batch; the error bars leave out a last, incomplete one.
        penalty, precision: as for :func:`grid`.

    Raises:
        InvalidInput: the examples make fewer than two batches.
    """
    batches = len(x) // batch
    if batches < 2:
        raise InvalidInput(
            f"Error bars need at least two batches, but {len(x)} examples make {batches} of "
            f"{batch}; use smaller batches."
        )
    combinations = _combinations(objective, origin, direction.unsqueeze(0), x, y, precision)
    coefficients = at.unsqueeze(1)
    table = origin.new_empty(len(at), len(x))
    for points, examples, losses in combinations.losses(coefficients):
        table[points, examples] = losses.to(table)
    mean = table.mean(dim=1)
    values = combinations.penalized(mean, coefficients) if penalty else mean
    spread = table[:, : batches * batch].reshape(len(at), batches, batch).mean(dim=2).std(dim=1)
    return Line(at, values, spread / math.sqrt(batches), spread, batches)


def _combinations(
    objective: Objective,
    origin: torch.Tensor,
    directions: torch.Tensor,
    x: torch.Tensor,
    y: torch.Tensor,
    precision: torch.dtype | None,
) -> Combinations:
    # Targets of a regression are values, those of a classification class numbers.
    kind = origin.dtype if precision is None else precision
    return Combinations(
        objective, origin, directions, x.to(kind), y.to(kind) if y.is_floating_point() else y
    )


def _objective_at(
    combinations: Combinations, coefficients: torch.Tensor, like: torch.Tensor, penalty: bool
) -> torch.Tensor:
    mean = combinations.means(coefficients).to(like)
    return combinations.penalized(mean, coefficients) if penalty else mean


def _orthogonal(v: torch.Tensor, to: torch.Tensor) -> torch.Tensor:
    """Return ``v`` without its part along ``to``, as long as ``to``."""
    rest = v - (v @ to) / (to @ to) * to
    scaled: torch.Tensor = rest * torch.linalg.vector_norm(to) / torch.linalg.vector_norm(rest)
    return scaled
