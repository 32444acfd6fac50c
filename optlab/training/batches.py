"""The batches of R runs: the batch of any step, addressed directly.

An epoch's order is a pure function of seed and epoch (see ``optlab.catalogue.batches``), and a batch
begins where the one before it ended. Where the batch size changes during a run, the stream is a
sequence of segments, each of which begins at a place in an epoch: that place, which a snapshot
holds, is all of its state. Examples are gathered for many steps at
once; a step then takes a view. Where an order streams, its examples come from an endless sequence
of pieces, each a pure function of seed and number; an epoch has as many examples as the training
set.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from optlab.catalogue.batches.base import Batches as Order
from optlab.catalogue.batches.base import Examples
from optlab.core.lazy import torch
from optlab.core.limits import CHUNK_VALUES
from optlab.objective.batch_objective import BatchRows
from optlab.objective.run_examples import RunExamples
from optlab.objective.seeding import generators

_LARGE_BATCH = 32_768
"""Input values of a batch from which it is gathered alone: it is then still in the cache of the
processor when the step reads it.
"""
_PIECE_VALUES = 65_536
"""Input values of a piece of a stream.

Nothing else decides how many examples it has: a run's stream must not depend on the other runs.
"""


class Segment(NamedTuple):
    """Steps with one batch size.

    The first is ``step``; it begins at example ``offset`` (0 to n − 1) of ``epoch``.
    """

    step: int = 0
    epoch: int = 0
    offset: int = 0


Draw = Callable[[int, str, int], tuple["torch.Tensor", "torch.Tensor"]]
"""Seed, purpose, n → n fresh examples, ``[n, *inputs]`` and their targets."""


def place_of(step: int, segment: Segment, n: int, size: int) -> Segment:
    """Return where the batch of a step begins.

    Args:
        step: of the segment. segment: the one that it belongs to. n: examples of an epoch.
        size: examples of a full batch in the segment.
    """
    epoch, first, position = _located(step, segment, n, size)
    return Segment(step, epoch, first + position * size)


def _located(step: int, segment: Segment, n: int, size: int) -> tuple[int, int, int]:
    """Return a step's epoch, the example at which its segment begins there, and its number."""
    began, epoch, offset = segment
    taken = step - began
    rest = -(-(n - offset) // size)
    if taken < rest:
        return epoch, offset, taken
    further, position = divmod(taken - rest, -(-n // size))
    return epoch + 1 + further, 0, position


class BatchStream:
    """Batches of a training set.

    Args:
        examples: the training examples of the runs, on their device.
        orders: each run's sampling order, all with the same batch size.
        seeds: each run's seed. Runs with the same data, order and seed share their batches.
        draws: where fresh examples of each data set come from; needed where an order streams.

    Attributes:
        segment: that of the step asked for last. steps_per_epoch: steps of an epoch there.
    """

    def __init__(
        self,
        examples: RunExamples,
        orders: Sequence[Order],
        seeds: Sequence[int],
        draws: Sequence[Draw] = (),
    ) -> None:
        sets = [0] * len(orders) if examples.of is None else examples.of.tolist()
        self._n = examples.size
        # The data sets one after another, so that a batch is one selection of rows.
        x, y = examples.x, examples.y
        self._x, self._y = (x, y) if examples.of is None else (x.flatten(0, 1), y.flatten(0, 1))
        self._examples = [
            Examples(*part)
            for part in zip(self._x.split(self._n), self._y.split(self._n), strict=True)
        ]
        self._runs = len(orders)
        self._seeds, self._sets = seeds, sets
        self._segments = [(Segment(), orders)]
        self._begin(0)
        self._draws = list(draws)
        self._streaming = any(order.streams for order in orders)
        self._piece_length = max(1, _PIECE_VALUES // max(1, self._x[0].numel()))
        self._pieces: dict[int, tuple[int, torch.Tensor, torch.Tensor]] = {}

    def _begin(self, number: int) -> None:
        """Take up a segment, and forget what was gathered of another."""
        segment, orders = self._segments[number]
        everyone = list(zip(orders, self._seeds, self._sets, strict=True))
        distinct = list(dict.fromkeys(everyone))
        self._streams = everyone if len(distinct) > 1 else distinct
        self._size = orders[0].batch_size(self._n)
        self.steps_per_epoch = orders[0].steps_per_epoch(self._n)
        values = max(1, self._x[0].numel()) * self._size * len(self._streams)
        self._steps_held = max(1, min(self.steps_per_epoch, CHUNK_VALUES // values))
        if values >= _LARGE_BATCH and self._x.device.type == "cpu":
            self._steps_held = 1
        following = self._segments[number + 1 :]
        self.segment, self._until = segment, following[0][0].step if following else math.inf
        self._held = (-1, -1)
        self._order_epoch = -1
        self._order: torch.Tensor = torch.empty(0)

    def continue_at(self, segment: Segment, orders: Sequence[Order]) -> None:
        """Let a segment follow, in place of all that begin at its step or later.

        Args:
            segment: where its first batch begins. orders: those of the runs from there on.
        """
        self._segments = [one for one in self._segments if one[0].step < segment.step]
        self._segments.append((segment, orders))
        self._begin(len(self._segments) - 1)

    def place(self, step: int) -> Segment:
        """Return where the batch of a step begins."""
        self._find(step)
        return place_of(step, self.segment, self._n, self._size)

    def segment_of(self, step: int) -> Segment:
        """Return the segment that a step belongs to."""
        self._find(step)
        return self.segment

    def _find(self, step: int) -> None:
        """Take up the segment of a step."""
        if not self.segment.step <= step < self._until:
            began = [segment.step for segment, _ in self._segments]
            self._begin(max(0, bisect.bisect_right(began, step) - 1))

    def at(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the batch of ``step`` (0, 1, …).

        The last batch of an epoch holds the remaining examples, which may be fewer than ``m``.

        Returns:
            ``x`` ``[R, m, *inputs]`` and ``y`` ``[R, m]`` or ``[R, m, outputs]``.
        """
        self._find(step)
        epoch, first, position = _located(step, self.segment, self._n, self._size)
        block, index = divmod(position, self._steps_held)
        begin = first + block * self._steps_held * self._size
        if self._held != (epoch, begin):
            self._gather(epoch, begin)
        return self._parts[index]

    def ahead(self, step: int, count: int) -> torch.Tensor | None:
        """Return where the examples of the next batches are, as many as have the full size.

        Args:
            step: of the first. count: of batches, at most.

        Returns:
            Indices ``[streams, n, m]`` for :meth:`gathered`; None where there are none, or where
            examples stream.
        """
        parts: list[torch.Tensor] = []
        self._find(step)
        size = self._size
        while count > 0 and not self._streaming:
            self._find(step)
            epoch, first, position = _located(step, self.segment, self._n, self._size)
            begin = first + position * self._size
            number = int(min((self._n - begin) // size, count, self._until - step))
            if self._size != size or not number:
                break
            self._rows(epoch, begin)
            indices = self._order[:, begin : begin + number * size]
            parts.append(indices.unflatten(1, (number, size)))
            step, count = step + number, count - number
        return torch.cat(parts, dim=1) if parts else None

    def gathered(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the examples of indices ``[streams, n]``: inputs and targets ``[R, n, …]``."""
        x, y = self._gathered(rows)
        return x.expand(self._runs, *x.shape[1:]), y.expand(self._runs, *y.shape[1:])

    @property
    def rows(self) -> BatchRows:
        """Where the examples of the batches are in the training sets."""
        return BatchRows(self._n, self._rows_of)

    def _rows_of(self, step: int) -> torch.Tensor:
        """Return the numbers ``[R, m]`` of the examples of a batch in the training set of each run.

        What a run that streams trains on is in no training set; its row says nothing.
        """
        self._find(step)
        epoch, first, position = _located(step, self.segment, self._n, self._size)
        begin = first + position * self._size
        self._rows(epoch, begin)
        rows = self._order[:, begin : begin + self._size] % self._n
        return rows.expand(self._runs, -1)

    def _gather(self, epoch: int, begin: int) -> None:
        if self._streaming:
            x, y = self._mixed(epoch, begin)
        else:
            x, y = self._gathered(self._rows(epoch, begin))
        self._parts = list(
            zip(
                x.expand(self._runs, *x.shape[1:]).split(self._size, 1),
                y.expand(self._runs, *y.shape[1:]).split(self._size, 1),
                strict=True,
            )
        )
        self._held = (epoch, begin)

    def _rows(self, epoch: int, begin: int) -> torch.Tensor:
        """Return the indices of the stored examples of a block, ``[streams, steps × m]``.

        It begins at example ``begin`` of the epoch.
        """
        if self._order_epoch != epoch:
            orders = [
                order.epoch_order(self._examples[number], epoch, generators(seed))
                + number * self._n
                for order, seed, number in self._streams
            ]
            self._order = torch.stack(orders).to(self._x.device)
            self._order_epoch = epoch
        return self._order[:, begin : begin + self._steps_held * self._size]

    def _gathered(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        # As indexing, which takes several times as long.
        flat = rows.flatten()
        x, y = self._x.index_select(0, flat), self._y.index_select(0, flat)
        return x.view(*rows.shape, *x.shape[1:]), y.view(*rows.shape, *y.shape[1:])

    def _mixed(self, epoch: int, begin: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return a block where some runs stream: theirs drawn, those of the others gathered."""
        end = min(begin + self._steps_held * self._size, self._n)
        parts = []
        stored = (
            None
            if all(order.streams for order, _, _ in self._streams)
            else self._rows(epoch, begin)
        )
        for index, (order, seed, number) in enumerate(self._streams):
            if order.streams:
                parts.append(
                    self._streamed(
                        index, seed, number, epoch * self._n + begin, epoch * self._n + end
                    )
                )
            else:
                assert stored is not None
                parts.append(self._gathered(stored[index]))
        if len(parts) == 1:
            return parts[0][0].unsqueeze(0), parts[0][1].unsqueeze(0)
        return torch.stack([x for x, _ in parts]), torch.stack([y for _, y in parts])

    def _streamed(
        self, index: int, seed: int, number: int, begin: int, end: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return examples ``begin`` to ``end`` of an endless stream, ``[end − begin, …]``.

        They are drawn from the distribution of data set ``number``. The last piece is kept, because the next block continues in it.
        """
        assert self._draws, "an order that streams needs draws"
        parts = []
        for piece in range(begin // self._piece_length, (end - 1) // self._piece_length + 1):
            if index not in self._pieces or self._pieces[index][0] != piece:
                self._pieces[index] = (
                    piece,
                    *self._draws[number](seed, f"streaming/{piece}", self._piece_length),
                )
            _, x, y = self._pieces[index]
            rows = slice(
                max(begin - piece * self._piece_length, 0), end - piece * self._piece_length
            )
            parts.append((x[rows], y[rows]))
        if len(parts) == 1:
            return parts[0]
        return torch.cat([x for x, _ in parts]), torch.cat([y for _, y in parts])
