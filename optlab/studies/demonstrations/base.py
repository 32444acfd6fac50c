"""What a bench is: fields, and a run that yields what has been found so far, in a form that any
surface can draw.

A bench knows nothing of windows or files. Each :class:`DemonstrationResult` that its run yields is
whole in itself (a table, plots, a sentence with the numbers in it) and takes the place of the one
before; the last is the result. A run asks between pieces of work whether it is to go on, so that it
can be ended within about a second, and what was yielded by then stands. Draws come from generators
named after the bench's seed: equal fields give equal numbers, times excepted.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from optlab.core.component import Component, Section
from optlab.core.fields import integer

Array = NDArray[np.float64]
Cell = float | int | str | None
"""What stands in a table; None where there is no value."""


@dataclass(frozen=True)
class Column:
    """Heading of a column, and the unit of its numbers or ""."""

    name: str
    unit: str = ""

    @property
    def heading(self) -> str:
        """Name and unit in one text."""
        return f"{self.name} [{self.unit}]" if self.unit else self.name


@dataclass(frozen=True)
class Table:
    """Columns, and rows of as many cells."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def column(self, name: str) -> list[Any]:
        """The cells below the heading ``name``.

        Raises:
            ValueError: there is no such column.
        """
        place = [column.name for column in self.columns].index(name)
        return [row[place] for row in self.rows]


@dataclass(frozen=True)
class Axis:
    """Words beside an axis, its unit, and whether it is logarithmic."""

    label: str
    unit: str = ""
    log: bool = False


@dataclass(frozen=True)
class Curve:
    """A named line through points.

    Attributes:
        x, y: ``[n]``. error: half the length of each error bar, ``[n]``, or its lower and upper
            part, ``[2, n]``; None for none.
        style: "measured" for what was found, "predicted" for what a formula says (drawn dashed),
            "path" for a way in the plane.
    """

    name: str
    x: Array
    y: Array
    error: Array | None = None
    style: Literal["measured", "predicted", "path"] = "measured"


@dataclass(frozen=True)
class Scatter:
    """Named points: ``x``, ``y`` ``[n]``."""

    name: str
    x: Array
    y: Array


@dataclass(frozen=True)
class Image:
    """Values ``[rows, columns]`` over the rectangle ``x`` × ``y`` (first and last coordinate); the
    first row lies at the bottom.
    """

    values: Array
    x: tuple[float, float]
    y: tuple[float, float]


@dataclass(frozen=True)
class Plot:
    """What belongs on one pair of axes."""

    title: str
    x: Axis
    y: Axis
    curves: tuple[Curve, ...] = ()
    scatters: tuple[Scatter, ...] = ()
    image: Image | None = None


@dataclass(frozen=True)
class DemonstrationResult:
    """What a bench has found so far.

    Attributes:
        table: everything, in numbers. plots: the same, to look at; at least one. sentence: what it
            says, in words, with the numbers.
        numbers: the figures on which the sentence stands, by name.
        done: share of the work that is done, 1 for the last.
    """

    table: Table
    plots: tuple[Plot, ...]
    sentence: str
    numbers: Mapping[str, float] = field(default_factory=dict)
    done: float = 1.0


class Progress:
    """What a run asks and tells on its way; a surface overrides it. As it is, nothing disturbs the
    run.
    """

    def going(self) -> bool:
        """Whether the run is to go on."""
        return True

    def told(self, done: float) -> None:
        """Take note that the run is so far, from 0 to 1; called more often than results are
        yielded.
        """


NO_PROGRESS = Progress()


class Demonstration(Component):
    """Base of all benches.

    Class attributes:
        row: the row of the chapter that it shows.
        note: what to look for, in a sentence or two.
    """

    kind: ClassVar[str] = "demonstration"
    section: ClassVar[Section] = Section(
        title="Demonstration",
        plural="Demonstrations",
        chapter="Demonstrations",
        order=230,
        per_experiment="none",
    )
    row: ClassVar[str] = ""
    note: ClassVar[str] = ""

    seed: int = integer(
        0,
        "Seed",
        ge=0,
        le=2**63 - 1,
        help="Seed of everything that is drawn; the same seed gives the same numbers.",
    )

    @abstractmethod
    def run(self, course: Progress = NO_PROGRESS) -> Iterator[DemonstrationResult]:
        """Do the work, and yield what has been found so far, again and again.

        Raises:
            InvalidInput: the fields do not fit each other.
        """


def table(headings: Sequence[str], rows: Sequence[Sequence[Cell]]) -> Table:
    """A table; a heading is a name, or a name and a unit as ``"time [s]"``."""
    columns = [
        Column(name.strip(), unit.rstrip("] "))
        for name, _, unit in (heading.partition("[") for heading in headings)
    ]
    return Table(tuple(columns), tuple(tuple(row) for row in rows))


def numbers(values: Any) -> Array:
    """Any sequence of numbers as an array of doubles."""
    return np.asarray(values, dtype=np.float64)


def counted(number: int, noun: str, plural: str = "") -> str:
    """A number with its noun: ``1 start``, ``12 starts``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
