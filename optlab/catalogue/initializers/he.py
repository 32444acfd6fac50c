"""He: normal weights for layers of rectified linear units."""

from __future__ import annotations

import math
from typing import ClassVar

from optlab.catalogue.initializers.base import Initializer
from optlab.core.layout import Parameter
from optlab.core.lazy import torch


class He(Initializer):
    """Normal weights with a variance of two divided by the number of inputs.

    A rectifier passes half of its input; doubling the variance preserves the mean square of
    activations from layer to layer.
    """

    name: ClassVar[str] = "he"
    label: ClassVar[str] = "He (Kaiming)"
    sort_order: ClassVar[int] = 11
    rule: ClassVar[tuple[str, ...]] = (r"W_{i,j} \sim N\left(0,\ \frac{2}{m}\right)",)
    symbols: ClassVar[dict[str, str]] = {"m": "inputs of the layer (fan-in)"}
    source: ClassVar[str] = "K. He et al. (2015), Delving deep into rectifiers; not in the notes."
    differences: ClassVar[str] = "Same as torch.nn.init.kaiming_normal_(nonlinearity='relu')."

    def weight(self, parameter: Parameter, generator: torch.Generator) -> torch.Tensor:
        scale = math.sqrt(2.0 / parameter.fan_in)
        return scale * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
