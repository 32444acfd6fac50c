"""Sparse: each unit has exactly k nonzero weights."""

from __future__ import annotations

from typing import ClassVar

from optlab.catalogue.initializers.base import Initializer
from optlab.core.fields import integer, number
from optlab.core.layout import Parameter
from optlab.core.lazy import torch


class Sparse(Initializer):
    """Each unit has exactly k nonzero weights.

    The total input of a unit is then independent of the number of inputs without smaller weights;
    the cost is a strong prior on the selected weights.
    """

    name: ClassVar[str] = "sparse"
    label: ClassVar[str] = "Sparse"
    sort_order: ClassVar[int] = 22
    rule: ClassVar[tuple[str, ...]] = (
        r"W_{i,j} \sim N(0, \sigma^2)\ \text{for } k\ \text{inputs } j\ \text{of unit } i,\quad "
        r"\text{else } 0",
    )
    symbols: ClassVar[dict[str, str]] = {}
    source: ClassVar[str] = (
        "Notes, parameter initialization: sparse initialization; J. Martens (2010)."
    )
    differences: ClassVar[str] = (
        "torch.nn.init.sparse_ sets a share of each column to zero instead of keeping a fixed"
        " number of weights per unit."
    )

    count: int = integer(
        15,
        "Inputs per unit",
        symbol="k",
        ge=1,
        le=65_536,
        log=True,
        slider=(1, 256),
        help="Number of nonzero weights per unit; all of them if it has fewer inputs.",
        why="The value in the paper of Martens.",
    )
    std: float = number(
        0.25,
        "Scale",
        symbol="σ",
        gt=0.0,
        log=True,
        slider=(1e-3, 10.0),
        help="Standard deviation of the nonzero weights.",
        why="About 1/√15.",
    )

    def weight(self, parameter: Parameter, generator: torch.Generator) -> torch.Tensor:
        units = parameter.shape[0]
        inputs = parameter.size // units
        count = min(self.count, inputs)
        # The first k inputs of each unit in random order.
        selected = torch.rand((units, inputs), generator=generator, dtype=torch.float64).argsort(
            dim=1
        )[:, :count]
        values = self.std * torch.randn((units, count), generator=generator, dtype=torch.float64)
        return (
            torch.zeros((units, inputs), dtype=torch.float64)
            .scatter_(1, selected, values)
            .reshape(parameter.shape)
        )
