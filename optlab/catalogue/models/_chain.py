"""A chain of affine maps with activations in between, and its backward pass written out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from optlab.catalogue.models import _activations
from optlab.catalogue.models._activations import Activation
from optlab.catalogue.models.base import ForwardContext, affine, affine_backward
from optlab.catalogue.models.capabilities import Layers, Tape
from optlab.core.layout import Layout, Parameter, layout, linear

if TYPE_CHECKING:
    import torch


def chain(widths: Sequence[int]) -> Layout:
    """Return the tensors of affine maps between layers of these widths, from inputs to outputs."""
    last = len(widths) - 2
    tensors: list[Parameter] = []
    for number, (inputs, outputs) in enumerate(zip(widths, widths[1:], strict=False)):
        tensors += linear(f"layers.{number}", inputs, outputs, output=number == last)
    return layout(tensors)


def forward(
    parameters: list[torch.Tensor], x: torch.Tensor, activation: Activation, context: ForwardContext
) -> torch.Tensor:
    """Compute outputs ``[R, m, outputs]`` for inputs ``[R, m, *inputs]``."""
    activate = _activations.forward(activation)
    trace, tap = context.trace, context.tap
    h = x.flatten(2)
    last = len(parameters) // 2 - 1
    for number in range(last + 1):
        z = affine(h, parameters[2 * number], parameters[2 * number + 1])
        h = z if tap is None else tap(2 * number, h, z)
        if trace is not None:
            trace(f"layers.{number}", h)
        if number < last:
            h = activate(h)
            if trace is not None:
                trace(f"layers.{number}.{activation}", h)
    return h


def written(widths: Sequence[int], activation: Activation) -> str:
    """Return the chain as the source of a torch module."""
    return f"""class Net(nn.Module):
    def __init__(self):
        super().__init__()
        widths = {[int(width) for width in widths]}
        self.layers = nn.ModuleList(nn.Linear(m, n) for m, n in zip(widths, widths[1:]))

    def forward(self, x):
        h = x.flatten(1)
        for layer in self.layers[:-1]:
            h = {_activations.written(activation, "layer(h)")}
        return self.layers[-1](h)
"""


def record(
    parameters: list[torch.Tensor], x: torch.Tensor, activation: Activation
) -> tuple[torch.Tensor, Tape]:
    """Compute outputs ``[R, m, outputs]``, and keep what :func:`backward` needs."""
    activate = _activations.forward(activation)
    h = x.flatten(2)
    tape = [h]
    last = len(parameters) // 2 - 1
    for number in range(last):
        z = affine(h, parameters[2 * number], parameters[2 * number + 1])
        h = activate(z)
        tape += [z, h]
    return affine(h, parameters[2 * last], parameters[2 * last + 1]), tape


def backward(
    parameters: list[torch.Tensor],
    tape: Tape,
    delta: torch.Tensor,
    gradients: list[torch.Tensor],
    activation: Activation,
    layers: Layers | None = None,
) -> None:
    """Write the gradients of the parameters, from the gradient ``delta`` ``[R, m, outputs]``.

    See :meth:`optlab.catalogue.models.capabilities.WrittenOutGradient.backward`.
    """
    derive = _activations.backward(activation)
    for number in range(len(parameters) // 2 - 1, -1, -1):
        h = tape[2 * number]
        if layers is not None:
            layers.append((h, delta))
        before = affine_backward(
            h,
            parameters[2 * number],
            delta,
            gradients[2 * number : 2 * number + 2],
            inputs=number > 0,
        )
        if before is not None:
            delta = derive(before, tape[2 * number - 1], h)
