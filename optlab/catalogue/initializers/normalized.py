"""Normalized (Glorot): the default start."""

from __future__ import annotations

import math
from typing import ClassVar

from optlab.catalogue.initializers.base import Initializer
from optlab.core.layout import Parameter
from optlab.core.lazy import torch


class Normalized(Initializer):
    """Uniform weights whose range balances the variance of activations and of gradients between
    layers.

    A layer of m inputs and n outputs keeps the variance of activations at a weight variance of 1/m
    and that of gradients at 1/n; the normalized rule takes 2/(m + n).
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
        "Notes, normalized initialization (with the root that one of them drops); X. Glorot, Y. Bengio (2010)."
    )
    differences: ClassVar[str] = "As torch.nn.init.xavier_uniform_ with gain 1."

    def weight(self, parameter: Parameter, generator: torch.Generator) -> torch.Tensor:
        bound = math.sqrt(6.0 / (parameter.fan_in + parameter.fan_out))
        uniform = torch.rand(parameter.shape, generator=generator, dtype=torch.float64)
        return (2.0 * uniform - 1.0) * bound
