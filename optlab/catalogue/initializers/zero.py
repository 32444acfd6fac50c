"""Zero: all weights zero, to show why symmetry must be broken."""

from __future__ import annotations

from typing import ClassVar

from optlab.catalogue.initializers.base import Initializer
from optlab.core.layout import Parameter
from optlab.core.lazy import torch


class Zero(Initializer):
    """Every weight starts at zero.

    Units of a layer that start equal receive the same gradient and stay equal. A network with
    hidden units cannot learn from this start; a linear model can.
    """

    name: ClassVar[str] = "zero"
    label: ClassVar[str] = "Zero"
    sort_order: ClassVar[int] = 30
    rule: ClassVar[tuple[str, ...]] = (r"W_{i,j} = 0",)
    source: ClassVar[str] = (
        "Notes, parameter initialization: initial parameters need to break symmetry between units."
    )
    differences: ClassVar[str] = "Same as torch.nn.init.zeros_."

    def weight(self, parameter: Parameter, generator: torch.Generator) -> torch.Tensor:
        return torch.zeros(parameter.shape, dtype=torch.float64)
