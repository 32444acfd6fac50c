"""What a surface is: a function of one or two variables, the part of it that is worth showing, and
what the literature knows about it.

Values are torch operations on points with any leading axes, so that one call gives a picture of it,
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
"""What a point with a zero gradient is by its Hessian; a kink is an extremum at which there is no
gradient.
"""


@dataclass(frozen=True)
class Start:
    """A point to start from, and what it is the start of, in two or three words."""

    label: str
    point: Point


@dataclass(frozen=True)
class Known:
    """A critical point that the literature, or a line of algebra, gives.

    Attributes:
        point: where. value: of the function there. kind: what it is.
    """

    point: Point
    value: float
    kind: CriticalKind = "minimum"


class Surface(Component):
    """Base of all surfaces.

    Class attributes:
        lr: a rate at which gradient descent shows what there is to see.
        threshold: norm at which clipping changes what there is to see.
        logarithmic: whether contours are better spaced evenly in the logarithm of the height above
            the lowest value shown.
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
        """The part to show: one interval a variable."""

    @abstractmethod
    def starts(self) -> tuple[Start, ...]:
        """Points to start from, the usual one first."""

    @abstractmethod
    def value(self, points: torch.Tensor) -> torch.Tensor:
        """Values ``[...]`` at ``points`` ``[..., d]``; nan where the function is not defined."""

    def known(self) -> tuple[Known, ...]:
        """Critical points in the domain that are known beforehand; not necessarily all."""
        return ()

    @property
    def dimension(self) -> int:
        """d, the number of variables."""
        return len(self.domain())
