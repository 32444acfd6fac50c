"""What a model is: a layout of its parameters, and a forward pass with a leading run axis.

A forward pass is a pure function; what it may need beside parameters and inputs comes in a :class:`Pass`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from optlab.component import Component
from optlab.data import DataShape
from optlab.lazy import torch as _torch
from optlab.layout import Layout

if TYPE_CHECKING:
    import torch

Trace = Callable[[str, "torch.Tensor"], None]


@dataclass(frozen=True)
class Pass:
    """Circumstances of one forward pass.

    Attributes:
        training: whether the pass belongs to a training step (batch statistics are those of the batch).
        trace: called with the name and value ``[R, m, …]`` of each intermediate result, in order; for instruments.
    """

    training: bool = True
    trace: Trace | None = None


TRAINING = Pass(training=True)
EVALUATION = Pass(training=False)


class Model(Component):
    """Base of all models."""

    kind: ClassVar[str] = "model"

    @abstractmethod
    def layout(self, shape: DataShape) -> Layout:
        """The parameter tensors for data of this shape."""

    @abstractmethod
    def forward(self, parameters: list[torch.Tensor], x: torch.Tensor, circumstances: Pass) -> torch.Tensor:
        """Outputs for a batch.

        Args:
            parameters: views ``[R, *shape]`` in the order of the layout.
            x: inputs ``[R, m, *inputs]`` (an expanded view where all runs share the batch).

        Returns:
            ``[R, m, outputs]``: logits for classes, values for regression.
        """


def affine(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """``x Wᵀ + b`` for R runs: ``x`` ``[R, m, in]``, ``weight`` ``[R, out, in]``, ``bias`` ``[R, out]`` → ``[R, m, out]``."""
    return _torch.baddbmm(bias.unsqueeze(1), x, weight.transpose(1, 2))
