"""The batches of R runs: the batch of any step, named directly.

An epoch's order is a pure function of seed and epoch (see ``optlab.batches``), so the stream keeps no state that a checkpoint would have to hold. Examples
are gathered for many steps at once; a step then takes a view.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from optlab.batches.base import Batches as Order
from optlab.batches.base import Examples
from optlab.engine.seeding import generators
from optlab.lazy import torch as _torch

if TYPE_CHECKING:
    import torch

_GATHERED_VALUES = 4_000_000
"""Input values gathered at once, over all runs (16 MB in float32)."""


class BatchStream:
    """Batches of a training set.

    Args:
        x: inputs ``[n, *inputs]``; y: targets ``[n]`` or ``[n, outputs]``; on the run's device.
        orders: each run's sampling order, all with the same batch size.
        seeds: each run's seed. Runs with the same order and seed share their batches.
    """

    def __init__(self, x: torch.Tensor, y: torch.Tensor, orders: Sequence[Order], seeds: Sequence[int]) -> None:
        self._x, self._y = x, y
        self._examples = Examples(x, y)
        self._runs = len(orders)
        distinct = list(dict.fromkeys(zip(orders, seeds, strict=True)))
        self._streams = list(zip(orders, seeds, strict=True)) if len(distinct) > 1 else distinct
        self._n = len(x)
        self._size = orders[0].batch_size(self._n)
        self.steps_per_epoch = orders[0].steps_per_epoch(self._n)
        values = max(1, x[0].numel()) * self._size * len(self._streams)
        self._steps_held = max(1, min(self.steps_per_epoch, _GATHERED_VALUES // values))
        self._held = (-1, -1)
        self._order_epoch = -1
        self._order: torch.Tensor = _torch.empty(0)

    def at(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The batch of ``step`` (0, 1, …): ``x`` ``[R, m, *inputs]`` and ``y`` ``[R, m]`` or ``[R, m, outputs]``.

        The last batch of an epoch holds what is left, which may be fewer than ``m``.
        """
        epoch, position = divmod(step, self.steps_per_epoch)
        block, place = divmod(position, self._steps_held)
        if self._held != (epoch, block):
            self._gather(epoch, block)
        here = slice(place * self._size, (place + 1) * self._size)
        return self._block_x[:, here], self._block_y[:, here]

    def _gather(self, epoch: int, block: int) -> None:
        if self._order_epoch != epoch:
            orders = [order.epoch_order(self._examples, epoch, generators(seed)) for order, seed in self._streams]
            self._order = _torch.stack(orders).to(self._x.device)
            self._order_epoch = epoch
        length = self._steps_held * self._size
        rows = self._order[:, block * length : (block + 1) * length]
        x, y = self._x[rows], self._y[rows]
        self._block_x = x.expand(self._runs, *x.shape[1:])
        self._block_y = y.expand(self._runs, *y.shape[1:])
        self._held = (epoch, block)
