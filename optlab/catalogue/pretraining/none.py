"""No pretraining: training starts at the draw of the initializer."""

from __future__ import annotations

from typing import ClassVar

from optlab.catalogue.pretraining.base import Layer, Learned, Pretraining


class NoPretraining(Pretraining):
    """Training starts from the parameters that the initializer has drawn."""

    name: ClassVar[str] = "none"
    label: ClassVar[str] = "None"
    sort_order: ClassVar[int] = 10
    active: ClassVar[bool] = False

    def learn(self, layer: Layer) -> Learned:
        return Learned(layer.weight, layer.bias, "as drawn")
