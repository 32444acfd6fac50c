"""Gaussian: independent normal weights of a chosen scale."""

from __future__ import annotations

from typing import ClassVar

from optlab.catalogue.initializers import _drawn
from optlab.catalogue.initializers.base import Initializer
from optlab.core.fields import number
from optlab.core.layout import Parameter
from optlab.core.lazy import torch


class Gaussian(Initializer):
    """Weights drawn independently from a normal distribution with mean zero.

    Starting at θ₀ is similar to a Gaussian prior around it; a small scale says that units are more
    likely not to interact than to interact. If the scale is too small, signals vanish through the
    layers; if it is too large, units saturate or outputs explode.
    """

    name: ClassVar[str] = "gaussian"
    label: ClassVar[str] = "Gaussian"
    sort_order: ClassVar[int] = 20
    rule: ClassVar[tuple[str, ...]] = (r"W_{i,j} \sim N(0, \sigma^2)",)
    source: ClassVar[str] = "Notes, parameter initialization."
    differences: ClassVar[str] = (
        "Same as torch.nn.init.normal_; with a cut, as trunc_normal_ with bounds of ±cut·σ."
    )

    std: float = number(
        0.1,
        "Scale",
        symbol="σ",
        gt=0.0,
        log=True,
        slider=(1e-3, 10.0),
        help="Standard deviation of each weight.",
        why="Close to 1/√m for the 64 inputs of the digits data set.",
    )

    cut: float = number(
        0.0,
        "Cut",
        unit="σ",
        ge=0.0,
        le=10.0,
        slider=(0.0, 4.0),
        help="Number of standard deviations beyond which weights are drawn again; 0 for none.",
        why="2 is common for transformers: no weight starts far from the others.",
    )

    def weight(self, parameter: Parameter, generator: torch.Generator) -> torch.Tensor:
        if not self.cut:
            return self.std * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        uniform = torch.rand(parameter.shape, generator=generator, dtype=torch.float64)
        return self.std * _drawn.truncated(2.0 * uniform - 1.0, self.cut)
