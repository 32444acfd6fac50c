"""Simple recurrent network: the same weights at every time step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from optlab.catalogue.models import _activations
from optlab.catalogue.models._sequences import sequence_inputs
from optlab.catalogue.models._symmetries import HiddenSpace, of_spaces, rectified
from optlab.catalogue.models.base import ForwardContext, Model, affine
from optlab.catalogue.models.capabilities import (
    InputLayer,
    RectifiedUnits,
    Symmetry,
    WrittenModule,
)
from optlab.core.data import DataShape
from optlab.core.fields import choice, integer
from optlab.core.layout import Layout, Parameter, layout, linear
from optlab.core.lazy import torch


class RNN(Model):
    """A hidden state, updated by the same weights at every time step.

    The output is read after the last step. The gradient of an early step passes through the
    recurrent weights once for each step in between: depending on their spectrum, it vanishes or
    explodes.
    """

    name: ClassVar[str] = "rnn"
    label: ClassVar[str] = "Simple RNN"
    short: ClassVar[str] = "RNN"
    sort_order: ClassVar[int] = 60
    rule: ClassVar[tuple[str, ...]] = (
        r"h_t = \phi\left(W x_t + U h_{t-1} + b\right),\quad h_0 = 0",
        r"f(x;\theta) = V h_T + c",
    )
    symbols: ClassVar[dict[str, str]] = {
        "φ": "activation",
        "U": "recurrent weights",
        "T": "length of the sequence",
    }
    source: ClassVar[str] = "Notes, long-term dependencies, (8.11); Deep Learning, chapter 10."

    units: int = integer(
        32,
        "Hidden units",
        unit="units",
        ge=1,
        le=4096,
        log=True,
        slider=(1, 256),
        help="Size of the hidden state.",
    )
    activation: Literal["tanh", "relu", "identity"] = choice(
        "tanh", "Activation", symbol="φ", help="Function applied to the hidden state."
    )

    def layout(self, shape: DataShape) -> Layout:
        inputs = sequence_inputs(shape, self.name)
        return layout(
            [
                Parameter(
                    "input.weight",
                    (self.units, inputs),
                    "weight",
                    inputs,
                    self.units,
                    along="inputs",
                ),
                Parameter(
                    "recurrent.weight",
                    (self.units, self.units),
                    "weight",
                    self.units,
                    self.units,
                    along="states",
                ),
                Parameter("recurrent.bias", (self.units,), "bias", self.units, self.units),
                *linear("output", self.units, shape.outputs, output=True),
            ]
        )

    def forward(
        self, parameters: list[torch.Tensor], x: torch.Tensor, context: ForwardContext
    ) -> torch.Tensor:
        entering, recurrent, bias, *reading = parameters
        activate = _activations.forward(self.activation)
        runs, m, length = x.shape[:3]
        driven = affine(x.flatten(1, 2), entering, bias).view(runs, m, length, self.units)
        across = recurrent.transpose(1, 2)
        h = x.new_zeros(runs, m, self.units)
        for t in range(length):
            h = activate(torch.baddbmm(driven[:, :, t], h, across))
            if context.trace is not None:
                context.trace(f"state.{t}", h)
        outputs = affine(h, *reading)
        if context.trace is not None:
            context.trace("output", outputs)
        return outputs

    def as_module(self, shape: DataShape) -> WrittenModule:
        state = _activations.written(self.activation, "self.input(x[:, t]) + self.recurrent(h)")
        return WrittenModule(
            f"""class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.input = nn.Linear({shape.inputs[1]}, {self.units}, bias=False)
        self.recurrent = nn.Linear({self.units}, {self.units})
        self.output = nn.Linear({self.units}, {shape.outputs})

    def forward(self, x):
        h = x.new_zeros(len(x), {self.units})
        for t in range(x.shape[1]):
            h = {state}
        return self.output(h)
"""
        )

    def input_layer(self) -> InputLayer:
        return InputLayer(0, (2,))

    def symmetries(
        self, parameters: list[torch.Tensor], switching: Sequence[torch.Tensor] = ()
    ) -> list[Symmetry]:
        space = HiddenSpace(self.units, (0, 1, 2), (1, 3))
        return of_spaces(parameters, [space], self.activation, switching=switching)

    def rectified(self) -> list[RectifiedUnits]:
        return rectified(["state."], self.activation)
