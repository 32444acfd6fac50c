"""Multilayer perceptron: the laboratory's main model."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.data import DataShape
from optlab.fields import Sizes, choice, sizes
from optlab.layout import Layout, Parameter, layout, linear
from optlab.models import _activations
from optlab.models._activations import Activation
from optlab.models.base import Model, Pass, Tape, affine, affine_backward

if TYPE_CHECKING:
    import torch


class MLP(Model):
    """Layers of affine maps with an activation between them.

    Any two hidden units of a layer can be swapped without changing the function: the objective has as many equivalent minima as there are
    arrangements of units.
    """

    name: ClassVar[str] = "mlp"
    label: ClassVar[str] = "Multilayer perceptron"
    place: ClassVar[int] = 20
    rule: ClassVar[tuple[str, ...]] = (r"h_0 = x,\quad h_l = \phi\left(W_l h_{l-1} + b_l\right)", r"f(x;\theta) = W_L h_{L-1} + b_L")
    symbols: ClassVar[dict[str, str]] = {"φ": "activation", "h_l": "activations of hidden layer l", "L": "number of affine maps"}
    source: ClassVar[str] = "Deep Learning, chapter 6."

    hidden: Sizes = sizes(
        (64,),
        "Hidden layers",
        unit="units",
        help="Units of each hidden layer, from the input up, separated by commas; empty for none.",
        why="One layer of 64 fits the digits and trains fast enough to watch.",
    )
    activation: Activation = choice(
        "relu",
        "Activation",
        symbol="φ",
        help="Function applied to each hidden unit. Saturating ones (tanh, sigmoid) let gradients vanish in deep networks.",
    )

    def layout(self, shape: DataShape) -> Layout:
        widths = [shape.width, *self.hidden, shape.outputs]
        last = len(widths) - 2
        tensors: list[Parameter] = []
        for number, (inputs, outputs) in enumerate(zip(widths, widths[1:], strict=False)):
            tensors += linear(f"layers.{number}", inputs, outputs, output=number == last)
        return layout(tensors)

    def forward(self, parameters: list[torch.Tensor], x: torch.Tensor, circumstances: Pass) -> torch.Tensor:
        activate = _activations.forward(self.activation)
        trace = circumstances.trace
        h = x.flatten(2)
        last = len(parameters) // 2 - 1
        for number in range(last + 1):
            h = affine(h, parameters[2 * number], parameters[2 * number + 1])
            if trace is not None:
                trace(f"layers.{number}", h)
            if number < last:
                h = activate(h)
                if trace is not None:
                    trace(f"layers.{number}.{self.activation}", h)
        return h

    def record(self, parameters: list[torch.Tensor], x: torch.Tensor) -> tuple[torch.Tensor, Tape]:
        activate = _activations.forward(self.activation)
        h = x.flatten(2)
        tape = [h]
        last = len(parameters) // 2 - 1
        for number in range(last):
            z = affine(h, parameters[2 * number], parameters[2 * number + 1])
            h = activate(z)
            tape += [z, h]
        return affine(h, parameters[2 * last], parameters[2 * last + 1]), tape

    def backward(self, parameters: list[torch.Tensor], tape: Tape, delta: torch.Tensor, gradients: list[torch.Tensor]) -> None:
        derive = _activations.backward(self.activation)
        for number in range(len(parameters) // 2 - 1, -1, -1):
            h = tape[2 * number]
            before = affine_backward(h, parameters[2 * number], delta, gradients[2 * number : 2 * number + 2], inputs=number > 0)
            if before is not None:
                delta = derive(before, tape[2 * number - 1], h)
