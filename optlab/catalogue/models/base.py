"""What a model is: a layout of its parameters, and a forward pass with a leading run axis.

A forward pass is a pure function; what it may need beside parameters and inputs comes in a
:class:`ForwardContext`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from optlab.core.component import Component, Section
from optlab.core.data import DataShape
from optlab.core.layout import Layout
from optlab.core.lazy import torch

Trace = Callable[[str, "torch.Tensor"], None]
Tape = list["torch.Tensor"]
"""Intermediate results of a forward pass."""
Layers = list[tuple["torch.Tensor", "torch.Tensor"]]
"""Inputs ``[R, m, in]`` and gradient by the outputs ``[R, m, out]`` of affine layers."""
Bend = Callable[["torch.Tensor"], "torch.Tensor"]
"""``u [R, m, outputs]`` → the Hessian of the loss by the outputs, times u."""
Uniforms = Callable[[int], "torch.Tensor"]
"""Number of units → fresh uniform numbers ``[R, m, units]`` for each example of a batch."""
Moments = tuple["torch.Tensor", "torch.Tensor"]
"""Means and variances ``[R, 1, units]`` that a layer is normalized with."""


@dataclass(frozen=True)
class ForwardContext:
    """Circumstances of one forward pass.

    Attributes:
        training: whether the pass belongs to a training step (batch statistics are those of the
            batch).
        trace: called with the name and value ``[R, m, …]`` of each intermediate result, in order;
            for instruments.
        statistics: what each normalization over the batch takes in place of the batch's own
            moments, from the input up; None for those of the batch.
        observe: called with the moments of the batch that each normalization took.
        branch: called with the outputs ``[R, m, outputs]`` of each auxiliary head; without it they
            are not computed.
    """

    training: bool = True
    trace: Trace | None = None
    statistics: Sequence[Moments] | None = None
    observe: Callable[[Moments], None] | None = None
    branch: Callable[[torch.Tensor], None] | None = None


@dataclass(frozen=True)
class Stack:
    """Hidden layers of which each is an affine map and an activation of what the one below gives,
    so that each can learn by itself.

    Attributes:
        layers: for each hidden layer, from the input up, the places of its weight and bias in the
            layout. output: those of the output layer.
        activation: name of the activation; activate: the function.
    """

    layers: tuple[tuple[int, int], ...]
    output: tuple[int, int]
    activation: str
    activate: Callable[[torch.Tensor], torch.Tensor]


TRAINING = ForwardContext(training=True)
EVALUATION = ForwardContext(training=False)


class Linearized(ABC):
    """A model at one point, with its first and second derivatives along directions; see
    :meth:`Model.linearized`.

    Directions and results are lists of tensors ``[R, *shape]`` in the order of the layout.

    Attributes:
        outputs: ``[R, m, outputs]`` at the point.
    """

    outputs: torch.Tensor

    @abstractmethod
    def differentiate(self, delta: torch.Tensor) -> None:
        """Take in the gradient of the loss by the outputs, ``[R, m, outputs]``; comes before
        :meth:`gradient` and :meth:`product`.
        """

    @abstractmethod
    def gradient(self, out: list[torch.Tensor]) -> None:
        """Write the gradient of the loss."""

    @abstractmethod
    def squared_norms(self) -> torch.Tensor:
        """Squared norm ``[R, m]`` of what each example adds to the gradient of the loss."""

    @abstractmethod
    def second_order(self, directions: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """First and second derivative of the outputs along the directions, both ``[R, m,
        outputs]``.
        """

    @abstractmethod
    def product(self, directions: list[torch.Tensor], bend: Bend, out: list[torch.Tensor]) -> None:
        """Write the Hessian of the loss times the directions."""


class Model(Component):
    """Base of all models."""

    kind: ClassVar[str] = "model"
    section: ClassVar[Section] = Section(
        title="Model",
        plural="Models",
        chapter="What is optimized",
        order=20,
        form_order=20,
        shared=True,
        opened=True,
    )

    @abstractmethod
    def layout(self, shape: DataShape) -> Layout:
        """The parameter tensors for data of this shape."""

    @abstractmethod
    def forward(
        self, parameters: list[torch.Tensor], x: torch.Tensor, context: ForwardContext
    ) -> torch.Tensor:
        """Outputs for a batch.

        Args:
            parameters: views ``[R, *shape]`` in the order of the layout.
            x: inputs ``[R, m, *inputs]`` (an expanded view where all runs share the batch).

        Returns:
            ``[R, m, outputs]``: logits for classes, values for regression.
        """

    def target_shape(self, shape: DataShape) -> DataShape:
        """The shape of the problem that the model makes of data of this shape: its outputs and task
        may differ from the data's.
        """
        return shape

    def targets(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """What the outputs are compared with: the data's targets ``y``, unless the model sets
        itself others.

        Args:
            x: inputs ``[R, m, *inputs]``. y: targets with the same two axes in front.
        """
        return y

    def stack(self) -> Stack | None:
        """The hidden layers as a stack, or None where they are something else."""
        return None

    def refusal(self, low: float, high: float) -> str:
        """Why training inputs from ``low`` to ``high`` are none for this model, as a sentence for
        the user; "" where they are.
        """
        return ""

    def has_own_loss(self) -> bool:
        """Whether the model has a loss of its own (:meth:`own_loss`) in place of the experiment's."""
        return False

    def own_loss(self, parameters: list[torch.Tensor], x: torch.Tensor) -> torch.Tensor:
        """The model's own loss ``[R, m]`` of each example."""
        raise TypeError(f"{self.label} has no loss of its own")

    def uses_surrogate_gradient(self) -> bool:
        """Whether training follows another gradient (that of :meth:`surrogate`) than that of the
        loss, because that one cannot be had.
        """
        return False

    def surrogate(
        self, parameters: list[torch.Tensor], x: torch.Tensor, uniforms: Uniforms
    ) -> torch.Tensor:
        """A value ``[R]`` for a batch, whose gradient training follows; the value itself is not
        reported.

        Args:
            uniforms: where all that is random comes from.
        """
        raise TypeError(f"{self.label} follows the gradient of its loss")

    def normalizes(self) -> bool:
        """Whether a training pass looks at the batch as a whole, so that an evaluation needs
        :attr:`ForwardContext.statistics` of the training set.
        """
        return False

    def auxiliary_weight(self) -> float:
        """Weight of the losses of auxiliary heads in the training objective; 0 where there are
        none.
        """
        return 0.0

    def record(
        self, parameters: list[torch.Tensor], x: torch.Tensor
    ) -> tuple[torch.Tensor, Tape] | None:
        """A forward pass that keeps what :meth:`backward` needs; None where the model leaves
        gradients to autograd.

        Small networks spend most of a step in autograd's bookkeeping; writing the backward pass out
        takes a third off it.
        """
        return None

    def backward(
        self,
        parameters: list[torch.Tensor],
        tape: Tape,
        delta: torch.Tensor,
        gradients: list[torch.Tensor],
        layers: Layers | None = None,
    ) -> None:
        """Write the gradients of the parameters that belong to ``delta`` ``[R, m, outputs]``, the
        gradient of the outputs.

        Args:
            tape: what :meth:`record` returned. gradients: views ``[R, *shape]`` to write to, in the
                order of the layout.
            layers: where inputs and delta of each affine layer, all with a bias, are left for
                whoever wants them.
        """
        raise TypeError(f"{self.label} leaves gradients to autograd")

    def linearized(self, parameters: list[torch.Tensor], x: torch.Tensor) -> Linearized | None:
        """The model at this point with its second derivatives written out; None where they are left
        to autograd.
        """
        return None


