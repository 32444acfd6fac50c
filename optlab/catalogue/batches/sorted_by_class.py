"""Sorted by class: the correlated case."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.batches.base import Batches, Examples, Generators

if TYPE_CHECKING:
    import torch


class SortedByClass(Batches):
    """All examples of one class, then all of the next, the same in every epoch.

    Successive batches are strongly correlated, and the gradient of one says little about the full
    gradient: the model fits the current class and forgets the one before. Real-valued targets are
    sorted by their first value.
    """

    name: ClassVar[str] = "sorted_by_class"
    label: ClassVar[str] = "Sorted by class"
    sort_order: ClassVar[int] = 40
    source: ClassVar[str] = (
        "Notes, batch and minibatch algorithms: data sets whose successive examples are highly "
        "correlated."
    )

    def epoch_order(self, examples: Examples, epoch: int, generators: Generators) -> torch.Tensor:
        return examples.by_target()
