"""What a sampling order is: the examples of each epoch as a pure function of the seed and the epoch.

Because nothing is remembered, any step's batch can be named without the ones before it: resuming, replaying and forking need no generator state.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from optlab.component import Component
from optlab.fields import whole

if TYPE_CHECKING:
    import torch

Generators = Callable[[str], "torch.Generator"]
"""Purpose → a fresh generator of the run's seed."""


class Batches(Component):
    """Base of all sampling orders."""

    kind: ClassVar[str] = "batches"

    size: int = whole(
        32,
        "Batch size",
        symbol="m",
        unit="examples",
        least=0,
        most=10_000_000,
        log=True,
        slider=(1, 1024),
        help="Examples in a step; 0 for the whole training set. Where it does not divide the set, the last batch of an epoch is smaller.",
        why="Small enough for noise that regularizes, large enough to use the machine; powers of two from 16 to 256 are common.",
    )

    @abstractmethod
    def epoch_order(self, n: int, epoch: int, generators: Generators) -> torch.Tensor:
        """Indices (int64, ``[n]``) of the examples of an epoch, in order.

        Args:
            n: size of the training set.
            epoch: 0, 1, ….
            generators: named generators of the run's seed.
        """

    def batch_size(self, n: int) -> int:
        """Examples in a full batch of a training set of ``n``."""
        return min(self.size, n) if self.size > 0 else n

    def steps_per_epoch(self, n: int) -> int:
        """Number of steps in a pass through ``n`` examples, the smaller last batch included."""
        return -(-n // self.batch_size(n))
