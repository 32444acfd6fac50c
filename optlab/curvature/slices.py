"""Slices: the loss on a line or a plane through parameter space, evaluated as a population of R points at once.

A plane is a point and two directions; a path drawn on it says how much of itself the plane holds: the share of its variance, and each point's distance off the
plane. Without those two numbers a picture of a path on a plane is a rumor.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from optlab.engine.objective import Objective
from optlab.engine.seeding import generator
from optlab.errors import InvalidInput
from optlab.layout import Layout
from optlab.lazy import torch as _torch

if TYPE_CHECKING:
    import torch

_CHUNK_VALUES = 300_000
"""Parameters, inputs and activations that the points evaluated at once may hold: about a processor's cache; larger populations wait for memory."""


@dataclass(frozen=True)
class Plane:
    """A plane ``origin + a·first + b·second``.

    Attributes:
        origin: ``[P]``. first, second: directions ``[P]``, of any length and angle.
        labels: what the two coordinates are, in words.
    """

    origin: torch.Tensor
    first: torch.Tensor
    second: torch.Tensor
    labels: tuple[str, str]

    def points(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """Parameters ``[K, P]`` at coordinates ``a``, ``b`` ``[K]``."""
        return _torch.addmm(self.origin, _torch.stack([a, b], dim=1), _torch.stack([self.first, self.second]))

    def coordinates(self, points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Coordinates ``[K, 2]`` of the feet of ``points`` ``[K, P]``, and their distances ``[K]`` off the plane.

        Raises:
            InvalidInput: the two directions are parallel, or one of them is zero.
        """
        directions = _torch.stack([self.first, self.second]).double()
        offsets = points.double() - self.origin.double()
        gram = directions @ directions.T
        if not float(_torch.linalg.det(gram)) > 1e-20 * float(gram[0, 0] * gram[1, 1]):
            raise InvalidInput("The two directions of the slice are parallel or zero, so there is no plane; choose others.")
        found = _torch.linalg.solve(gram, directions @ offsets.T).T
        return found, _torch.linalg.vector_norm(offsets - found @ directions, dim=1)

    def explained(self, path: torch.Tensor) -> float:
        """Share of the variance of a path ``[K, P]`` that the plane holds; nan for a path that does not move."""
        deviations = path.double() - path.double().mean(dim=0)
        basis = _torch.linalg.qr(_torch.stack([self.first, self.second], dim=1).double()).Q
        total = float(deviations.square().sum())
        return float((deviations @ basis).square().sum()) / total if total > 0.0 else float("nan")


@dataclass(frozen=True)
class Line:
    """Losses on a line, with their spread over batches.

    Attributes:
        at: positions ``[K]``. mean: over all examples, ``[K]``. standard_error: of the mean over batches, ``[K]``.
        spread: standard deviation of a batch, ``[K]``. batches: how many there were.
    """

    at: torch.Tensor
    mean: torch.Tensor
    standard_error: torch.Tensor
    spread: torch.Tensor
    batches: int


def filter_normalized(layout: Layout, theta: torch.Tensor, source: torch.Generator) -> torch.Tensor:
    """A random direction ``[P]``, each output row of a weight as long as that row of ``theta`` ``[P]``; zero in biases and scales.

    So a step of length one is as large for every unit as the unit's own weights, whatever scale the layers have (H. Li et al., *Visualizing the loss landscape
    of neural nets*, 2018).
    """
    drawn = _torch.randn(theta.shape, generator=source, dtype=_torch.float64).to(theta)
    parts = []
    for spec, weight, direction in zip(layout.parameters, theta.split(layout.sizes), drawn.split(layout.sizes), strict=True):
        if spec.role != "weight" or len(spec.shape) < 2:
            parts.append(_torch.zeros_like(direction))
            continue
        rows, ours = weight.view(spec.shape[0], -1), direction.view(spec.shape[0], -1)
        length = _torch.linalg.vector_norm(rows, dim=1, keepdim=True)
        parts.append((ours * length / _torch.linalg.vector_norm(ours, dim=1, keepdim=True)).flatten())
    return _torch.cat(parts)


def random_plane(layout: Layout, theta: torch.Tensor, seed: int = 0) -> Plane:
    """The plane through ``theta`` ``[P]`` along two filter-normalized random directions."""
    source = generator(seed, "slice")
    first, second = filter_normalized(layout, theta, source), filter_normalized(layout, theta, source)
    return Plane(theta, first, second, ("random direction 1", "random direction 2"))


def path_plane(path: torch.Tensor) -> Plane:
    """The plane of the first two principal components of a path ``[K, P]`` through its last point; the directions have length 1.

    Raises:
        InvalidInput: the path has fewer than three points, or lies on a line.
    """
    if len(path) < 3:
        raise InvalidInput(f"A plane through a path needs three points of it at least, but there are {len(path)}.")
    deviations = (path - path.mean(dim=0)).double()
    # From the small matrix of inner products: K points of P numbers, K far below P.
    values, vectors = _torch.linalg.eigh(deviations @ deviations.T)
    if not float(values[-2]) > 1e-12 * float(values[-1]):
        raise InvalidInput("The path lies on a line, so it has no plane of its own.")
    directions = (vectors[:, [-1, -2]] / values[[-1, -2]].sqrt()).T @ deviations
    # The sign of an eigenvector is arbitrary: the path ends on the positive side.
    directions = directions * _torch.where((directions @ (deviations[-1] - deviations[0])) < 0.0, -1.0, 1.0).unsqueeze(1)
    shares = (values[[-1, -2]] / values.clamp_min(0.0).sum()).tolist()
    labels = (f"first component ({shares[0]:.1%} of the variance)", f"second component ({shares[1]:.1%})")
    return Plane(path[-1], directions[0].to(path), directions[1].to(path), labels)


def plane_between(a: torch.Tensor, b: torch.Tensor, across: torch.Tensor) -> Plane:
    """The plane with ``a`` at (0, 0), ``b`` at (1, 0) and, at right angles to their line, the direction ``across``, as long as the line; all ``[P]``."""
    along = b - a
    return Plane(a, along, _orthogonal(across, along), ("from one to the other", "across"))


def gradient_plane(theta: torch.Tensor, gradient: torch.Tensor, vector: torch.Tensor) -> Plane:
    """The plane through ``theta`` of the gradient and the top eigenvector, made orthonormal in this order; all ``[P]``."""
    first = gradient / _torch.linalg.vector_norm(gradient)
    return Plane(theta, first, _orthogonal(vector, first), ("along the gradient", "along the top eigenvector, across the gradient"))


def grid(
    objective: Objective, plane: Plane, x: torch.Tensor, y: torch.Tensor, a: torch.Tensor, b: torch.Tensor, *, penalty: bool = True
) -> torch.Tensor:
    """The objective ``[A, B]`` on a grid of the plane.

    Args:
        x, y: examples that all points share, ``[n, …]``. a, b: coordinates ``[A]``, ``[B]``. penalty: whether weight decay counts.
    """
    first, second = a.repeat_interleave(len(b)), b.repeat(len(a))
    rows = _points_at_once(objective, x)
    found = []
    for one, other in zip(first.split(rows), second.split(rows), strict=True):
        theta = plane.points(one, other)
        mean = objective.evaluate(theta, x, y)[0].mean(dim=1)
        added = objective.penalty(theta) if penalty else None
        found.append(mean if added is None else mean + added)
    return _torch.cat(found).view(len(a), len(b))


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
) -> Line:
    """The objective at ``origin + at·direction``, with error bars over batches of consecutive examples.

    Args:
        origin, direction: ``[P]``. at: ``[K]``. x, y: examples ``[n, …]``. batch: examples of a batch; a rest that fills none is left out of the error bars.

    Raises:
        InvalidInput: the examples make fewer than two batches.
    """
    batches = len(x) // batch
    if batches < 2:
        raise InvalidInput(f"Error bars need two batches at least, but {len(x)} examples make {batches} of {batch}; make the batches smaller.")
    rows = _points_at_once(objective, x)
    means, spreads = [], []
    for some in at.split(rows):
        theta = origin + some.unsqueeze(1) * direction
        losses = objective.evaluate(theta, x, y)[0]
        added = objective.penalty(theta) if penalty else None
        mean = losses.mean(dim=1)
        means.append(mean if added is None else mean + added)
        spreads.append(losses[:, : batches * batch].reshape(len(some), batches, batch).mean(dim=2).std(dim=1))
    spread = _torch.cat(spreads)
    return Line(at, _torch.cat(means), spread / math.sqrt(batches), spread, batches)


def _points_at_once(objective: Objective, x: torch.Tensor) -> int:
    activations = len(x) * max([objective.shape.width, *(spec.shape[0] for spec in objective.layout.parameters)])
    return max(1, _CHUNK_VALUES // (objective.layout.total + activations))


def _orthogonal(v: torch.Tensor, to: torch.Tensor) -> torch.Tensor:
    """``v`` without its part along ``to``, as long as ``to``."""
    rest = v - (v @ to) / (to @ to) * to
    found: torch.Tensor = rest * _torch.linalg.vector_norm(to) / _torch.linalg.vector_norm(rest)
    return found
