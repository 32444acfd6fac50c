"""The events of a job that are kept until its end, in as little memory as they need.

Nothing of what a store records is lost: blocks that follow each other become one, and of what only
shows the present, or is replaced by its next value, the last is kept.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterator, Sequence

from optlab.core.lazy import numpy as np
from optlab.store.spacing import NEWEST
from optlab.training.events import (
    Event,
    InstrumentCosts,
    InstrumentImage,
    Series,
    SeriesBlock,
    SnapshotTaken,
    StepModeChanged,
    WeightPath,
)

BLOCK_ROWS = 4096
"""Steps of a block at most, unless the session itself has made a longer one."""


class EventRecord:
    """Collects the events of one session."""

    def __init__(self) -> None:
        self._events: list[Event | None] = []
        self._block: list[SeriesBlock] = []
        self._rows = 0
        self._shown: dict[Hashable, Event] = {}
        self._checkpoints: dict[int, deque[int]] = {}

    def add(self, event: Event) -> None:
        """Add the next event."""
        match event:
            case SeriesBlock():
                self._extend(event)
            case WeightPath() | InstrumentImage() | InstrumentCosts() | StepModeChanged():
                which = (getattr(event, "run", 0), getattr(event, "name", ""))
                self._shown[type(event), which] = event
            case SnapshotTaken() if event.snapshot.reason == "checkpoint":
                self._close_block()
                places = self._checkpoints.setdefault(event.run, deque())
                if len(places) == NEWEST:
                    self._events[places.popleft()] = None
                places.append(len(self._events))
                self._events.append(event)
            case _:
                self._close_block()
                self._events += self._shown.values()
                self._shown.clear()
                self._events.append(event)

    def events(self) -> Iterator[Event]:
        """Yield the events in order, once nothing more is added."""
        self._close_block()
        # Blocks between which a checkpoint stood follow each other now.
        events, self._events = self._events, []
        for event in events:
            if isinstance(event, SeriesBlock):
                self._extend(event)
            elif event is not None:
                self._close_block()
                self._events.append(event)
        self._close_block()
        yield from (event for event in self._events if event is not None)
        yield from self._shown.values()

    def _extend(self, block: SeriesBlock) -> None:
        rows = max((len(series.steps) for series in block.series.values()), default=0)
        if self._block and (self._rows + rows > BLOCK_ROWS or not _alike(self._block[-1], block)):
            self._close_block()
        self._block.append(block)
        self._rows += rows

    def _close_block(self) -> None:
        if self._block:
            self._events.append(joined(self._block))
            self._block, self._rows = [], 0


def joined(blocks: Sequence[SeriesBlock]) -> SeriesBlock:
    """Return one block with the values of blocks that follow each other."""
    if len(blocks) == 1:
        return blocks[0]
    parts: dict[str, list[Series]] = {}
    for block in blocks:
        for name, series in block.series.items():
            parts.setdefault(name, []).append(series)
    return SeriesBlock(
        blocks[-1].step,
        blocks[-1].seconds,
        {
            name: Series(
                np.concatenate([part.steps for part in each]),
                np.concatenate([part.values for part in each]),
                each[0].columns,
            )
            for name, each in parts.items()
        },
    )


def _alike(first: SeriesBlock, second: SeriesBlock) -> bool:
    """Return whether no series of both has other columns in one of them."""
    return all(
        before.columns == series.columns and before.values.shape[1:] == series.values.shape[1:]
        for name, series in second.series.items()
        if (before := first.series.get(name)) is not None
    )
