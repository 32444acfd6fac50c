"""Constant: every weight alike, to show what symmetry does."""

from __future__ import annotations

from typing import ClassVar

from optlab.catalogue.initializers.base import Initializer
from optlab.core.fields import number
from optlab.core.layout import Parameter
from optlab.core.lazy import torch


class ConstantWeights(Initializer):
    """Every weight starts at the same value.

    All units of a layer compute the same function and receive the same gradient: however long
    training goes on they stay identical, and the layer is worth one unit.
    """

    name: ClassVar[str] = "constant"
    label: ClassVar[str] = "Constant"
    sort_order: ClassVar[int] = 31
    rule: ClassVar[tuple[str, ...]] = (r"W_{i,j} = c",)
    symbols: ClassVar[dict[str, str]] = {}
    source: ClassVar[str] = (
        "Notes, parameter initialization: initial parameters need to break symmetry between units."
    )
    differences: ClassVar[str] = "As torch.nn.init.constant_."

    value: float = number(
        0.1,
        "Value",
        symbol="c",
        slider=(-1.0, 1.0),
        help="Value of each weight.",
        why="Not zero, so that signals pass and only symmetry is the trouble.",
    )

    def weight(self, parameter: Parameter, generator: torch.Generator) -> torch.Tensor:
        return torch.full(parameter.shape, self.value, dtype=torch.float64)
