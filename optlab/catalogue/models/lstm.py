"""LSTM: a recurrent network whose memory is written, kept and read through gates."""

from __future__ import annotations

from typing import ClassVar

from optlab.catalogue.models._sequences import sequence_inputs
from optlab.catalogue.models.base import ForwardContext, Model, affine
from optlab.catalogue.models.capabilities import InputLayer, WrittenModule
from optlab.core.data import DataShape
from optlab.core.fields import integer
from optlab.core.layout import Layout, Parameter, layout, linear
from optlab.core.lazy import torch


class LSTM(Model):
    """A recurrent cell that keeps its content until a gate clears it.

    The output is read after the last time step. Along the cell the gradient is multiplied only by
    the forget gate. With a bias of 1 that gate starts open, so dependencies over many steps can be
    learned from the beginning.
    """

    name: ClassVar[str] = "lstm"
    label: ClassVar[str] = "LSTM"
    sort_order: ClassVar[int] = 70
    rule: ClassVar[tuple[str, ...]] = (
        r"i, o = \sigma\left(W_{i,o}\, x_t + U_{i,o}\, h_{t-1} + b_{i,o}\right),\quad f = "
        r"\sigma\left(W_f x_t + U_f h_{t-1} + b_f\right)",
        r"c_t = f \odot c_{t-1} + i \odot \tanh\left(W_c x_t + U_c h_{t-1} + b_c\right)",
        r"h_t = o \odot \tanh c_t",
    )
    symbols: ClassVar[dict[str, str]] = {
        "i, f, o": "input, forget and output gates",
        "c": "cell",
        "h": "hidden state",
    }
    source: ClassVar[str] = (
        "S. Hochreiter, J. Schmidhuber (1997); bias of 1 for the forget gate: "
        "R. Jozefowicz et al. (2015), and the notes on biases."
    )
    differences: ClassVar[str] = (
        "torch.nn.LSTM has the same order of gates (i, f, c, o), and two biases whose sum is the "
        "single bias used here."
    )

    units: int = integer(
        32,
        "Hidden units",
        unit="units",
        ge=1,
        le=4096,
        log=True,
        slider=(1, 256),
        help="Size of the cell.",
    )

    def layout(self, shape: DataShape) -> Layout:
        inputs = sequence_inputs(shape, self.name)
        n = self.units
        return layout(
            [
                Parameter(
                    "input.weight", (4 * n, inputs), "weight", inputs, n, stacked=4, along="inputs"
                ),
                Parameter(
                    "recurrent.weight", (4 * n, n), "weight", n, n, stacked=4, along="states"
                ),
                Parameter("input_gate.bias", (n,), "bias", n, n),
                Parameter("forget_gate.bias", (n,), "gate", n, n),
                Parameter("cell.bias", (n,), "bias", n, n),
                Parameter("output_gate.bias", (n,), "bias", n, n),
                *linear("output", n, shape.outputs, output=True),
            ]
        )

    def forward(
        self, parameters: list[torch.Tensor], x: torch.Tensor, context: ForwardContext
    ) -> torch.Tensor:
        entering, recurrent, *biases = parameters[:6]
        runs, m, length = x.shape[:3]
        driven = affine(x.flatten(1, 2), entering, torch.cat(biases, dim=1)).view(
            runs, m, length, 4 * self.units
        )
        across = recurrent.transpose(1, 2)
        h = x.new_zeros(runs, m, self.units)
        c = x.new_zeros(runs, m, self.units)
        for t in range(length):
            i, f, g, o = torch.baddbmm(driven[:, :, t], h, across).chunk(4, dim=2)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
            if context.trace is not None:
                context.trace(f"state.{t}", h)
        outputs = affine(h, *parameters[6:])
        if context.trace is not None:
            context.trace("output", outputs)
        return outputs

    def as_module(self, shape: DataShape) -> WrittenModule:
        n = self.units
        return WrittenModule(
            f'''class Bias(nn.Module):
    def __init__(self, units):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(units))


class Net(nn.Module):
    """An LSTM with one bias a gate (torch.nn.LSTM has two, whose sum it is)."""

    def __init__(self):
        super().__init__()
        self.input = nn.Linear({shape.inputs[1]}, {4 * n}, bias=False)
        self.recurrent = nn.Linear({n}, {4 * n}, bias=False)
        self.input_gate, self.forget_gate = Bias({n}), Bias({n})
        self.cell, self.output_gate = Bias({n}), Bias({n})
        self.output = nn.Linear({n}, {shape.outputs})

    def forward(self, x):
        gates = self.input_gate, self.forget_gate, self.cell, self.output_gate
        bias = torch.cat([gate.bias for gate in gates])
        h = x.new_zeros(len(x), {n})
        c = x.new_zeros(len(x), {n})
        for t in range(x.shape[1]):
            i, f, g, o = (self.input(x[:, t]) + bias + self.recurrent(h)).chunk(4, dim=1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
        return self.output(h)
'''
        )

    def input_layer(self) -> InputLayer:
        return InputLayer(0, (2, 3, 4, 5))
