"""Constant: all weights equal, to show the effect of symmetry."""

from __future__ import annotations

from typing import ClassVar

from optlab.catalogue.initializers.base import Initializer
from optlab.core.fields import number
from optlab.core.layout import Parameter
from optlab.core.lazy import torch


class ConstantWeights(Initializer):
    """Every weight starts at the same value.

    All units of a layer compute the same function and receive the same gradient. They stay
    identical however long training continues, and the layer is equivalent to a single unit.
    """

    name: ClassVar[str] = "constant"
    label: ClassVar[str] = "Constant"
    sort_order: ClassVar[int] = 31
    rule: ClassVar[tuple[str, ...]] = (r"W_{i,j} = c",)
    symbols: ClassVar[dict[str, str]] = {}
    source: ClassVar[str] = (
        "Notes, parameter initialization: initial parameters need to break symmetry between units."
    )
    differences: ClassVar[str] = "Same as torch.nn.init.constant_."

    value: float = number(
        0.1,
        "Value",
        symbol="c",
        slider=(-1.0, 1.0),
        help="Value of each weight.",
        why="Not zero, so that signals pass and symmetry is the only problem.",
    )

    def weight(self, parameter: Parameter, generator: torch.Generator) -> torch.Tensor:
        return torch.full(parameter.shape, self.value, dtype=torch.float64)
