"""With replacement: every draw is independent of all others."""

from __future__ import annotations

from typing import ClassVar

from optlab.catalogue.batches.base import Batches, Examples, Generators
from optlab.core.lazy import torch


class WithReplacement(Batches):
    """Every example of every batch is drawn independently from the entire training set.

    This is what theory assumes: minibatches are independent, and their gradients are unbiased
    estimates of the full gradient at every step. In n draws about 37% of n examples do not occur at
    all; an epoch is only a count of n draws.
    """

    name: ClassVar[str] = "with_replacement"
    label: ClassVar[str] = "With replacement"
    sort_order: ClassVar[int] = 25
    covers: ClassVar[bool] = False
    rule: ClassVar[tuple[str, ...]] = (r"i_1, i_2, \ldots \sim U\{1, \ldots, n\}",)
    symbols: ClassVar[dict[str, str]] = {"n": "size of the training set"}
    source: ClassVar[str] = "Notes, batch and minibatch algorithms: independent samples."
    differences: ClassVar[str] = "torch.utils.data.RandomSampler(replacement=True)."

    def epoch_order(self, examples: Examples, epoch: int, generators: Generators) -> torch.Tensor:
        n = len(examples)
        return torch.randint(n, (n,), generator=generators(f"batches/{epoch}"))
