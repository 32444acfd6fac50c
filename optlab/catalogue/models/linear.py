"""Linear and softmax regression: one affine map, a convex problem under both losses."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.models._linearized import LinearizedLayers
from optlab.catalogue.models.base import ForwardContext, Model, affine, affine_backward
from optlab.catalogue.models.capabilities import InputLayer, Layers, Tape, WrittenModule
from optlab.core.data import DataShape
from optlab.core.layout import Layout, layout, linear

if TYPE_CHECKING:
    import torch


class Linear(Model):
    """One affine map from inputs to outputs.

    With cross-entropy it is softmax regression, with squared error it is linear regression. Both
    objectives are convex, so every local minimum is global; the only remaining difficulty is
    ill-conditioning.
    """

    name: ClassVar[str] = "linear"
    label: ClassVar[str] = "Linear / softmax regression"
    short: ClassVar[str] = "Linear"
    sort_order: ClassVar[int] = 10
    rule: ClassVar[tuple[str, ...]] = (r"f(x;\theta) = W x + b",)
    source: ClassVar[str] = "Deep Learning, section 5.1.4 and 6.2.2."

    def layout(self, shape: DataShape) -> Layout:
        return layout(linear("layers.0", shape.width, shape.outputs, output=True))

    def forward(
        self, parameters: list[torch.Tensor], x: torch.Tensor, context: ForwardContext
    ) -> torch.Tensor:
        flat = x.flatten(2)
        outputs = affine(flat, *parameters)
        if context.tap is not None:
            outputs = context.tap(0, flat, outputs)
        if context.trace is not None:
            context.trace("layers.0", outputs)
        return outputs

    def taps_layers(self) -> bool:
        return True

    def as_module(self, shape: DataShape) -> WrittenModule:
        return WrittenModule(
            f"""class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear({shape.width}, {shape.outputs})])

    def forward(self, x):
        return self.layers[0](x.flatten(1))
"""
        )

    def input_layer(self) -> InputLayer:
        return InputLayer(0, (1,))

    def record(self, parameters: list[torch.Tensor], x: torch.Tensor) -> tuple[torch.Tensor, Tape]:
        flat = x.flatten(2)
        return affine(flat, *parameters), [flat]

    def backward(
        self,
        parameters: list[torch.Tensor],
        tape: Tape,
        delta: torch.Tensor,
        gradients: list[torch.Tensor],
        layers: Layers | None = None,
    ) -> None:
        if layers is not None:
            layers.append((tape[0], delta))
        affine_backward(tape[0], parameters[0], delta, gradients, inputs=False)

    def linearized(self, parameters: list[torch.Tensor], x: torch.Tensor) -> LinearizedLayers:
        return LinearizedLayers([(parameters[0], parameters[1])], "identity", x.flatten(2))
