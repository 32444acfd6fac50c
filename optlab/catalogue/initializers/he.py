"""He: normal weights for layers of rectified linear units."""

from __future__ import annotations

import math
from typing import ClassVar

from optlab.catalogue.initializers import _drawn
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
    symbols: ClassVar[dict[str, str]] = {
        "m": "inputs of the layer (fan-in), or its outputs (fan-out)"
    }
    source: ClassVar[str] = "K. He et al. (2015), Delving deep into rectifiers; not in the notes."
    differences: ClassVar[str] = (
        "Same as torch.nn.init.kaiming_normal_ or kaiming_uniform_ with nonlinearity='relu' and the"
        " mode fan_in or fan_out; truncated as VarianceScaling of Keras."
    )

    distribution: _drawn.Distribution = _drawn.distribution("normal")
    fan: _drawn.Fan = _drawn.fan()

    def weight(self, parameter: Parameter, generator: torch.Generator) -> torch.Tensor:
        m = parameter.fan_in if self.fan == "in" else parameter.fan_out
        std = math.sqrt(2.0 / m)
        if self.distribution == "normal":
            return std * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        return _drawn.drawn(self.distribution, std, parameter.shape, generator)
