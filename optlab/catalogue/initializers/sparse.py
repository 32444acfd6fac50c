"""Sparse: each unit listens to exactly k inputs."""

from __future__ import annotations

from typing import ClassVar

from optlab.catalogue.initializers.base import Initializer
from optlab.core.fields import integer, number
from optlab.core.layout import Parameter
from optlab.core.lazy import torch


class Sparse(Initializer):
    """Each unit has exactly k non-zero weights.

    The total input of a unit stays independent of the number of inputs without each weight having
    to shrink; the price is a strong prior on the weights that were chosen.
    """

    name: ClassVar[str] = "sparse"
    label: ClassVar[str] = "Sparse"
    sort_order: ClassVar[int] = 22
    rule: ClassVar[tuple[str, ...]] = (
        r"W_{i,j} \sim N(0, \sigma^2)\ \text{for } k\ \text{inputs } j\ \text{of unit } i,\quad \text{else } 0",
    )
    symbols: ClassVar[dict[str, str]] = {}
    source: ClassVar[str] = (
        "Notes, parameter initialization: sparse initialization; J. Martens (2010)."
    )
    differences: ClassVar[str] = (
        "torch.nn.init.sparse_ zeroes a share of each column instead of keeping a number for each unit."
    )

    count: int = integer(
        15,
        "Inputs a unit",
        symbol="k",
        ge=1,
        le=65_536,
        log=True,
        slider=(1, 256),
        help="Non-zero weights of a unit; all of them where it has fewer inputs.",
        why="Martens' number.",
    )
    std: float = number(
        0.25,
        "Scale",
        symbol="σ",
        gt=0.0,
        log=True,
        slider=(1e-3, 10.0),
        help="Standard deviation of the non-zero weights.",
        why="About 1/√15.",
    )

    def weight(self, parameter: Parameter, generator: torch.Generator) -> torch.Tensor:
        units = parameter.shape[0]
        inputs = parameter.size // units
        kept = min(self.count, inputs)
        # The first k of a random order of each unit's inputs.
        chosen = torch.rand((units, inputs), generator=generator, dtype=torch.float64).argsort(
            dim=1
        )[:, :kept]
        values = self.std * torch.randn((units, kept), generator=generator, dtype=torch.float64)
        return (
            torch.zeros((units, inputs), dtype=torch.float64)
            .scatter_(1, chosen, values)
            .reshape(parameter.shape)
        )
