"""LeCun: normal weights that preserve the variance through linear layers."""

from __future__ import annotations

import math
from typing import ClassVar

from optlab.catalogue.initializers import _drawn
from optlab.catalogue.initializers.base import Initializer
from optlab.core.layout import Parameter
from optlab.core.lazy import torch


class LeCun(Initializer):
    """Normal weights with a variance of one divided by the number of inputs.

    A linear layer then preserves the variance of its input. This suits saturating units with slope
    one at zero, such as tanh.
    """

    name: ClassVar[str] = "lecun"
    label: ClassVar[str] = "LeCun"
    sort_order: ClassVar[int] = 13
    rule: ClassVar[tuple[str, ...]] = (r"W_{i,j} \sim N\left(0,\ \frac{1}{m}\right)",)
    symbols: ClassVar[dict[str, str]] = {
        "m": "inputs of the layer (fan-in), or its outputs (fan-out)"
    }
    source: ClassVar[str] = "Y. LeCun et al. (1998), Efficient BackProp; not in the notes."
    differences: ClassVar[str] = (
        "Same as torch.nn.init.kaiming_normal_ or kaiming_uniform_ with nonlinearity='linear' and the"
        " mode fan_in or fan_out; truncated as VarianceScaling of Keras."
    )

    distribution: _drawn.Distribution = _drawn.distribution("normal")
    fan: _drawn.Fan = _drawn.fan()

    def weight(self, parameter: Parameter, generator: torch.Generator) -> torch.Tensor:
        m = parameter.fan_in if self.fan == "in" else parameter.fan_out
        std = math.sqrt(1.0 / m)
        if self.distribution == "normal":
            return std * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        return _drawn.drawn(self.distribution, std, parameter.shape, generator)
