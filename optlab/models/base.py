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
from optlab.layout import Layout
from optlab.lazy import torch as _torch

if TYPE_CHECKING:
    import torch

Trace = Callable[[str, "torch.Tensor"], None]
Tape = list["torch.Tensor"]
"""Intermediate results of a forward pass."""


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

    def record(self, parameters: list[torch.Tensor], x: torch.Tensor) -> tuple[torch.Tensor, Tape] | None:
        """A forward pass that keeps what :meth:`backward` needs; None where the model leaves gradients to autograd.

        Small networks spend most of a step in autograd's bookkeeping; writing the backward pass out takes a third off it.
        """
        return None

    def backward(self, parameters: list[torch.Tensor], tape: Tape, delta: torch.Tensor, gradients: list[torch.Tensor]) -> None:
        """Write the gradients of the parameters that belong to ``delta`` ``[R, m, outputs]``, the gradient of the outputs.

        Args:
            tape: what :meth:`record` returned. gradients: views ``[R, *shape]`` to write to, in the order of the layout.
        """
        raise TypeError(f"{self.label} leaves gradients to autograd")


def affine(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """``x Wᵀ + b`` for R runs: ``x`` ``[R, m, in]``, ``weight`` ``[R, out, in]``, ``bias`` ``[R, out]`` → ``[R, m, out]``.

    Computed as ``(W xᵀ + b)ᵀ``: so autograd's gradient of ``weight`` comes out in its own layout, and is not copied through a transpose.
    """
    return _torch.baddbmm(bias.unsqueeze(2), weight, x.transpose(1, 2)).transpose(1, 2)


def affine_backward(
    x: torch.Tensor, weight: torch.Tensor, delta: torch.Tensor, gradients: list[torch.Tensor], *, inputs: bool
) -> torch.Tensor | None:
    """The backward pass of :func:`affine`.

    Args:
        delta: gradient of its result, ``[R, m, out]``. gradients: views of the gradients of weight and bias, written to.
        inputs: whether the gradient of ``x`` ``[R, m, in]`` is wanted; it is returned.
    """
    _torch.bmm(delta.transpose(1, 2), x, out=gradients[0])
    _torch.sum(delta, dim=1, out=gradients[1])
    # In the memory layout that affine gives its results, so that what follows walks both in the same order.
    return _torch.bmm(weight.transpose(1, 2), delta.transpose(1, 2)).transpose(1, 2) if inputs else None