def affine(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """``x Wᵀ + b`` for R runs: ``x`` ``[R, m, in]``, ``weight`` ``[R, out, in]``, ``bias`` ``[R,
    out]`` → ``[R, m, out]``.

    Computed as ``(W xᵀ + b)ᵀ``: so autograd's gradient of ``weight`` comes out in its own layout,
    and is not copied through a transpose.
    """
    return torch.baddbmm(bias.unsqueeze(2), weight, x.transpose(1, 2)).transpose(1, 2)


def affine_backward(
    x: torch.Tensor,
    weight: torch.Tensor,
    delta: torch.Tensor,
    gradients: list[torch.Tensor],
    *,
    inputs: bool,
) -> torch.Tensor | None:
    """The backward pass of :func:`affine`.

    Args:
        delta: gradient of its result, ``[R, m, out]``. gradients: views of the gradients of weight
            and bias, written to.
        inputs: whether the gradient of ``x`` ``[R, m, in]`` is wanted; it is returned.
    """
    torch.bmm(delta.transpose(1, 2), x, out=gradients[0])
    torch.sum(delta, dim=1, out=gradients[1])
    # In the memory layout that affine gives its results, so that what follows walks both in the
    # same order.
    return (
        torch.bmm(weight.transpose(1, 2), delta.transpose(1, 2)).transpose(1, 2) if inputs else None
    )
