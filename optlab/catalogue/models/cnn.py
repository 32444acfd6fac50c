"""Small convolutional network: weights shared over the positions of an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.models import _activations
from optlab.catalogue.models._activations import Activation
from optlab.catalogue.models._dropout import WRITTEN, dropout_field, dropping
from optlab.catalogue.models._symmetries import HiddenSpace, of_spaces, rectified
from optlab.catalogue.models.base import ForwardContext, Model, Tap, affine
from optlab.catalogue.models.capabilities import RectifiedUnits, Symmetry, WrittenModule
from optlab.core.data import DataShape
from optlab.core.errors import InvalidInput
from optlab.core.fields import Sizes, choice, integer, sizes
from optlab.core.layout import Layout, Parameter, layout, linear
from optlab.core.lazy import functional

if TYPE_CHECKING:
    import torch


class CNN(Model):
    """Convolutions with an activation and average pooling, then one affine map.

    The same small kernels are used at every position of the image, so there are few parameters, and
    each receives the gradients of all positions.
    """

    name: ClassVar[str] = "cnn"
    label: ClassVar[str] = "Small CNN"
    short: ClassVar[str] = "CNN"
    sort_order: ClassVar[int] = 50
    rule: ClassVar[tuple[str, ...]] = (
        r"h_l = \text{pool}\left(\phi\left(K_l * h_{l-1} + b_l\right)\right)",
        r"f(x;\theta) = W h_L + b",
        r"\text{dropout, in training:}\quad f(x;\theta) = W \left(\frac{d}{1 - p} \odot h_L\right) + b",
    )
    symbols: ClassVar[dict[str, str]] = {
        "K_l": "kernels of layer l",
        "φ": "activation",
        "d": "mask of zeros and ones, new at each step; each is 0 with probability p",
    }
    source: ClassVar[str] = "Deep Learning, chapter 9; dropout: N. Srivastava et al. (2014)."

    channels: Sizes = sizes(
        (8, 16),
        "Channels",
        help="Number of kernels of each convolution, from the input up; each halves the size of "
        "the image where possible.",
    )
    kernel: int = integer(
        3,
        "Kernel",
        unit="pixels",
        ge=1,
        le=15,
        slider=(1, 9),
        help="Width and height of each kernel; odd, so that the image keeps its size.",
    )
    activation: Activation = choice(
        "relu", "Activation", symbol="φ", help="Function applied after each convolution."
    )
    dropout: float = dropout_field("of those that the affine map at the end reads")

    def layout(self, shape: DataShape) -> Layout:
        planes, height, width = _image(shape)
        if self.kernel % 2 == 0:
            raise InvalidInput(
                f"model.kernel is {self.kernel}, but it must be odd, so that the image keeps its "
                "size.",
                "model.kernel",
            )
        tensors: list[Parameter] = []
        area = self.kernel**2
        for number, channels in enumerate(self.channels):
            extent = (channels, planes, self.kernel, self.kernel)
            tensors += [
                Parameter(
                    f"convolutions.{number}.weight",
                    extent,
                    "weight",
                    planes * area,
                    channels * area,
                ),
                Parameter(
                    f"convolutions.{number}.bias",
                    (channels,),
                    "bias",
                    planes * area,
                    channels * area,
                ),
            ]
            planes = channels
            if min(height, width) > 1:  # as forward pools
                height, width = -(-height // 2), -(-width // 2)
        return layout(
            [*tensors, *linear("output", planes * height * width, shape.outputs, output=True)]
        )

    def forward(
        self, parameters: list[torch.Tensor], x: torch.Tensor, context: ForwardContext
    ) -> torch.Tensor:
        activate = _activations.forward(self.activation)
        trace = context.trace
        runs, m = x.shape[:2]
        images = x if x.dim() == 5 else x.unsqueeze(2)
        # Runs become groups of one convolution: [m, R * channels, height, width].
        h = images.transpose(0, 1).flatten(1, 2)
        for number in range(len(self.channels)):
            weight, bias = parameters[2 * number], parameters[2 * number + 1]
            below = h
            h = functional.conv2d(
                h, weight.flatten(0, 1), bias.flatten(), padding=self.kernel // 2, groups=runs
            )
            if context.tap is not None:
                h = _tapped(context.tap, 2 * number, below, h, runs, self.kernel)
            if trace is not None:
                trace(f"convolutions.{number}", h.unflatten(1, (runs, -1)).transpose(0, 1))
            h = activate(h)
            if min(h.shape[2:]) > 1:
                h = functional.avg_pool2d(h, 2, ceil_mode=True)
            if trace is not None:
                trace(
                    f"convolutions.{number}.{self.activation}",
                    h.unflatten(1, (runs, -1)).transpose(0, 1),
                )
        features = h.view(m, runs, -1).transpose(0, 1)
        drop = dropping(self.dropout, context)
        if drop is not None:
            features = drop(features)
            if trace is not None:
                trace("features.dropout", features)
        outputs = affine(features, *parameters[-2:])
        if context.tap is not None:
            outputs = context.tap(2 * len(self.channels), features, outputs)
        if trace is not None:
            trace("output", outputs)
        return outputs

    def differs_in_training(self, shape: DataShape) -> bool:
        return self.dropout > 0.0

    def taps_layers(self) -> bool:
        return True

    def as_module(self, shape: DataShape) -> WrittenModule:
        planes, height, width = _image(shape)
        sizes = [planes, *self.channels]
        pools = []
        for _ in self.channels:
            pools.append(min(height, width) > 1)
            if pools[-1]:
                height, width = -(-height // 2), -(-width // 2)
        images = "x" if len(shape.inputs) == 3 else "x.unsqueeze(1)"
        convolved = _activations.written(self.activation, "convolution(h)")
        pooled = "\n            h = F.avg_pool2d(h, 2, ceil_mode=True)"
        if not all(pools):
            pooled = "\n            if min(h.shape[2:]) > 1:" + pooled.replace("\n", "\n    ")
        masks = "\n        self.masks = None  # a generator, in the passes of a step"
        features = "h.flatten(1)"
        if self.dropout:
            features = f"dropped({features}, {self.dropout!r}, self.masks)"
        return WrittenModule(
            f"""{WRITTEN if self.dropout else ""}class Net(nn.Module):
    def __init__(self):
        super().__init__()
        planes = {sizes}
        self.convolutions = nn.ModuleList(
            nn.Conv2d(m, n, {self.kernel}, padding={self.kernel // 2}) for m, n in zip(planes, planes[1:])
        )
        self.output = nn.Linear({sizes[-1] * height * width}, {shape.outputs}){masks if self.dropout else ""}

    def forward(self, x):
        h = {images}
        for convolution in self.convolutions:
            h = {convolved}{pooled}
        return self.output({features})
"""
        )

    def symmetries(
        self, parameters: list[torch.Tensor], switching: Sequence[torch.Tensor] = ()
    ) -> list[Symmetry]:
        spaces = [
            HiddenSpace(
                channels,
                (2 * number, 2 * number + 1),
                (2 * number + 2,),
                # Beyond the border of an image there is nothing to shift.
                (2 * number + 1, (2 * number + 3,)) if number == len(self.channels) - 1 else None,
            )
            for number, channels in enumerate(self.channels)
        ]
        return of_spaces(parameters, spaces, self.activation, switching=switching)

    def rectified(self) -> list[RectifiedUnits]:
        traces = [f"convolutions.{number}" for number in range(len(self.channels))]
        return rectified(traces, self.activation, axis=2)


def _tapped(
    tap: Tap, index: int, images: torch.Tensor, outputs: torch.Tensor, runs: int, kernel: int
) -> torch.Tensor:
    """Show a convolution as an affine layer of the patch of each place; return its outputs.

    Args:
        images: ``[m, R * planes, height, width]``. outputs: ``[m, R * channels, height, width]``.
    """
    patches = functional.unfold(images, kernel, padding=kernel // 2)
    patches = patches.unflatten(1, (runs, -1)).permute(1, 0, 3, 2)
    places = outputs.unflatten(1, (runs, -1)).flatten(3).permute(1, 0, 3, 2)
    shown = tap(index, patches, places)
    return shown.permute(1, 0, 3, 2).reshape(outputs.shape)


def _image(shape: DataShape) -> tuple[int, int, int]:
    """Return planes, height and width of one example.

    Raises:
        InvalidInput: the data are not images.
    """
    if len(shape.inputs) == 2:
        return 1, shape.inputs[0], shape.inputs[1]
    if len(shape.inputs) == 3:
        return shape.inputs[0], shape.inputs[1], shape.inputs[2]
    raise InvalidInput(
        "model.name is 'cnn', which needs images (height × width, or planes × height × width), but "
        f"an example of this dataset has the shape {list(shape.inputs)}; use mlp.",
        "model.name",
    )
