"""Streaming: online learning, where no example is used twice."""

from __future__ import annotations

from typing import ClassVar

from optlab.catalogue.batches.base import Batches, Examples, Generators
from optlab.core.lazy import torch


class Streaming(Batches):
    """Every batch is a fresh draw from the distribution of the data; no example is used twice.

    The gradient of such a batch is an unbiased estimate of the gradient of the risk J* at every
    step. With stored examples that holds only in the first pass: from the second on, the parameters
    depend on the examples of the batch. The stored training set is only used for evaluation, so
    the training loss is that of examples which were not used for training. An epoch, and a batch of
    size 0, have as many fresh examples as the stored set. For data sets with a known distribution.
    Examples follow from seed and step, so a resumed run uses the same ones.
    """

    name: ClassVar[str] = "streaming"
    label: ClassVar[str] = "Streaming (always fresh examples)"
    sort_order: ClassVar[int] = 27
    covers: ClassVar[bool] = False
    streams: ClassVar[bool] = True
    rule: ClassVar[tuple[str, ...]] = (
        r"x_i, y_i \sim p_{\text{data}},\quad \mathbb{E}\left[\frac{1}{m} \sum_i "
        r"\nabla_\theta L(f(x_i; \theta), y_i)\right] = \nabla_\theta J^*(\theta)",
    )
    symbols: ClassVar[dict[str, str]] = {
        "p_data": "the distribution that generates the data",
        "J*": "the risk: the expected loss of a fresh example, (8.2)",
    }
    source: ClassVar[str] = (
        "Notes, batch and minibatch algorithms: streaming and generalization error; L. Bottou "
        "(1998), Online learning."
    )
    differences: ClassVar[str] = "torch.utils.data.IterableDataset with a custom generator."

    def epoch_order(self, examples: Examples, epoch: int, generators: Generators) -> torch.Tensor:
        """Return the indices ``[n]`` in order: the examples of an epoch are already independent."""
        return torch.arange(len(examples))

    def expected_order(self, n: int) -> float | None:
        # The minimum of the risk is not that of the stored examples.
        return None
