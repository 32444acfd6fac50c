"""Autoencoder: a network that reconstructs its inputs from a short code."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.models import _chain
from optlab.catalogue.models._activations import Activation
from optlab.catalogue.models._linearized import LinearizedLayers
from optlab.catalogue.models._symmetries import of_chain, rectified_chain
from optlab.catalogue.models.base import ForwardContext, Model
from optlab.catalogue.models.capabilities import (
    InputLayer,
    Layers,
    RectifiedUnits,
    Symmetry,
    Tape,
    WrittenModule,
)
from optlab.core.data import DataShape
from optlab.core.fields import Sizes, choice, integer, sizes
from optlab.core.layout import Layout

if TYPE_CHECKING:
    import torch


class Autoencoder(Model):
    """A network that reproduces its own inputs through a layer too narrow to copy them.

    The code keeps what the inputs have in common. The targets of the data are ignored: the task is
    always regression, and there is no 0-1 error. With the identity as activation the best code
    spans the first principal components; the cost has no other local minimum, only saddle points
    where the code spans other components.
    """

    name: ClassVar[str] = "autoencoder"
    label: ClassVar[str] = "Autoencoder"
    sort_order: ClassVar[int] = 40
    rule: ClassVar[tuple[str, ...]] = (
        r"h_0 = x,\quad h_l = \phi\left(W_l h_{l-1} + b_l\right)",
        r"r(x;\theta) = W_L h_{L-1} + b_L,\quad J = \ell\left(r(x;\theta), x\right)",
    )
    symbols: ClassVar[dict[str, str]] = {
        "r": "reconstruction, as wide as x",
        "h_l": "activations of layer l; those of the middle layer are the code",
        "ℓ": "loss",
    }
    source: ClassVar[str] = (
        "Deep Learning, chapter 14; its linear case: P. Baldi, K. Hornik (1989)."
    )

    code: int = integer(
        8,
        "Code",
        unit="units",
        ge=1,
        le=16_384,
        log=True,
        slider=(1, 64),
        help="Number of units of the middle layer.",
    )
    hidden: Sizes = sizes(
        (),
        "Hidden layers",
        unit="units",
        help="Units of each layer between inputs and code, from the input up; the decoder has the "
        "same layers in reverse order.",
    )
    activation: Activation = choice(
        "relu",
        "Activation",
        symbol="φ",
        help="Function applied to every layer but the last, including the code; identity for a "
        "linear autoencoder.",
    )

    def layout(self, shape: DataShape) -> Layout:
        return _chain.chain(
            [shape.width, *self.hidden, self.code, *reversed(self.hidden), shape.width]
        )

    def as_module(self, shape: DataShape) -> WrittenModule:
        widths = [shape.width, *self.hidden, self.code, *reversed(self.hidden), shape.width]
        return WrittenModule(_chain.written(widths, self.activation), targets="x.flatten(1)")

    def taps_layers(self) -> bool:
        return True

    def target_shape(self, shape: DataShape) -> DataShape:
        return dataclasses.replace(shape, outputs=shape.width, task="regression")

    def targets(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return x.flatten(2)

    def forward(
        self, parameters: list[torch.Tensor], x: torch.Tensor, context: ForwardContext
    ) -> torch.Tensor:
        return _chain.forward(parameters, x, self.activation, context)

    def record(self, parameters: list[torch.Tensor], x: torch.Tensor) -> tuple[torch.Tensor, Tape]:
        return _chain.record(parameters, x, self.activation)

    def backward(
        self,
        parameters: list[torch.Tensor],
        tape: Tape,
        delta: torch.Tensor,
        gradients: list[torch.Tensor],
        layers: Layers | None = None,
    ) -> None:
        _chain.backward(parameters, tape, delta, gradients, self.activation, layers)

    def linearized(self, parameters: list[torch.Tensor], x: torch.Tensor) -> LinearizedLayers:
        return LinearizedLayers(
            list(zip(parameters[::2], parameters[1::2], strict=True)), self.activation, x.flatten(2)
        )

    def input_layer(self) -> InputLayer:
        return InputLayer(0, (1,))

    def symmetries(
        self, parameters: list[torch.Tensor], switching: Sequence[torch.Tensor] = ()
    ) -> list[Symmetry]:
        return of_chain(parameters, self.activation, switching)

    def rectified(self) -> list[RectifiedUnits]:
        return rectified_chain(2 * len(self.hidden) + 1, self.activation)
