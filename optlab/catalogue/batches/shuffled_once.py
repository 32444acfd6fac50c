"""Shuffled once: the cheap order for very large sets."""

from __future__ import annotations

from typing import ClassVar

from optlab.catalogue.batches.base import Batches, Examples, Generators
from optlab.core.lazy import torch


class ShuffledOnce(Batches):
    """One random order, the same in every epoch.

    This is usually enough for very large sets; every pass uses the same batches.
    """

    name: ClassVar[str] = "shuffled_once"
    label: ClassVar[str] = "Shuffled once"
    sort_order: ClassVar[int] = 20
    source: ClassVar[str] = "Notes, batch and minibatch algorithms."

    def epoch_order(self, examples: Examples, epoch: int, generators: Generators) -> torch.Tensor:
        return torch.randperm(len(examples), generator=generators("batches"))
