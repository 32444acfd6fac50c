"""No pretraining: training begins at the initializer's draw."""

from __future__ import annotations

from typing import ClassVar

from optlab.catalogue.pretraining.base import Layer, Learned, Pretraining


class NoPretraining(Pretraining):
    """Training begins at what the initializer draws."""

    name: ClassVar[str] = "none"
    label: ClassVar[str] = "None"
    sort_order: ClassVar[int] = 10
    active: ClassVar[bool] = False

    def learn(self, layer: Layer) -> Learned:
        return Learned(layer.weight, layer.bias, "as drawn")
