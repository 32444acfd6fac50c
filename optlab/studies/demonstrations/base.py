"""The base of all demonstrations.

Fields, and a run that yields intermediate results in a form that any front end can draw.

A demonstration knows nothing of windows or files. Each :class:`DemonstrationResult` that a run
yields is complete (a table, plots, a sentence with the numbers) and replaces the one before; the
last is the final result. Between pieces of work a run checks whether it should continue, so that it
can be stopped within about a second; the results yielded until then remain valid. Random numbers
come from named generators seeded by the field ``seed``: equal fields give equal numbers, except for
measured times.
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
"""A value in a table; None for an empty cell."""


@dataclass(frozen=True)
class Column:
    """Name of a column, and the unit of its numbers or ""."""

    name: str
    unit: str = ""

    @property
    def heading(self) -> str:
        """Return the name and the unit as one text."""
        return f"{self.name} [{self.unit}]" if self.unit else self.name


@dataclass(frozen=True)
class Table:
    """A table: columns, and rows with one cell for each column."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def column(self, name: str) -> list[Any]:
        """Return the cells of the column ``name``.

        Raises:
            ValueError: there is no such column.
        """
        index = [column.name for column in self.columns].index(name)
        return [row[index] for row in self.rows]


@dataclass(frozen=True)
class Axis:
    """Label of an axis, its unit, and whether it is logarithmic."""

    label: str
    unit: str = ""
    log: bool = False


@dataclass(frozen=True)
class Curve:
    """A named line through points.

    Attributes:
        x, y: ``[n]``. error: half the length of each error bar, ``[n]``, or its lower and upper
            part, ``[2, n]``; None for no error bars.
        style: "measured" for measured values, "predicted" for a formula (drawn dashed), "path" for
            a path in the plane.
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
    """An image over a rectangle of the plane.

    Attributes:
        values: ``[rows, columns]``, the first row at the bottom.
        x, y: first and last coordinate.
    """

    values: Array
    x: tuple[float, float]
    y: tuple[float, float]


@dataclass(frozen=True)
class Plot:
    """Everything that is drawn on one pair of axes."""

    title: str
    x: Axis
    y: Axis
    curves: tuple[Curve, ...] = ()
    scatters: tuple[Scatter, ...] = ()
    image: Image | None = None


@dataclass(frozen=True)
class DemonstrationResult:
    """The result of a demonstration so far.

    Attributes:
        table: all numbers. plots: the same as plots; at least one.
        sentence: the conclusion in words, with the numbers that support it.
        numbers: those numbers by name.
        done: share of the work that is done; 1 for the final result.
    """

    table: Table
    plots: tuple[Plot, ...]
    sentence: str
    numbers: Mapping[str, float] = field(default_factory=dict)
    done: float = 1.0


class Progress:
    """Receives the progress of a run, and can stop it; a front end overrides the methods.

    By default nothing is reported and no run is stopped.
    """

    def should_continue(self) -> bool:
        """Return whether the run should continue."""
        return True

    def report(self, done: float) -> None:
        """Receive the completed share of the work, from 0 to 1.

        It is called more often than results are yielded.
        """


NO_PROGRESS = Progress()


class Demonstration(Component):
    """Base of all demonstrations.

    Class attributes:
        row: the row of the chapter that it demonstrates.
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
        help="Seed of all random numbers; the same seed gives the same numbers.",
    )

    @abstractmethod
    def run(self, progress: Progress = NO_PROGRESS) -> Iterator[DemonstrationResult]:
        """Do the work, and yield the result so far, again and again.

        Raises:
            InvalidInput: the values of the fields contradict each other.
        """


def table(headings: Sequence[str], rows: Sequence[Sequence[Cell]]) -> Table:
    """Return a table; a heading is a name, or a name and a unit as in ``"time [s]"``."""
    columns = [
        Column(name.strip(), unit.rstrip("] "))
        for name, _, unit in (heading.partition("[") for heading in headings)
    ]
    return Table(tuple(columns), tuple(tuple(row) for row in rows))


def numbers(values: Any) -> Array:
    """Return a sequence of numbers as an array of doubles of the same shape."""
    return np.asarray(values, dtype=np.float64)


def stream(name: str) -> str:
    """Return the name of a generator of random numbers, which is part of its seed."""
    return f"bench/{name}"


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun: ``1 start``, ``12 starts``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
