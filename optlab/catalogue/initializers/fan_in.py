"""Fan-in uniform: a range that decreases with the number of inputs."""

from __future__ import annotations

import math
from typing import ClassVar

from optlab.catalogue.initializers.base import Initializer
from optlab.core.layout import Parameter
from optlab.core.lazy import torch


class FanIn(Initializer):
    """Uniform weights bounded by the inverse square root of the number of inputs.

    The variance is 1/(3m), so the variance of pre-activations is a third of that of the inputs, and
    signals fade through many layers.
    """

    name: ClassVar[str] = "fan_in"
    label: ClassVar[str] = "Fan-in uniform"
    sort_order: ClassVar[int] = 12
    rule: ClassVar[tuple[str, ...]] = (
        r"W_{i,j} \sim U\left(-\frac{1}{\sqrt{m}},\ \frac{1}{\sqrt{m}}\right)",
    )
    symbols: ClassVar[dict[str, str]] = {"m": "inputs of the layer (fan-in)"}
    source: ClassVar[str] = "Notes, parameter initialization: the fan-in heuristic."
    differences: ClassVar[str] = "Same as the default initialization of weights of torch.nn.Linear."

    def weight(self, parameter: Parameter, generator: torch.Generator) -> torch.Tensor:
        bound = 1.0 / math.sqrt(parameter.fan_in)
        return (
            2.0 * torch.rand(parameter.shape, generator=generator, dtype=torch.float64) - 1.0
        ) * bound
