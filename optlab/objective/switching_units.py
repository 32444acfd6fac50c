"""Rectified units that switch together on given examples.

Behind a ReLU, units that are on for the same examples form a linear layer near a point. Which these
are is seen from one pass over the examples.
"""

from __future__ import annotations

from optlab.catalogue.models.base import ForwardContext, Model
from optlab.catalogue.models.capabilities import RectifiedUnits
from optlab.core.layout import Layout
from optlab.core.lazy import torch
from optlab.core.limits import CHUNK_VALUES
from optlab.objective.seeding import generator

_RANGE = 2**62


def switching_units(
    model: Model, layout: Layout, x: torch.Tensor, theta: torch.Tensor
) -> list[torch.Tensor]:
    """Return for each of the model's layers of rectified units which of them switch together.

    Args:
        layout: of the model.
        x: all examples, ``[n, *inputs]``.
        theta: ``[1, P]``.

    Returns:
        See :meth:`optlab.catalogue.models.capabilities.Symmetries.symmetries`.
    """
    layers = model.rectified()
    if not layers:
        return []
    seen = [_Switching(layer) for layer in layers]

    def trace(name: str, values: torch.Tensor) -> None:
        for layer in seen:
            layer.add(name, values)

    parameters = layout.split(theta)
    context = ForwardContext(training=False, trace=trace)
    widest = max(x[:1].numel(), *(spec.shape[0] for spec in layout.parameters))
    with torch.no_grad():
        for chunk in x.split(max(1, CHUNK_VALUES // widest)):
            model.forward(parameters, chunk.unsqueeze(0), context)
    return [layer.groups() for layer in seen]


class _Switching:
    """For which examples each unit of a layer is on.

    Of each unit only a sum of random numbers is kept, one for every value for which it is on.
    """

    def __init__(self, layer: RectifiedUnits) -> None:
        self._layer = layer
        self._source = generator(0, "switching units")
        self._sums: torch.Tensor | None = None
        self._total = 0
        self._on: torch.Tensor | None = None

    def add(self, name: str, values: torch.Tensor) -> None:
        """Note the values of one trace, ``[1, m, …]``."""
        wanted = self._layer.trace
        if name != wanted and not (wanted.endswith(".") and name.startswith(wanted)):
            return
        on = (values.movedim(self._layer.axis, -1).flatten(0, -2) > 0.0).cpu()
        # Sums wrap around, so that any two different sets have equal sums with probability 2⁻⁶².
        drawn = torch.randint(_RANGE, (len(on), 1), generator=self._source)
        sums, count = torch.where(on, drawn, 0).sum(dim=0), on.sum(dim=0)
        self._sums = sums if self._sums is None else self._sums + sums
        self._on = count if self._on is None else self._on + count
        self._total += len(on)

    def groups(self) -> torch.Tensor:
        """Return the number of the group of each unit; 0: always on, −1: never on."""
        if self._sums is None or self._on is None:
            return torch.zeros(0, dtype=torch.int64)
        groups: torch.Tensor = 1 + torch.unique(self._sums, return_inverse=True)[1]
        groups[self._on == self._total] = 0
        groups[self._on == 0] = -1
        return groups
