"""Curvature at a step: the spectrum of the Hessian, and the loss on a plane around the weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from optlab.core.errors import InvalidInput
from optlab.core.lazy import torch
from optlab.curvature import slices
from optlab.curvature.extremes import extremes
from optlab.curvature.landscape import ObjectiveLandscape
from optlab.curvature.spectrum import density_of
from optlab.tasks.model_point import ModelPoint
from optlab.tasks.model_view import View

Floats = NDArray[np.float64]
EXAMPLES = 512
"""Training examples that the objective is evaluated on at most: these views follow a cursor."""
POINTS = 21
"""Points of the plane in each direction."""
MAX_POINTS = 201
"""Largest number of them."""
_PROBES, _LANCZOS = 4, 40
_TOLERANCE = 1e-3


@dataclass(frozen=True)
class SpectrumAtStep:
    """The eigenvalues of the Hessian of the training objective.

    Attributes:
        step: of the weights. examples: training examples that the objective was evaluated on.
        top: the largest eigenvalues ``[k]``, descending. bottom: the smallest ``[l]``, ascending.
        converged: whether both were found to three digits.
        grid: eigenvalues ``[G]``. density: share of all eigenvalues around each, ``[G]``, of
            integral 1; estimated.
    """

    step: int
    examples: int
    top: Floats
    bottom: Floats
    converged: bool
    grid: Floats
    density: Floats


@dataclass(frozen=True)
class LossPlane:
    """The training objective on a plane through the weights.

    The plane is that of two random directions with the lengths of the weights of each unit
    (:func:`optlab.curvature.slices.filter_normalized`), drawn alike at every step.

    Attributes:
        step: of the weights, which are at (0, 0). examples: as in :class:`SpectrumAtStep`.
        a, b: coordinates ``[A]`` and ``[B]``. loss: ``[A, B]``.
    """

    step: int
    examples: int
    a: Floats
    b: Floats
    loss: Floats


@dataclass(frozen=True)
class SpectrumView(View):
    """Look at the spectrum of the Hessian.

    Attributes:
        top, bottom: how many of the largest and smallest eigenvalues.
    """

    name: ClassVar[str] = "spectrum"
    top: int = 3
    bottom: int = 1

    def compute(self, point: ModelPoint) -> SpectrumAtStep:
        x, y = _examples(point)
        hessian = ObjectiveLandscape(point.objective, x, y).hessian(point.theta)
        ends = extremes(
            hessian.product,
            point.theta,
            top=self.top,
            bottom=self.bottom,
            tolerance=_TOLERANCE,
            settle="value",
            max_products=300,
        )
        smooth = density_of(hessian, probes=_PROBES, steps=_LANCZOS)
        return SpectrumAtStep(
            point.step,
            len(x),
            ends.top[0].numpy(),
            ends.bottom[0].numpy(),
            bool(ends.converged[0]),
            smooth.grid[0].numpy(),
            smooth.density[0].numpy(),
        )


@dataclass(frozen=True)
class LossPlaneView(View):
    """Look at the loss on a plane around the weights.

    Attributes:
        points: of the grid in each direction. reach: how far to go to either side; at 1 the
            perturbation of each unit is as long as its weights.
    """

    name: ClassVar[str] = "landscape"
    points: int = POINTS
    reach: float = 1.0

    def compute(self, point: ModelPoint) -> LossPlane:
        if not 2 <= self.points <= MAX_POINTS:
            raise InvalidInput(
                f"--points is {self.points}, but it must be from 2 to {MAX_POINTS}.", "points"
            )
        x, y = _examples(point)
        plane = slices.random_plane(point.objective.layout, point.theta[0])
        at = torch.linspace(-self.reach, self.reach, self.points, dtype=torch.float64)
        loss = slices.grid(point.objective, plane, x, y, at, at)
        return LossPlane(point.step, len(x), at.numpy(), at.numpy(), loss.numpy())


def _examples(point: ModelPoint) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the first training examples, inputs and targets ``[n, …]``."""
    part = point.data.training
    return torch.from_numpy(part.x[:EXAMPLES]), torch.from_numpy(part.y[:EXAMPLES])
