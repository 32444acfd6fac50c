"""What a surface is: a function of one or two variables, with a domain and known critical points.

Values are torch operations on points with any leading axes, so that one call computes a picture,
the values of a thousand runs, or a graph to differentiate.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from optlab.core.component import Component, Section

if TYPE_CHECKING:
    import torch

Point = tuple[float, ...]
"""One or two coordinates."""
Interval = tuple[float, float]
CriticalKind = Literal["minimum", "maximum", "saddle", "degenerate", "kink"]
"""Kind of a critical point by its Hessian; a kink is an extremum without a gradient."""


@dataclass(frozen=True)
class Start:
    """A starting point, and its description in two or three words."""

    label: str
    point: Point


@dataclass(frozen=True)
class Known:
    """A critical point known from the literature, or from a line of algebra.

    Attributes:
        point: its coordinates.
        value: value of the function.
        kind: kind of critical point.
    """

    point: Point
    value: float
    kind: CriticalKind = "minimum"


class Surface(Component):
    """Base of all surfaces.

    Class attributes:
        lr: learning rate at which gradient descent shows the typical behavior.
        threshold: norm at which clipping makes a difference.
        logarithmic: whether to space contours evenly in the logarithm of the height above the
            lowest value shown.
        note: what to look for, in a sentence or two.
    """

    kind: ClassVar[str] = "surface"
    section: ClassVar[Section] = Section(
        title="Surface",
        plural="Surfaces",
        chapter="Instruments",
        order=220,
        per_experiment="none",
    )
    lr: ClassVar[float] = 0.1
    threshold: ClassVar[float] = 1.0
    logarithmic: ClassVar[bool] = False
    note: ClassVar[str] = ""

    @abstractmethod
    def domain(self) -> tuple[Interval, ...]:
        """Return the domain to show: one interval for each variable."""

    @abstractmethod
    def starts(self) -> tuple[Start, ...]:
        """Return the starting points, the usual one first."""

    @abstractmethod
    def value(self, points: torch.Tensor) -> torch.Tensor:
        """Compute values ``[...]`` at ``points`` ``[..., d]``; nan where undefined."""

    def known(self) -> tuple[Known, ...]:
        """Return the critical points in the domain that are known; not necessarily all."""
        return ()

    @property
    def dimension(self) -> int:
        """Return d, the number of variables."""
        return len(self.domain())
