"""Groups: which series are stored in the same chunks because they have the same steps.

Series that arrive with the same steps share a group until a block shows that their steps differ;
then the group is divided permanently. Series of different groups are never joined again, even where
their steps agree in one block: otherwise a slow run, whose blocks hold a step or two, would change
its groups all the time and leave many tiny chunks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from optlab.core.lazy import numpy as np
from optlab.store.chunks import ROWS, Chunk, Table, encode
from optlab.training.events import Series

if TYPE_CHECKING:
    from numpy.typing import NDArray

Spec = tuple[str, tuple[str, ...]]
"""A series and the names of its columns; () for one number a step."""
WEIGHTS = "weights"
"""The series whose columns are the followed weights."""


def width(specs: Sequence[Spec]) -> int:
    """Return the number of columns of a group."""
    return sum(len(columns) or 1 for _, columns in specs)


def column_of(specs: Sequence[Spec], name: str) -> int:
    """Return the column of a table ``[1 + C, n]`` in which a series begins; 0 where it has none."""
    at = 1
    for series, columns in specs:
        if series == name:
            return at
        at += len(columns) or 1
    return 0


@dataclass(frozen=True)
class Packed:
    """The values of a block for one group.

    Attributes:
        group: its number within the session.
        specs: its series.
        steps: ``[n]``.
        table: ``[R, 1 + C, n]``, one chunk table per run.
    """

    group: int
    specs: tuple[Spec, ...]
    steps: NDArray[np.int64]
    table: NDArray[np.float64]


class SeriesGroups:
    """The groups of a session.

    Args:
        known: groups that the series already have (in a session that is resumed).
    """

    def __init__(self, known: Sequence[tuple[Spec, ...]] = ()) -> None:
        self._specs = dict(enumerate(known))
        self._group_of = {
            name: number for number, specs in self._specs.items() for name, _ in specs
        }
        self._next = len(self._specs)

    def pack(self, series: Mapping[str, Series], tracked: Sequence[str]) -> Iterator[Packed]:
        """Yield the values of a block, group by group.

        Args:
            series: name → values, ``[n, R]`` or ``[n, R, K]``.
            tracked: names of the followed weights.
        """
        specs = {
            name: _spec(name, values, tracked)
            for name, values in series.items()
            if len(values.steps)
        }
        for number in sorted({self._group_of[name] for name in specs if name in self._group_of}):
            members = self._specs[number]
            # A series that has left a group stays away, even where its steps agree once more: its
            # later values would stand before earlier ones.
            whole = all(
                self._group_of[name] == number and specs.get(name) == (name, columns)
                for name, columns in members
            )
            if whole and _same_steps([series[name] for name, _ in members]):
                yield _packed(number, members, series)
                for name, _ in members:
                    del specs[name]
        fresh: dict[tuple[int, bytes], list[Spec]] = {}
        for name, spec in specs.items():
            fresh.setdefault(
                (self._group_of.get(name, -1), series[name].steps.tobytes()), []
            ).append(spec)
        for group in fresh.values():
            number, self._next = self._next, self._next + 1
            self._specs[number] = tuple(group)
            self._group_of.update((name, number) for name, _ in group)
            yield _packed(number, tuple(group), series)


def _spec(name: str, series: Series, tracked: Sequence[str]) -> Spec:
    if series.values.ndim == 2:
        return name, ()
    count = series.values.shape[2]
    if len(series.columns) == count:
        return name, series.columns
    if name == WEIGHTS and len(tracked) == count:
        return name, tuple(tracked)
    return name, tuple(str(column) for column in range(count))


def _same_steps(members: Sequence[Series]) -> bool:
    first = members[0].steps
    return all(
        member.steps is first or np.array_equal(member.steps, first) for member in members[1:]
    )


def _packed(number: int, specs: tuple[Spec, ...], series: Mapping[str, Series]) -> Packed:
    first = series[specs[0][0]]
    table = np.empty((first.values.shape[1], 1 + width(specs), len(first.steps)))
    table[:, 0] = np.ascontiguousarray(first.steps, dtype=np.int64).view(np.float64)
    at = 1
    for name, columns in specs:
        values = series[name].values
        if columns:
            table[:, at : at + len(columns)] = values.transpose(1, 2, 0)
        else:
            table[:, at] = values.T
        at += len(columns) or 1
    return Packed(number, specs, first.steps, table)


class OpenChunk:
    """The last, incomplete chunk of one group of one run, which collects rows until it is full.

    Args:
        run: id of the run.
        group: number of the group within the run.
        specs: series of the group.
        number: of the open chunk.
        table: rows that it already has, ``[1 + C, n]``.
    """

    def __init__(
        self,
        run: str,
        group: int,
        specs: tuple[Spec, ...],
        number: int = 0,
        table: Table | None = None,
    ) -> None:
        self.run, self.group, self.specs = run, group, specs
        self._number = number
        self._table = np.empty((1 + width(specs), ROWS))
        self._count = 0
        self._full: list[Chunk] = []
        self._dirty = False
        if table is not None:
            self._count = table.shape[1]
            self._table[:, : self._count] = table

    def append(self, part: Table) -> int:
        """Append rows ``[1 + C, n]`` and return the number of bytes of chunks that became full."""
        at, rows, grown = 0, part.shape[1], 0
        while at < rows:
            count = min(ROWS - self._count, rows - at)
            self._table[:, self._count : self._count + count] = part[:, at : at + count]
            at += count
            self._count += count
            self._dirty = True
            if self._count == ROWS:
                self._full.append(
                    encode(self.run, self.group, self._number, self._table, sealed=True)
                )
                grown += len(self._full[-1].data)
                self._number, self._count, self._dirty = self._number + 1, 0, False
        return grown

    def pop_changed(self) -> list[Chunk]:
        """Return the chunks to write: those that became full, and the open one if it changed."""
        chunks, self._full = self._full, []
        if self._dirty:
            chunks.append(
                encode(
                    self.run, self.group, self._number, self._table[:, : self._count], sealed=False
                )
            )
            self._dirty = False
        return chunks
