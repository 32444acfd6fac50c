"""Maximal update: the scales of μP, at which wide networks start alike."""

from __future__ import annotations

import math
from typing import ClassVar

from optlab.catalogue.initializers import _drawn
from optlab.catalogue.initializers.base import Initializer
from optlab.core.fields import number
from optlab.core.layout import Parameter
from optlab.core.lazy import torch


class MaximalUpdate(Initializer):
    """Normal weights as fan-in rules draw them, with an output layer that shrinks with the width.

    The output starts near zero in wide networks, so that features, and not the last layer alone,
    move at any width. This is the start of the maximal update parametrization (μP); its learning
    rates by layer are not part of an initializer.
    """

    name: ClassVar[str] = "maximal_update"
    label: ClassVar[str] = "Maximal update (μP)"
    sort_order: ClassVar[int] = 17
    rule: ClassVar[tuple[str, ...]] = (
        r"W_{i,j} \sim N\left(0,\ \frac{\sigma^2}{m}\right),\qquad"
        r" \text{output: } N\left(0,\ \frac{\sigma^2}{m^2}\right)",
    )
    symbols: ClassVar[dict[str, str]] = {"m": "inputs of the layer (fan-in)"}
    source: ClassVar[str] = "G. Yang et al. (2022), Tensor programs V, table 3; not in the notes."
    differences: ClassVar[str] = (
        "The start alone: the learning rates of μP, which differ from layer to layer, are not set."
    )

    scale: float = number(
        1.0,
        "Scale",
        symbol="σ",
        gt=0.0,
        log=True,
        slider=(0.1, 10.0),
        help="Factor of all standard deviations.",
        why="√2 suits ReLU.",
    )
    distribution: _drawn.Distribution = _drawn.distribution("normal")

    def weight(self, parameter: Parameter, generator: torch.Generator) -> torch.Tensor:
        m = parameter.fan_in
        std = self.scale / (m if parameter.output else math.sqrt(m))
        return _drawn.drawn(self.distribution, std, parameter.shape, generator)
