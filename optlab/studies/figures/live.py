"""Runs on surfaces for figures: paths with their labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from optlab.catalogue.clipping.base import Clipping
from optlab.catalogue.optimizers.base import Optimizer
from optlab.catalogue.surfaces.base import Point, Surface
from optlab.core import registry
from optlab.objective.surface_objective import Array
from optlab.studies.surfaces.descent import Contender, Race, race


@dataclass(frozen=True)
class Track:
    """One run.

    Attributes:
        positions: ``[K + 1, d]``, the start first. values: heights there, ``[K + 1]``. gradients:
            of the surface there, ``[K + 1, d]``.
    """

    label: str
    positions: Array
    values: Array
    gradients: Array

    @property
    def steps(self) -> Array:
        """Lengths of the steps, ``[K]``."""
        lengths: Array = np.linalg.norm(np.diff(self.positions, axis=0), axis=1)
        return lengths

    @property
    def length(self) -> float:
        """Length of the path."""
        return float(self.steps.sum())

    @property
    def distance(self) -> float:
        """Distance from the start to the end."""
        return float(np.linalg.norm(self.positions[-1] - self.positions[0]))

    def first_below(self, height: float) -> int | None:
        """Return the number of steps until the run is first below a height, or None."""
        below = np.flatnonzero(self.values < height)
        return int(below[0]) if len(below) else None


def surface(name: str, **values: Any) -> Surface:
    """Return a surface of the catalogue."""
    return registry.build(Surface, {"name": name, **values})


def contender(
    label: str, start: Point, optimizer: str, clip: float | None = None, **values: Any
) -> Contender:
    """Return a run of a race.

    An optimizer of the catalogue with these values, with gradients clipped to the norm ``clip``, if
    any.
    """
    method = registry.build(Optimizer, {"name": optimizer, **values})
    if clip is None:
        return Contender(method, start, label=label)
    return Contender(
        method,
        start,
        clipping=registry.build(Clipping, {"name": "norm", "threshold": clip}),
        label=label,
    )


def tracks(on: Surface, contenders: Sequence[Contender], steps: int) -> tuple[Track, ...]:
    """Return the tracks of ``steps`` steps of the contenders."""
    ran = race(on, contenders, steps)
    return tuple(_track(ran, run) for run in range(len(contenders)))


def _track(ran: Race, run: int) -> Track:
    end = int(ran.lengths[run]) + 1
    return Track(
        ran.contenders[run].label, ran.path(run), ran.values[:end, run], ran.gradients[:end, run]
    )
