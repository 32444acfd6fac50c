"""Cross-entropy in which classes count differently."""

from __future__ import annotations

import functools
from typing import ClassVar

from optlab.catalogue.losses.base import Loss
from optlab.core.data import DataShape, LearningTask
from optlab.core.fields import Numbers, numbers
from optlab.core.lazy import functional, torch


class WeightedCrossEntropy(Loss):
    """Cross-entropy, times a weight of the correct class.

    Where one class is rare, a model that never predicts it has a small mean loss. Weights that are
    inversely proportional to the shares of the classes make all classes count the same;
    ``optlab import --class-weights`` writes those of the training examples.
    """

    name: ClassVar[str] = "weighted_cross_entropy"
    label: ClassVar[str] = "Weighted cross-entropy"
    sort_order: ClassVar[int] = 15
    rule: ClassVar[tuple[str, ...]] = (r"L = -w_y \log p(y \mid x;\theta)",)
    symbols: ClassVar[dict[str, str]] = {"w_y": "weight of the correct class"}
    source: ClassVar[str] = (
        "King and Zeng (2001), Logistic regression in rare events data, section 5.2."
    )
    differences: ClassVar[str] = (
        "torch.nn.functional.cross_entropy with weight divides the sum over a batch by the sum of "
        "its weights; here it is divided by the number of examples, so that batches whose examples "
        "happen to be of light classes take smaller steps."
    )
    tasks: ClassVar[tuple[LearningTask, ...]] = ("classes",)
    ignores_shift: ClassVar[bool] = True

    class_weights: Numbers = numbers(
        (),
        "Class weights",
        help="A weight for each class, in the order in which the data set names them; empty: all "
        "are 1.",
    )

    def misfit(self, shape: DataShape) -> str:
        given = len(self.class_weights)
        if given in (0, shape.outputs):
            return ""
        return (
            f"loss.class_weights has {given} weights, but there are {shape.outputs} classes; give "
            "one for each, or none."
        )

    def per_example(self, outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        weight = self._weights(outputs)
        return functional.cross_entropy(outputs.transpose(1, 2), y, weight, reduction="none")

    def with_gradient(
        self, outputs: torch.Tensor, y: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        log_p = torch.log_softmax(outputs, dim=2)
        weight = self._weights(outputs)
        correct = y.unsqueeze(2)
        own = torch.ones_like(log_p[..., 0]) if weight is None else weight[y]
        loss = -(log_p.gather(2, correct).squeeze(2) * own).mean(dim=1)
        # w (softmax − one-hot), over m.
        delta = log_p.exp()
        delta.scatter_add_(2, correct, torch.full_like(correct, -1, dtype=delta.dtype))
        return loss, delta.mul_(own.unsqueeze(2) / y.shape[1])

    def written(self, task: LearningTask) -> str:
        weight = f", torch.tensor({list(self.class_weights)!r})" if self.class_weights else ""
        return f'F.cross_entropy(outputs, y{weight}, reduction="none")'

    def probabilities(self, outputs: torch.Tensor) -> torch.Tensor:
        return outputs.softmax(dim=2)

    def _weights(self, outputs: torch.Tensor) -> torch.Tensor | None:
        """Return the weights ``[classes]`` as ``outputs`` are stored; None where all are 1."""
        if not self.class_weights:
            return None
        return _tensor(self.class_weights, outputs.dtype, outputs.device)


@functools.lru_cache(maxsize=16)
def _tensor(weights: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    return torch.tensor(weights, dtype=dtype, device=device)
