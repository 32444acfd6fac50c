"""Rows: what the watched loop leaves behind at a step, and how it is read without waiting for it.

In the loop a value is only kept: a number, or a detached tensor whose content may still be under
way on the device. Tensors of a CPU are read by the writer's thread. Those of a GPU are packed, and
copied to pinned memory by an asynchronous copy, in the loop's own thread: calls of another thread
could break a graph that is being captured. An event tells later, without waiting, that the copy is
complete.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from optlab.core.lazy import numpy as np
from optlab.core.lazy import torch
from optlab.watch.blocks import Ranges, SeriesPart

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_WAITING = 65_536
"""Rows that wait at most; the oldest ones go first."""


@dataclass(frozen=True, eq=False)
class Column:
    """A series of the run; see :class:`optlab.watch.blocks.SeriesPart`.

    Attributes:
        ragged: whether each value has a length of its own; such a series is not stored.
    """

    name: str
    tensors: Ranges = ()
    labels: tuple[str, ...] = ()
    ragged: bool = False


Row = tuple[Column, int, Any]
"""A series, a step and a value: a number, several numbers, or a tensor ``[]`` or ``[K]``.

Times of the steps from this one on are a tuple of an array and the time at which they begin.
"""


class Rows:
    """Rows that wait for the writer; appending one is all that the loop does.

    Attributes:
        dropped: number of rows that did not fit.
    """

    def __init__(self) -> None:
        self._waiting: deque[Row] = deque()
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def append(self, column: Column, step: int, value: Any) -> None:
        """Keep a value."""
        self._waiting.append((column, step, value))
        if len(self._waiting) > MAX_WAITING:
            self._waiting.popleft()
            self.dropped += 1

    def extend(self, rows: Sequence[Row]) -> None:
        """Keep values."""
        self._waiting.extend(rows)
        while len(self._waiting) > MAX_WAITING:
            self._waiting.popleft()
            self.dropped += 1

    def pack(self) -> Packed:
        """Return all rows that wait, with the copies of GPU tensors under way."""
        rows = [self._waiting.popleft() for _ in range(len(self._waiting))]
        return Packed(rows)


def is_remote(tensor: torch.Tensor) -> bool:
    """Return whether a tensor (any shape) lies where reading it would wait for a device."""
    return tensor.device.type == "cuda"


class Packed:
    """Rows on their way to the writer.

    Args:
        rows: in the order of the loop.
    """

    def __init__(self, rows: list[Row]) -> None:
        self.rows = rows
        self._events: list[Any] = []
        remote: dict[tuple[Any, Any], list[int]] = {}
        for number, (_, _, value) in enumerate(rows):
            if isinstance(value, torch.Tensor) and is_remote(value):
                remote.setdefault((value.device, value.dtype), []).append(number)
        for (device, _), numbers in remote.items():
            self._copy(device, numbers)

    def _copy(self, device: Any, numbers: Sequence[int]) -> None:
        flat = torch.cat([self.rows[number][2].reshape(-1) for number in numbers])
        host = torch.empty(flat.shape, dtype=flat.dtype, pin_memory=device.type == "cuda")
        host.copy_(flat, non_blocking=True)
        self._events.append(_recorded(device))
        start = 0
        for number in numbers:
            column, step, value = self.rows[number]
            stop = start + value.numel()
            self.rows[number] = (column, step, host[start:stop].reshape(value.shape))
            start = stop

    @property
    def ready(self) -> bool:
        """Whether all copies are complete."""
        return all(event.query() for event in self._events)

    def wait(self) -> None:
        """Wait until all copies are complete: at the end of the run only."""
        for event in self._events:
            event.synchronize()

    def parts(self) -> list[SeriesPart]:
        """Return the values as series, in order of first appearance; the copies are complete."""
        by_column: dict[Column, list[tuple[int, Any]]] = {}
        for column, step, value in self.rows:
            if not column.ragged:
                by_column.setdefault(column, []).append((step, value))
        return [
            SeriesPart(column.name, *_arrays(rows), column.tensors, column.labels)
            for column, rows in by_column.items()
        ]

    def ragged(self) -> list[tuple[int, NDArray[np.int64]]]:
        """Return the values ``[B]`` of series that are not stored, each with its step."""
        return [
            (step, np.asarray(value, dtype=np.int64).reshape(-1))
            for column, step, value in self.rows
            if column.ragged
        ]


def _recorded(device: Any) -> Any:
    event = torch.cuda.Event()
    event.record(torch.cuda.current_stream(device))
    return event


def _arrays(
    rows: Sequence[tuple[int, Any]],
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the steps ``[n]`` and the values ``[n, K]`` of rows."""
    if isinstance(rows[0][1], tuple):
        steps = [np.arange(first, first + len(times)) for first, (times, _) in rows]
        values = [np.array(times) - began for _, (times, began) in rows]
        return np.concatenate(steps), np.concatenate(values)[:, None]
    at = np.array([step for step, _ in rows], dtype=np.int64)
    return at, _matrix([value for _, value in rows])


def _matrix(values: Sequence[Any]) -> NDArray[np.float64]:
    """Return values as ``[n, K]``."""
    if all(isinstance(value, torch.Tensor) for value in values):
        if len({value.dtype for value in values}) == 1:
            stacked = torch.stack([value.detach() for value in values])
            matrix: NDArray[np.float64] = stacked.to("cpu", torch.float64).numpy()
        else:
            matrix = np.stack([value.detach().to("cpu", torch.float64).numpy() for value in values])
    else:
        numbers = [
            value.detach().to("cpu", torch.float64).numpy()
            if isinstance(value, torch.Tensor)
            else value
            for value in values
        ]
        matrix = np.array(numbers, dtype=np.float64)
    return matrix.reshape(len(values), -1)
