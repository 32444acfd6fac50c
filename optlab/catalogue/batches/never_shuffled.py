"""Never shuffled: the order in which the examples lie."""

from __future__ import annotations

from typing import ClassVar

from optlab.catalogue.batches.base import Batches, Examples, Generators
from optlab.core.lazy import torch


class NeverShuffled(Batches):
    """The examples in the order in which they are stored.

    The split has already mixed them; sorted data in this order gives batches that are strongly
    correlated and can seriously reduce what a method achieves.
    """

    name: ClassVar[str] = "never_shuffled"
    label: ClassVar[str] = "Never shuffled"
    sort_order: ClassVar[int] = 30
    source: ClassVar[str] = "Notes, batch and minibatch algorithms."

    def epoch_order(self, examples: Examples, epoch: int, generators: Generators) -> torch.Tensor:
        return torch.arange(len(examples))
