"""The performance on the test part: the quantity P that the objective only stands in for (8.1).

It is computed at the end of a run and on request, and no choice is based on it.
"""

from __future__ import annotations

from dataclasses import dataclass

from optlab.core.lazy import torch
from optlab.objective.objective import Objective

MAX_CLASSES = 1000
"""Classes up to which the confusion matrix is computed."""


@dataclass(frozen=True)
class HeldOutPerformance:
    """The performance of R runs on examples that were neither trained on nor used for a choice.

    Attributes:
        examples: their number n.
        loss: mean loss ``[R]``, without weight decay.
        error: share of wrong classes ``[R]``; None for regression.
        confusion: number of examples of class i that are predicted to be of class j, ``[R, C, C]``
            int64; None for regression.
        r2: share of the variance of the targets that is predicted, ``[R]``; 1 − Σ(y − f)²/Σ(y − ȳ)²
            over all outputs. None for classes, and where the targets of no run
            vary; NaN for one whose targets do not.
        mean_absolute_error: mean of |y − f| over examples and outputs, ``[R]``; None for classes.
    """

    examples: int
    loss: torch.Tensor
    error: torch.Tensor | None
    confusion: torch.Tensor | None
    r2: torch.Tensor | None
    mean_absolute_error: torch.Tensor | None

    def values(self) -> dict[str, torch.Tensor]:
        """Return the numbers ``[R]`` that exist, by name."""
        named = {
            "test_loss": self.loss,
            "test_error": self.error,
            "test_r2": self.r2,
            "test_mean_absolute_error": self.mean_absolute_error,
        }
        return {name: value for name, value in named.items() if value is not None}


def held_out_performance(
    objective: Objective,
    theta: torch.Tensor,
    x: torch.Tensor,
    y: torch.Tensor,
    of: torch.Tensor | None = None,
) -> HeldOutPerformance:
    """Return the performance of ``theta`` ``[R, P]`` on examples.

    Args:
        objective: of the runs. x: ``[n, *inputs]``. y: ``[n]`` or ``[n, outputs]``. of: the data
            set of each run where they differ; x and y then are ``[D, n, …]``.
    """
    losses, errors, _ = objective.evaluate(theta, x, y, of)
    confusion = r2 = absolute = None
    found = objective.predictions(theta, x, y, of)
    if found is not None and objective.shape.task == "classes":
        confusion = _confusion(*found, objective.shape.outputs)
    elif found is not None:
        predicted, right = found
        residual = right - predicted
        absolute = residual.abs().mean(dim=(1, 2))
        spread = (right - right.mean(dim=1, keepdim=True)).square().sum(dim=(1, 2))
        if bool((spread > 0.0).any()):
            r2 = 1.0 - residual.square().sum(dim=(1, 2)) / spread
            r2 = torch.where(spread > 0.0, r2, float("nan"))
    return HeldOutPerformance(
        losses.shape[1],
        losses.mean(dim=1),
        None if errors is None else errors.mean(dim=1),
        confusion,
        r2,
        absolute,
    )


def _confusion(predicted: torch.Tensor, right: torch.Tensor, classes: int) -> torch.Tensor | None:
    """Return how often each class ``[R, n]`` is taken for each, ``[R, C, C]``."""
    if classes > MAX_CLASSES:
        return None
    cells = right * classes + predicted
    return torch.stack(
        [torch.bincount(row, minlength=classes**2).view(classes, classes) for row in cells]
    )
