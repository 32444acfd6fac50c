"""What a figure is: numbers computed from live runs, words about them, and a drawing; in that
order, so that each can be looked at without the next.

Computing needs the engine and no drawing library; what comes out is a frozen dataclass of arrays,
which tests hold against closed forms and which ``--json`` prints. Drawing gets that dataclass and
nothing else.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from optlab.catalogue.surfaces.base import Interval, Surface
from optlab.objective.surface_objective import Array, heights, lattice

if TYPE_CHECKING:
    from optlab.studies.figures.page import Page

Number = float | int | str | Sequence[float]
Data = TypeVar("Data")


@dataclass(frozen=True)
class Ground:
    """A surface as a background: the heights ``[n, n]`` (row is y, column is x) over the axes ``x``
    and ``y``, both ``[n]``.
    """

    surface: Surface
    x: Array
    y: Array
    heights: Array

    def document(self) -> dict[str, Any]:
        """What it can be computed from again: a grid of heights is no number to read."""
        return {
            "surface": {"name": self.surface.name, **self.surface.values()},
            "x": [float(self.x[0]), float(self.x[-1])],
            "y": [float(self.y[0]), float(self.y[-1])],
            "points": list(self.heights.shape),
        }


def ground(
    surface: Surface, domain: Sequence[Interval] | None = None, counts: tuple[int, int] = (201, 201)
) -> Ground:
    """A surface of two variables on a grid of so many x by so many y, over a part of it; by default
    over its own.
    """
    x, y = (
        np.linspace(low, high, count)
        for (low, high), count in zip(domain or surface.domain(), counts, strict=True)
    )
    return Ground(surface, x, y, heights(surface, lattice((x, y))).reshape(len(y), len(x)))


class Figure(ABC, Generic[Data]):
    """Base of all figures.

    Class attributes:
        number: as in the notes, ``"8.3"``. title: in a few words. size: width and height of the
            page in inches, title and caption included.
    """

    number: ClassVar[str]
    title: ClassVar[str]
    size: ClassVar[tuple[float, float]]

    @abstractmethod
    def compute(self) -> Data:
        """Run what there is to see."""

    @abstractmethod
    def caption(self, data: Data) -> str:
        """What it shows, with the numbers that came out."""

    @abstractmethod
    def numbers(self, data: Data) -> Mapping[str, Number]:
        """Words → the number that they are about: what the figure was made with, and what came out."""

    @abstractmethod
    def draw(self, data: Data, page: Page) -> None:
        """Put it on a page, which has its title and caption already."""


def document(value: Any) -> Any:
    """What was computed, in the types of JSON: a dataclass as a mapping, arrays as lists, a
    :class:`Ground` by what it can be computed from again.
    """
    if isinstance(value, Ground):
        return value.document()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: document(getattr(value, field.name)) for field in dataclasses.fields(value)
        }
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return {str(key): document(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [document(item) for item in value]
    return value


def signed(value: float, format: str = ".3g") -> str:
    """A number for a caption, with a minus sign instead of a hyphen."""
    return f"{value:{format}}".replace("-", "−")


def moving_mean(values: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """Means of ``width`` neighbors, ``[n − width + 1]``: the first belongs to the place ``(width −
    1) / 2``.
    """
    total = np.cumsum(np.concatenate([[0.0], values]))
    found: NDArray[np.float64] = (total[width:] - total[:-width]) / width
    return found
