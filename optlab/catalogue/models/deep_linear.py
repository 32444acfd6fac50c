"""Deep linear network: a product of matrices, with a non-convex cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from optlab.catalogue.models._linearized import LinearizedLayers
from optlab.catalogue.models._symmetries import HiddenSpace, of_spaces
from optlab.catalogue.models.base import ForwardContext, Model
from optlab.catalogue.models.capabilities import InputLayer, Symmetry, WrittenModule
from optlab.core.data import DataShape
from optlab.core.fields import integer
from optlab.core.layout import Layout, Parameter, layout
from optlab.core.lazy import torch


class DeepLinear(Model):
    """A product of several matrices, with no activation in between.

    It can only represent linear functions, but the cost as a function of the factors has saddle
    points and many equivalent global minima, and no bad local ones. Training shows plateaus and
    sudden drops: the learning curves of deep networks in the simplest case.
    """

    name: ClassVar[str] = "deep_linear"
    label: ClassVar[str] = "Deep linear network"
    sort_order: ClassVar[int] = 30
    rule: ClassVar[tuple[str, ...]] = (r"f(x;\theta) = W_L W_{L-1} \cdots W_1 x",)
    symbols: ClassVar[dict[str, str]] = {"L": "number of matrices"}
    source: ClassVar[str] = (
        "Notes, saddle points; P. Baldi, K. Hornik (1989); A. Saxe et al. (2013)."
    )

    depth: int = integer(
        3,
        "Matrices",
        symbol="L",
        ge=1,
        le=64,
        slider=(1, 20),
        help="Number of matrices in the product.",
    )
    width: int = integer(
        32,
        "Width",
        unit="units",
        ge=1,
        le=65_536,
        log=True,
        slider=(1, 512),
        help="Number of rows of each matrix but the last.",
    )

    def layout(self, shape: DataShape) -> Layout:
        widths = [shape.width, *[self.width] * (self.depth - 1), shape.outputs]
        return layout(
            [
                Parameter(
                    f"layers.{number}.weight",
                    (outputs, inputs),
                    "weight",
                    inputs,
                    outputs,
                    number == self.depth - 1,
                )
                for number, (inputs, outputs) in enumerate(zip(widths, widths[1:], strict=False))
            ]
        )

    def forward(
        self, parameters: list[torch.Tensor], x: torch.Tensor, context: ForwardContext
    ) -> torch.Tensor:
        h = x.flatten(2)
        for number, weight in enumerate(parameters):
            z = torch.bmm(weight, h.transpose(1, 2)).transpose(1, 2)
            h = z if context.tap is None else context.tap(number, h, z)
            if context.trace is not None:
                context.trace(f"layers.{number}", h)
        return h

    def taps_layers(self) -> bool:
        return True

    def as_module(self, shape: DataShape) -> WrittenModule:
        widths = [shape.width, *[self.width] * (self.depth - 1), shape.outputs]
        return WrittenModule(
            f"""class Net(nn.Module):
    def __init__(self):
        super().__init__()
        widths = {widths}
        self.layers = nn.ModuleList(
            nn.Linear(m, n, bias=False) for m, n in zip(widths, widths[1:])
        )

    def forward(self, x):
        h = x.flatten(1)
        for layer in self.layers:
            h = layer(h)
        return h
"""
        )

    def linearized(self, parameters: list[torch.Tensor], x: torch.Tensor) -> LinearizedLayers:
        return LinearizedLayers([(weight, None) for weight in parameters], "identity", x.flatten(2))

    def input_layer(self) -> InputLayer:
        return InputLayer(0)

    def symmetries(
        self, parameters: list[torch.Tensor], switching: Sequence[torch.Tensor] = ()
    ) -> list[Symmetry]:
        spaces = [
            HiddenSpace(weight.shape[1], (number,), (number + 1,))
            for number, weight in enumerate(parameters[:-1])
        ]
        return of_spaces(parameters, spaces, "identity")
