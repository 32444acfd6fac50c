"""Autoencoder: a network that reconstructs its inputs from a short code."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.models import _chain
from optlab.catalogue.models._activations import Activation
from optlab.catalogue.models._linearized import LinearizedLayers
from optlab.catalogue.models.base import ForwardContext, Model
from optlab.catalogue.models.capabilities import Layers, Tape
from optlab.core.data import DataShape
from optlab.core.fields import Sizes, choice, integer, sizes
from optlab.core.layout import Layout

if TYPE_CHECKING:
    import torch


class Autoencoder(Model):
    """A network whose targets are its own inputs, with a layer in the middle that is too narrow to
    copy them.

    What gets through the code is what the inputs have in common. The data's targets are not looked
    at: the task is regression, whatever they are, and there is no 0-1 error. With the identity as
    activation the best code spans the first principal components; the cost has no other local
    minimum, only saddle points where it spans others.
    """

    name: ClassVar[str] = "autoencoder"
    label: ClassVar[str] = "Autoencoder"
    sort_order: ClassVar[int] = 40
    rule: ClassVar[tuple[str, ...]] = (
        r"h_0 = x,\quad h_l = \phi\left(W_l h_{l-1} + b_l\right)",
        r"r(x;\theta) = W_L h_{L-1} + b_L,\quad J = \ell\left(r(x;\theta), x\right)",
    )
    symbols: ClassVar[dict[str, str]] = {
        "r": "reconstruction, of the width of x",
        "h_l": "activations of layer l; those of the one in the middle are the code",
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
        help="Units of the layer in the middle.",
    )
    hidden: Sizes = sizes(
        (),
        "Hidden layers",
        unit="units",
        help="Units of each layer between inputs and code, from the input up; the way back has the same in reverse.",
    )
    activation: Activation = choice(
        "relu",
        "Activation",
        symbol="φ",
        help="Function applied to every layer but the last, the code included; identity for a linear autoencoder.",
    )

    def layout(self, shape: DataShape) -> Layout:
        return _chain.chain(
            [shape.width, *self.hidden, self.code, *reversed(self.hidden), shape.width]
        )

    def target_shape(self, shape: DataShape) -> DataShape:
        return dataclasses.replace(shape, outputs=shape.width, task="regression")

    def targets(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return x.flatten(2)

    def forward(
        self, parameters: list[torch.Tensor], x: torch.Tensor, context: ForwardContext
    ) -> torch.Tensor:
        return _chain.forward(parameters, x, self.activation, context.trace)

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
