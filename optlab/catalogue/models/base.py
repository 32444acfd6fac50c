"""What a model is: a layout of its parameters, and a forward pass with a leading run axis.

A forward pass is a pure function; what it needs beside parameters and inputs comes in a
:class:`ForwardContext`. What a model may do beside its forward pass is declared in
:mod:`optlab.catalogue.models.capabilities`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from optlab.catalogue.models.capabilities import (
    AsModule,
    AuxiliaryHeads,
    BatchNormalization,
    BuiltStart,
    DividedInputs,
    LayerStack,
    LayerTaps,
    Moments,
    OwnLoss,
    OwnTargets,
    RestrictedInputs,
    SurrogateGradient,
    Symmetries,
    TrainingPasses,
    WrittenOutGradient,
    WrittenOutHessian,
)
from optlab.core.component import Component, Section
from optlab.core.data import DataShape
from optlab.core.layout import Layout
from optlab.core.lazy import torch

Trace = Callable[[str, "torch.Tensor"], None]
"""Receives the name and value ``[R, m, …]`` of an intermediate result."""


Tap = Callable[[int, "torch.Tensor", "torch.Tensor"], "torch.Tensor"]
"""Index of a layer's weight in the layout, inputs ``[R, m, in]`` and outputs ``[R, m, out]`` →
outputs with which the pass goes on; those of a convolution are ``[R, m, places, …]``."""


@dataclass(frozen=True)
class ForwardContext:
    """Settings of one forward pass.

    Attributes:
        training: whether the pass belongs to a training step, so that normalization over the batch
            uses the moments of the batch.
        trace: called with each intermediate result in order; for instruments.
        statistics: moments to use in place of the batch's own, one entry for each normalization
            over the batch, from the input up; None for those of the batch.
        observe: called with the moments that each normalization over the batch uses.
        branch: called with the outputs ``[R, m, outputs]`` of each auxiliary head; None not to
            compute them.
        tap: called with each affine layer or convolution, see :data:`Tap`; only models that
            declare it do so.
        batch_mean: maps values ``[R, m, units]`` of these examples to their means ``[R, 1, units]``
            over the batch that they are a part of; None where they are the batch.
        state: what the runs have beside their parameters, ``[R, *shape]`` each, by name; read only.
        seeds: one a run, of the random numbers of a pass of a step; None in every other pass, in
            which a model that draws random numbers or changes its state evaluates.
        after: called with the state of the runs after a pass of a step.
    """

    training: bool = True
    trace: Trace | None = None
    statistics: Sequence[Moments] | None = None
    observe: Callable[[Moments], None] | None = None
    branch: Callable[[torch.Tensor], None] | None = None
    batch_mean: Callable[[torch.Tensor], torch.Tensor] | None = None
    state: Mapping[str, torch.Tensor] | None = None
    seeds: Sequence[int] | None = None
    after: Callable[[Mapping[str, torch.Tensor]], None] | None = None
    tap: Tap | None = None


TRAINING = ForwardContext(training=True)
EVALUATION = ForwardContext(training=False)


class Model(
    Component,
    OwnTargets,
    RestrictedInputs,
    DividedInputs,
    OwnLoss,
    SurrogateGradient,
    BuiltStart,
    BatchNormalization,
    TrainingPasses,
    AuxiliaryHeads,
    LayerStack,
    LayerTaps,
    Symmetries,
    AsModule,
    WrittenOutGradient,
    WrittenOutHessian,
):
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
        """Return the parameter tensors for data of this shape."""

    @abstractmethod
    def forward(
        self, parameters: list[torch.Tensor], x: torch.Tensor, context: ForwardContext
    ) -> torch.Tensor:
        """Compute the outputs for a batch.

        Args:
            parameters: views ``[R, *shape]`` in the order of the layout.
            x: inputs ``[R, m, *inputs]`` (an expanded view where all runs share the batch).
            context: settings of the pass.

        Returns:
            ``[R, m, outputs]``: logits for classes, values for regression.
        """


def affine(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """Compute ``x Wᵀ + b`` for R runs.

    Computed as ``(W xᵀ + b)ᵀ``, so that autograd's gradient of ``weight`` has the layout of
    ``weight`` and is not copied through a transpose.

    Args:
        x: ``[R, m, in]``.
        weight: ``[R, out, in]``.
        bias: ``[R, out]``.

    Returns:
        ``[R, m, out]``.
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
    """Compute the backward pass of :func:`affine`.

    Args:
        x: inputs ``[R, m, in]`` of the forward pass.
        weight: ``[R, out, in]``.
        delta: gradient ``[R, m, out]`` of the result.
        gradients: views ``[R, out, in]`` and ``[R, out]`` to which the gradients of weight and bias
            are written.
        inputs: whether to compute the gradient of ``x``.

    Returns:
        The gradient ``[R, m, in]`` of ``x``, or None.
    """
    into = gradients[0]
    if into.is_contiguous():
        torch.bmm(delta.transpose(1, 2), x, out=into)
    else:
        # Of several runs. Torch multiplies matrix by matrix where the result has gaps.
        into.copy_(torch.bmm(delta.transpose(1, 2), x))
    torch.sum(delta, dim=1, out=gradients[1])
    # In the memory layout of affine's results, so that what follows reads both in the same order.
    return (
        torch.bmm(weight.transpose(1, 2), delta.transpose(1, 2)).transpose(1, 2) if inputs else None
    )
