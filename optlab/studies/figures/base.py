"""The base of all figures: numbers computed from live runs, a caption, and a drawing.

Computing needs the engine but no drawing library. Its result is a frozen dataclass of arrays, which
tests compare with closed forms and ``--json`` prints. Drawing uses that dataclass only.
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
    """A surface as a background.

    Attributes:
        heights: ``[n, n]`` (row is y, column is x). x, y: the coordinates, ``[n]``.
    """

    surface: Surface
    x: Array
    y: Array
    heights: Array

    def document(self) -> dict[str, Any]:
        """Return the parameters that reproduce it, instead of the grid of heights."""
        return {
            "surface": {"name": self.surface.name, **self.surface.values()},
            "x": [float(self.x[0]), float(self.x[-1])],
            "y": [float(self.y[0]), float(self.y[-1])],
            "points": list(self.heights.shape),
        }


def ground(
    surface: Surface, domain: Sequence[Interval] | None = None, counts: tuple[int, int] = (201, 201)
) -> Ground:
    """Return a surface of two variables on a grid of ``counts`` (x, y) points.

    ``domain`` is the part of the surface, by default its own.
    """
    x, y = (
        np.linspace(low, high, count)
        for (low, high), count in zip(domain or surface.domain(), counts, strict=True)
    )
    return Ground(surface, x, y, heights(surface, lattice((x, y))).reshape(len(y), len(x)))


class Figure(ABC, Generic[Data]):
    """Base of all figures.

    Class attributes:
        number: as in the notes, for example ``"8.3"``. title: a short title. size: width and
            height of the page in inches, including title and caption.
    """

    number: ClassVar[str]
    title: ClassVar[str]
    size: ClassVar[tuple[float, float]]

    @abstractmethod
    def compute(self) -> Data:
        """Run the experiments of the figure and return their numbers."""

    @abstractmethod
    def caption(self, data: Data) -> str:
        """Return a description of the figure with the resulting numbers."""

    @abstractmethod
    def numbers(self, data: Data) -> Mapping[str, Number]:
        """Return description → number, for the settings and the results of the figure."""

    @abstractmethod
    def draw(self, data: Data, page: Page) -> None:
        """Draw on a page that already has title and caption."""


def document(value: Any) -> Any:
    """Return data in the types of JSON.

    A dataclass as a mapping, arrays as lists, a :class:`Ground` as the parameters that reproduce
    it.
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
    """Return a number for a caption, with a minus sign instead of a hyphen."""
    return f"{value:{format}}".replace("-", "−")


def moving_mean(values: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """Return the means of ``width`` neighbors of ``values`` ``[n]``, ``[n − width + 1]``.

    The first is centered at index ``(width − 1) / 2``.
    """
    total = np.cumsum(np.concatenate([[0.0], values]))
    means: NDArray[np.float64] = (total[width:] - total[:-width]) / width
    return means
