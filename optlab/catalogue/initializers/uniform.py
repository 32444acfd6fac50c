"""Uniform: independent weights within a chosen range."""

from __future__ import annotations

from typing import ClassVar

from optlab.catalogue.initializers.base import Initializer
from optlab.core.fields import number
from optlab.core.layout import Parameter
from optlab.core.lazy import torch


class Uniform(Initializer):
    """Weights drawn independently and evenly from −a to a.

    The standard deviation is a/√3; beside the Gaussian it has no tails, and in practice makes
    little difference.
    """

    name: ClassVar[str] = "uniform"
    label: ClassVar[str] = "Uniform"
    sort_order: ClassVar[int] = 21
    rule: ClassVar[tuple[str, ...]] = (r"W_{i,j} \sim U(-a,\ a)",)
    symbols: ClassVar[dict[str, str]] = {}
    source: ClassVar[str] = "Notes, parameter initialization."
    differences: ClassVar[str] = "As torch.nn.init.uniform_(−a, a)."

    bound: float = number(
        0.1,
        "Bound",
        symbol="a",
        gt=0.0,
        log=True,
        slider=(1e-3, 10.0),
        help="Largest weight there can be.",
        why="Near 1/√m for the layer of 64 inputs that the digits need.",
    )

    def weight(self, parameter: Parameter, generator: torch.Generator) -> torch.Tensor:
        return (
            2.0 * torch.rand(parameter.shape, generator=generator, dtype=torch.float64) - 1.0
        ) * self.bound
