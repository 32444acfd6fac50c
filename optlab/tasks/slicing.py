"""Slices of the objective of a subject: the plane or line, its extent, and the path on it.

The results are NumPy arrays, ready to be drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from optlab.core.errors import InvalidInput
from optlab.core.lazy import torch
from optlab.core.limits import MAX_TRIVIAL_POINTS
from optlab.curvature import slices
from optlab.curvature.extremes import extremes
from optlab.curvature.slices import Plane
from optlab.objective.seeding import generator
from optlab.tasks.subject import Subject

Floats = NDArray[np.float64]
Along = Literal["random", "path", "gradient", "runs"]
ALONG: tuple[Along, ...] = get_args(Along)


@dataclass(frozen=True)
class PlaneSlice:
    """The objective on a plane, and the path projected on it.

    Attributes:
        labels: of the two coordinates.
        a, b: coordinates, ``[A]`` and ``[B]``.
        loss: ``[A, B]``.
        steps: of the K points of the path.
        path: their coordinates ``[K, 2]``.
        off_plane: their distances from the plane, ``[K]``.
        explained: share of the path's variance within the plane; None where the path has so few
            points that any of them lie in a plane.
    """

    labels: tuple[str, str]
    a: Floats
    b: Floats
    loss: Floats
    steps: tuple[int, ...]
    path: Floats
    off_plane: Floats
    explained: float | None


@dataclass(frozen=True)
class LineSlice:
    """The objective on a line.

    Attributes:
        label: of the coordinate.
        at: coordinates ``[K]``.
        loss: over all examples, ``[K]``.
        standard_error: of a mean over ``batches`` batches, ``[K]``.
        spread: standard deviation of a batch's loss, ``[K]``.
        batches: their number.
    """

    label: str
    at: Floats
    loss: Floats
    standard_error: Floats
    spread: Floats
    batches: int


def cut_plane(
    here: Subject,
    along: Along,
    other: Subject | None = None,
    *,
    points: int = 25,
    reach: float = 0.0,
    seed: int = 0,
) -> PlaneSlice:
    """Evaluate the objective on a plane through the weights of a subject.

    Args:
        here: the subject.
        along: which plane; see :data:`ALONG`.
        other: the second subject, for ``runs``.
        points: in each direction.
        reach: how far to go to either side; 0 for 1, or for a margin around the path.
        seed: of random directions.

    Raises:
        InvalidInput: there is no such plane.
    """
    plane = _plane(here, along, other, seed)
    coordinates, off = plane.coordinates(here.path)
    low, high = coordinates.amin(dim=0), coordinates.amax(dim=0)
    if reach:
        low, high = torch.full_like(low, -reach), torch.full_like(high, reach)
    elif along == "path":
        margin = 0.2 * (high - low)
        low, high = low - margin, high + margin
    elif along == "runs":
        low, high = (
            torch.tensor([-0.5, -1.0], dtype=low.dtype),
            torch.tensor([1.5, 1.0], dtype=low.dtype),
        )
    else:
        low, high = torch.full_like(low, -1.0), torch.full_like(high, 1.0)
    a, b = (
        torch.linspace(float(low[axis]), float(high[axis]), points, dtype=torch.float64)
        for axis in (0, 1)
    )
    return PlaneSlice(
        plane.labels,
        a.numpy(),
        b.numpy(),
        slices.grid(here.objective, plane, here.x, here.y, a, b).numpy(),
        here.at_steps,
        coordinates.numpy(),
        off.numpy(),
        plane.explained(here.path) if len(here.path) > MAX_TRIVIAL_POINTS else None,
    )


def cut_line(
    here: Subject,
    other: Subject | None = None,
    *,
    points: int = 25,
    reach: float = 0.0,
    seed: int = 0,
    batch: int = 32,
) -> LineSlice:
    """Evaluate the objective on a line through the weights of a subject, with error bars.

    The line leads to ``other``, or along a filter-normalized random direction.

    Args:
        here: the subject.
        other: the second subject, or None.
        points: on the line.
        reach: how far to go to either side; 0 for the default.
        seed: of the random direction.
        batch: examples per batch, for the error bars.

    Raises:
        InvalidInput: there are too few examples for error bars, or ``other`` has another model.
    """
    theta = here.theta[0]
    if other is not None:
        check_same_space(here, other)
        direction, low, high = other.theta[0] - theta, -(reach or 0.5), 1.0 + (reach or 0.5)
        label = "from one to the other"
    else:
        direction = slices.filter_normalized(here.objective.layout, theta, generator(seed, "slice"))
        low, high, label = -(reach or 1.0), reach or 1.0, "random direction"
    at = torch.linspace(low, high, points, dtype=torch.float64)
    result = slices.line(here.objective, theta, direction, here.x, here.y, at, batch=batch)
    return LineSlice(
        label,
        at.numpy(),
        result.mean.numpy(),
        result.standard_error.numpy(),
        result.spread.numpy(),
        result.batches,
    )


def check_same_space(here: Subject, other: Subject) -> None:
    """Make sure that two subjects have the same parameters.

    Raises:
        InvalidInput: their models differ.
    """
    if other.objective.layout != here.objective.layout:
        raise InvalidInput(
            f"“{other.title}” and “{here.title}” have models with other parameters, so they cannot "
            "be connected by a line; choose two runs of the same model.",
            "to",
        )


def _plane(here: Subject, along: Along, other: Subject | None, seed: int) -> Plane:
    theta = here.theta[0]
    match along:
        case "path":
            return slices.path_plane(here.path)
        case "gradient":
            gradient = here.landscape.value_and_gradient(here.theta)[1]
            eigen = extremes(here.landscape.hessian(here.theta).product, here.theta)
            return slices.gradient_plane(theta, gradient[0], eigen.top_vectors[0, 0])
        case "runs":
            if other is None:
                raise InvalidInput("A slice between two runs needs a second run.", "to")
            check_same_space(here, other)
            across = slices.filter_normalized(
                here.objective.layout, theta, generator(seed, "slice")
            )
            return slices.plane_between(theta, other.theta[0], across)
        case "random":
            return slices.random_plane(here.objective.layout, theta, seed)
