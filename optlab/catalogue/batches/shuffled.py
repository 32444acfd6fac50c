"""Shuffled every epoch: the default order."""

from __future__ import annotations

from typing import ClassVar

from optlab.catalogue.batches.base import Batches, Examples, Generators
from optlab.core.lazy import torch


class Shuffled(Batches):
    """Every epoch goes through all examples once, in a new random order.

    Independent gradients require independent minibatches; within an epoch they are nearly
    independent.
    """

    name: ClassVar[str] = "shuffled"
    label: ClassVar[str] = "Shuffled every epoch"
    sort_order: ClassVar[int] = 10
    reshuffles: ClassVar[bool] = True
    source: ClassVar[str] = "Notes, batch and minibatch algorithms."

    def epoch_order(self, examples: Examples, epoch: int, generators: Generators) -> torch.Tensor:
        return torch.randperm(len(examples), generator=generators(f"batches/{epoch}"))
