"""The batches of R runs: the batch of any step, addressed directly.

An epoch's order is a pure function of seed and epoch (see ``optlab.catalogue.batches``), so the
stream has no state that a checkpoint would have to hold. Examples are gathered for many steps at
once; a step then takes a view. Where an order streams, its examples come from an endless sequence
of pieces, each a pure function of seed and number; an epoch has as many examples as the training
set.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from optlab.catalogue.batches.base import Batches as Order
from optlab.catalogue.batches.base import Examples
from optlab.core.lazy import torch
from optlab.core.limits import CHUNK_VALUES
from optlab.objective.run_examples import RunExamples
from optlab.objective.seeding import generators

_PIECE_VALUES = 65_536
"""Input values of a piece of a stream.

Nothing else decides how many examples it has: a run's stream must not depend on the other runs.
"""

Draw = Callable[[int, str, int], tuple["torch.Tensor", "torch.Tensor"]]
"""Seed, purpose, n → n fresh examples, ``[n, *inputs]`` and their targets."""


class BatchStream:
    """Batches of a training set.

    Args:
        examples: the training examples of the runs, on their device.
        orders: each run's sampling order, all with the same batch size.
        seeds: each run's seed. Runs with the same data, order and seed share their batches.
        draws: where fresh examples of each data set come from; needed where an order streams.
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
        everyone = list(zip(orders, seeds, sets, strict=True))
        distinct = list(dict.fromkeys(everyone))
        self._streams = everyone if len(distinct) > 1 else distinct
        self._size = orders[0].batch_size(self._n)
        self.steps_per_epoch = orders[0].steps_per_epoch(self._n)
        values = max(1, self._x[0].numel()) * self._size * len(self._streams)
        self._steps_held = max(1, min(self.steps_per_epoch, CHUNK_VALUES // values))
        self._draws = list(draws)
        self._streaming = any(order.streams for order in orders)
        self._piece_length = max(1, _PIECE_VALUES // max(1, self._x[0].numel()))
        self._pieces: dict[int, tuple[int, torch.Tensor, torch.Tensor]] = {}
        self._held = (-1, -1)
        self._order_epoch = -1
        self._order: torch.Tensor = torch.empty(0)

    def at(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the batch of ``step`` (0, 1, …).

        The last batch of an epoch holds the remaining examples, which may be fewer than ``m``.

        Returns:
            ``x`` ``[R, m, *inputs]`` and ``y`` ``[R, m]`` or ``[R, m, outputs]``.
        """
        epoch, position = divmod(step, self.steps_per_epoch)
        block, index = divmod(position, self._steps_held)
        if self._held != (epoch, block):
            self._gather(epoch, block)
        rows = slice(index * self._size, (index + 1) * self._size)
        return self._block_x[:, rows], self._block_y[:, rows]

    def _gather(self, epoch: int, block: int) -> None:
        if self._streaming:
            x, y = self._mixed(epoch, block)
        else:
            x, y = self._gathered(self._rows(epoch, block))
        self._block_x = x.expand(self._runs, *x.shape[1:])
        self._block_y = y.expand(self._runs, *y.shape[1:])
        self._held = (epoch, block)

    def _rows(self, epoch: int, block: int) -> torch.Tensor:
        """Return the indices of the stored examples of a block, ``[streams, steps × m]``."""
        if self._order_epoch != epoch:
            orders = [
                order.epoch_order(self._examples[number], epoch, generators(seed))
                + number * self._n
                for order, seed, number in self._streams
            ]
            self._order = torch.stack(orders).to(self._x.device)
            self._order_epoch = epoch
        length = self._steps_held * self._size
        return self._order[:, block * length : (block + 1) * length]

    def _gathered(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self._x[rows], self._y[rows]

    def _mixed(self, epoch: int, block: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return a block where some runs stream: theirs drawn, those of the others gathered."""
        length = self._steps_held * self._size
        begin, end = block * length, min((block + 1) * length, self._n)
        parts = []
        stored = (
            None
            if all(order.streams for order, _, _ in self._streams)
            else self._rows(epoch, block)
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
