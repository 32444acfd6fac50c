"""Normalized (Glorot): the default initializer."""

from __future__ import annotations

import math
from typing import ClassVar

from optlab.catalogue.initializers import _drawn
from optlab.catalogue.initializers.base import Initializer
from optlab.core.layout import Parameter
from optlab.core.lazy import torch


class Normalized(Initializer):
    """Uniform weights that balance the variances of activations and gradients between layers.

    A layer of m inputs and n outputs preserves the variance of activations at a weight variance of
    1/m, and that of gradients at 1/n; the normalized rule uses 2/(m + n).
    """

    name: ClassVar[str] = "normalized"
    label: ClassVar[str] = "Normalized (Glorot)"
    sort_order: ClassVar[int] = 10
    rule: ClassVar[tuple[str, ...]] = (
        r"W_{i,j} \sim U\left(-\sqrt{\frac{6}{m+n}},\ \sqrt{\frac{6}{m+n}}\right)",
    )
    symbols: ClassVar[dict[str, str]] = {
        "m": "inputs of the layer (fan-in)",
        "n": "outputs of the layer (fan-out)",
    }
    source: ClassVar[str] = (
        "Notes, normalized initialization (with the square root that one of them omits); X."
        " Glorot, Y. Bengio (2010)."
    )
    differences: ClassVar[str] = (
        "Same as torch.nn.init.xavier_uniform_ or xavier_normal_ with gain 1; truncated as"
        " VarianceScaling of Keras."
    )

    distribution: _drawn.Distribution = _drawn.distribution("uniform")

    def weight(self, parameter: Parameter, generator: torch.Generator) -> torch.Tensor:
        variance = 2.0 / (parameter.fan_in + parameter.fan_out)
        if self.distribution == "uniform":
            bound = math.sqrt(3.0 * variance)
            uniform = torch.rand(parameter.shape, generator=generator, dtype=torch.float64)
            return (2.0 * uniform - 1.0) * bound
        return _drawn.drawn(self.distribution, math.sqrt(variance), parameter.shape, generator)
