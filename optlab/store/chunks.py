"""Chunks: about a thousand steps of all series of a group, as one block of bytes with a checksum.

A chunk is a table ``[1 + C, n]`` of 8-byte little-endian values, column after column: the steps
(int64), then C columns (float64). In memory the steps travel as the bits of float64, so that a
table is one array.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from optlab.core.lazy import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Table = NDArray[np.float64]
else:
    Table = "NDArray[np.float64]"


ROWS = 1024
"""Steps of a full chunk: large enough to make the overhead negligible, small enough that rewriting
the open chunk is cheap.
"""

"""``[1 + C, n]``; row 0 holds the bits of int64 steps."""


@dataclass(frozen=True)
class Chunk:
    """One row of the table ``chunks``.

    Attributes:
        run: id of the run.
        group, number: of the group within the run, and of the chunk within the group.
        first_step, last_step, rows: steps of its first and last row, and number of rows.
        sealed: whether it is full.
        checksum: of ``data`` and its position.
        data: the table ``[1 + C, rows]``.
    """

    run: str
    group: int
    number: int
    first_step: int
    last_step: int
    rows: int
    sealed: bool
    checksum: int
    data: bytes


def steps_of(table: Table) -> NDArray[np.int64]:
    """Return the steps ``[n]`` of a table ``[1 + C, n]``."""
    steps: NDArray[np.int64] = table[0].view(np.int64)
    return steps


def encode(run: str, group: int, number: int, table: Table, sealed: bool) -> Chunk:
    """Return a table ``[1 + C, n]``, n ≥ 1, as a chunk."""
    steps = steps_of(table)
    data = np.ascontiguousarray(table, dtype="<f8").tobytes()
    rows = table.shape[1]
    return Chunk(
        run,
        group,
        number,
        int(steps[0]),
        int(steps[-1]),
        rows,
        sealed,
        _checksum(run, group, number, rows, data),
        data,
    )


def from_row(row: tuple[Any, ...]) -> Chunk | None:
    """Return the chunk of a row of the table, or None where values have the wrong types."""
    chunk = Chunk(*row)
    numbers = (
        chunk.group,
        chunk.number,
        chunk.first_step,
        chunk.last_step,
        chunk.rows,
        chunk.sealed,
        chunk.checksum,
    )
    return (
        chunk
        if isinstance(chunk.data, bytes) and all(isinstance(number, int) for number in numbers)
        else None
    )


def decode(chunk: Chunk, columns: int) -> Table | None:
    """Return the table ``[1 + columns, n]`` of a chunk, or None where it is damaged."""
    if (
        not 1 <= chunk.rows <= ROWS
        or len(chunk.data) != 8 * (1 + columns) * chunk.rows
        or bool(chunk.sealed) != (chunk.rows == ROWS)
    ):
        return None
    if _checksum(chunk.run, chunk.group, chunk.number, chunk.rows, chunk.data) != chunk.checksum:
        return None
    table = np.frombuffer(chunk.data, dtype="<f8").reshape(1 + columns, chunk.rows)
    steps = steps_of(table)
    # These two select the rows that are removed or skipped when a run is resumed.
    return table if (chunk.first_step, chunk.last_step) == (int(steps[0]), int(steps[-1])) else None


def _checksum(run: str, group: int, number: int, rows: int, data: bytes) -> int:
    """Return the CRC-32 of the data and its position, so that misplaced chunks are noticed, too."""
    return zlib.crc32(data, zlib.crc32(f"{run}/{group}/{number}/{rows}".encode()))
