"""Cross-entropy: the negative log-likelihood of the correct class."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar

from optlab.catalogue.losses.base import Loss
from optlab.core.data import LearningTask
from optlab.core.lazy import functional, torch

_MANY = 4096
"""Values from which two more passes take less time than the exponentials that they spare."""


def exp_of_many(log_p: torch.Tensor) -> torch.Tensor:
    """Return probabilities, of any shape, in the memory of their logarithms.

    Those are 0 that the precision has no normal number for: torch takes fifty times as long for
    their exponentials, and later steps take longer with what comes of them.
    """
    least = 2.0 * torch.finfo(log_p.dtype).tiny
    p = log_p.clamp_min_(math.log(least)).exp_()
    return functional.threshold(p, 1.001 * least, 0.0, inplace=True)


class CrossEntropy(Loss):
    """Negative log-likelihood of the correct class under the softmax of the outputs.

    It is the usual surrogate for the 0-1 loss: it keeps pushing classes apart after the last
    training error is gone, and on separable data it has no minimum, only an asymptote at 0.
    """

    name: ClassVar[str] = "cross_entropy"
    label: ClassVar[str] = "Cross-entropy"
    sort_order: ClassVar[int] = 10
    rule: ClassVar[tuple[str, ...]] = (
        r"L = -\log p(y \mid x;\theta) = -\log \frac{e^{f_y}}{\sum_c e^{f_c}}",
    )
    symbols: ClassVar[dict[str, str]] = {"f_c": "output (logit) of class c"}
    source: ClassVar[str] = "Notes, (8.4)–(8.6) and section on surrogate losses."
    differences: ClassVar[str] = (
        "Same as torch.nn.functional.cross_entropy with the mean over the batch."
    )
    tasks: ClassVar[tuple[LearningTask, ...]] = ("classes",)
    canonical: ClassVar[bool] = True
    ignores_shift: ClassVar[bool] = True

    def per_example(self, outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        # Classes on the second axis, as layers leave them in memory: a softmax is then vectorized
        # over the examples, many times as fast as over a few classes.
        return functional.cross_entropy(outputs.transpose(1, 2), y, reduction="none")

    def with_gradient(
        self, outputs: torch.Tensor, y: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        log_p = torch.log_softmax(outputs.transpose(1, 2), dim=1)
        correct = y.unsqueeze(1)
        # As the mean, which takes three times as long for a few examples.
        loss = log_p.gather(1, correct).sum(dim=(1, 2)).div_(-y.shape[1])
        # softmax − one-hot, over m.
        delta = log_p.exp_() if log_p.numel() < _MANY else exp_of_many(log_p)
        delta.scatter_add_(1, correct, torch.full_like(correct, -1, dtype=delta.dtype))
        return loss, delta.div_(y.shape[1]).transpose(1, 2)

    def best_outputs(self, expected: torch.Tensor) -> torch.Tensor | None:
        return expected.log()

    def written(self, task: LearningTask) -> str:
        return 'F.cross_entropy(outputs, y, reduction="none")'

    def probabilities(self, outputs: torch.Tensor) -> torch.Tensor:
        return outputs.softmax(dim=2)

    def fisher_product(self, outputs: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return self.fisher_products(outputs)(u)

    def fisher_products(self, outputs: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
        p = outputs.softmax(dim=2)

        def product(u: torch.Tensor) -> torch.Tensor:
            weighted = p * u
            return weighted - p * weighted.sum(dim=2, keepdim=True)

        return product

    def draw(self, outputs: torch.Tensor, uniforms: torch.Tensor) -> torch.Tensor:
        # The first class at which the cumulated probability exceeds the number.
        below = outputs.softmax(dim=2).cumsum(dim=2) <= uniforms[:, :, :1].to(outputs)
        return below.sum(dim=2).clamp(max=outputs.shape[2] - 1)
