"""Bundles: which series are stored in the same chunks, because they have the same steps.

Series that came at the same steps share a bundle, until a block shows that they do not; then it is
divided for good. Series of different bundles are never joined again, even where their steps agree
by chance in one block: otherwise a slow run, whose blocks hold a step or two, would change its
bundles all the time and leave a trail of tiny chunks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from optlab.store.chunks import ROWS, Chunk, Table, encode
from optlab.training.events import Series

Spec = tuple[str, tuple[str, ...]]
"""A series and the names of its columns; () for one number a step."""
WEIGHTS = "weights"
"""The series whose columns are the followed weights."""


def width(specs: Sequence[Spec]) -> int:
    """Number of columns."""
    return sum(len(columns) or 1 for _, columns in specs)


@dataclass(frozen=True)
class Packed:
    """A block's values of one bundle: ``table`` ``[R, 1 + C, n]``, one chunk table a run."""

    bundle: int
    specs: tuple[Spec, ...]
    steps: NDArray[np.int64]
    table: NDArray[np.float64]


class SeriesGroups:
    """The bundles of a session.

    Args:
        known: bundles that the series already have (of a session that goes on).
    """

    def __init__(self, known: Sequence[tuple[Spec, ...]] = ()) -> None:
        self._specs = dict(enumerate(known))
        self._home = {name: number for number, specs in self._specs.items() for name, _ in specs}
        self._next = len(self._specs)

    def pack(self, series: Mapping[str, Series], tracked: Sequence[str]) -> Iterator[Packed]:
        """The values of a block, bundle by bundle. ``tracked`` names the followed weights."""
        specs = {
            name: _spec(name, values, tracked)
            for name, values in series.items()
            if len(values.steps)
        }
        for number in sorted({self._home[name] for name in specs if name in self._home}):
            members = self._specs[number]
            if all(specs.get(name) == (name, columns) for name, columns in members) and _same_steps(
                [series[name] for name, _ in members]
            ):
                yield _packed(number, members, series)
                for name, _ in members:
                    del specs[name]
        fresh: dict[tuple[int, bytes], list[Spec]] = {}
        for name, spec in specs.items():
            fresh.setdefault((self._home.get(name, -1), series[name].steps.tobytes()), []).append(
                spec
            )
        for found in fresh.values():
            number, self._next = self._next, self._next + 1
            self._specs[number] = tuple(found)
            self._home.update((name, number) for name, _ in found)
            yield _packed(number, tuple(found), series)


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
    """The open end of one run's bundle: rows wait here until their chunk is full.

    Args:
        bundle: its number within the run.
        number: of the open chunk; table: what it holds already, ``[1 + C, n]``.
    """

    def __init__(
        self,
        run: str,
        bundle: int,
        specs: tuple[Spec, ...],
        number: int = 0,
        table: Table | None = None,
    ) -> None:
        self.run, self.bundle, self.specs = run, bundle, specs
        self._number = number
        self._table = np.empty((1 + width(specs), ROWS))
        self._count = 0
        self._full: list[Chunk] = []
        self._dirty = False
        if table is not None:
            self._count = table.shape[1]
            self._table[:, : self._count] = table

    def append(self, part: Table) -> int:
        """Add rows ``[1 + C, n]``; the number of bytes that became full chunks."""
        at, rows, grown = 0, part.shape[1], 0
        while at < rows:
            take = min(ROWS - self._count, rows - at)
            self._table[:, self._count : self._count + take] = part[:, at : at + take]
            at += take
            self._count += take
            self._dirty = True
            if self._count == ROWS:
                self._full.append(
                    encode(self.run, self.bundle, self._number, self._table, sealed=True)
                )
                grown += len(self._full[-1].data)
                self._number, self._count, self._dirty = self._number + 1, 0, False
        return grown

    def take(self) -> list[Chunk]:
        """Chunks to write: those that became full, and the open one where it changed."""
        found, self._full = self._full, []
        if self._dirty:
            found.append(
                encode(
                    self.run, self.bundle, self._number, self._table[:, : self._count], sealed=False
                )
            )
            self._dirty = False
        return found
