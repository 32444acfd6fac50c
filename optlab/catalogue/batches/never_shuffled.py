"""Never shuffled: the order in which the examples are stored."""

from __future__ import annotations

from typing import ClassVar

from optlab.catalogue.batches.base import Batches, Examples, Generators
from optlab.core.lazy import torch


class NeverShuffled(Batches):
    """The examples in the order in which they are stored.

    The split has already shuffled them. For sorted data this order gives strongly correlated
    batches and can seriously reduce the effectiveness of a method.
    """

    name: ClassVar[str] = "never_shuffled"
    label: ClassVar[str] = "Never shuffled"
    sort_order: ClassVar[int] = 30
    source: ClassVar[str] = "Notes, batch and minibatch algorithms."

    def epoch_order(self, examples: Examples, epoch: int, generators: Generators) -> torch.Tensor:
        return torch.arange(len(examples))
