"""Tasks for surfaces: their pictures, and methods that run on them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optlab.catalogue.clipping.base import Clipping
from optlab.catalogue.optimizers.base import Optimizer
from optlab.catalogue.schedules.base import Schedule
from optlab.catalogue.surfaces.base import Interval, Start, Surface
from optlab.core import registry
from optlab.objective.surface_objective import lattice, picture, surface_batch_objective, tensor
from optlab.studies.surfaces.descent import Contender, Race, race
from optlab.studies.surfaces.stationary import Basins, CriticalPoints, basins, critical_points
from optlab.tasks.task import Task
from optlab.training.control import Controls, Stop

Floats = NDArray[np.float64]
GRID = 161
"""Points along each side of a picture."""
LINE = 801
"""Points of a picture of one variable."""
_STEPS_BETWEEN_CHECKS = 64


@dataclass(frozen=True)
class SurfacePicture:
    """A surface on a grid.

    Attributes:
        section: the requested ``[surface]`` section.
        axes: ``[n]`` along each variable.
        heights: ``[n]`` or ``[ny, nx]``.
        hessians: at the same points, ``[n, 1, 1]`` or ``[ny, nx, 2, 2]``.
        starts: to choose from.
        note: what to observe.
        lr: suitable learning rate.
        threshold: suitable threshold of clipping.
    """

    section: Mapping[str, Any]
    axes: tuple[Floats, ...]
    heights: Floats
    hessians: Floats
    starts: tuple[Start, ...]
    note: str
    lr: float
    threshold: float


@dataclass(frozen=True)
class PictureTask(Task):
    """Compute the picture of a surface; the result is a :class:`SurfacePicture`.

    Attributes:
        surface: a ``[surface]`` section.
        domain: one interval per variable; None for the surface's own.
    """

    surface: Mapping[str, Any]
    domain: tuple[Interval, ...] | None = None

    def run(self, controls: Controls) -> Iterator[SurfacePicture]:
        """See :class:`~optlab.tasks.task.Task`."""
        surface = surface_of(self.surface)
        count = LINE if surface.dimension == 1 else GRID
        axes, heights = picture(surface, count, self.domain)
        theta = tensor(lattice(axes))
        hessians = surface_batch_objective(surface, theta).hessian(theta).numpy()
        yield SurfacePicture(
            section=self.surface,
            axes=axes,
            heights=heights,
            hessians=hessians.reshape(*heights.shape, surface.dimension, surface.dimension),
            starts=surface.starts(),
            note=surface.note,
            lr=surface.lr,
            threshold=surface.threshold,
        )


@dataclass(frozen=True)
class Method:
    """One method of a race, as sections of an experiment file.

    Attributes:
        label: text in legends.
        start: ``(x, y)``.
        optimizer, schedule, clipping: sections.
        color: index into the plot palette.
    """

    label: str
    start: tuple[float, ...]
    optimizer: Mapping[str, Any]
    schedule: Mapping[str, Any]
    clipping: Mapping[str, Any]
    color: int = 0

    def contender(self) -> Contender:
        """Return the method with its components built.

        Raises:
            InvalidInput: a section is invalid.
        """
        return Contender(
            optimizer=registry.build(Optimizer, self.optimizer),
            start=self.start,
            schedule=registry.build(Schedule, self.schedule),
            clipping=registry.build(Clipping, self.clipping),
            label=self.label,
        )


@dataclass(frozen=True)
class RaceTask(Task):
    """Run methods on a surface.

    The result is a :class:`~optlab.studies.surfaces.descent.Race` without its contenders, which are
    ``methods`` in order.

    Attributes:
        surface: a ``[surface]`` section.
        methods: to run.
        steps: of each method.
        noise: of the gradient; see :func:`~optlab.studies.surfaces.descent.race`.
    """

    surface: Mapping[str, Any]
    methods: tuple[Method, ...]
    steps: int
    noise: float = 0.0

    def run(self, controls: Controls) -> Iterator[Race]:
        """See :class:`~optlab.tasks.task.Task`."""

        def going(step: int) -> bool:
            return step % _STEPS_BETWEEN_CHECKS != 0 or not any(
                isinstance(message, Stop) for message in controls.receive(step)
            )

        result = race(
            surface_of(self.surface),
            [method.contender() for method in self.methods],
            self.steps,
            self.noise,
            going,
        )
        # Rules of other packages may not be able to cross to another process.
        yield replace(result, contenders=())


def surface_of(section: Mapping[str, Any]) -> Surface:
    """Return the surface of a ``[surface]`` section.

    Raises:
        InvalidInput: the section is invalid.
    """
    return registry.build(Surface, section)


@dataclass(frozen=True)
class CriticalTask(Task):
    """Compute the critical points of a surface.

    The result is a :class:`~optlab.studies.surfaces.stationary.CriticalPoints`.

    Attributes:
        surface: a ``[surface]`` section.
    """

    surface: Mapping[str, Any]

    def run(self, controls: Controls) -> Iterator[CriticalPoints]:
        """See :class:`~optlab.tasks.task.Task`."""
        yield critical_points(surface_of(self.surface))


@dataclass(frozen=True)
class BasinsTask(Task):
    """Compute where a method ends from each point of the plane, and how many steps it takes.

    The result is a :class:`~optlab.studies.surfaces.stationary.Basins`.

    Attributes:
        surface: a ``[surface]`` section.
        method: to run.
        steps: maximum number of steps.
        count: points along each side.
    """

    surface: Mapping[str, Any]
    method: Method
    steps: int
    count: int = 81

    def run(self, controls: Controls) -> Iterator[Basins]:
        """See :class:`~optlab.tasks.task.Task`."""
        contender = self.method.contender()

        def going(step: int) -> bool:
            return step % _STEPS_BETWEEN_CHECKS != 0 or not any(
                isinstance(message, Stop) for message in controls.receive(step)
            )

        yield basins(
            surface_of(self.surface),
            contender.optimizer,
            contender.schedule,
            contender.clipping,
            steps=self.steps,
            count=self.count,
            going=going,
        )
