"""Uniform: independent weights within a chosen range."""

from __future__ import annotations

from typing import ClassVar

from optlab.catalogue.initializers.base import Initializer
from optlab.core.fields import number
from optlab.core.layout import Parameter
from optlab.core.lazy import torch


class Uniform(Initializer):
    """Weights drawn independently from a uniform distribution between −a and a.

    The standard deviation is a/√3. Unlike the Gaussian it has no tails, which makes little
    difference in practice.
    """

    name: ClassVar[str] = "uniform"
    label: ClassVar[str] = "Uniform"
    sort_order: ClassVar[int] = 21
    rule: ClassVar[tuple[str, ...]] = (r"W_{i,j} \sim U(-a,\ a)",)
    symbols: ClassVar[dict[str, str]] = {}
    source: ClassVar[str] = "Notes, parameter initialization."
    differences: ClassVar[str] = "Same as torch.nn.init.uniform_(−a, a)."

    bound: float = number(
        0.1,
        "Bound",
        symbol="a",
        gt=0.0,
        log=True,
        slider=(1e-3, 10.0),
        help="Maximum absolute value of a weight.",
        why="Close to 1/√m for the 64 inputs of the digits data set.",
    )

    def weight(self, parameter: Parameter, generator: torch.Generator) -> torch.Tensor:
        return (
            2.0 * torch.rand(parameter.shape, generator=generator, dtype=torch.float64) - 1.0
        ) * self.bound
