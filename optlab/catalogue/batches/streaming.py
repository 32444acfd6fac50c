"""Streaming: online learning, where no example comes twice."""

from __future__ import annotations

from typing import ClassVar

from optlab.catalogue.batches.base import Batches, Examples, Generators
from optlab.core.lazy import torch


class Streaming(Batches):
    """Every batch is drawn anew from the distribution that made the data; no example is seen twice.

    The gradient of such a batch is an unbiased estimate of the gradient of the risk J*, at every
    step. On stored examples that holds in the first pass only: from the second on, the parameters
    depend on the examples that the gradient is taken on. The stored training set serves for
    measuring alone (an epoch is as many fresh examples as it has, and so is a batch of size 0), so
    the training loss is then that of examples which training never saw. For data sets whose
    distribution is known. What is drawn follows from seed and step, so that a run that is resumed
    sees what it would have seen.
    """

    name: ClassVar[str] = "streaming"
    label: ClassVar[str] = "Streaming (fresh examples for ever)"
    sort_order: ClassVar[int] = 27
    covers: ClassVar[bool] = False
    streams: ClassVar[bool] = True
    rule: ClassVar[tuple[str, ...]] = (
        r"x_i, y_i \sim p_{\text{data}},\quad \mathbb{E}\left[\frac{1}{m} \sum_i \nabla_\theta L(f(x_i; \theta), y_i)\right] = \nabla_\theta J^*(\theta)",
    )
    symbols: ClassVar[dict[str, str]] = {
        "p_data": "the distribution that makes the data",
        "J*": "the risk: the expected loss of a fresh example, (8.2)",
    }
    source: ClassVar[str] = (
        "Notes, batch and minibatch algorithms: streaming and generalization error; L. Bottou (1998), Online learning."
    )
    differences: ClassVar[str] = "torch.utils.data.IterableDataset with a generator of one's own."

    def epoch_order(self, examples: Examples, epoch: int, generators: Generators) -> torch.Tensor:
        """The examples drawn for an epoch are independent already: they come as they are drawn."""
        return torch.arange(len(examples))
