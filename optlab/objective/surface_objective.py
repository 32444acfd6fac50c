"""A surface as an objective: a model without data, whose parameters are the point.

Its output is the height. So the same steps train on a surface as on a network, through the same
:class:`~optlab.objective.batch_objective.BatchObjective`. Gradient noise is an input: a tilt ``n``
of the entire surface, ``f(θ) + nᵀθ``, new at every step, as a minibatch tilts an empirical risk.
Its gradient is ``∇f + n`` and its Hessian that of f.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pydantic
from numpy.typing import ArrayLike, NDArray

from optlab.catalogue.losses.base import Loss
from optlab.catalogue.models.base import ForwardContext, Model
from optlab.catalogue.surfaces.base import Interval, Surface
from optlab.core.data import DataShape
from optlab.core.layout import Layout, Parameter
from optlab.core.lazy import torch
from optlab.objective.batch_objective import BatchObjective
from optlab.objective.objective import Objective

Array = NDArray[np.float64]


class _SurfaceModel(Model):
    """The surface as a model; inputs ``[R, 1, d]`` are tilts, those of width 0 none."""

    _surface: Surface = pydantic.PrivateAttr()

    def layout(self, shape: DataShape) -> Layout:
        size = self._surface.dimension
        return Layout((Parameter("point", (size,), "weight", size, 1),))

    def forward(
        self, parameters: list[torch.Tensor], x: torch.Tensor, context: ForwardContext
    ) -> torch.Tensor:
        (point,) = parameters
        height = self._surface.value(point)
        if x.shape[2]:
            height = height + (x[:, 0] * point).sum(dim=1)
        return height.view(-1, 1, 1)


class _Height(Loss):
    """The output itself."""

    def per_example(self, outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return outputs.squeeze(2)


def surface_objective(surface: Surface) -> Objective:
    """Return the objective of a point on a surface.

    It takes ``theta`` ``[R, d]``, inputs from :func:`untilted` or tilts ``[R, 1, d]``, and targets
    from :func:`untilted`.
    """
    model = _SurfaceModel()
    model._surface = surface
    return Objective(model, _Height(), DataShape((surface.dimension,), 1, "regression"))


def untilted(theta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return inputs and targets for points ``[R, d]`` on the surface without a tilt."""
    return theta.new_zeros(len(theta), 1, 0), theta.new_zeros(len(theta), 1)


def surface_batch_objective(surface: Surface, theta: torch.Tensor) -> BatchObjective:
    """Return values, gradients and Hessians of a surface at points ``[R, d]``."""
    return BatchObjective(surface_objective(surface), *untilted(theta), [0] * len(theta), 0)


def axes(domain: Sequence[Interval], count: int) -> tuple[Array, ...]:
    """Return ``count`` evenly spaced coordinates ``[count]`` along each variable, ends included."""
    return tuple(np.linspace(low, high, count) for low, high in domain)


def lattice(along: Sequence[Array]) -> Array:
    """Return all points ``[n, d]`` of a grid: row by row, y slow and x fast."""
    if len(along) == 1:
        return along[0].reshape(-1, 1)
    x, y = np.meshgrid(*along)
    return np.stack([x.ravel(), y.ravel()], axis=1)


def tensor(points: ArrayLike) -> torch.Tensor:
    """Return points ``[n, d]`` in double precision."""
    return torch.as_tensor(np.asarray(points, dtype=np.float64).copy())


def heights(surface: Surface, points: ArrayLike) -> Array:
    """Return values ``[n]`` at points ``[n, d]``; nan or infinite where the surface has none."""
    with torch.no_grad():
        values: Array = surface.value(tensor(points)).numpy()
    return values


def picture(
    surface: Surface, count: int = 201, domain: Sequence[Interval] | None = None
) -> tuple[tuple[Array, ...], Array]:
    """Return axes and heights to draw.

    The heights are ``[count]`` of one variable, ``[count, count]`` (row is y, column is x) of two.

    Args:
        domain: what to show; by default the surface's own.
    """
    coordinates = axes(domain or surface.domain(), count)
    return coordinates, heights(surface, lattice(coordinates)).reshape((count,) * len(coordinates))
